#!/bin/bash
# needs: bash setpriv /usr/lib/postgresql/*/bin/initdb /usr/lib/postgresql/*/bin/pg_amcheck
# PostgreSQL: initdb, pgbench through three checkpoints, the books balanced, every index checked;
# then a crash of the server in the middle of work, and its recovery.
if [ "$(id -u)" = 0 ]; then
	# The server does not run as root.
	exec setpriv --reuid=65534 --regid=65534 --clear-groups "$BASH" "$0"
fi
. "$(dirname "$0")/lib/server.sh"
PATH=$(dirname /usr/lib/postgresql/*/bin/initdb | tail -1):$PATH
export PGHOST=$dir PGPORT=$port PGDATABASE=postgres PGUSER=test HOME=$dir

start() {
	postgres -D "$dir/data" -k "$dir" -p "$port" -c listen_addresses=127.0.0.1 \
		-c shared_buffers=16MB -c max_connections=20 -c wal_level=minimal -c max_wal_senders=0 \
		-c min_wal_size=32MB >> "$dir/log" 2>&1 &
	server=$!
	until_true psql -c 'select 1'
}

sql() {
	psql -qAt -c "$1"
}

balance() {
	sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
		(select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history),
		(select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)'
}

done_so_far() {
	sql 'select count(*) from pgbench_history'
}

initdb -D "$dir/data" -U test -A trust --wal-segsize=1 --locale=C -E UTF8 > "$dir/init" 2>&1
echo "initdb: $?"
start
pgbench -q -i -s 1 > "$dir/fill" 2>&1
echo "filled: $?"
pgbench -n -c 4 -j 2 -t 200 -h 127.0.0.1 > "$dir/bench" 2>&1 &
bench=$!
for part in 40 250 500; do
	until_true at_least "$part" done_so_far
	echo @save@
done
wait "$bench"
echo "pgbench: $?"
grep -E 'processed|failed' "$dir/bench"
grep -E 'error|abort|lost' "$dir/bench"
echo "history: $(done_so_far), balanced: $(balance)"
sql 'create extension amcheck'
pg_amcheck --heapallindexed --rootdescend 2>&1
echo "amcheck: $?"
sql "create table t as select i, md5(i::text) as m from generate_series(1, 20000) i; create index on t(m)"
sql "select md5(string_agg(m, '' order by m)) from t"
sql "select count(*) from t a join t b on a.m = b.m where a.i % 7 = 0"

pgbench -n -c 2 -t 100000 > /dev/null 2>&1 &
bench=$!
until_true at_least 850 done_so_far
kill -QUIT "$server"
wait "$server"
echo "server: $?"
wait "$bench"
echo "pgbench without its server: $?"
start
echo "balanced: $(balance)"
pg_amcheck --heapallindexed 2>&1
echo "amcheck: $?"
kill -INT "$server"
wait "$server"
echo "server: $?"
server=
grep -E 'PANIC|redo starts' "$dir/log" | sed 's/.*LOG: *//; s/ at .*//'
