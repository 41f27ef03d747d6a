#!/usr/bin/python3
"""Seeds for the fuzzers: packets of all kinds made with dnspython, zone files, configurations,
URLs, requests and frames.

Usage: make_corpus.py FOLDER. Fills FOLDER/TARGET/ for each target of tests/fuzz.
"""

import pathlib
import re
import struct
import sys

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import quic_client  # noqa: E402

ECH = 'ech="AEX+DQBBpQAgACBxXUlKsvhfDLE4SYEYkyxQZPcZpBSqj5vXAkRFXx7PPgAEAAEAAQASY2xvdWRmbGFyZS1lY2guY29tAAA="'

# Question, then what an upstream says to it.
ANSWERS = {
    ("www.example.com", "A"): (["www.example.com. 300 IN A 203.0.113.1",
                                "www.example.com. 300 IN A 203.0.113.2"], [], []),
    ("www.example.com", "AAAA"): (["www.example.com. 300 IN CNAME cdn.example.net.",
                                   "cdn.example.net. 60 IN CNAME edge.example.org.",
                                   "edge.example.org. 30 IN AAAA 2001:db8::1"], [], []),
    ("www.example.com", "HTTPS"): (
        [f'www.example.com. 300 IN HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.1,10.0.0.1" {ECH} ipv6hint="2001:db8::1"'],
        [], ["www.example.com. 300 IN A 203.0.113.1"]),
    ("x.edit.example", "HTTPS"): (
        ["x.edit.example. 300 IN CNAME y.example.net.",
         f'y.example.net. 300 IN HTTPS 1 . mandatory="alpn,ipv4hint" alpn="h2,h3-29" ipv4hint="203.0.113.1" {ECH}'], [], []),
    ("alias.example", "HTTPS"): (["alias.example. 300 IN HTTPS 0 pool.example.net."], [],
                                 ['pool.example.net. 300 IN HTTPS 1 . alpn="h3" no-default-alpn="" port="8443"',
                                  "pool.example.net. 300 IN A 203.0.113.9"]),
    ("_dns.resolver.example", "SVCB"): (
        ['_dns.resolver.example. 300 IN SVCB 1 dns.example. alpn="dot,h3" key7="/q{?dns}" key65400="abc"'], [],
        ["dns.example. 300 IN AAAA 2001:db8::53"]),
    ("deep.dname.example", "A"): (["dname.example. 600 IN DNAME target.example.",
                                   "deep.dname.example. 600 IN CNAME deep.target.example.",
                                   "deep.target.example. 60 IN A 203.0.113.7"], [], []),
    ("nothing.example", "A"): ([], ["example. 900 IN SOA ns.example. host.example. 1 7200 900 1209600 300"], []),
    ("rebind.example", "A"): (["rebind.example. 1 IN A 192.168.10.1",
                               "rebind.example. 1 IN A 203.0.113.4"], [], []),
    ("mail.example", "MX"): (["mail.example. 300 IN MX 10 mx1.mail.example.",
                              "mail.example. 300 IN MX 20 mx2.mail.example."], [],
                             ["mx1.mail.example. 300 IN A 203.0.113.20",
                              "mx2.mail.example. 300 IN AAAA 2001:db8::20"]),
    ("_sip._udp.example", "SRV"): (["_sip._udp.example. 300 IN SRV 1 2 5060 sip.example."], [],
                                   ["sip.example. 300 IN A 203.0.113.21"]),
    ("many.example", "TXT"): ([f'many.example. 300 IN TXT "{"x" * 200}{i}"' for i in range(12)], [], []),
    ("naptr.example", "NAPTR"): (['naptr.example. 300 IN NAPTR 1 1 "s" "SIP+D2U" "" _sip._udp.example.'], [], []),
    ("signed.example", "A"): (
        ["signed.example. 300 IN A 203.0.113.30",
         "signed.example. 300 IN RRSIG A 13 2 300 20300101000000 20200101000000 1 example. "
         "oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI="], [], []),
    ("secure.example", "HTTPS"): (
        ['secure.example. 300 IN HTTPS 1 . alpn="h3,h2"',
         "secure.example. 300 IN RRSIG HTTPS 13 2 300 20300101000000 20200101000000 1 example. "
         "oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI="], [], []),
    ("denied.example", "AAAA"): (
        [], ["example. 900 IN SOA ns.example. host.example. 1 7200 900 1209600 300",
             "denied.example. 300 IN NSEC e.example. A TXT RRSIG NSEC",
             "denied.example. 300 IN RRSIG NSEC 13 2 300 20300101000000 20200101000000 1 example. "
             "oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI=",
             "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 300 IN NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX"], []),
    ("to.home.example", "A"): (["to.home.example. 300 IN CNAME www.home.arpa."], [], []),
    ("to.override.example", "A"): (["to.override.example. 300 IN CNAME nas.vanillax.me."], [], []),
    ("referral.example", "A"): ([], ["example. 300 IN NS ns.example."], ["ns.example. 300 IN A 203.0.113.2"]),
    ("host.corp.example", "A"): (["host.corp.example. 300 IN A 10.1.2.3"], [], []),
    ("types.example", "LOC"): (["types.example. 300 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"], [], []),
    ("zz.fall.example", "A"): (["zz.fall.example. 300 IN A 203.0.113.40"], [], []),
    ("x.kept.example", "HTTPS"): (['x.kept.example. 300 IN HTTPS 1 . alpn="h3,h2"'], [], []),
}

