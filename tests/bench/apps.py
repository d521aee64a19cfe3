#!/usr/bin/env python3
"""Prints one table: what whole programs do native, in stasis (systrap) and in runsc.

usage: tests/bench/apps.py [--build DIR] [--runs N] [NAME...]

Each program is a script that runs, client and server alike, inside one sandbox, and prints its own
numbers; the table has the medians of N runs, taken in turns. Ratios are of costs: stasis/native is
how many times dearer stasis is than native, runsc/stasis how many times dearer runsc is than
stasis; for rates they are turned around, so that they mean the same. Worst first. Programs that
are not installed are left out. Nothing here asserts a time: shared machines are noisy.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import debian_source
from compare import Comparison, run

WHAT = {
    "redis-set-p1": "redis-benchmark SET, -P 1",
    "redis-get-p1": "redis-benchmark GET, -P 1",
    "redis-set-p16": "redis-benchmark SET, -P 16",
    "redis-get-p16": "redis-benchmark GET, -P 16",
    "nginx": "nginx, wrk, a file of 2 KiB",
    "pgbench": "pgbench -S",
    "python": "python3 -c 'import json, ssl, asyncio'",
    "node": "node -e 0",
    "make": "make -j2 of zlib",
    "find": "find /usr",
}

# Each prints lines "name value unit".
PRELUDE = r"""
set -e
dir=$(mktemp -d /tmp/bench.XXXXXX)
trap 'kill $(jobs -p) 2>&- >&- || :; wait; rm -rf "$dir"' EXIT
port=$((20000 + RANDOM % 10000))
ms() {  # NAME TIMES COMMAND...
	local name=$1 n=$2 start end
	shift 2
	"$@" > "$dir/out" 2>&1
	start=$(date +%s%N)
	for ((i = 0; i < n; i++)); do "$@" > "$dir/out" 2>&1; done
	end=$(date +%s%N)
	echo "$name $(((end - start) / n / 10000))e-2 ms"
}
until_true() {
	for ((i = 0; i < 600; i++)); do
		if "$@" > "$dir/until" 2>&1; then return 0; fi
		sleep 0.1
	done
	cat "$dir/until" >&2
	return 1
}
"""
SCRIPTS = {
    "redis": (["redis-server", "redis-benchmark"], r"""
redis-server --port $port --save '' --appendonly no --dir "$dir" > "$dir/log" 2>&1 &
until_true redis-cli -p $port ping
for p in 1 16; do
	for op in set get; do
		redis-benchmark -p $port -t $op -P $p -n $((p * N)) --csv > "$dir/csv"
		echo "redis-$op-p$p $(tail -1 "$dir/csv" | cut -d'"' -f4) 1/s"
	done
done
"""),
    "nginx": (["nginx", "wrk"], r"""
mkdir "$dir/www"
head -c 2048 /dev/zero > "$dir/www/file"
chmod -R a+rX "$dir"
cat > "$dir/conf" << END
worker_processes 1; daemon off; pid $dir/pid; error_log $dir/error;
events { worker_connections 256; }
http { access_log off; sendfile on; keepalive_requests 1000000;
client_body_temp_path $dir/1; proxy_temp_path $dir/2; fastcgi_temp_path $dir/3;
uwsgi_temp_path $dir/4; scgi_temp_path $dir/5;
server { listen 127.0.0.1:$port; root $dir/www; } }
END
nginx -p "$dir" -c "$dir/conf" -e "$dir/error" > "$dir/log" 2>&1 &
until_true wrk -t1 -c1 -d1 http://127.0.0.1:$port/file
wrk -t1 -c16 -d4 http://127.0.0.1:$port/file > "$dir/wrk"
echo "nginx $(awk '/Requests.sec/ { print $2 }' "$dir/wrk") 1/s"
"""),
    "pgbench": (["pgbench", "setpriv"], r"""
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
chmod 711 "$dir"
mkdir -m 700 "$dir/data"
as=
if [ $(id -u) = 0 ]; then
	chown 65534 "$dir/data"
	as="setpriv --reuid=65534 --regid=65534 --clear-groups"
fi
$as "$bin/initdb" -D "$dir/data" -U bench -A trust -N > "$dir/log" 2>&1
$as "$bin/postgres" -D "$dir/data" -p $port -k '' -h 127.0.0.1 -F > "$dir/log2" 2>&1 &
pg="-h 127.0.0.1 -p $port -U bench"
until_true psql $pg -d postgres -c 'select 1'
pgbench $pg -i -q -s 1 postgres > "$dir/log" 2>&1
pgbench $pg -S -c 2 -T 5 postgres > "$dir/tps" 2>&1
echo "pgbench $(awk '/^tps/ { print $3 }' "$dir/tps") 1/s"
"""),
    "python": (["python3"], "ms python 5 python3 -c 'import json, ssl, asyncio'"),
    "node": (["node"], "ms node 3 node -e 0"),
    "make": (["make", "gcc", "tar"], r"""
tar xf "$SOURCE"/*.orig.tar.* -C "$dir" --strip-components=1 --no-same-owner
cd "$dir"
./configure > "$dir/log" 2>&1
build() { make clean; make -j2; }
ms make 1 build
cd /
"""),
    "find": (["find"], "ms find 1 find /usr -xdev"),
}


def script(c, name, runs, number, source):
    needs, text = SCRIPTS[name]
    lacking = [n for n in needs if not shutil.which(n)]
    if lacking:
        print(f"  {name}: no {', '.join(lacking)} here", file=sys.stderr)
        return
    head = f"N={number}\nSOURCE={source or ''}\n"
    got, units = {}, {}
    for _ in range(runs):
        for k, prefix in c.where.items():
            try:
                out = run([*prefix, "bash", "-c", head + PRELUDE + text], c.cwd, 600)
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                print(f"  {name}, {k}: {e}"[-300:], file=sys.stderr)
                continue
            for line in out.splitlines():
                what, value, unit = line.split()
                units[what] = unit
                got.setdefault(what, {}).setdefault(k, []).append(float(value))
    for what, values in got.items():
        c.add(what, units[what], values)


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--build", default="build")
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--requests", type=int, default=20000, help="for redis, times -P")
    a.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(SCRIPTS)}")
    args = a.parse_args()
    build = os.path.abspath(args.build)
    with tempfile.TemporaryDirectory() as cwd:
        os.chmod(cwd, 0o755)
        c = Comparison(build, cwd, WHAT, {"1/s"})
        for name in args.names or SCRIPTS:
            source = None
            if name not in SCRIPTS:
                a.error(f"{name}: not one of {', '.join(SCRIPTS)}")
            if name == "make":
                try:
                    source = debian_source.fetch("zlib", os.path.join(build, "sources"))
                except debian_source.Unobtainable as e:
                    print(f"  make: no source: {e}", file=sys.stderr)
                    continue
            script(c, name, args.runs, args.requests, source)
    c.table()


if __name__ == "__main__":
    main()
