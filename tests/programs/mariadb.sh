#!/bin/bash
# needs: bash setpriv mariadbd mariadb-install-db mariadb mariadb-slap mariadb-check
# MariaDB with InnoDB: transactions of mariadb-slap through three checkpoints, counted; the tables
# checked; the server killed in the middle of work, and its recovery.
if [ "$(id -u)" = 0 ]; then
	exec setpriv --reuid=65534 --regid=65534 --clear-groups "$BASH" "$0"
fi
. "$(dirname "$0")/lib/server.sh"
export HOME=$dir

start() {
	mariadbd --no-defaults --datadir="$dir/data" --socket="$dir/socket" --port="$port" \
		--bind-address=127.0.0.1 --pid-file="$dir/pid" --tmpdir="$dir" --skip-name-resolve \
		--innodb-buffer-pool-size=16M --innodb-log-file-size=8M --key-buffer-size=1M \
		>> "$dir/log" 2>&1 &
	server=$!
	until_true sql 'select 1'
}

sql() {
	mariadb --no-defaults -S "$dir/socket" -u root -N -B <<< "$1"
}

slap() {
	mariadb-slap --no-defaults -u root --silent --no-drop --create-schema=test "$@"
}

done_so_far() {
	sql 'select sum(n) from test.counters'
}

mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal \
	--skip-test-db --innodb-log-file-size=8M > "$dir/init" 2>&1
echo "install: $?"
start
sql "create database test;
	use test;
	create table counters (id int primary key, n int not null) engine=innodb;
	insert into counters values (0, 0), (1, 0), (2, 0), (3, 0);
	create table log (i int auto_increment primary key, who int, what varchar(100), key(what)) engine=innodb;
	create table other (i int auto_increment primary key, what varchar(100), key(what)) engine=aria;
	delimiter //
	create procedure step() begin
		declare w int default connection_id() % 4;
		start transaction;
		update counters set n = n + 1 where id = w;
		insert into log (who, what) values (w, md5(last_insert_id()));
		commit;
		insert into other (what) values (repeat('x', w));
	end //"
slap -h 127.0.0.1 -P "$port" --concurrency=4 --number-of-queries=800 --query='call step()' \
	> "$dir/slap" 2>&1 &
load=$!
for part in 40 250 500; do
	until_true at_least "$part" done_so_far
	echo @save@
done
wait "$load"
echo "load: $?"
cat "$dir/slap"
balance="select sum(n) = (select count(*) from test.log), (select count(*) from test.log) -
	(select count(*) from test.other), (select count(distinct i) from test.log) from test.counters"
sql "$balance"
mariadb-check --no-defaults -S "$dir/socket" -u root --extended test
sql "use test;
	set max_recursive_iterations = 100000;
	create table t as with recursive s as (select 1 as i union all select i + 1 from s where i < 5000)
		select i, md5(i) as m from s; alter table t add key (m);
	select md5(group_concat(m order by m)) from t where i < 20;
	select count(*) from t a join t b on a.m = b.m where a.i % 7 = 0"

slap -S "$dir/socket" --concurrency=2 --number-of-queries=100000 --query='call step()' \
	> /dev/null 2>&1 &
load=$!
until_true at_least 850 done_so_far
kill -KILL "$server"
wait "$server" 2> /dev/null
echo "server: $?"
wait "$load"
start
sql "select sum(n) = (select count(*) from test.log), sum(n) >= 850 from test.counters"
mariadb-check --no-defaults -S "$dir/socket" -u root --extended test
kill -TERM "$server"
wait "$server"
echo "server: $?"
server=
grep -cE 'Starting crash recovery' "$dir/log"