# Questions that are answered without an upstream, or refused.
QUESTIONS = [
    ("www.home.arpa", "A"), ("files.home.arpa", "AAAA"), ("a.wild.home.arpa", "MX"), ("x.sub.home.arpa", "A"),
    ("sub.home.arpa", "DS"), ("x.dn.home.arpa", "TXT"), ("home.arpa", "SOA"), ("home.arpa", "ANY"), ("_s._tcp.home.arpa", "SRV"),
    ("gone.home.arpa", "A"), ("far.home.arpa", "A"), ("big.home.arpa", "TXT"), ("www.home.arpa", "HTTPS"),
    ("llama.vanillax.me", "A"), ("llama.vanillax.me", "HTTPS"), ("vanillax.me", "AAAA"), ("status.vanillax.me", "A"),
    ("c0.chain.example", "A"), ("a.loop.example", "A"), ("none.example", "TXT"), ("www.alias.home.example", "A"),
    ("_443._https.edit.example", "HTTPS"), ("kids.example", "A"), ("localhost", "A"), ("1.0.0.127.in-addr.arpa", "PTR"),
    ("use-application-dns.net", "A"), ("x.onion", "A"), ("mask.icloud.com", "A"), ("home.arpa", "AXFR"), (".", "NS"),
    ("a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 61, "A"), ("www.home.arpa", "TKEY"), (".", "OPT"),
]


def query(name, kind, **options):
    message = dns.message.make_query(name, kind, **options)
    message.id = 0x1234
    return message


def response(name, kind, answers, authority, additional, **options):
    message = dns.message.make_response(query(name, kind, **options), recursion_available=True)
    for section, texts in ((message.answer, answers), (message.authority, authority), (message.additional, additional)):
        for text in texts:
            owner, ttl, klass, rtype, data = text.split(" ", 4)
            section.append(dns.rrset.from_text(owner, int(ttl), klass, rtype, data))
    return message


def odd_packets():
    """Messages that are not plain questions."""
    for opcode in (1, 2, 4, 5, 6, 15):
        message = query("home.arpa", "SOA")
        message.flags |= opcode << 11
        yield message.to_wire()
    plain = query("www.example.com", "A").to_wire()
    yield plain[:11]
    yield plain[:12]
    yield plain[:20]
    yield plain[:4] + b"\0\0" + plain[6:]  # no question
    yield plain[:4] + b"\0\2" + plain[6:] + plain[12:]  # two
    yield plain[:2] + b"\x81\x80" + plain[4:]  # a response
    yield plain + b"behind the end"
    opt = b"\0\0\x29\4\xd0\0\0\0\0\0\0"
    yield plain[:10] + b"\0\2" + plain[12:] + opt + opt
    yield plain[:10] + b"\0\1" + plain[12:] + b"\0\0\x29\4\xd0\0\1\0\0\0\0"  # version 1
    yield plain[:10] + b"\0\1" + plain[12:] + b"\0\0\x29\4\xd0\0\0\0\0\0\3\0\x0a\0"  # half an option
    yield plain[:12] + b"\xc0\x0c\0\1\0\1"  # a name that points at itself
    chaos = dns.message.make_query("version.bind", "TXT", "CH")
    yield chaos.to_wire()
    cookie = query("www.example.com", "A", use_edns=0, options=[dns.edns.GenericOption(10, b"12345678")])
    yield cookie.to_wire()
    # Pointers to pointers, and one record of many types with compressed names in its data.
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data for kind, data in (
        (2, b"\xc0\x0c"), (6, b"\xc0\x0c\2hm\xc0\x10" + b"\0\0\0\1" * 5), (14, b"\xc0\x0c\xc0\x10"), (15, b"\0\1\xc0\x0c"),
        (17, b"\xc0\x0c\xc0\x10"), (18, b"\0\1\xc0\x0c"), (26, b"\0\1\xc0\x0c\xc0\x10"), (33, b"\0\1\0\2\0\3\xc0\x0c"),
        (35, b"\0\1\0\2\1s\1e\0\xc0\x0c"), (39, b"\xc0\x0c"), (24, b"\0\1\5\2" + b"\0" * 14 + b"\xc0\x0csig"), (30, b"\xc0\x0cmap")))
    yield plain[:2] + b"\x81\x80" + plain[4:6] + b"\0\x0c" + plain[8:] + body


