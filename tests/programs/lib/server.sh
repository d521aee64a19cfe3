# Sourced by the scripts that run a server: a directory that is gone at the end, a port, and waiting.
set -u
export LC_ALL=C
umask 077

dir=$(mktemp -d "/tmp/stasis-$(basename "$0" .sh).XXXXXX") || exit 1
# Below the ephemeral ports; natively the host's, so another one each time.
port=$((10000 + RANDOM % 20000))
server=

finish() {
	[ -z "$server" ] || kill -KILL "$server" 2> /dev/null
	rm -rf "$dir"
}
trap finish EXIT

# until_true COMMAND...: again and again, until it succeeds; ends the script when a minute is over.
until_true() {
	local n
	for ((n = 0; n < 1200; n++)); do
		"$@" > /dev/null 2>&1 && return 0
		sleep 0.05
	done
	echo "in vain: $*"
	exit 1
}

# at_least N COMMAND...: COMMAND prints a number of N or more.
at_least() {
	local got
	got=$("${@:2}" 2> /dev/null) && [ -n "$got" ] && [ "$got" -ge "$1" ]
}
