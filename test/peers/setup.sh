#!/bin/sh
# Installs the real peers that the tests talk to: the original ThriftPy 0.3.9 (a Debian package, for /usr/bin/python3) and ThriftPy2 (in
# a virtual environment of its own). What is there already is left alone, and then nothing is asked of the network.
set -eu

thriftpy2=0.7.1
venv="${XDG_CACHE_HOME:-$HOME/.cache}/thriftloom/venv"

# as_root runs a command as root.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "setup.sh: run as root: $*" >&2
		return 1
	fi
}

# debian installs Debian packages, with what is known of them, else with fresh lists.
debian() {
	if ! command -v apt-get >/dev/null; then
		echo "setup.sh: this system has no apt-get; install $* by hand" >&2
		return 1
	fi
	echo "installing the packages $*"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null 2>&1 && return
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

has_thriftpy() { /usr/bin/python3 -c 'import thriftpy.rpc' 2>/dev/null; }

has_thriftpy2() {
	"$venv/bin/python" -c 'import sys, thriftpy2.rpc; sys.exit(thriftpy2.__version__ != sys.argv[1])' "$thriftpy2" 2>/dev/null
}

has_thriftpy || debian python3-thriftpy
has_thriftpy || {
	echo "setup.sh: /usr/bin/python3 cannot import thriftpy" >&2
	exit 1
}

if ! has_thriftpy2; then
	python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv
	echo "installing thriftpy2 $thriftpy2 in $venv"
	mkdir -p "$(dirname "$venv")"
	[ -x "$venv/bin/pip" ] || python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check "thriftpy2==$thriftpy2"
fi
has_thriftpy2 || {
	echo "setup.sh: $venv/bin/python cannot import thriftpy2 $thriftpy2" >&2
	exit 1
}

echo "thriftpy  $(/usr/bin/python3 -c 'import thriftpy; print(thriftpy.__version__)')  /usr/bin/python3"
echo "thriftpy2 $thriftpy2  $venv/bin/python"