def packets():
    edns = [{}, {"use_edns": 0, "payload": 1232}, {"want_dnssec": True, "payload": 4096}]
    for i, (name, kind) in enumerate(list(ANSWERS) + QUESTIONS):
        yield query(name, kind, **edns[i % 3]).to_wire()
    for (name, kind), sections in ANSWERS.items():
        yield response(name, kind, *sections).to_wire(max_size=65535)
        yield response(name, kind, *sections, **edns[2]).to_wire(max_size=65535)
    for rcode in (dns.rcode.SERVFAIL, dns.rcode.NXDOMAIN, dns.rcode.REFUSED, dns.rcode.BADVERS):
        message = response("nothing.example", "A", *ANSWERS["nothing.example", "A"], use_edns=0)
        message.set_rcode(rcode)
        yield message.to_wire()
    message = response("many.example", "TXT", [], [], [])
    message.flags |= dns.flags.TC
    yield message.to_wire()
    yield from odd_packets()


def block(flags, data):
    return bytes([flags]) + struct.pack("!H", len(data)) + data


def scenarios():
    """For fuzz_answer: the policy, then blocks of flags, length and packet; see answer_fuzzer.cpp."""
    edns = [{}, {"use_edns": 0, "payload": 512}, {"want_dnssec": True, "payload": 4096}]
    for i, ((name, kind), sections) in enumerate(ANSWERS.items()):
        for policy in range(4):
            options = edns[(i + policy) % 3]
            asked = query(name, kind, **options).to_wire()
            came = response(name, kind, *sections, **options).to_wire(max_size=65535)
            flags = (i + policy) % 4 | (4 if policy == 2 else 0)
            yield (bytes([policy]) + block(flags, asked) + block(0, came) + block(flags, asked) +
                   block(flags | 0x30, asked) + block(2, b"") + block(flags | 0x10, asked) + block(1, came))
    for i, (name, kind) in enumerate(QUESTIONS):
        options = edns[i % 3]
        yield bytes([i % 4]) + block(i % 4, query(name, kind, **options).to_wire())
        yield bytes([(i + 1) % 4]) + block(4, query(name, kind, **edns[2]).to_wire())
    for i, packet in enumerate(odd_packets()):
        yield bytes([i % 4]) + block(i % 4, packet)
    # A CNAME from upstream to a name that upstream is asked for next.
    first = response("alias.home.example", "A", ["alias.home.example. 9 IN CNAME status.vanillax.me."], [], [])
    second = response("status.vanillax.me", "A", ["status.vanillax.me. 9 IN A 203.0.113.80"], [], [])
    yield (b"\0" + block(0, query("alias.home.example", "A").to_wire()) + block(0, first.to_wire()) +
           block(0, second.to_wire()))


