#!/bin/sh
# Installs the real peers that the tests talk to: the original ThriftPy 0.3.9 (a Debian package, for /usr/bin/python3), and in virtual
# environments of their own ThriftPy2 with stock gunicorn, gunicorn_thrift with the versions that it pins, and the last ThriftPy2 with
# Tornado; Apache Thrift's compiler, Python and C++ (Debian packages), Go (a module, pinned in apachego) and Node.js (an npm package, pinned
# in node); openssl; what servers are found by: dnsmasq (a Debian package without a service) and etcd; and what replies are kept in: Redis
# and memcached. These three are unpacked out of their Debian packages, so that no service is started. What is there already is left alone,
# and then nothing is asked of the network.
set -eu

thriftpy2=0.7.1
cache="${XDG_CACHE_HOME:-$HOME/.cache}/thriftloom"

# What each environment holds, to the last version. No release of ThriftPy2 has contrib.gunicorn yet (0.7.1 has not): test/peers brings
# workers for stock gunicorn until one has.
stock="thriftpy2==$thriftpy2 ijson==3.6.0 ply==3.11 gunicorn==27.0.1"
# gunicorn_thrift 0.2.25 wants gunicorn 19.9.0, which needs pkg_resources, and gevent 1.4, which no Python since 3.9 can build: 22.10.1 is
# the next that is there ready for 3.11. setproctitle 1.1.10 is for looks and is left out.
gunicorn_thrift="gunicorn_thrift==0.2.25 gunicorn==19.9.0 setuptools==80.9.0 thriftpy2==$thriftpy2 ijson==3.6.0 ply==3.11"
gevent="gevent==22.10.1 greenlet==1.1.3.post0 zope.event==6.2 zope.interface==8.7"
newer_gevent="gevent==26.9.0 greenlet==3.5.6 zope.event==6.2 zope.interface==8.7"
# thriftpy2.tornado went with 0.7.
tornado="thriftpy2==0.6.0 ply==3.11 six==1.17.0 tornado==6.6.1"

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

# has tells whether the environment $1 was made for what is wanted of it now, $2, and is whole.
has() { [ "$(cat "$cache/$1/holds" 2>/dev/null)" = "$2" ] && "$cache/$1/bin/python" -c '' 2>/dev/null; }

# environment makes the environment $1 with $2, where it is not there yet. What else is given is tried in turn, and the first that can be
# installed is taken: ready-made only, since building takes minutes.
environment() {
	name=$1 base=$2
	shift 2
	has "$name" "$base" && return
	python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv
	echo "installing $base in $cache/$name"
	mkdir -p "$cache"
	[ -x "$cache/$name/bin/pip" ] || python3 -m venv --clear "$cache/$name"
	"$cache/$name/bin/pip" install --quiet --disable-pip-version-check --no-deps $base
	if [ $# -gt 0 ]; then
		for extra in "$@"; do
			"$cache/$name/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: $extra 2>/dev/null && break
			echo "$extra cannot be had here"
			extra=
		done
		[ -n "$extra" ] || return 1
	fi
	echo "$base" >"$cache/$name/holds"
}

command -v openssl >/dev/null || debian openssl
has_thriftpy || debian python3-thriftpy
has_thriftpy || {
	echo "setup.sh: /usr/bin/python3 cannot import thriftpy" >&2
	exit 1
}

# has_apache tells whether what the tests make Apache's peers with is there, to the last header.
has_apache() {
	command -v thrift >/dev/null && command -v g++ >/dev/null && /usr/bin/python3 -c 'import thrift.Thrift' 2>/dev/null &&
		echo '#include <thrift/protocol/TMultiplexedProtocol.h>
		#include <thrift/processor/TMultiplexedProcessor.h>' | g++ -x c++ -fsyntax-only - 2>/dev/null
}
has_apache || debian thrift-compiler python3-thrift libthrift-dev libboost-dev g++
has_apache || {
	echo "setup.sh: Apache Thrift's compiler, Python or C++ library cannot be used" >&2
	exit 1
}
PATH="$PATH:/usr/sbin" command -v dnsmasq >/dev/null || debian dnsmasq-base
# unpacked unpacks the Debian packages of a server into a folder of its own, $1, so that no service is started, where its program $2 is not there.
unpacked() {
	folder=$1 program=$2
	shift 2
	command -v "$program" >/dev/null || [ -x "$cache/$folder/usr/bin/$program" ] && return
	echo "unpacking the packages $* in $cache/$folder"
	mkdir -p "$cache/$folder"
	(
		cd "$cache/$folder"
		apt-get download -qq "$@" 2>/dev/null || {
			as_root apt-get update -qq
			apt-get download -qq "$@"
		}
		for package in *.deb; do
			dpkg-deb -x "$package" .
			rm "$package"
		done
	)
}
# runs tells whether a server's program, unpacked or not, has the libraries that it needs.
runs() { "$(PATH="$PATH:$cache/$1/usr/bin" command -v "$2")" --version >/dev/null 2>&1; }

unpacked etcd etcd etcd-server
unpacked redis redis-server redis-server redis-tools
unpacked memcached memcached memcached
runs redis redis-server || debian libatomic1 libjemalloc2 liblzf1
runs memcached memcached || debian libevent-2.1-7 libsasl2-2
for server in redis-server memcached; do
	runs "${server%-server}" $server || {
		echo "setup.sh: $server cannot be started" >&2
		exit 1
	}
done
command -v node >/dev/null && command -v npm >/dev/null || debian nodejs npm

# What test/peers/node/package-lock.json names, in the cache.
here=$(cd "$(dirname "$0")" && pwd)
if ! cmp -s "$here/node/package-lock.json" "$cache/node/package-lock.json" || ! NODE_PATH="$cache/node/node_modules" node -e 'require("thrift")' 2>/dev/null; then
	echo "installing npm's thrift in $cache/node"
	mkdir -p "$cache/node"
	cp "$here/node/package.json" "$here/node/package-lock.json" "$cache/node/"
	(cd "$cache/node" && npm ci --no-audit --no-fund --ignore-scripts --silent)
fi

(cd "$here/apachego" && go mod download)

environment venv "$stock"
environment venv-gunicorn "$gunicorn_thrift" "$gevent" "$newer_gevent"
environment venv-tornado "$tornado"

# imports fails where the environment $1 cannot import the modules $2.
imports() {
	"$cache/$1/bin/python" -W ignore -c "import $2" && return
	echo "setup.sh: $cache/$1/bin/python cannot import $2" >&2
	exit 1
}
imports venv thriftpy2.rpc,gunicorn
imports venv-gunicorn gunicorn_thrift.thriftapp,gevent,thriftpy2.rpc
imports venv-tornado thriftpy2.tornado

# versions prints an environment's Python and what it holds of the packages $2.
versions() {
	printf '%s' "$cache/$1/bin/python"
	"$cache/$1/bin/python" -c 'import sys; from importlib.metadata import version as v; print(*(" %s %s" % (p, v(p)) for p in sys.argv[1:]))' $2
}
echo "/usr/bin/python3 $(/usr/bin/python3 -c 'import thriftpy; print("thriftpy", thriftpy.__version__)')"
versions venv "thriftpy2 gunicorn"
versions venv-gunicorn "gunicorn_thrift gunicorn gevent thriftpy2"
versions venv-tornado "thriftpy2 tornado"
echo "apache: $(thrift --version), node $(node --version) with thrift $(NODE_PATH="$cache/node/node_modules" node -p 'require("thrift/package.json").version'), go $(cd "$here/apachego" && go list -m -f '{{.Path}} {{.Version}}' github.com/apache/thrift)"
