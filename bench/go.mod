module github.com/thriftloom/thriftloom/bench

go 1.26.0

require github.com/thriftloom/thriftloom v0.0.0

require github.com/HdrHistogram/hdrhistogram-go v1.4.0 // indirect

replace github.com/thriftloom/thriftloom => ../
