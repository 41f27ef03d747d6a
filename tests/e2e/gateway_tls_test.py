"""TLS: which certificate, which versions, resumption, certificates that change; Alt-Svc, HSTS, the way from
http to https; UDP on the TLS port; and the listeners that relay TCP."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from gateway_backends import Backend, authority, is_open, new_port
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, parse_heads, read_all, read_until, route, table, tls_context
from lab import SLOW, Case, run, wait_until
from quic_client import client_hello, crypto, initial as sealed_initial

QUIET_S = 0.7


def shown(gateway, name=HOST):
    """The certificate that is shown for this name, PEM; an error's text when the handshake fails."""
    try:
        context = tls_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", gateway.https_port), 6 * SLOW) as plain, \
                context.wrap_socket(plain, server_hostname=name) as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)


def s_client(gateway, *arguments, send=b""):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.https_port}", "-CAfile",
                           authority().certificate, *map(str, arguments)], input=send, capture_output=True,
                          timeout=20 * SLOW, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


class Certificates(Case):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(route(hosts=["*.vanillax.me", "a.example"], respond={"status": 200, "body": "hello"}),
                              names={"first": ("first.example",), "wild": ("*.vanillax.me",),
                                     "exact": ("exact.vanillax.me",)})
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)

    def pem(self, name):
        return (self.gateway.directory / f"tls/{name}.crt").read_text()

    def test_exact_before_wildcard_before_the_first_without_a_name(self):
        self.assertEqual(shown(self.gateway, "exact.vanillax.me"), self.pem("exact"))
        self.assertEqual(shown(self.gateway, "EXACT.vanillax.me"), self.pem("exact"))
        self.assertEqual(shown(self.gateway, "other.vanillax.me"), self.pem("wild"))
        self.assertEqual(shown(self.gateway, "first.example"), self.pem("first"))
        self.assertEqual(shown(self.gateway, None), self.pem("first"))

    def test_an_unknown_name_is_refused(self):
        for name in ("stranger.example", "vanillax.me", "a.b.vanillax.me", "cloudflare-ech.com"):
            with self.subTest(name):
                self.assertRegex(shown(self.gateway, name).lower().replace("_", " "), "unrecognized name")

    def test_a_host_that_the_connections_certificate_does_not_cover(self):
        for how in ("--http1.1", "--http2"):
            reply = self.gateway.curl("https://exact.vanillax.me/", "-H", "Host: a.example", http=how)
            self.assertEqual(reply.status, 200)

    def test_versions(self):
        for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            self.assertRegex(s_client(self.gateway, option, "-servername", HOST), rf"New, {version}|{version}, Cipher")
        for option in ("-tls1", "-tls1_1"):
            said = s_client(self.gateway, option, "-servername", HOST, "-cipher", "ALL:@SECLEVEL=0")
            self.assertRegex(said, "alert protocol version|no protocols available|wrong version|Cipher is \\(NONE\\)")
            self.assertNotIn("Verify return code: 0 (ok)\n---\nread", said)

    def test_alpn(self):
        for offered, chosen in (("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("h2", "h2")):
            said = s_client(self.gateway, "-alpn", offered, "-servername", HOST)
            self.assertIn(f"ALPN protocol: {chosen}", said)
        said = s_client(self.gateway, "-servername", HOST)
        self.assertIn("No ALPN negotiated", said)
        self.assertIn("Verify return code: 0 (ok)", said)
        for version in ("-tls1_2", "-tls1_3"):  # RFC 7301 section 3.2
            said = s_client(self.gateway, version, "-alpn", "h3", "-servername", HOST)
            self.assertIn("alert no application protocol", said)

    def test_a_client_of_http_1_0_alone(self):
        self.assertIn("ALPN protocol: http/1.0", s_client(self.gateway, "-alpn", "http/1.0", "-servername", HOST))
        self.assertIn("ALPN protocol: http/1.1", s_client(self.gateway, "-alpn", "http/1.0,http/1.1", "-servername", HOST))
        self.assertEqual(self.gateway.curl(f"https://{HOST}/", http="--http1.0").status, 200)
        self.gateway.change(listener={"alpn": ["h2"]})
        wait_until("h2 alone", lambda: "No ALPN negotiated" in s_client(
            self.gateway, "-alpn", "http/1.0", "-servername", HOST))
        self.gateway.change(listener={"alpn": ["h2", "http/1.1"]})

    def test_sessions_are_resumed_also_after_a_reload(self):
        for version in ("-tls1_2", "-tls1_3"):
            path = self.gateway.directory / f"session{version}"
            ask = (f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").encode()
            common = [version, "-servername", HOST, "-ign_eof"]
            self.assertIn("\nNew, ", s_client(self.gateway, *common, "-sess_out", path, send=ask))
            resumed = [*common, "-sess_in", path]
            self.assertIn("\nReused, ", s_client(self.gateway, *resumed, send=ask))
            self.gateway.reload()
            self.assertIn("\nReused, ", s_client(self.gateway, *resumed, send=ask))

    def test_a_small_flood_of_half_handshakes_harms_nobody(self):
        halves = [socket.create_connection(("127.0.0.1", self.gateway.https_port)) for _ in range(100)]
        for one in halves:
            one.sendall(b"\x16\x03\x01\x02\x00\x01")
        self.assertEqual(self.gateway.curl(f"https://{HOST}/").status, 200)
        for one in halves:
            one.close()

    def test_plain_http_on_the_tls_port_is_told_so(self):
        with Gateway(route(respond={"status": 200, "body": "x"})) as gateway:
            body = gateway.directory / "big"
            body.write_bytes(b"x" * 50_000)
            for options in ((), ("--data-binary", f"@{body}", "-H", "Expect:")):
                done = subprocess.run(["curl", "-sS", "-i", "-m", "10", *options,
                                       f"http://127.0.0.1:{gateway.https_port}/"],
                                      capture_output=True, text=True, timeout=20 * SLOW, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("HTTP/1.1 400 Bad Request\n", done.stdout)
                self.assertIn("write https:// in place of http://", done.stdout)
            gateway.wait_log("handshake_failed: client 127.0.0.1 .*plain HTTP")


class Workers(Case):
    OFTEN = 30

    def connect(self, gateway):
        plain = socket.create_connection(("127.0.0.1", gateway.https_port), 6 * SLOW)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain

    def at_both(self, gateway):
        """Connections that wait in the queues of both workers: seen while the process stands still."""
        gateway.process.send_signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{gateway.process.pid}/task")
        wait_until("it to stand still", lambda: all(
            one.read_text().rpartition(")")[2].split()[0] == "T" for one in tasks.glob("*/stat")))
        connections = [self.connect(gateway) for _ in range(self.OFTEN)]
        said = subprocess.check_output(["ss", "-Hltn", f"sport = :{gateway.https_port}"], text=True)
        gateway.process.send_signal(signal.SIGCONT)
        queues = [int(line.split()[1]) for line in said.splitlines()]
        self.assertEqual(len(queues), 2)
        self.assertGreater(min(queues), 1)  # one may be of who looked whether the port is open
        return connections

    def ask(self, context, plain, session=None):
        """Whether the session was resumed, and the one that the answer came with."""
        with context.wrap_socket(plain, server_hostname=HOST, session=session) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            self.assertIn(b" 200 ", read_all(connection)[0])
            return connection.session_reused, connection.session

    def test_a_ticket_is_good_at_every_worker(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), server="workers = 2") as gateway:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = tls_context()
                context.minimum_version = context.maximum_version = version
                resumed, session = self.ask(context, self.connect(gateway))
                self.assertFalse(resumed)
                resumed = [self.ask(context, plain, session)[0] for plain in self.at_both(gateway)]
                self.assertEqual(resumed, [True] * self.OFTEN)


class Renewal(Case):
    def test_files_that_change_are_served_without_a_command(self):
        with Gateway(route(respond={"status": 200, "body": "x"})) as gateway:
            for _ in range(2):
                fresh = gateway.new_certificate("lan", "*.vanillax.me")
                wait_until("the new certificate", lambda: shown(gateway) == fresh)
            certificate, key = authority().leaf("*.vanillax.me")  # written in place, not renamed
            (gateway.directory / "tls/lan.crt").write_text(certificate)
            (gateway.directory / "tls/lan.key").write_text(key)
            wait_until("the one written in place", lambda: shown(gateway) == certificate)

    def test_names_that_a_renewed_certificate_has_lost_are_told_once(self):
        served = {"status": 200, "body": "x"}
        override = '[[dns.override]]\nnames = ["cam.vanillax.me"]\naddress = ["127.0.0.1"]\n'
        with Gateway(route(respond=served), route(hosts=["nas.vanillax.me", "box.example"], respond=served),
                     names={"lan": ("*.vanillax.me", "old.example"), "box": ("box.example",)},
                     config=override) as gateway:
            def renew(*hosts):
                """What is said of it."""
                mark = len(gateway.log)
                fresh = gateway.new_certificate("lan", *hosts)
                gateway.wait_log("certificate_reloaded: lan ", mark)
                wait_until("the new certificate", lambda: shown(gateway) == fresh)
                gateway.new_certificate("box", "box.example")  # what comes of the one before is said by then
                gateway.wait_log("certificate_reloaded: box ", mark)
                return [line for line in gateway.log[mark:] if "certificate_narrowed" in line]

            def status():
                return run("status", "-c", gateway.config_path)[1]

            self.assertEqual(renew("*.vanillax.me"), [])  # old.example is nowhere here
            self.assertNotIn("no certificate", status())
            self.assertEqual(gateway.curl("https://nas.vanillax.me/").status, 200)
            said = renew(HOST)
            self.assertEqual(len(said), 1, said)
            self.assertRegex(said[0], " warning certificate_narrowed: lan \\(.*tls/lan.crt\\) was renewed without "
                             "cam.vanillax.me, nas.vanillax.me, which no certificate of the listener 'internal' covers now")
            for host in ("cam.vanillax.me", "nas.vanillax.me"):
                self.assertIn("unrecognized name", shown(gateway, host).lower().replace("_", " "))
            self.assertIn("no certificate there covers cam.vanillax.me nas.vanillax.me\n", status())
            self.assertEqual(renew(HOST), [])  # as it was
            self.assertEqual(renew("*.vanillax.me"), [])
            self.assertNotIn("no certificate", status())

    def test_a_symlink_swap_as_kubernetes_does_it(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), names={"lan": ("*.vanillax.me",)}) as gateway:
            pass
        gateway = Gateway(route(respond={"status": 200, "body": "x"}))
        tls = gateway.directory / "tls"

        def mount(number):
            version = tls / f"..2026_{number}"
            version.mkdir()
            certificate, key = authority().leaf("*.vanillax.me")
            (version / "lan.crt").write_text(certificate)
            (version / "lan.key").write_text(key)
            (tls / "..data_tmp").symlink_to(version.name)
            os.rename(tls / "..data_tmp", tls / "..data")
            return certificate
        for name in ("lan.crt", "lan.key"):
            (tls / name).unlink()
            (tls / name).symlink_to(f"..data/{name}")
        first = mount(1)
        with gateway:
            self.assertEqual(shown(gateway), first)
            for number in (2, 3):
                fresh = mount(number)
                wait_until("the new certificate", lambda: shown(gateway) == fresh)
                shutil.rmtree(tls / f"..2026_{number - 1}")

    def test_a_pair_that_does_not_match_keeps_the_old_one(self):
        with Gateway(route(respond={"status": 200, "body": "x"})) as gateway:
            old = shown(gateway)
            mark = len(gateway.log)
            certificate, key = authority().leaf("*.vanillax.me")
            path = gateway.directory / "tls/lan.crt"
            (path.parent / "next").write_text(certificate)
            (path.parent / "next").rename(path)
            said = self.rejected(gateway, mark)
            self.assertRegex(said, r"lan\.key.*is not the key of.*lan\.crt")
            self.assertEqual(shown(gateway), old)
            self.assertIn(" reload_refused: 1 error; ", gateway.reload())
            self.assertEqual(shown(gateway), old)
            (path.parent / "lan.key").write_text(key)
            wait_until("the pair", lambda: shown(gateway) == certificate)
            for text in ("", "nonsense"):
                mark = len(gateway.log)
                path.write_text(text)
                self.assertIn("lan.crt: no certificate in it", self.rejected(gateway, mark))
                self.assertEqual(shown(gateway), certificate)

    @staticmethod
    def rejected(gateway, mark):
        """What the log says of a pair that is not taken."""
        return gateway.wait_log("error   certificate_rejected: lan .*; the certificate as it was goes on being served$",
                                mark)


class Unwatched(Case):
    """Changes that the kernel does not report are found when the files are looked at, every few seconds."""

    def gateway(self, words):
        """One that these words of a shell start; root in a namespace of its own."""
        gateway = Gateway(route(respond={"status": 200, "body": "x"}))
        gateway.binary = gateway.write("inside", f'#!/bin/sh\nexec unshare {words} {gateway.binary} "$@"\n')
        gateway.binary.chmod(0o755)
        return gateway

    def test_a_file_system_is_mounted_over_the_directory(self):
        with self.gateway("--mount --propagation private") as gateway:
            for name in ("one", "two"):
                certificate, key = authority().leaf("*.vanillax.me")
                gateway.write(f"{name}/lan.crt", certificate)
                gateway.write(f"{name}/lan.key", key)
                subprocess.run(["nsenter", "-t", str(gateway.process.pid), "-m", "mount", "--bind",
                                gateway.directory / name, gateway.directory / "tls"], check=True)
                wait_until("the new certificate", lambda: shown(gateway) == certificate)

    def test_no_directory_can_be_watched(self):
        none = "echo 0 >/proc/sys/user/max_inotify_watches"  # of this user namespace
        with self.gateway(f"""--user --map-root-user sh -c '{none} && exec "$@"' sh""") as gateway:
            for _ in range(2):
                fresh = gateway.new_certificate("lan", "*.vanillax.me")
                wait_until("the new certificate", lambda: shown(gateway) == fresh)


class Headers(Case):
    def each(self, gateway, expected, plain=None):
        """Alt-Svc of every kind of response over TLS, and of plain HTTP."""
        paths = [("/ok", 200), ("/304", 304), ("/500", 500), ("/dead", 503)]
        for path, status in paths:
            for how in ("--http1.1", "--http2"):
                with self.subTest(path=path, how=how):
                    reply = gateway.curl(f"https://{HOST}{path}", http=how)
                    self.assertEqual((reply.status, reply.values("Alt-Svc")), (status, expected))
            reply = gateway.curl(f"http://{HOST}{path}", http="--http1.1")
            self.assertEqual((reply.status, reply.values("Alt-Svc")), (status, plain or []))

    def gateway_with(self, backend, **listener):
        alt = [("Alt-Svc", 'h3=":443"; ma=86400'), ("Alt-Svc", 'h3-29=":443"')]
        backend.on("/ok", lambda e: e.reply(200, alt))
        backend.on("/304", lambda e: e.send("HTTP/1.1 304 Not Modified\r\nAlt-Svc: h3=\":443\"\r\n\r\n"))
        backend.on("/500", lambda e: e.reply(500, alt, reason="No"))
        return Gateway(route(backend), route(f"http://127.0.0.1:{new_port()}", matches=[{"path_prefix": "/dead"}]),
                       route(hosts=["moved.vanillax.me"], redirect={"hostname": HOST, "status": 302}),
                       route(hosts=["own.vanillax.me"], respond={"status": 200, "body": "x"}), listener=listener)

    def test_alt_svc_clear_is_the_default_and_is_on_everything_over_tls(self):
        with Backend() as backend, self.gateway_with(backend) as gateway:
            self.each(gateway, ["clear"])
            for host, status in (("moved", 302), ("own", 200), ("nobody", 404)):
                reply = gateway.curl(f"https://{host}.vanillax.me/")
                self.assertEqual((reply.status, reply.values("Alt-Svc")), (status, ["clear"]))
            with gateway.dial(alpn=None) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                self.assertIn(b"alt-svc: clear", read_all(connection)[0].lower())
            big = gateway.curl(f"https://{HOST}/", "-H", "X: " + "y" * 100_000, http="--http1.1")
            self.assertEqual((big.status, big.values("Alt-Svc")), (431, ["clear"]))

    def test_alt_svc_strip(self):
        with Backend() as backend, self.gateway_with(backend, alt_svc="strip") as gateway:
            self.each(gateway, [])

    def test_alt_svc_pass(self):
        with Backend() as backend, self.gateway_with(backend, alt_svc="pass") as gateway:
            for scheme in ("http", "https"):
                reply = gateway.curl(f"{scheme}://{HOST}/ok")
                self.assertEqual(", ".join(reply.values("Alt-Svc")), 'h3=":443"; ma=86400, h3-29=":443"')
            self.assertIsNone(gateway.curl(f"https://{HOST}/dead").header("Alt-Svc"))

    def test_http_leads_to_https_unless_told_otherwise(self):
        with Backend() as backend, self.gateway_with(backend, redirect_to_https=True, hsts="365d") as gateway:
            for method, statuses in (("GET", (301, 308)), ("POST", (308, 301))):
                reply = gateway.curl(f"http://{HOST}/a/b?c=d", "-X", method, http="--http1.1")
                self.assertIn(reply.status, statuses)
                self.assertEqual(reply.header("Location"), f"https://{HOST}:{gateway.https_port}/a/b?c=d")
                self.assertIsNone(reply.header("Strict-Transport-Security"))
            self.assertEqual(backend.exchanges, [])
            reply = gateway.curl(f"https://{HOST}/x")
            self.assertIn("max-age=31536000", reply.header("Strict-Transport-Security"))

    def test_no_hsts_by_default(self):
        with Backend() as backend, self.gateway_with(backend) as gateway:
            self.assertIsNone(gateway.curl(f"https://{HOST}/x").header("Strict-Transport-Security"))

    def test_the_default_of_redirect_to_https_is_true(self):
        gateway = Gateway(route(respond={"status": 200, "body": "x"}))
        del gateway.listener["redirect_to_https"]
        with gateway:
            self.assertIn(gateway.curl(f"http://{HOST}/", http="--http1.1").status, (301, 308))


def head(line, *fields):
    return "\r\n".join([line, f"Host: {HOST}", *fields, "", ""])


class Cleared(Case):
    """`Alt-Svc: clear` on what the gateway says by itself and on what opens a tunnel: over TLS, and only there."""

    UPGRADE = ("Connection: upgrade", "Upgrade: websocket")

    @classmethod
    def setUpClass(cls):
        switch = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *cls.UPGRADE, 'Alt-Svc: h3=":443"', "", ""])
        cls.backend = Backend(handlers={
            "/ws": lambda e: (e.send(switch), e.close()),
            "/cut": lambda e: e.close(),
            "/slow": lambda e: (e.connection.recv(1), e.close())})
        cls.gateway = Gateway(
            route(cls.backend, limits={"body": "10"}),
            route(cls.backend, matches=[{"path_exact": "/slow"}], timeouts={"backend": "200ms"}),
            route(f"h2c://127.0.0.1:{new_port()}", matches=[{"path_exact": "/h2c"}]),
            limits={"header_timeout": f"{SLOW:g}s", "header_bytes": "8KiB"})
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def assert_answer(self, connection, status, tls):
        got, closed = read_all(connection)
        self.assertTrue(closed)
        (answer, fields, _), = parse_heads(got.split(b"\r\n\r\n")[0].decode())
        values = [value for name, value in fields if name.lower() == "alt-svc"]
        self.assertEqual((answer, values), (status, ["clear"] if tls else []))

    def test_http_1(self):
        for status, request in (
                (101, head("GET /ws HTTP/1.1", *self.UPGRADE)), (400, head("GET / HTTP/1.1", "Host: other.example")),
                (405, head("TRACE / HTTP/1.1", "Connection: close")),
                (413, head("POST / HTTP/1.1", "Content-Length: 11")),
                (413, head("POST / HTTP/1.1", "Transfer-Encoding: chunked") + "b\r\nhello world\r\n0\r\n\r\n"),
                (414, head(f"GET /{'y' * 9000} HTTP/1.1")), (431, head("GET / HTTP/1.1", "X: " + "y" * 9000)),
                (501, head("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked")),
                (501, head("GET /h2c HTTP/1.1", "Connection: close", *self.UPGRADE)),
                (502, head("GET /cut HTTP/1.1", "Connection: close")),
                (504, head("GET /slow HTTP/1.1", "Connection: close")), (505, head("GET / HTTP/2.1"))):
            for tls in (False, True):
                with self.subTest(status, request=request[:60], tls=tls), self.gateway.dial(tls) as connection:
                    connection.sendall(request.encode())
                    self.assert_answer(connection, status, tls)

    def test_half_a_head(self):
        with self.gateway.dial(tls=False) as plain, self.gateway.dial() as tls:
            for connection in (plain, tls):
                connection.sendall(b"GET / HTTP/1.1\r\n")
            self.assert_answer(plain, 408, False)
            self.assert_answer(tls, 408, True)

    def test_http_2(self):
        def connect(path):
            return {"end": False, "only": [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                                           (":path", path), (":authority", HOST), ("sec-websocket-version", "13")]}
        with Http2(self.gateway) as client:
            for status, request in ((200, connect("/ws")), (501, connect("/h2c")), (405, {"method": "TRACE"}),
                                    (431, {"path": "/" + "y" * 9000}), (502, {"path": "/cut"}),
                                    (504, {"path": "/slow"})):
                with self.subTest(status):
                    self.assert_stream(client, client.open(**request), status)
            self.assert_stream(client, client.at_once(method="POST", body=b"hello world"), 413)

    def assert_stream(self, client, number, status):
        stream = client.streams[number]
        client.wait(lambda: stream.fields or stream.done)
        values = [value for name, value in stream.fields or () if name == "alt-svc"]
        self.assertEqual((stream.status, values), (status, ["clear"]))


