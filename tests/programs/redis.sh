#!/bin/bash
# needs: bash redis-server redis-cli redis-benchmark redis-check-aof awk md5sum
# Redis with an append-only file: 100000 keys, then redis-benchmark through three checkpoints while
# a child of the server rewrites the file. Nothing may be lost, in memory or on disk.
. "$(dirname "$0")/lib/server.sh"

start() {
	redis-server --port "$port" --unixsocket "$dir/socket" --dir "$dir" --appendonly yes --save '' \
		--enable-debug-command yes --auto-aof-rewrite-percentage 0 > "$dir/log" 2>&1 &
	server=$!
	until_true loaded
}

loaded() {
	[ "$(cli ping)" = PONG ]
}

cli() {
	redis-cli -s "$dir/socket" "$@"
}

counted() {
	cli get counter
}

start
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "SET key:%d value:%d\r\n", i, i * i }' |
	redis-cli -p "$port" --pipe | tail -1
echo "keys: $(cli dbsize)"
redis-benchmark -p "$port" -c 20 -n 8000 -q incr counter > "$dir/bench1" 2>&1 &
bench1=$!
redis-benchmark -s "$dir/socket" -c 5 -P 16 -n 30000 -q rpush pipelined x > "$dir/bench2" 2>&1 &
bench2=$!
for part in 500 2500 5000; do
	until_true at_least "$part" counted
	echo @save@
	[ "$part" = 500 ] && cli bgrewriteaof
done
wait "$bench1"
echo "bench over TCP: $? $(grep -ciE 'err|reset|refused' "$dir/bench1")"
wait "$bench2"
echo "bench over AF_UNIX: $? $(grep -ciE 'err|reset|refused' "$dir/bench2")"
echo "counter: $(counted), list: $(cli llen pipelined), keys: $(cli dbsize)"
until_true grep -q 'Background AOF rewrite finished successfully' "$dir/log"
digest=$(cli debug digest)
echo "digest: $digest"
cli shutdown
wait "$server"
echo "server: $?"
for f in "$dir"/appendonlydir/*.aof; do
	redis-check-aof "$f" | grep -oE 'AOF .* is (valid|not valid)' | sed 's/AOF .* is/aof is/'
done
start
[ "$(cli debug digest)" = "$digest" ] && echo "all there again"
awk 'BEGIN { for (i = 0; i < 100000; i += 500) print "GET key:" i }' | cli | md5sum
cli shutdown
wait "$server"
echo "server: $?"