def svcb_records():
    texts = [text for sections in ANSWERS.values() for section in sections for text in section
             if re.search(r" IN (HTTPS|SVCB) ", text)]
    for i, text in enumerate(texts):
        owner, ttl, klass, kind, data = text.split(" ", 4)
        wire = dns.rrset.from_text(owner, int(ttl), klass, kind, data)[0].to_wire()
        for choice in (0x04, 0x05, 0x0a, 0x10, 0x3f):
            yield bytes([choice]) + wire
        yield bytes([4]) + wire[:-1]
        yield bytes([i]) + wire + wire[3:]


ZONES = [
    """$TTL 1h
@       IN SOA ns admin 1 1h 10m 1w 5m
        IN NS  ns
ns      IN A   192.168.10.2
nas     IN A   192.168.10.20
        IN AAAA fd00:10::20
files   IN CNAME nas
*.apps  IN A   192.168.10.50
""",
    """$ORIGIN home.arpa.
$TTL 300
@ 3600 IN SOA ns1.home.arpa. host\\.master.home.arpa. ( 2024010101 ; serial
   7200 900 1209600 300 )
@ NS ns1
@ NS ns.sub
ns1 A 192.0.2.1
www 60 IN HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1 ech="AEX+DQBBpQAg"
alias HTTPS 0 www
_dns SVCB 1 ns1 mandatory=alpn alpn=dot key65400="a\\"b"
sub NS ns.sub
ns.sub A 192.0.2.3
sub DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
dn DNAME target.example.
*.wild MX 10 mail
mail A 192.0.2.4
txt TXT "one" "two; three" ( "four"
 "five" )
esc\\.aped\\032name TXT x
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
caa CAA 0 issue "ca.example"
srv SRV 0 5 5060 mail
naptr NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp.example.
unknown TYPE65280 \\# 4 0a000001
tlsa TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
sshfp SSHFP 4 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
eui EUI48 00-00-5e-00-53-2a
hinfo HINFO "PC" "Linux"
rp RP admin txt
uri URI 10 1 "https://example.com/"
nid NID 10 0014:4fff:ff20:ee64
apl APL 1:192.0.2.0/24 !2:2001:db8::/32
cert CERT PGP 0 0 aGVsbG8=
""",
    """@ 60 SOA . . 1 2 3 4 5
@ NS host.example.com.
$GENERATE 1-20/2 host-${0,3,d} 60 IN A 10.0.0.$
$GENERATE 0-15 $.rev PTR h${4,2,x}.example.
$GENERATE 1-4 ${0,4,n}.nib CNAME \\$x
$INCLUDE more sub
@ 0 TXT "behind"
\0$TTL 5m
@ A 192.0.2.8
  AAAA 2001:db8::8
""",
    """@ 60 IN SOA ns h 1 1 1 1 1
@ 60 IN NS ns
ns 60 A 192.0.2.1
@ 60 DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
@ 60 RRSIG SOA 13 2 60 20300101000000 20200101000000 12345 @ oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI=
@ 60 NSEC ns NS SOA RRSIG NSEC DNSKEY TYPE65280
@ 60 NSEC3PARAM 1 0 0 -
@ 60 CDS 0 0 0 00
@ 60 ZONEMD 1 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
@ 60 CSYNC 1 3 A NS AAAA
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY
""",
]