def initial(version=1, size=1200, destination=b"\x01" * 8, source=b"\x02" * 5, first=0xC3):
    head = struct.pack("!BI", first, version) + bytes([len(destination)]) + destination + bytes([len(source)]) + source
    return head + os.urandom(size - len(head))


class Quic(Case):
    """RFC 9000 sections 6 and 17.2.1, RFC 8999."""

    def ask(self, gateway, *datagrams, host="127.0.0.1"):
        """Everything that comes back."""
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.connect((host, gateway.https_port))
            got = []
            for one in datagrams:
                channel.send(one)
            channel.settimeout(QUIET_S * SLOW)
            try:
                while True:
                    got.append(channel.recv(65535))
            except (TimeoutError, ConnectionRefusedError):
                return got

    def test_long_headers_of_1200_bytes_and_more_are_told_another_version(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), listener={"address": ["127.0.0.1", "::1"]}) as gateway:
            for host in ("127.0.0.1", "::1"):
                for packet in (initial(), initial(0x6B3343CF), initial(0xFF00001D, 1350), initial(0xBABABABA, 1472),
                               initial(0xBABABABA, first=0x80), initial(first=0xFF), initial(destination=b"\x07" * 20, source=b""),
                               initial(destination=b"", source=b"\x09" * 20),
                               initial(0xBABABABA, destination=b"d" * 255, source=b"s" * 255)):
                    (reply,) = self.ask(gateway, packet, host=host)
                    self.check(packet, reply)

    def check(self, packet, reply):
        size = packet[5]
        destination = packet[6:6 + size]
        source = packet[7 + size:7 + size + packet[6 + size]]
        self.assertTrue(reply[0] & 0x80)
        self.assertEqual(reply[1:5], b"\0\0\0\0")
        self.assertEqual((reply[5], reply[6:6 + reply[5]]), (len(source), source))
        rest = reply[6 + reply[5]:]
        self.assertEqual((rest[0], rest[1:1 + rest[0]]), (len(destination), destination))
        versions = rest[1 + rest[0]:]
        self.assertTrue(versions and len(versions) % 4 == 0)
        offered = {versions[i:i + 4] for i in range(0, len(versions), 4)}
        self.assertNotIn(packet[1:5], offered)
        for one in offered:  # reserved, 0x?a?a?a?a (RFC 9000 section 15): no version that there is or will be
            self.assertEqual([byte & 0x0F for byte in one], [0x0A] * 4, one.hex())
        self.assertLess(len(reply), len(packet))

    def test_an_address_gets_50_answers_at_once_and_50_a_second(self):
        outcome = 'postern_gateway_quic_datagrams_total{{outcome="{}"}}'.format
        with Gateway(route(respond={"status": 200, "body": "x"}),
                     listener={"address": ["127.0.0.1", "::1"]}) as gateway, contextlib.ExitStack() as held:
            figures = lambda: [int(gateway.metrics()[outcome(one)]) for one in ("refused", "limited", "ignored")]
            channels = [held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(20)]
            began = time.monotonic()
            for sent in range(20, 301, 20):  # so few at a time that none is lost in a buffer
                for one in channels:  # the ports are different ones, the address is not
                    one.sendto(initial(), ("127.0.0.1", gateway.https_port))
                wait_until("all to be seen", lambda sent=sent: sum(figures()) == sent)
            most = 50 + 50 * (time.monotonic() - began) + 1
            refused, limited, ignored = figures()
            self.assertEqual((ignored, refused + limited), (0, 300))
            self.assertTrue(50 <= refused <= most, (refused, most))
            self.assertEqual(sum(self.waiting(one) for one in channels), refused)
            other = held.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            other.settimeout(6 * SLOW)
            other.sendto(initial(), ("::1", gateway.https_port))  # others are answered meanwhile
            self.assertEqual(other.recv(2000)[1:5], b"\0\0\0\0")

            def is_answered():
                channels[0].sendto(initial(), ("127.0.0.1", gateway.https_port))
                return self.waiting(channels[0])
            wait_until("an answer later", is_answered)

    @staticmethod
    def waiting(channel):
        """How many datagrams are there."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while channel.recv(2000, socket.MSG_DONTWAIT):
                count += 1
        return count

    def test_nothing_else_is_answered(self):
        silent = [b"", b"\0", b"\xC3", os.urandom(1200)[:1] and bytes([0x40]) + os.urandom(1199), initial(size=1199),
                  initial(size=100), initial(version=0), bytes([0x43]) + initial()[1:], b"\xC3\0\0\0\1\xFF" + b"x" * 100,
                  b"\xC3\0\0\0\1" + bytes([255]) + b"x" * 255 + bytes([255]) + b"y" * 20, b"GET / HTTP/1.1\r\n\r\n"]
        with Gateway(route(respond={"status": 200, "body": "x"})) as gateway:
            self.assertEqual(self.ask(gateway, *silent), [])
            self.assertEqual(len(self.ask(gateway, initial())), 1)

    def test_the_log_says_which_name_was_wanted_over_quic(self):
        hello = client_hello("Llama.vanillax.me")
        pieces = crypto(90, hello[90:]) + b"\x01" + crypto(40, hello[40:90]) + crypto(0, hello[:40])
        cases = ((sealed_initial(crypto(0, hello)), " for llama.vanillax.me; refused"),
                 (sealed_initial(pieces, version=0x6b3343cf, number_size=1, token=b"t" * 80), " for llama.vanillax.me; refused"),
                 (sealed_initial(crypto(0, hello[:60])), r"\d; refused"),  # the name would come later
                 (sealed_initial(crypto(0, hello)).replace(b"\0\0\0\x01", b"\x11\x22\x33\x44", 1), r"\d; refused"))
        for datagram, said in cases:
            with Gateway(route(respond={"status": 200, "body": "x"})) as gateway, \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(6 * SLOW)
                client.sendto(datagram, ("127.0.0.1", gateway.https_port))
                self.assertEqual(client.recv(2000)[1:5], b"\0\0\0\0")
                gateway.wait_log(f"quic_refused: client 127.0.0.1 still tries QUIC on [0-9.:]*{said}")

    def test_ignore_and_no_tls(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), listener={"quic": "ignore"}) as gateway:
            self.assertEqual(self.ask(gateway, initial()), [])
        with Gateway(route(respond={"status": 200, "body": "x"}), listener={"https": 0}) as gateway:
            self.assertEqual(self.ask(gateway, initial()), [])

    def test_the_port_is_closed_while_a_request_is_waited_for_at_the_end(self):
        go = threading.Event()
        with Backend() as backend, Gateway(route(backend)) as gateway, gateway.dial() as client:
            backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"),
                                           go.wait(30 * SLOW), e.send("def")))
            client.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            read_until(client, b"abc")
            self.assertEqual(len(self.ask(gateway, initial())), 1)
            gateway.process.send_signal(signal.SIGTERM)
            wait_until("TCP to be closed", lambda: not is_open(gateway.https_port))
            wait_until("UDP to be closed", lambda: self.is_free(gateway.https_port))
            self.assertEqual(self.ask(gateway, initial()), [])
            self.assertIsNone(gateway.process.poll())
            go.set()
            self.assertEqual(read_all(client), (b"def", True))

    @staticmethod
    def is_free(port):
        """Whether nobody has this UDP port."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.bind(("127.0.0.1", port))
            return True
        return False

    def test_it_follows_a_reload(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), listener={"quic": "ignore"}) as gateway:
            gateway.change(listener={"quic": "refuse"})
            wait_until("an answer", lambda: self.ask(gateway, initial()))


