#!/bin/sh
# Measures `slots: auto` beside every number of slots that one might write, before one ThriftPy2 server (threads): a handler that works, and one
# that waits; 64 callers, each of which calls again when it has its answer. With auto the first 10 s are for learning, and are not counted.
#
#	run.sh [SECONDS]    of each measurement; 5
#
# THRIFTLOOM is the program, PYTHON an interpreter that has thriftpy2.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
program=${THRIFTLOOM:-$here/../../bin/thriftloom}
python=${PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/thriftloom/venv/bin/python}
seconds=${1:-5}
dir=$(mktemp -d)
server=
gateway=
end() {
	if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null || true; wait "$gateway" 2>/dev/null || true; gateway=; fi
	if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; server=; fi
}
trap 'end; rm -rf "$dir"' EXIT
idl=$here/auto.thrift

# start SLOTS: a fresh server with a gateway before it
start() {
	rm -f "$dir"/*.sock
	"$python" "$here/server.py" "$idl" "$dir/server.sock" 2>"$dir/server.log" &
	server=$!
	cat >"$dir/thriftloom.yaml" <<END
listen: unix:$dir/gateway.sock
admin: unix:$dir/admin.sock
services:
  Auto:
    idl: $idl
    timeout: 30s
    upstream: {endpoints: ["unix:$dir/server.sock"], server: threaded, slots: $1}
    queue: {max_wait: 30s}
END
	"$program" up -c "$dir/thriftloom.yaml" >"$dir/gateway.log" 2>&1 &
	gateway=$!
	tries=0
	until "$program" call -i "$idl" "unix:$dir/gateway.sock" Auto.wait '{"millis": 0}' >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -gt 100 ]; then cat "$dir"/*.log >&2; exit 1; fi
		sleep 0.1
	done
}

# load METHOD ARGUMENTS SECONDS: calls a second and p99 in milliseconds
load() {
	"$program" bench -i "$idl" "unix:$dir/gateway.sock" "Auto.$1" "$2" --concurrency 64 --connections 64 --timeout 30s --duration "${3}s" -o json >"$dir/bench.json" || true
	"$python" -c '
import json, sys
b = json.load(open(sys.argv[1]))["load"]
print("%.0f/s, p99 %.0f ms%s" % (b["rate"], 1000 * b["latency_seconds"]["p99"], ", %d failed" % b["failed"] if b["failed"] else ""))' "$dir/bench.json"
}

learned() {
	"$program" status --admin "unix:$dir/admin.sock" -o json | "$python" -c '
import json, sys
print(json.load(sys.stdin)["clusters"][0]["endpoints"][0]["slots"])'
}

echo "| slots | work, 5 ms | wait, 10 ms |"
echo "|---|---|---|"
for slots in 1 2 4 8 16 32 64 auto; do
	row="| $slots |"
	for method in work wait; do
		millis=10
		if [ $method = work ]; then millis=5; fi
		start $slots
		found=
		if [ $slots = auto ]; then load $method "{\"millis\": $millis}" 10 >/dev/null; fi
		figures=$(load $method "{\"millis\": $millis}" "$seconds")
		if [ $slots = auto ]; then found=" ($(learned) slots)"; fi
		row="$row $figures$found |"
		end
	done
	echo "$row"
done