CONFIGS = [
    """[server]
workers = 2
user = ""
admin = "127.0.0.1:9053"
state_dir = "state"
[server.log]
level = "debug"
format = "json"
queries = true
[dns]
include = ["more.toml", "conf.d/*.toml"]
listen = ["127.0.0.1:53", "[::1]:53"]
allow = ["192.168.0.0/16", "2001:db8::/32"]
[dns.cache]
size = "64MiB"
min_ttl = "5s"
max_ttl = "1d"
negative_ttl = "5m"
serve_stale = "1d"
prefetch = false
[dns.limits]
qps_per_client = 100
tcp_clients = 10
rebind_protection = true
rebind_except = ["corp.example"]
[dns.svcb]
strip_alpn = ["h3", "h3-*"]
drop_keys = ["ech", "key65400"]
except = ["kept.example"]
signed = "preserve"
[dns.canary]
firefox_doh = false
private_relay = true
""",
    """[[dns.view]]
name = "kids"
clients = ["192.168.20.0/24"]
[[dns.view]]
name = "guests"
clients = ["192.168.30.0/24", "2001:db8:30::/48"]
[[dns.override]]
names = ["vanillax.me", "*.vanillax.me"]
address = ["192.168.10.50", "fd00::1"]
ttl = "30s"
https = "none"
other = "none"
views = ["kids"]
[[dns.override]]
names = ["www.example.com"]
cname = "www.home.arpa"
[[dns.override]]
names = ["status.vanillax.me"]
forward = true
[[dns.zone]]
name = "home.arpa"
file = "zones/home.arpa.zone"
fallthrough = true
views = ["kids", "guests"]
[[dns.forward]]
name = "."
upstreams = ["udp://1.1.1.1", "tcp://[2001:db8::1]:5353", "9.9.9.9"]
policy = "sequential"
timeout = "1500ms"
[[dns.forward]]
name = "10.0.0.0/12"
upstreams = ["192.168.1.1"]
""",
    """[[tls.certificate]]
name = "lan"
cert = "tls.crt"
key = "tls.key"
[[gateway.listener]]
name = "a"
address = ["127.0.0.1", "::1"]
http = 8080
https = 8443
certificates = ["lan"]
alpn = ["h2"]
redirect_to_https = false
hsts = "1d"
alt_svc = "strip"
quic = "ignore"
trusted_proxies = ["10.0.0.0/8"]
client_ip_header = "CF-Connecting-IP"
publish_dns = true
[[gateway.listener]]
name = "b"
address = ["127.0.0.1"]
tcp = 5432
backends = ["db:5432", "[fd00::1]:1"]
proxy_protocol = true
idle = "1h"
[[gateway.route]]
listeners = ["a"]
hostnames = ["a.example", "*.example"]
matches = [{ path_regex = ".*", method = "GET", headers = { x = "1" }, query = { v = "2" } }, {}]
backends = [{ url = "http://one:80", weight = 2 }, { url = "h2c://two" }]
timeouts = { request = "1m", backend = "1s", idle = "0s" }
limits = { body = "10MiB" }
health = { interval = "5s" }
filters = { set_request_headers = { A = "1" }, remove_response_headers = ["B"], rewrite_host = "c" }
[[gateway.route]]
redirect = { scheme = "https", hostname = "b.example", port = 443, status = 308 }
[[gateway.route]]
hostnames = ["a.example"]
respond = { status = 404, content_type = "text", body = "no" }
[gateway]
ech_public_names = ["x.example"]
[gateway.limits]
header_bytes = "32KiB"
headers = 50
header_timeout = "5s"
connections = 10
streams = 8
""",
    'include = ["more.toml"]\n\0[[dns.forward]]\nname = "."\nupstreams = ["1.1.1.1"]\n',
]
VALUES = ["1h30m", "500ms", "2w", "64MiB", "65536", "10KB", "*.example.com", "a_b.example", "10.0.0.0/9", "2001:db8::/33",
          "[2001:db8::1]:5353", "udp://192.0.2.1:53", "tcp://[::1]", "nameserver 192.0.2.1\nnameserver fe80::1%eth0\n"]

URLS = [
    "/", "*", "/a/b/c/./../../g", "/a/%2e%2E/b?c=d&e", "/%61dmin/..%2fx", "/..;/x", "/group%2fproject/%7e", "//a///b/", "/a?", "/%25%20",
    "/x%5c..", "/a;v=1/..", "/.well-known/acme-challenge/t_k-n", "argocd.vanillax.me:443", "EXAMPLE.com.", "192.168.10.50", "[2001:db8::1]:8443",
    "http://argocd-server:80", "https://[fd00::1]/", "h2c://grpc.svc:50051", "a=1&b=%32&c&a=3&q=x+y", "/gr%C3%B6sse?%zz",
]