class Relay(Case):
    """A listener with `tcp`."""

    def relay(self, *backends, **keys):
        port = new_port()
        gateway = Gateway(route(respond={"status": 200, "body": "x"}), config=table("gateway.listener", {
            "name": "db", "address": ["127.0.0.1"], "tcp": port, "backends": list(backends), **keys}))
        gateway.tcp_port = port
        return gateway

    def serve(self, session, port=None):
        listening = socket.create_server(("127.0.0.1", port or new_port()))
        self.addCleanup(listening.close)

        def serve_one(connection):
            with connection:
                session(connection)

        def loop():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()
        threading.Thread(target=loop, daemon=True).start()
        return f"127.0.0.1:{listening.getsockname()[1]}"

    def dial(self, gateway):
        return socket.create_connection(("127.0.0.1", gateway.tcp_port), 6 * SLOW)

    def test_half_close_both_ways(self):
        def upper(connection):
            connection.sendall(read_all(connection)[0].upper() + b"!")

        def first(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            got.append(read_all(connection)[0])
        got = []
        with self.relay(self.serve(upper)) as gateway, self.dial(gateway) as connection:
            connection.sendall(b"abc" * 200_000)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(connection), (b"ABC" * 200_000 + b"!", True))
        with self.relay(self.serve(first)) as gateway, self.dial(gateway) as connection:
            self.assertEqual(read_all(connection), (b"bye", True))
            connection.sendall(b"still here")
            connection.shutdown(socket.SHUT_WR)
            wait_until("the rest", lambda: got == [b"still here"])

    def test_bytes_pass_at_once_and_whichever_side_speaks_first(self):
        def server(connection):
            connection.sendall(b"hello")
            while part := connection.recv(100):
                connection.sendall(part)
        with self.relay(self.serve(server)) as gateway, self.dial(gateway) as connection:
            read_until(connection, b"hello")
            for word in (b"a", b"\0\xff", b"b" * 5000):
                connection.sendall(word)
                read_until(connection, word)

    def test_several_backends_and_one_that_is_not_there(self):
        servers = [self.serve(lambda c, name=name: c.sendall(name)) for name in (b"one", b"two")]
        with self.relay(f"127.0.0.1:{new_port()}", *servers) as gateway:
            got = []
            for _ in range(20):
                with self.dial(gateway) as connection:
                    got.append(read_all(connection)[0])
            self.assertEqual(set(got), {b"one", b"two"})

    def test_no_backend_there_closes(self):
        with self.relay(f"127.0.0.1:{new_port()}") as gateway:
            try:
                with self.dial(gateway) as connection:
                    self.assertEqual(read_all(connection), (b"", True))
            except ConnectionResetError:
                pass  # so soon that connect() saw it

    def test_proxy_protocol_v2(self):
        def server(connection):
            connection.sendall(read_all(connection)[0])
        with self.relay(self.serve(server), proxy_protocol=True) as gateway, self.dial(gateway) as connection:
            mine = connection.getsockname()
            connection.sendall(b"payload")
            connection.shutdown(socket.SHUT_WR)
            got = read_all(connection)[0]
        self.assertEqual(got[:12], b"\r\n\r\n\0\r\nQUIT\n")
        command, family, length = struct.unpack("!BBH", got[12:16])
        self.assertEqual((command, family), (0x21, 0x11))
        self.assertEqual(struct.unpack("!4s4sHH", got[16:28]), (
            socket.inet_aton("127.0.0.1"), socket.inet_aton("127.0.0.1"), mine[1], gateway.tcp_port))
        self.assertEqual(got[16 + length:], b"payload")

    @staticmethod
    def to_the_end(connection):
        """What comes, and whether it ends with a reset."""
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                got += part
            return got, False
        return got, True

    def test_a_reset_is_seen_by_the_other_side_and_an_end_is_none(self):
        def end(connection, reset):
            connection.sendall(b"last")
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        def server(connection):
            connection.settimeout(6 * SLOW)
            word = connection.recv(1)
            connection.sendall(b"!")
            if word == b"s":  # it ends itself
                return end(connection, resets)
            return seen.append(self.to_the_end(connection))
        with self.relay(self.serve(server)) as gateway:
            for resets in (True, False):
                seen = []
                with self.dial(gateway) as connection:
                    connection.sendall(b"s")
                    self.assertEqual(self.to_the_end(connection), (b"!last", resets))
                with self.dial(gateway) as connection:
                    connection.sendall(b"c")
                    read_until(connection, b"!")
                    end(connection, resets)
                wait_until("the end at the server", lambda: seen)
                self.assertEqual(seen, [(b"last", resets)])

    def test_sigterm_lets_no_new_ones_in(self):
        with self.relay(self.serve(lambda c: read_all(c))) as gateway:
            self.assertTrue(is_open(gateway.tcp_port))
            gateway.stop()
            self.assertFalse(is_open(gateway.tcp_port))


if __name__ == "__main__":
    unittest.main()
