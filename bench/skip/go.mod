// Measured apart, so that nothing else knows Apache's library.
module skip

go 1.26.0

require (
	github.com/apache/thrift v0.25.0
	github.com/thriftloom/thriftloom v0.0.0
	github.com/thriftloom/thriftloom/bench v0.0.0
)
