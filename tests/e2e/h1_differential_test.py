"""Some 400 odd requests to the HTTP/1.1 codec, to Python's h11, to nginx and to HAProxy: what the codec
takes, the others see as the same method, path, host, fields and body; whatever they judge differently
is in the table of accepted differences, with its reason."""

import re
import unittest

from h1_peers import all_of_haproxy, all_of_nginx, of_h11, ours

H = "Host: a.example\r\n"


# --- the requests -----------------------------------------------------------------------------


def get(target="/", method="GET", version="HTTP/1.1", fields=H):
    return f"{method} {target} {version}\r\n{fields}\r\n"


def post(fields, body="", version="HTTP/1.1"):
    return get("/p", "POST", version, H + fields) + body


def chunked(body):
    return post("Transfer-Encoding: chunked\r\n", body)


NEXT = get("/next")  # behind a request: is it seen as one?


def plain_cases():
    yield "plain", get()
    yield "two", get("/1") + get("/2")
    yield "close", get(fields=H + "Connection: close\r\n") + NEXT
    yield "1.0", get(version="HTTP/1.0") + NEXT
    yield "1.0 without Host", get(version="HTTP/1.0", fields="")
    yield "1.0 keep-alive", get(version="HTTP/1.0", fields=H + "Connection: keep-alive\r\n") + NEXT
    yield "1.0 body", post("Content-Length: 3\r\n", "abc", "HTTP/1.0")
    yield "head", get(method="HEAD") + NEXT
    yield "many fields", get(fields=H + "".join(f"X-{i}: {i}\r\n" for i in range(80)))
    yield "long path", get("/" + "x" * 4000)
    yield "long field", get(fields=H + "X: " + "y" * 20000 + "\r\n")
    yield "upgrade", get(fields=H + "Connection: Upgrade\r\nUpgrade: websocket\r\n")
    yield "upgrade with a key", get(fields=H + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    yield "continue", post("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc")
    yield "expects else", post("Expect: 200-ok\r\nContent-Length: 3\r\n", "abc")
    yield "browser", get("/a/b?c=d&e=%20", fields=H + "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
                         "Accept: text/html,*/*;q=0.8\r\nCookie: a=b; c=\"d\"\r\nDNT: 1\r\n")
    yield "cut in the line", "GET / HT"
    yield "cut in a field", "GET / HTTP/1.1\r\nHost: a.exa"
    yield "cut before the end", "GET / HTTP/1.1\r\nHost: a.example\r\n"
    yield "cut in a body", post("Content-Length: 30\r\n", "abc")
    yield "cut in a chunk", chunked("30\r\nabc")
    yield "nothing", ""
    yield "empty line first", "\r\n" + get()
    yield "two empty lines first", "\r\n\r\n" + get()
    yield "LF first", "\n" + get()
    yield "CR first", "\r" + get()
    yield "space first", " " + get()
    yield "empty line between", get() + "\r\n" + NEXT
    yield "TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    yield "h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def line_cases():
    for line in ("GET", "GET ", "GET /", "GET / ", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ",
                 "GET /a b HTTP/1.1", "GET  HTTP/1.1", "/ HTTP/1.1", "GET / http/1.1", "GET / HTTP/11",
                 "GET / HTTP/1.1x", "GET / HTTP/1.", "GET / HTTP/a.1", "GET / HTTPS/1.1", "GET / HTTP/+1.1",
                 "GET / HTTP/1.10", "GET / HTTP/01.1", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/0.9",
                 "GET / HTTP/3.0", "GET\t/\tHTTP/1.1", "GET /\tHTTP/1.1", "GET\x0b/ HTTP/1.1", "GET /\x00 HTTP/1.1",
                 "GET / HTTP/1.1\x00", "GET /\x01 HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\x80 HTTP/1.1",
                 "GET /\xc3\xa4 HTTP/1.1", "GET /\r HTTP/1.1", "GET / HTTP/1.1\r"):
        yield f"line {line!r}", f"{line}\r\n{H}\r\n"
    yield "LF behind the line", f"GET / HTTP/1.1\n{H}\r\n"
    for method in ("get", "Get", "M-SEARCH", "PURGE", "QUERY", "TRACE", "DELETE", "PATCH", "GET1", "GE_T", "G!T",
                   "!#$%&'*+-.^_`|~09", "G(T", "GET:", "G\"T", "G/T", "G@T", "\xc3\xa4", "X" * 40):
        yield f"method {method}", get(method=method) + NEXT


def target_cases():
    for target in ("//", "//other.example/x", "/a/../b", "/a/./b", "/../../etc", "/%2e%2e/x", "/%00", "/%zz", "/%", "/?",
                   "/a?b?c", "/a|b", "/{a}", "/a\\b", "/^`", "/<a>", "/\"", "/[a]", "/a;b=c", "/a@b", "/*", "/:80",
                   "/http://b.example/", "/?a=http://b/", "/a//b", "/~a", "/a+b,c", "/a%2Fb", "/a%20b", "/a%23b"):
        yield f"path {target}", get(target) + NEXT
    for target in ("/#f", "/a#", "#", "a", "a/b", "?q", "a.example", "a.example:80", "..", "*", "*a", "\\", ":", "://a/"):
        yield f"target {target}", get(target)
    for target in ("http://b.example/", "http://b.example:8080/p?q", "HTTP://B.example/x", "https://b.example/",
                   "http://b.example", "http://b.example?q=/a", "http://b.example/a/../b", "http://[2001:db8::1]/",
                   "http://[2001:db8::1]:80/", "http://b.example:/", "http://b.example:80/"):
        yield f"absolute {target}", get(target) + NEXT
    for target, host in (("http://b.example/p?q", "b.example"), ("http://b.example:8080/", "b.example:8080"),
                         ("http://b.example:80/", "b.example"), ("http://b.example?q=/a", "b.example"),
                         ("HTTP://B.example/", "b.example"), ("http://[2001:db8::1]/", "[2001:db8::1]")):
        yield f"absolute and its Host {target}", get(target, fields=f"Host: {host}\r\n") + NEXT
    for target in ("ftp://b/", "file:///x", "http:/b/", "http:b", "http://", "http:///x", "http://u@b/", "http://u:p@b/",
                   "http://@b/", "http://b:x/", "http://:80/", "http://b:65536/", "http://b:80:80/", "http://b\\c/",
                   "http://[::1/", "http://[x]/", "http://b/#f", "javascript:alert(1)"):
        yield f"bad absolute {target}", get(target)
    yield "absolute, no Host", get("http://b.example/", fields="")
    yield "absolute, bad Host", get("http://b.example/", fields="Host: a b\r\n")
    yield "absolute, two Hosts", get("http://b.example/", fields=H + H)
    yield "absolute 1.0", get("http://b.example/", version="HTTP/1.0", fields="")
    for target in ("*", "/", "http://b.example", "http://b.example/"):
        yield f"OPTIONS {target}", get(target, "OPTIONS") + NEXT
    for target in ("b.example:443", "b.example", "/", "http://b.example/"):
        yield f"CONNECT {target}", get(target, "CONNECT")
    yield "OPTIONS http://b.example and its Host", get("http://b.example", "OPTIONS", fields="Host: b.example\r\n") + NEXT
    yield "CONNECT b.example:443 and its Host", get("b.example:443", "CONNECT", fields="Host: b.example:443\r\n")


def host_cases():
    yield "no Host", get(fields="")
    yield "no Host but a field", get(fields="X: y\r\n")
    yield "Host twice", get(fields=H + H)
    yield "two Hosts", get(fields=H + "Host: b.example\r\n")
    yield "two Hosts, 1.0", get(version="HTTP/1.0", fields=H + "host: b.example\r\n")
    for host in ("", " ", "a b", "a/b", "a,b", "u@a", "u:p@a", "a:b", "a:-1", "a:65536", "a:123456", "a:80:80", ":80",
                 "http://a", "a\\b", "a?b", "a#b", "[::1", "::1", "[::1]x", "[::1]:x", "[]", "[1.2.3.4]",
                 "[fe80::1%25eth0]", "a%", "a%2", "a%zz", "a\xc3\xa4", "a\"b", "a<b>", "a\tb", "a\x00b", "a.", "..", "a..b",
                 ".a", "A.Example", "1.2.3.4", "1.2.3.4:80", "a:0", "a:65535", "a:", "[::1]", "[2001:db8::1]:443",
                 "[::ffff:1.2.3.4]", "a_b", "a%2eb", "xn--4ca.example", "a!b", "a(b)", "a;b=c", "*.example", "-", "a:080"):
        yield f"Host {host!r}", get(fields=f"Host: {host}\r\n")


def field_cases():
    for line in ("X : v", "X\t: v", "X Y: v", " X: v", "\tX: v", ": v", "nocolon", "no colon", "X(: v", "X/: v", "X@: v",
                 "X[: v", "X\": v", "X,: v", "X;: v", "X=: v", "X{: v", "X\\: v", "X\x7f: v", "X\x01: v", "X\x80: v",
                 "X\x00Y: v", "X\x0b: v", "X: a\r\n b", "X: a\r\n\tb", "X: a\r\n ", "X: a\rb", "X: a\r\r", "X: a\nb",
                 "X: a\nY: b", "X: a\x00b", "X: a\x01b", "X: a\x7fb", "X: a\x0bb", "X: a\x08b", "X: a\x1fb", "X: \x80\xff",
                 "X: \xc3\xa4", "X:", "X: ", "X:\t \t", "X:a", "X: \t a b\t ", "X: a\tb", "X: ::", "X: \"a\r\"",
                 "!#$%&'*+-.^_`|~09: v", "Content_Length: 5", "Content.Length: 5", "Transfer_Encoding: chunked",
                 "X-Y: 1\r\nX-Y: 2", "x-y: 1\r\nX-Y: 1", "Content-Length : 5", "\nX: v", "\rX: v", "X\n: v", "X\r\n: v"):
        yield f"field {line!r}", get(fields=f"{H}{line}\r\n") + NEXT
    yield "LF at the end", f"GET / HTTP/1.1\r\n{H}\n" + NEXT
    yield "LF behind Host", "GET / HTTP/1.1\r\nHost: a.example\n\r\n" + NEXT
    yield "LF everywhere", "GET / HTTP/1.1\nHost: a.example\n\n" + NEXT
    yield "CR CR LF at the end", f"GET / HTTP/1.1\r\n{H}\r\r\n" + NEXT
    yield "space before the first field", f"GET / HTTP/1.1\r\n {H}\r\n"
    yield "150 fields", get(fields=H + "X: y\r\n" * 150)
    yield "70000 bytes of a field", get(fields=H + "X: " + "y" * 70000 + "\r\n")
    yield "line of 9000 bytes", get("/" + "x" * 9000)
    yield "line of 70000 bytes", get("/" + "x" * 70000)


def framing_cases():
    for length in ("3", "03", "0000000003", "3 ", "\t3", "", "-3", "+3", "3 3", "3,3", "3, 3", "3, 4", "0x3", "3.0", "3a",
                   "a", "\"3\"", "3e0", "3;", ",3", "9223372036854775808", "18446744073709551619",
                   "00000000000000000000000000003", "\xb2", "3\x00", "3\r\n ", "3_0"):
        yield f"Content-Length {length!r}", post(f"Content-Length: {length}\r\n", "abc" + NEXT)
    yield "lengths differ", post("Content-Length: 3\r\nContent-Length: 0\r\n", "abc" + NEXT)
    yield "lengths equal", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc" + NEXT)
    yield "length of a GET", get(fields=H + "Content-Length: 3\r\n") + "abc" + NEXT
    yield "length 0", post("Content-Length: 0\r\n") + NEXT
    yield "POST without length", post("") + NEXT
    end = "3\r\nabc\r\n0\r\n\r\n" + NEXT
    for coding in ("chunked", "Chunked", "chunked ", "\tchunked", "", "identity", "gzip", "gzip, chunked", "chunked, gzip",
                   "chunked, chunked", "chunked,", ", chunked", "xchunked", "chunkedx", "chunked;q=1", "\"chunked\"",
                   "chunked chunked", "chun ked", "chunked, identity", "identity, chunked", "\x0bchunked", "chunked\x00",
                   "cow", "chunked\r\n "):
        yield f"Transfer-Encoding {coding!r}", post(f"Transfer-Encoding: {coding}\r\n", end)
    yield "coding twice", post("Transfer-Encoding: chunked\r\n" * 2, end)
    yield "codings differ", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", end)
    yield "length, then coding", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", end)
    yield "coding, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", end)
    yield "coding and length 0", post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", end)
    yield "coding and bad length", post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", end)
    yield "coding in 1.0", post("Transfer-Encoding: chunked\r\n", end, "HTTP/1.0")
    yield "coding, space, colon", post("Transfer-Encoding : chunked\r\n", end)
    yield "folded coding", post("Transfer-Encoding:\r\n chunked\r\n", end)
    yield "coding of a GET", get(fields=H + "Transfer-Encoding: chunked\r\n") + end


