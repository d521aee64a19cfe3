#!/bin/bash
# needs: bash make gcc ld ar tar md5sum sort
# source: zlib
# `make -j4` of zlib from Debian's source package: configure, the static and the shared library and
# the programs, through two checkpoints; its own tests; every file that was built.
. "$(dirname "$0")/lib/server.sh"

objects() {
	find . -name '*.*o' -size +0 | wc -l
}

mkdir "$dir/built"
tar xf "$SOURCE"/*.orig.tar.* -C "$dir/built" --strip-components=1 --no-same-owner || exit 1
cd "$dir/built" || exit 1
CFLAGS='-O0 -g0' ./configure > "$dir/configured" 2>&1
echo "configure: $?"
make -j4 > "$dir/made" 2>&1 &
make=$!
for part in 6 16; do
	until_true at_least $part objects
	echo @save@
done
wait $make
echo "make: $?"
grep -iE 'error|warning' "$dir/made"
make -j4 test > "$dir/tested" 2>&1
echo "make test: $?"
grep -c 'OK' "$dir/tested"
make -q
echo "all is made: $?"
find . -type f '(' -name '*.*o' -o -name '*.a' -o -name '*.so.*' -o -executable ')' | sort | xargs md5sum
seq 20000 | ./minigzip | ./minigzip -d | md5sum
