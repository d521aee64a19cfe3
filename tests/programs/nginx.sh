#!/bin/bash
# needs: bash nginx wrk md5sum cmp grep sort
# Nginx with two workers; wrk asks for a small file and compares each answer through the checkpoints,
# while a slow download of a large one is under way; then new workers by SIGHUP, and a graceful end.
. "$(dirname "$0")/lib/server.sh"

chmod 755 "$dir"
mkdir "$dir/www"
for ((i = 0; i < 100; i++)); do
	echo "line $i of a small file"
done > "$dir/www/small"
for ((i = 0; i < 400; i++)); do
	cat "$dir/www/small"
done > "$dir/www/large"
chmod -R a+rX "$dir/www"
cat > "$dir/conf" << END
worker_processes 2;
daemon off;
pid $dir/pid;
error_log $dir/error.log notice;
events { worker_connections 256; }
http {
	access_log $dir/access.log;
	client_body_temp_path $dir/body;
	proxy_temp_path $dir/proxy;
	fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi;
	scgi_temp_path $dir/scgi;
	sendfile on;
	server {
		listen 127.0.0.1:$port;
		listen unix:$dir/socket;
		root $dir/www;
		location /slow/ { alias $dir/www/; limit_rate 400k; }
		location /again/ { proxy_pass http://unix:$dir/socket:/; proxy_max_temp_file_size 0; }
	}
}
END
cat > "$dir/compare.lua" << END
local f = io.open("$dir/www/small")
local want = f:read("*a")
f:close()
local threads = {}
function setup(thread)
	table.insert(threads, thread)
end
function init(args)
	good, bad = 0, 0
end
function response(status, headers, body)
	if status == 200 and body == want then good = good + 1 else bad = bad + 1 end
end
function done(summary, latency, requests)
	local good, bad, e = 0, 0, summary.errors
	for _, t in ipairs(threads) do
		good, bad = good + t:get("good"), bad + t:get("bad")
	end
	print(string.format("@ enough %s, bad %d, errors %d %d %d %d", good > 200, bad, e.connect,
		e.read, e.write, e.timeout))
end
END

# get PATH: the body that a plain request gets.
get() {
	exec 3<> "/dev/tcp/127.0.0.1/$port" || return 1
	printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
	while read -r line <&3 && [ "$line" != $'\r' ]; do
		:
	done
	cat <&3
	exec 3>&-
}

nginx -p "$dir" -c "$dir/conf" -e "$dir/error.log" &
server=$!
until_true grep -q 'start worker process' "$dir/error.log"
md5sum < "$dir/www/large"
get /slow/large | md5sum &
slow=$!
wrk -t 2 -c 16 -d 3s --timeout 60s -s "$dir/compare.lua" "http://127.0.0.1:$port/small" > "$dir/wrk" 2>&1 &
load=$!
for i in 1 2 3; do
	sleep 0.5
	echo @save@
done
wait "$slow"
wait "$load"
echo "wrk: $?"
grep '^@' "$dir/wrk"
get /large | md5sum
get /again/large | md5sum
kill -HUP "$server"
until_true grep -q 'gracefully shutting down' "$dir/error.log"
get /small | cmp - "$dir/www/small" && echo "new workers answer"
kill -QUIT "$server"
wait "$server"
echo "nginx: $?"
server=
# wrk leaves at its end whatever is under way: such a request may have sent nothing.
grep -oE '" [0-9]{3} [0-9]+ ' "$dir/access.log" | grep -v ' 200 0 ' | sort -u
grep -E '\[(warn|error|alert|crit|emerg)\]' "$dir/error.log"
exit 0
