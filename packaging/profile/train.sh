#!/bin/sh
# What a program that was built with -Db_pgo=generate is to be fast at: train.sh POSTERN. It serves
# DNS and HTTPS to dig and curl for some seconds, on loopback addresses of its own; what it counts
# meanwhile lies beside its object files when it has ended.
set -eu
postern=$1
counters=$(dirname "$postern") # of this build; what ran before is no training
find "$counters" -name '*.gcda' -delete
requests=${REQUESTS:-6000} queries=${QUERIES:-3000}
work=$(mktemp -d)
pids='' status=0
finish() {
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do wait "$pid" || true; done
  pids=
}
failed() {
  tail -n 20 "$work"/*.log
  find "$counters" -name '*.gcda' -delete
}
trap 'status=$?; finish; [ "$status" = 0 ] || failed; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Two at a time would be in each other's way.
net=127.$(($$ / 250 % 250 + 1)).$(($$ % 250 + 1))
outer=$net.1 inner=$net.2
name=train.home.arpa

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$name" \
  -addext "subjectAltName=DNS:*.home.arpa" -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log"

# The inner one is what the outer one asks: its upstream and its backend.
cat >"$work/inner.toml" <<END
[server]
workers = 1
user = ""
admin = ""
[dns]
listen = ["$inner:15300"]
[[dns.zone]]
name = "example"
file = "$work/example.zone"
[[gateway.listener]]
name = "inner"
address = ["$inner"]
http = 18080
https = 0
publish_dns = false
[[gateway.route]]
listeners = ["inner"]
hostnames = ["$name"]
respond = { status = 200, content_type = "text/plain", body = "$(printf '%0200d' 0)" }
END
cat >"$work/outer.toml" <<END
[server]
workers = 1
user = ""
admin = ""
log = { requests = false }
[dns]
listen = ["$outer:15300"]
[[dns.override]]
names = ["inside.example", "*.inside.example"]
address = ["192.168.10.50"]
[[dns.zone]]
name = "home.arpa"
file = "$work/home.zone"
[[dns.forward]]
name = "."
upstreams = ["udp://$inner:15300"]
[[tls.certificate]]
name = "train"
cert = "$work/cert.pem"
key = "$work/key.pem"
[[gateway.listener]]
name = "outer"
address = ["$outer"]
http = 18080
https = 18443
certificates = ["train"]
redirect_to_https = false
publish_dns = false
[[gateway.route]]
listeners = ["outer"]
hostnames = ["$name"]
backends = [{ url = "http://$inner:18080" }]
[[gateway.route]]
listeners = ["outer"]
hostnames = ["files.home.arpa"]
backends = [{ url = "http://$inner:18081" }]
END
for i in $(seq 1 30); do
  printf '\n[[gateway.route]]\nlisteners = ["outer"]\nhostnames = ["r%d.home.arpa"]\nbackends = [{ url = "http://%s:18080" }]\n' \
    "$i" "$inner" >>"$work/outer.toml"
done
cat >"$work/home.zone" <<'END'
$TTL 1h
@     IN SOA ns admin 1 1h 10m 1w 5m
      IN NS ns
ns    IN A 192.168.10.1
nas   IN A 192.168.10.20
nas   IN AAAA fd00::20
files IN CNAME nas
END
cat >"$work/example.zone" <<'END'
$TTL 1h
@     IN SOA ns admin 1 1h 10m 1w 5m
      IN NS ns
ns    IN A 192.0.2.1
*     IN A 192.0.2.2
*     IN AAAA 2001:db8::2
*     IN HTTPS 1 . alpn=h3,h2 ipv4hint=192.0.2.2
END
# One that reads what it is sent, too.
cat >"$work/files.py" <<'END'
import http.server, socketserver, sys


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.send_response(204)
        self.end_headers()


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((sys.argv[1], 18081), Files).serve_forever()
END
(cd "$work" && exec python3 files.py "$inner" >files.log 2>&1) &
pids=$!
for which in inner outer; do
  timeout -k 10 600 "$postern" run -c "$work/$which.toml" >"$work/$which.log" 2>&1 &
  pids="$! $pids"
done
tries=0
until dig -r @"$outer" -p 15300 nas.home.arpa +short +time=1 +tries=1 2>/dev/null | grep -q '^192\.168\.10\.20$'; do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || { echo "train.sh: $postern does not answer" >&2; exit 1; }
  sleep 1
done

# get OPTIONS... URL: all of it has to succeed.
get() {
  curl -q --noproxy "*" --max-time 60 --silent --show-error --no-progress-meter --fail --fail-early \
    --output /dev/null --cacert "$work/cert.pem" --resolve "*:18443:$outer" --resolve "*:18080:$outer" -A 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0' \
    -H 'Accept-Language: en-US,en;q=0.5' -H 'Cookie: session=0123456789abcdef0123456789abcdef' "$@"
}
get --retry 20 --retry-delay 1 "http://$name:18080/ready" # a backend that is not there yet: 503
get --retry 20 --retry-delay 1 "http://files.home.arpa:18080/"
get --http2 --parallel --parallel-max 48 "https://$name:18443/api/v1/items?page=[1-$requests]"
get --http1.1 --parallel --parallel-max 16 "https://$name:18443/api/v1/items?page=[1-$requests]"
get --parallel --parallel-max 16 "http://$name:18080/api/v1/items?page=[1-$requests]"
for i in $(seq 1 $((requests / 100))); do
  get --http1.1 "https://$name:18443/new/$i"
  get --http2 -d 'a=b' "https://$name:18443/new/$i"
done
head -c 20000000 /dev/zero >"$work/file"
for how in '--http2 https://files.home.arpa:18443' '--http1.1 https://files.home.arpa:18443' http://files.home.arpa:18080; do
  # shellcheck disable=SC2086 # words on purpose
  get -T "$work/file" $how/upload
  # shellcheck disable=SC2086
  get $how/file
done

for i in $(seq 1 "$queries"); do
  case $((i % 6)) in
    0) echo "a$i.inside.example A" ;;
    1) echo "a$i.inside.example HTTPS" ;;
    2) echo "nas.home.arpa AAAA" ;;
    3) echo "files.home.arpa A" ;;
    4) echo "w$((i % 100)).example A" ;;
    5) echo "w$((i % 300)).example HTTPS" ;;
  esac
done >"$work/queries"
dig -r @"$outer" -p 15300 +time=2 -f "$work/queries" >"$work/answers"
[ "$(grep -c 'status: NOERROR' "$work/answers")" = "$queries" ] || { echo "train.sh: queries failed" >&2; exit 1; }
head -n 300 "$work/queries" >"$work/few"
dig -r @"$outer" -p 15300 +tcp +keepopen -f "$work/few" >"$work/answers"
finish
echo "Trained: $postern"
