# Sourced by quickstart and check: installs what is missing on Debian 12 and builds build/stasis.
# Says nothing unless there is something to do.

PACKAGES="build-essential meson ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev
liblz4-dev libxxhash-dev libseccomp-dev libjansson-dev libbsd-dev libcap-ng-dev libpopt-dev
libcriterion-dev python3"
# What the tests run in sandboxes, and what checks the sources.
TEST_PACKAGES="clang clang-format sqlite3 perl xz-utils procps time vim-tiny less tmux redis-server
redis-tools nginx wrk memcached mariadb-server-core mariadb-client postgresql-15 openssh-server
openssh-client git curl wget openssl strace"

# install_missing PACKAGE...: apt-get for those that dpkg does not know as installed.
install_missing() {
	local missing="" p as_root=""
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' ||
			missing="$missing $p"
	done
	[ -z "$missing" ] && return 0
	echo "installing:$missing"
	[ "$(id -u)" = 0 ] || as_root=sudo
	if ! command -v apt-get >/dev/null || { [ -n "$as_root" ] && ! command -v sudo >/dev/null; }; then
		echo "$0: cannot install packages here: please install$missing" >&2
		return 1
	fi
	$as_root apt-get update -q >/dev/null 2>&1
	without_services $as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends $missing >/dev/null || {
		echo "$0: apt-get could not install$missing" >&2
		return 1
	}
}

# without_services COMMAND...: packages of servers that it installs start none. A policy that is there
# stays as it is.
without_services() (
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap '$as_root rm -f "$policy"' EXIT
		trap 'exit 1' INT TERM HUP
		printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
		$as_root chmod 755 "$policy"
	fi
	"$@"
)

# build DIR [MESON OPTION...]: sets DIR up if it isn't, and builds everything.
build() {
	local dir=$1 cc=gcc
	shift
	command -v ccache >/dev/null && cc="ccache gcc"
	if [ ! -f "$dir/build.ninja" ]; then
		CC="${CC:-$cc}" meson setup "$dir" "$@" >"$dir.log" 2>&1 || {
			cat "$dir.log" >&2
			return 1
		}
		rm -f "$dir.log"
	fi
	ninja -C "$dir" >"$dir/ninja.log" 2>&1 || {
		grep -v '^\[' "$dir/ninja.log" | tail -60 >&2
		return 1
	}
}
