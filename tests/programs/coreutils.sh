#!/bin/bash
# needs: bash find sort sed awk md5sum xargs uniq cut tr
# Pipelines of coreutils over /usr/include.
set -euo pipefail
export LC_ALL=C
top=/usr/include
tmp=$(mktemp -d /tmp/program.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

find "$top" -type f -printf '%P %s\n' | sort > "$tmp/list"
echo "files: $(wc -l < "$tmp/list")"
echo "names: $(cut -d' ' -f1 "$tmp/list" | md5sum)"

# Sizes by suffix, as awk sums them.
awk '{ n = split($1, p, "."); s = n > 1 ? p[n] : "none"; c[s]++; b[s] += $2 }
     END { for (s in c) if (c[s] > 3) print s, c[s], b[s] }' "$tmp/list" | sort

# The heavy part: every header of the upper two levels, several processes at a time.
{
	sleep 0.1
	echo @save@
} &
find "$top" -maxdepth 2 -type f -name '*.h' -print0 | sort -z |
	xargs -0 -n 50 md5sum | sed "s|$top/||" | sort -k2 > "$tmp/sums"
wait
echo "sums: $(md5sum < "$tmp/sums")"

find "$top" -maxdepth 2 -type f -name '*.h' -print0 | sort -z | xargs -0 cat |
	tr -cs 'A-Za-z_' '\n' | sort | uniq -c | sort -k1,1nr -k2 | awk "NR <= 40" > "$tmp/words"
echo "words: $(md5sum < "$tmp/words")"
sed -n '1,5{s/^ *//;p}' "$tmp/words"
find "$top" -maxdepth 1 -type l | sort | while read -r l; do
	printf '%s -> %s\n' "$l" "$(readlink "$l")"
done
echo done
