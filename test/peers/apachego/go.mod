// A peer for the tests, apart so that the product does not know Apache's library.
module apachego

go 1.26

require github.com/apache/thrift v0.25.0
