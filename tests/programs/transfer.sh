#!/bin/bash
# needs: bash curl wget nginx openssl python3 md5sum cmp sort diff
# curl and wget, from nginx with TLS and from Python's http.server, straight and through nginx:
# downloads that are stuck half-way and one of limited rate live through two checkpoints; then
# parallel ones over HTTP/2, a resumed one, a mirror of a tree, an upload.
. "$(dirname "$0")/lib/server.sh"

save() {
	echo @save@
	read -r answer
	answer=
}

chmod 755 "$dir"
mkdir -p "$dir/www/tree/a/b" "$dir/www/tree/c" "$dir/temporary"
seq 600000 > "$dir/www/large"
for ((i = 0; i < 40; i++)); do
	seq $((i * 100)) > "$dir/www/small$i"
done
seq 30 > "$dir/www/tree/a/one"
seq 50 > "$dir/www/tree/a/b/two"
: > "$dir/www/tree/c/empty"
chmod -R a+rX "$dir/www"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/key" -out "$dir/cert" \
	-days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2> /dev/null
cat > "$dir/conf" << END
daemon off;
pid $dir/pid;
error_log $dir/error.log notice;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path $dir/temporary/body;
	proxy_temp_path $dir/temporary/proxy;
	fastcgi_temp_path $dir/temporary/fastcgi;
	uwsgi_temp_path $dir/temporary/uwsgi;
	scgi_temp_path $dir/temporary/scgi;
	dav_methods PUT;
	client_max_body_size 100m;
	server {
		listen 127.0.0.1:$port ssl http2;
		ssl_certificate $dir/cert;
		ssl_certificate_key $dir/key;
		location / { root $dir/www; }
		location /python/ { proxy_pass http://127.0.0.1:$((port + 1))/; proxy_max_temp_file_size 0; }
		location /put/ { alias $dir/put/; dav_methods PUT; }
	}
}
END
mkdir -m 777 "$dir/put"
chmod a+rx "$dir/temporary"
python3 -m http.server --bind 127.0.0.1 --directory "$dir/www" --protocol HTTP/1.1 $((port + 1)) \
	> /dev/null 2> "$dir/python.log" &
python=$!
nginx -p "$dir" -c "$dir/conf" -e "$dir/error.log" &
server=$!
trap 'kill -KILL $python 2> /dev/null; finish' EXIT
tls=https://localhost:$port
plain=http://127.0.0.1:$((port + 1))
get=(curl -sS --fail --noproxy '*' --cacert "$dir/cert")
until_true "${get[@]}" "$tls/small1"
until_true "${get[@]}" "$plain/small1"

# stuck NAME COMMAND...: its reader takes some, and the rest when the checkpoints are over.
stuck() {
	mkfifo "$dir/$1.on"
	"${@:2}" | {
		head -c 100000
		read -r answer < "$dir/$1.on"
		cat
	} | md5sum > "$dir/$1.sum" &
}
jobs=(tls11 tls2 plain proxied wget)
stuck tls11 "${get[@]}" --http1.1 "$tls/large"
stuck tls2 "${get[@]}" --http2 "$tls/large"
stuck plain "${get[@]}" "$plain/large"
stuck proxied "${get[@]}" "$tls/python/large"
stuck wget wget -q --no-proxy --ca-certificate="$dir/cert" -O - "$tls/large"
"${get[@]}" --limit-rate 3M "$tls/large" -o "$dir/slow" &
slow=$!
save
"${get[@]}" "$tls/small39" | cmp - "$dir/www/small39" && echo "a new connection"
save
for job in "${jobs[@]}"; do
	echo > "$dir/$job.on"
done
wait $slow
echo "slow: $?"
until_true test -s "$dir/wget.sum" -a -s "$dir/plain.sum" -a -s "$dir/proxied.sum" -a -s "$dir/tls2.sum" \
	-a -s "$dir/tls11.sum"
md5sum < "$dir/www/large" | cat - "$dir"/*.sum | sort | uniq -c
cmp "$dir/slow" "$dir/www/large" && echo "the slow one: whole"

mkdir "$dir/many"
"${get[@]}" --http2 -Z "$tls/small[0-39]" -o "$dir/many/small#1" 2> /dev/null
echo "in parallel: $?"
(cd "$dir/many" && md5sum small*) | (cd "$dir/www" && md5sum -c --quiet) && echo "all there"
head -c 1000000 "$dir/www/large" > "$dir/part"
"${get[@]}" -C - "$tls/large" -o "$dir/part" && cmp "$dir/part" "$dir/www/large" && echo "resumed"
wget -q --no-proxy -r -np -nH -P "$dir/mirror" -R 'index.html*' "$plain/tree/"
echo "mirror: $?"
diff -r "$dir/www/tree" "$dir/mirror/tree" && echo "the same tree"
"${get[@]}" -T "$dir/www/large" "$tls/put/large" && cmp "$dir/put/large" "$dir/www/large" && echo "uploaded"
"${get[@]}" -w '%{http_code} %{http_version} %{num_redirects}\n' "$plain/no-such" 2> /dev/null
echo "no such file: $?"
"${get[@]}" -o /dev/null -L -w '%{http_code} %{http_version} %{num_redirects}\n' "$plain/tree"
curl -sS --noproxy '*' "$tls/small1" 2> /dev/null
echo "a stranger's certificate: $?"
kill -TERM $python
wait $python
echo "python: $?"
kill -QUIT "$server"
wait "$server"
echo "nginx: $?"
server=
grep -E '\[(warn|error|alert|crit|emerg)\]' "$dir/error.log"
grep -vE "GET|File not found" "$dir/python.log"
exit 0
