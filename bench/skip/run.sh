#!/bin/sh
# Measures the skip-scan of the order beside Apache Go's typed read of it, whose code Debian's thrift-compiler makes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$here/go.mod" "$here/main.go" "$dir"
cd "$dir"
thrift -out . --gen go:thrift_import=github.com/apache/thrift/lib/go/thrift,package_prefix=skip/ "$here/../order/order.thrift"
go mod edit -replace "github.com/thriftloom/thriftloom=$here/../.." -replace "github.com/thriftloom/thriftloom/bench=$here/.."
go mod tidy -e >tidy.log 2>&1 || cat tidy.log
go run . "$@"
