#!/bin/bash
# needs: bash tar gzip sha256sum find
# tar | gzip | sha256sum, and back again.
set -euo pipefail
export LC_ALL=C
tmp=$(mktemp -d /tmp/program.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
dirs=()
for d in linux asm-generic rpc arpa net netinet protocols; do
	[ -d /usr/include/$d ] && dirs+=("$d")
done

pack() {
	tar -C /usr/include --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - "$@"
}

pack "${dirs[@]}" | sha256sum
{
	sleep 0.15
	echo @save@
} &
pack "${dirs[@]}" | gzip -n -9 | sha256sum
wait
pack "${dirs[@]}" | gzip -n -1 > "$tmp/a.tar.gz"
gzip -t "$tmp/a.tar.gz"
echo "unpacked"
mkdir "$tmp/out"
tar -C "$tmp/out" -xzf "$tmp/a.tar.gz"
diff -r "/usr/include/${dirs[0]}" "$tmp/out/${dirs[0]}" && echo "equal"
tar -C "$tmp/out" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - "${dirs[@]}" |
	sha256sum
find "$tmp/out" -type f | wc -l