def chunk_cases():
    last = "0\r\n\r\n"
    for name, body in (
            ("one", "3\r\nabc\r\n" + last), ("two", "3\r\nabc\r\n2\r\nde\r\n" + last), ("none", last),
            ("zeros", "003\r\nabc\r\n000\r\n\r\n"), ("16 digits", "0000000000000003\r\nabc\r\n" + last),
            ("17 digits", "00000000000000003\r\nabc\r\n" + last), ("40 digits", "0" * 39 + "3\r\nabc\r\n" + last),
            ("upper case", "A\r\n0123456789\r\n" + last), ("lower case", "a\r\n0123456789\r\n" + last),
            ("too large", "8000000000000000\r\nabc\r\n"), ("64 bits", "ffffffffffffffff\r\nabc\r\n"),
            ("65 bits", "10000000000000003\r\nabc\r\n" + last), ("plus", "+3\r\nabc\r\n" + last),
            ("minus", "-3\r\nabc\r\n" + last), ("0x", "0x3\r\nabc\r\n" + last), ("space first", " 3\r\nabc\r\n" + last),
            ("space last", "3 \r\nabc\r\n" + last), ("tab last", "3\t\r\nabc\r\n" + last), ("no digit", "\r\nabc\r\n" + last),
            ("letter", "g\r\nabc\r\n" + last), ("underscore", "0_3\r\nabc\r\n" + last), ("comma", "3,\r\nabc\r\n" + last),
            ("extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n"), ("empty extension", "3;\r\nabc\r\n" + last),
            ("space and extension", "3 ;a=b\r\nabc\r\n" + last), ("quoted extension", "3;a=\"b;c\"\r\nabc\r\n" + last),
            ("CRLF in a quoted extension", "3;a=\"\r\nabc\r\n" + last), ("LF in an extension", "3;a\nabc\r\n" + last),
            ("CR in an extension", "3;a\rb\r\nabc\r\n" + last), ("NUL in an extension", "3;\x00\r\nabc\r\n" + last),
            ("extension of 200 bytes", "3;" + "x" * 200 + "\r\nabc\r\n" + last),
            ("extension of 300 bytes", "3;" + "x" * 300 + "\r\nabc\r\n" + last),
            ("LF behind the size", "3\nabc\r\n" + last), ("LF behind the data", "3\r\nabc\n" + last),
            ("CR behind the size", "3\rabc\r\n" + last), ("CR behind the data", "3\r\nabc\r" + last),
            ("nothing behind the data", "3\r\nabc" + last), ("too short", "3\r\nab\r\n" + last),
            ("too long", "3\r\nabcd\r\n" + last), ("LF at the end", "3\r\nabc\r\n0\r\n\n"),
            ("LF behind the last size", "3\r\nabc\r\n0\n\r\n"), ("trailer", "3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
            ("two trailers", "0\r\nX: y\r\nZ:\r\n\r\n"), ("forbidden trailers", "0\r\nHost: b\r\nContent-Length: 9\r\n\r\n"),
            ("bad trailer", "0\r\nX : y\r\n\r\n"), ("folded trailer", "0\r\nX: y\r\n z\r\n\r\n"),
            ("trailer without colon", "0\r\nnocolon\r\n\r\n"), ("LF behind a trailer", "0\r\nX: y\n\r\n"),
            ("NUL in a trailer", "0\r\nX: \x00\r\n\r\n"), ("request as a trailer", "0\r\nGET /x HTTP/1.1\r\nHost: b\r\n\r\n")):
        yield f"chunks: {name}", chunked(body) + NEXT


def cases():
    """Name and bytes; the name of a case says what is odd about it."""
    for group in (plain_cases, line_cases, target_cases, host_cases, field_cases, framing_cases, chunk_cases):
        for name, text in group():
            yield name, text.encode("latin-1")


# --- what may differ --------------------------------------------------------------------------

# Who, what, the reason. "less": we refuse for this reason (a pattern) what they take. "more": we take
# what they do not, in cases of this name. "sees": both take it and see it differently.
ALL = ("h11", "nginx", "haproxy")
PROXIES = ("nginx", "haproxy")
ACCEPTED = [
    # Line ends and white space that another reader may take for something else (RFC 9112 section 11.2).
    (ALL, "less", "bare LF", "a single LF may be taken for a line end (RFC 9112 section 2.2), and whoever does "
     "disagrees with whoever does not; h11 does in heads, nginx and HAProxy everywhere"),
    (("nginx",), "less", "bare CR", "nginx takes CR CR LF for a line end, and a CR before a request; a bare CR is invalid "
     "(RFC 9112 section 2.2)"),
    (PROXIES, "less", "empty request line", "one empty line is skipped (RFC 9112 section 2.2 speaks of one), nginx and "
     "HAProxy skip any number"),
    (ALL, "less", "folded line or white space before the first field", "a server may refuse obs-fold (RFC 9112 section "
     "5.2); h11 and HAProxy unfold it, h11 skips blanks before the first field; nginx does not look at trailers"),
    (PROXIES, "less", "white space in or behind a field name|line without a colon|NUL in a field value",
     "nginx drops trailers and lines without a colon unread; HAProxy looks at no name in trailers and hands NUL on (RFC "
     "9110 section 5.5 has it refused or replaced)"),
    (("nginx",), "less", "byte that no field name has", "nginx drops fields whose names are no tokens, we refuse them "
     "(RFC 9110 section 5.1)"),
    (ALL, "less", "control in a field value", "controls but HTAB are not in the grammar (RFC 9110 section 5.5); the others "
     "refuse few of them"),
    # Request lines.
    (PROXIES, "less", "malformed request line", "nginx speaks HTTP/0.9, takes several spaces between the parts, as HAProxy "
     "does, and behind them, and two digits of a minor version (RFC 9112 section 3 has one space, section 2.3 one digit)"),
    (("haproxy",), "less", "control in the request line", "HAProxy takes HTAB between the parts, as RFC 9112 section 3 allows; "
     "others take it for a part of the target"),
    (("nginx",), "less", "non-ASCII in the request line", "a target is ASCII (RFC 3986 section 2), nginx takes any bytes"),
    (ALL, "less", "HTTP version other than 1.0 and 1.1", "h11 and HAProxy take any version, nginx any of HTTP/1"),
    (("h11", "nginx"), "less", "fragment in the request target", "a target has no fragment (RFC 9112 section 3.2), nginx cuts it off"),
    (("h11", "haproxy"), "less", "bad request target", "h11 does not look at targets, HAProxy only at how they begin: it takes "
     "a name and \"*\" for all methods (RFC 9112 section 3.2)"),
    (ALL, "less", "scheme of the request target is not http or https", "h11 does not look at targets, nginx and HAProxy take "
     "any scheme"),
    (ALL, "less", "bad authority in the request target", "h11 does not look at targets; nginx reads any digits for a port and "
     "any text in brackets; HAProxy takes an empty host (RFC 9110 section 4.2.1 does not)"),
    (ALL, "less", "bad Host", "Host is host and port (RFC 9112 section 3.2); h11 looks for blanks and such at most, nginx for "
     "slashes and controls, and cuts off the port unread; HAProxy hands any text on"),
    (("haproxy",), "less", "no Host|several Host lines", "a server has to refuse them (RFC 9112 section 3.2); HAProxy asks "
     "for no Host and takes equal ones for one"),
    (("haproxy",), "more", r"(absolute|OPTIONS) (?i:http)\S+|CONNECT b.example:443", "the target counts, Host is ignored (RFC "
     "9112 section 3.2.2) and written anew from the target, for nginx as for us; HAProxy refuses the request when they differ"),
    (("haproxy",), "more", r"absolute and its Host http://b.example\?q=/a", "an authority ends at a question mark too (RFC 3986 "
     "section 3.2), for HAProxy only at a slash"),
    (("haproxy",), "more", "upgrade", "HAProxy refuses a WebSocket handshake without a key (RFC 6455 section 4.2.1), we "
     "leave that to the server that speaks WebSocket"),
    (("h11",), "more", r"empty line first|empty line between", "h11 skips no empty line before a request, a server should skip "
     "one (RFC 9112 section 2.2)"),
    (PROXIES, "more", r"cut .*|nothing", "nginx and HAProxy count a request whose end does not come as bad, HAProxy also one "
     "that does not begin; for us its reader still waits"),
    (("nginx",), "more", r"method (get|Get|GET1|G!T|!.*)", "a method is any token (RFC 9110 section 9.1), nginx has upper case, "
     "_ and - only; a method that no backend knows is refused by the backend"),
    (("nginx",), "more", r"method TRACE|CONNECT b.example:443.*", "the codec reads TRACE and CONNECT, the exchange refuses them"),
    (("nginx",), "more", r"path /(\.\./\.\./etc|%2e%2e/x|%00|%zz|%)", "nginx normalizes paths while it reads them; our routes do "
     "that, the codec hands the path on as it is"),
    (("nginx",), "more", r"OPTIONS \*", "nginx does not know the asterisk (RFC 9112 section 3.2.4)"),
    (("nginx",), "more", r"Host '(\.\.|a\.\.b)'", "empty labels are in the grammar of a host (RFC 3986 section 3.2.2); no route "
     "has such a name"),
    (("nginx",), "sees", r"OPTIONS http://b.example( and its Host)?|absolute .*http://b.example\?q=/a", "an absolute target "
     "without a path means \"*\" for OPTIONS (RFC 9112 section 3.2.4), else \"/\" before the query (section 3.2.1); nginx shows "
     "what stands there"),
    (("h11",), "more", r"1\.0 keep-alive", "h11 keeps no connection of HTTP/1.0 (RFC 9112 section 9.3 allows to)"),
    # Framing.
    (("h11", "haproxy"), "less", "both Content-Length and Transfer-Encoding", "may be refused (RFC 9112 section 6.3); the "
     "others let Transfer-Encoding win, and HAProxy closes behind it"),
    (("h11", "haproxy"), "less", "Transfer-Encoding in HTTP/1.0", "faulty framing (RFC 9112 section 6.1), the others read it "
     "as in 1.1"),
    (("h11", "haproxy"), "less", "several Content-Length lines", "equal ones may be refused (RFC 9112 section 6.3), the others "
     "take them as one"),
    (ALL, "less", "malformed Content-Length", "h11 takes lists of equal lengths and any number of digits, nginx any number of "
     "leading zeros, HAProxy both, and it reads 3 where 2^64 + 3 stands; ours have 19 digits and 63 bits"),
    (("haproxy",), "less", "Transfer-Encoding that does not end in one chunked", "HAProxy ignores an empty element of a "
     "list (RFC 9110 section 5.6.1.2); no sender writes one here, and h11 and nginx refuse it too"),
    (("nginx",), "more", r"(Content-Length|Transfer-Encoding) '\\t.*'", "white space around a value may be HTAB (RFC 9110 section "
     "5.5), nginx knows SP only; we write the field anew, so nobody behind us sees a HTAB"),
    # Chunks.
    (ALL, "less", "chunk size of too many digits|chunk size too large", "sizes have 16 digits and 63 bits here, h11 takes 20 "
     "digits, nginx and HAProxy any number of leading zeros"),
    (ALL, "less", "malformed chunk size", "white space behind a size is only there before an extension (RFC 9112 section "
     "7.1.1); nginx and HAProxy take LF for a line end too"),
    (("h11",), "more", "chunks: space and extension", "white space before an extension has to be taken (RFC 9112 section 7.1.1)"),
    (ALL, "less", "control in a chunk extension|chunk size line does not end in CRLF", "nobody looks at extensions, but we "
     "look at where they end; nginx and HAProxy take LF for that"),
    (ALL, "less", "chunk extension too long", "256 bytes here"),
    (PROXIES, "less", "chunk longer than its size", "nginx and HAProxy take LF for the end of a chunk"),
    # Limits.
    (ALL, "less", "too many fields|request line too long|head too long", "100 fields, 8 KiB of request line, 64 KiB of head"),
]


def difference(us, them):
    """Kind and text of the first difference; "" when there is none."""
    for mine, theirs in zip(us.requests, them.requests):
        if mine.differs(theirs):
            return "sees", mine.differs(theirs)
    text = f"we: {us} / they: {them}"
    if len(us.requests) > len(them.requests) or (them.refused() and not us.refused()):
        return "more", text
    if len(us.requests) < len(them.requests) or (us.refused() and not them.refused()):
        return "less", text
    return "", ""


def accepted_by(name, peer, kind, us):
    """The number of the entry that accepts a difference; None when there is none."""
    said = us.reason if kind == "less" else name
    return next((i for i, (peers, kinds, pattern, _) in enumerate(ACCEPTED)
                 if peer in peers and kind == kinds and re.fullmatch(pattern, said)), None)


class H1Differential(unittest.TestCase):
    def test_what_the_codec_takes_the_others_see_alike(self):
        names, inputs = zip(*cases())
        self.assertEqual(len(set(names)), len(names), "two cases have one name")
        self.assertGreater(len(names), 300)
        wrong, used = [], {}
        verdicts = [ours(data) for data in inputs]
        peers = {"h11": [of_h11(data) for data in inputs], "nginx": all_of_nginx(inputs),
                 "haproxy": all_of_haproxy(inputs, verdicts)}
        for peer, said in peers.items():
            for name, us, them in zip(names, verdicts, said):
                kind, text = difference(us, them)
                entry = accepted_by(name, peer, kind, us) if kind else None
                if entry is not None:
                    used.setdefault((entry, peer), []).append(name)
                elif kind:
                    wrong.append(f"{name} {peer} {kind}: {text}")
        print(f"{len(names)} requests, {sum(map(len, used.values()))} accepted differences of {len(ACCEPTED)} kinds")
        self.assertEqual(wrong, [], "\n".join(wrong[:20]))
        unused = [(peer, ACCEPTED[i][2]) for i, entry in enumerate(ACCEPTED) for peer in entry[0] if (i, peer) not in used]
        self.assertEqual(unused, [], "accepted differences that are none")

    def test_something_is_taken_and_something_refused(self):
        verdicts = [ours(data) for _, data in cases()]
        self.assertGreater(sum(v.refused() for v in verdicts), 150)
        self.assertGreater(sum(not v.refused() and bool(v.requests) for v in verdicts), 100)


if __name__ == "__main__":
    unittest.main()