# Authority, method, target, header fields; after an empty line host, kind, path and method of one more route.
REQUESTS = [
    "a.example\nGET\n/a/b/c\n\n",
    "x.a.example:443\nGET\n/a?v=1\nx-env:dev\n\n",
    "A.example.\nPOST\n/%61/../a\nX-Env:a\nx-env:b\n\n",
    "b.example\nGET\n/x%2fy\nConnection:x-foo, close\nx-foo:1\nX-Forwarded-For:10.0.0.1\n\n",
    "c.b.a.example\nHEAD\n/ab/%0a\n\n*.b.a.example\nr\n/ab/.+\nHEAD\n",
    "[::1]\nOPTIONS\n*\nTE:trailers\n\n\nr\n.*\n\n",
    "a.example\nGET\n/foo/bar?v=1\n\na.example\np\n/foo/\nGET\n",
    "y.example\nGET\n/q\nForwarded:for=_x\nUpgrade:websocket\n\n*.example\ne\n/q\n\n",
]


CHUNKS = "5;a=b\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Sum: abc\r\nHost: b\r\n\r\n"
H1_REQUESTS = [
    "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "\r\nGET /p?q=1&r=%20 HTTP/1.1\r\nHost: a.example:8443\r\nUser-Agent: Mozilla/5.0 (X11)\r\nAccept:*/*\r\n"
    "Cookie: a=b; c=d\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nX: \t y \t\r\n\r\n",
    "GET http://b.example:80?q HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET HTTPS://[2001:db8::1]:443/x HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS http://b.example HTTP/1.1\r\nHost: a:\r\n\r\n",
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "PUT /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello, more",
    "POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + CHUNKS,
    "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/2.0\r\nHost: u@a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a%2eb!\r\nX: \x80\xff\r\n" + "Y: z\r\n" * 20 + "\r\n",
    CHUNKS,
    "1 ;x\r\na\r\n0;y\r\n\r\n",
]
H1_RESPONSES = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "HTTP/1.0 200\r\nServer: x\r\n\r\nto the end",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nX : y\r\n\r\n",
    "HTTP/1.1 999 ?\r\n\r\n",
    "HTTP/1.1 200 \xc3\xa4\nX: y\r\n\r\n",
]


def h1_streams(texts):
    """For fuzz_h1_request and fuzz_h1_response: limits and method, where to split, and the bytes."""
    for i, text in enumerate(texts):
        data = text.encode("latin-1")
        for choice in (0, 1 << i % 5):
            yield bytes([choice]) + struct.pack("!H", len(data) // 2 + i) + data


def quic_datagrams():
    """For fuzz_quic: eight random bytes, then a datagram; its padding is the fuzzer's."""
    for first, version, destination, source in ((0xC0, 1, 8, 0), (0xC0, 1, 20, 20), (0xC0, 0x6B3343CF, 8, 8),
                                                (0x80, 0x0A0A0A0A, 255, 255), (0xC0, 0, 8, 8), (0x40, 1, 8, 8)):
        yield (bytes(8) + struct.pack("!BI", first, version) + bytes([destination]) + b"d" * destination +
               bytes([source]) + b"s" * source)


def quic_hellos():
    """For fuzz_quic_hello. After 0: datagrams, of which 0x80 says that they come as they are, else only frames, which the
    fuzzer seals. After 0x80 and more: a name, a tail, and how a ClientHello of these is cut."""
    def datagrams(*parts):
        return b"\0" + b"".join(bytes([options]) + struct.pack("!H", len(data)) + data for options, data in parts)
    texts = [(ROOT / path).read_text(encoding="utf-8") for path in ("tests/unit/net/quic_initial_test.cpp", "tests/unit/gateway/quic_bytes.h")]
    known = [bytes.fromhex("".join(re.findall("[0-9a-f]{2,}", packet)))  # of the RFC and of other implementations
             for text in texts for packet in re.findall(r'string_view k\w+ =((?:\s+"[0-9a-f]+")+);', text)]
    yield from (datagrams((0x80, packet)) for packet in known)
    yield datagrams(*((0x80, packet) for packet in known))
    hello = quic_client.client_hello("a.example")
    for cut in (20, hello.index(b"a.example") + 3):
        halves = quic_client.crypto(0, hello[:cut]), quic_client.crypto(cut, hello[cut:])
        for version in quic_client.VERSIONS:
            yield datagrams(*((0x80, quic_client.initial(half, version, number)) for number, half in enumerate(halves)))
        yield datagrams((0, halves[1]), (0, b"\1\0\0" + halves[0]))
        yield datagrams((0x30, halves[0]), (0x31, halves[1]), (0x30, halves[1]))
        yield datagrams((4, halves[0] + halves[1]), (6, halves[1][:-3]))
    for options in range(0x80, 0x88):
        cuts = b"".join(struct.pack("!HHB", at, size, options & 1) for at, size in ((70, 9), (0, 60), (300, 1000), (40, 30)))
        yield bytes([options, 8]) + b"a.example" + struct.pack("!H", 500 * (options - 0x80)) + b"t" * 500 * (options - 0x80) + cuts


def proxy_headers():
    """For fuzz_proxy_header: the size of the pieces, then a header and what follows it."""
    for kind, addresses in ((0x2000, 0), (0x2111, 12), (0x2121, 36), (0x2131, 216), (0x2111, 300), (0x2211, 12)):
        yield (b"\x03\r\n\r\n\0\r\nQUIT\n" + struct.pack("!HH", kind, addresses) +
               bytes(i % 251 for i in range(addresses)) + b"data")


def hpack_literals(*lines):
    """Without indexing, without Huffman code (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0"[i:] + bytes([len(text)]) + text.encode("latin-1")
                    for line in lines for i, text in enumerate(line.split("=", 1)))


def h2_frame(kind, flags, stream, payload=b""):
    return kind, flags, stream, payload


GET = (":method=GET", ":scheme=https", ":path=/", ":authority=a.example")
POST = (":method=POST",) + GET[1:]
CONNECT = (":method=CONNECT", ":protocol=websocket") + GET[1:]
C6 = bytes.fromhex("488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3")
C4 = [bytes.fromhex(text) for text in ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
                                       "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")]
H2_COMMON = [h2_frame(4, 1, 0), h2_frame(4, 0, 0, b"\0\4\0\0\0\x0a\0\3\0\0\0\2\0\x08\0\0\0\1"), h2_frame(6, 0, 0, b"12345678"),
             h2_frame(6, 1, 0, b"shutdown"), h2_frame(8, 0, 0, b"\0\1\0\0"), h2_frame(8, 0, 1, b"\0\0\1\0"),
             h2_frame(8, 0, 1, b"\0\0\0\0"), h2_frame(2, 0, 1, b"\0\0\0\0\x10"), h2_frame(0x10, 0, 0, b"\0\0\0\1u=1, i"),
             h2_frame(0x77, 0, 0, b"?"), h2_frame(3, 0, 1, b"\0\0\0\x08"), h2_frame(7, 0, 0, b"\0\0\0\1\0\0\0\0why")]
H2_REQUESTS = [
    [h2_frame(1, 5, 1, hpack_literals(*GET))],
    [h2_frame(1, 5, 2 * i + 1, block) for i, block in enumerate(C4)],
    [h2_frame(1, 5, 1, hpack_literals(*GET, "cookie=a=b", "x=y", "cookie=c=d", "te=trailers", "priority=u=1"))],
    [h2_frame(1, 4, 1, hpack_literals(*POST, "content-length=5")), h2_frame(0, 0, 1, b"hel"), h2_frame(0, 1, 1, b"lo")],
    [h2_frame(1, 4, 1, hpack_literals(*POST)), h2_frame(0, 8, 1, b"\2hello\0\0"), h2_frame(1, 5, 1, hpack_literals("sum=1", "host=x"))],
    [h2_frame(1, 1, 1, hpack_literals(*GET)), h2_frame(9, 0, 1, hpack_literals("a=b")), h2_frame(9, 4, 1, hpack_literals("c=d"))],
    [h2_frame(1, 4, 1, hpack_literals(*CONNECT)), h2_frame(0, 0, 1, b"up")],
    [h2_frame(1, 4, 1, hpack_literals(CONNECT[0], GET[3])), h2_frame(0, 0, 1, b"up")],
    [h2_frame(1, 5, 1, hpack_literals(*GET, "big=" + "x" * 120, "b=2", "c=3", "d=4")), h2_frame(1, 5, 3, hpack_literals(*GET))],
    [h2_frame(1, 5, 1, hpack_literals(*GET, "connection=close")), h2_frame(1, 5, 3, hpack_literals(*GET[:3], "host=a.example"))],
    [frame for i in range(1, 12, 2) for frame in (h2_frame(1, 4, i, hpack_literals(*POST)), h2_frame(0, 0, i, b"x" * 60))],
    [h2_frame(1, 37, 1, b"\0\0\0\0\x10" + hpack_literals(*GET)), h2_frame(0, 0, 0, b"x")],
]
H2_RESPONSES = [
    [h2_frame(1, 5, 1, hpack_literals(":status=200"))],
    [h2_frame(1, 4, 1, C6), h2_frame(0, 1, 1, b"body")],
    [h2_frame(1, 4, 1, hpack_literals(":status=103", "link=</a>")), h2_frame(1, 4, 1, hpack_literals(":status=200", "content-length=4")),
     h2_frame(0, 0, 1, b"body"), h2_frame(1, 5, 1, hpack_literals("sum=1"))],
    [h2_frame(1, 4, 3, hpack_literals(":status=304", "content-length=9")), h2_frame(0, 1, 3)],
    [h2_frame(1, 4, 5, hpack_literals(":status=204")), h2_frame(3, 0, 3, b"\0\0\0\7")],
    [h2_frame(1, 4, 1, hpack_literals(":status=101")), h2_frame(1, 4, 3, hpack_literals(":status=200", "transfer-encoding=chunked"))],
    [h2_frame(1, 4, 1, hpack_literals(":status=200", "big=" + "x" * 120, "b=2", "c=3")), h2_frame(5, 4, 1, b"\0\0\0\2" + hpack_literals(*GET))],
    [h2_frame(1, 4, i, hpack_literals(":status=200")) for i in (1, 3, 5)] + [h2_frame(0, 0, i, b"x" * 200) for i in (5, 3, 1)],
]


def h2_streams(scripts):
    """For fuzz_h2_server and fuzz_h2_client: options, choices of the owner, and frames (see h2_frames)."""
    for i, script in enumerate(scripts):
        frames = script + H2_COMMON[i % 3:] if i % 2 else H2_COMMON[:i % 5] + script
        short = b"".join(bytes([kind, flags, stream, len(payload)]) + payload for kind, flags, stream, payload in frames)
        whole = b"".join(struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload
                         for kind, flags, stream, payload in frames)
        for options in (0, 1 << i % 5):
            choices = bytes((7 * i + 37 * j + options) % 256 for j in range(1 + 5 * (i % 4)))
            yield bytes([options, len(choices)]) + choices + short
            yield bytes([options | 0x80, len(choices)]) + choices + whole


def blocks(language):
    """Fenced blocks of the documents, without the comments whose paths the fuzzer would not open."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for text in re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            yield re.sub(r"^# /.*\n", "", text, flags=re.M)


def main():
    folder = pathlib.Path(sys.argv[1])
    messages = list(packets())
    seeds = {
        "message": [bytes([i % 4]) + packet for i, packet in enumerate(messages)],
        "answer": list(scenarios()),
        "proxy_header": list(proxy_headers()),
        "quic": list(quic_datagrams()),
        "quic_hello": list(quic_hellos()),
        "route": [text.encode() for text in REQUESTS],
        "svcb": list(svcb_records()),
        "url": [text.encode() for text in URLS],
        "zone": [text.encode() for text in ZONES + list(blocks("zone"))],
        "h1_request": list(h1_streams(H1_REQUESTS)),
        "h1_response": list(h1_streams(H1_RESPONSES)),
        "h2_client": list(h2_streams(H2_RESPONSES)),
        "h2_server": list(h2_streams(H2_REQUESTS)),
        "config": [text.encode() for text in CONFIGS + VALUES + list(blocks("toml"))],
    }
    for target, inputs in seeds.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(inputs):
            (folder / target / f"seed-{i:03}").write_bytes(data)
    print(", ".join(f"{target}: {len(inputs)}" for target, inputs in seeds.items()))


if __name__ == "__main__":
    main()
