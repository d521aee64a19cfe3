#!/bin/bash
# needs: bash xz sha256sum seq awk cmp
# xz with two threads, there and back.
set -euo pipefail
export LC_ALL=C
tmp=$(mktemp -d /tmp/program.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

awk 'BEGIN { x = 7; for (i = 0; i < 100000; i++) { x = (x * 16807) % 2147483647; print i, x % 1000 } }' \
	> "$tmp/data"
sha256sum < "$tmp/data"
{
	sleep 0.1
	echo @save@
} &
xz -T2 --block-size=256KiB -4 -k "$tmp/data"
wait
sha256sum < "$tmp/data.xz"
xz -t "$tmp/data.xz" && echo "sound"
xz -T2 -dc "$tmp/data.xz" | cmp - "$tmp/data" && echo "equal"
xz --robot --list "$tmp/data.xz" | awk '$1 == "file" { print $2, $3, $5 }'
