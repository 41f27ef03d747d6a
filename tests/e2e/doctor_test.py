"""`postern doctor` against a healthy server, then with one layer broken at a time: it names that layer and
no other. What is broken is never Postern's own: sockets, servers and resolvers of Python's."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import unittest
import uuid

import dns.flags
import dns.message
import dns.rrset
import h2.config
import h2.connection
import h2.events

from gateway_backends import authority, new_port
from gateway_lab import HOST, Gateway, route
from lab import Case, Upstream, free_port, run, wait_until

OVERRIDE = f"""
    [[dns.override]]
    names = ["{HOST}"]
    address = ["127.0.0.1"]
    """


def pair(name, trusted, more=()):
    """Files of a certificate and its key; `more` is for openssl x509."""
    stem = authority().directory / uuid.uuid4().hex
    certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
    if more:
        request = stem.with_suffix(".csr")
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=x", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", request],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", authority().certificate, "-CAkey",
                        authority().key, "-copy_extensions", "copy", "-out", certificate, *more],
                       check=True, capture_output=True)
    elif trusted:
        for path, text in zip((certificate, key), authority().leaf(name)):
            path.write_text(text)
    else:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "30", "-subj", "/CN=own", "-addext", f"subjectAltName=DNS:{name}",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def bound(sink, port):
    with contextlib.suppress(OSError):
        sink.bind(("127.0.0.1", port))
        return True
    return False


class TlsServer:
    """HTTPS that says what it is told to; QUIC on the same port is refused as Postern would."""

    def __init__(self, name=HOST, alpn=("h2", "http/1.1"), fields="Alt-Svc: clear\r\n", trusted=True, status=200,
                 versions=b"\x0a\x0a\x0a\x0a", certificate=(), address=("127.0.0.1", 0), delay=0):
        self.port = address[1] or new_port()
        self.versions, self.delay = versions, delay
        certificate, key = pair(name, trusted, certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(list(alpn))
        self.answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{fields}\r\n".encode()
        self.tcp = socket.create_server((address[0], self.port))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address[0], self.port))
        for serve in (self.serve_tcp, self.serve_udp):
            threading.Thread(target=serve, daemon=True).start()

    def serve_tcp(self):
        while True:
            try:
                plain, _ = self.tcp.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    if connection.selected_alpn_protocol() == "h2":
                        self.speak_h2(connection)
                    elif connection.recv(4096):
                        time.sleep(self.delay)
                        connection.sendall(self.answer)
            except OSError:
                pass

    def speak_h2(self, connection):
        """Answers with the fields of the answer of HTTP/1.1, by python3-h2."""
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        connection.sendall(peer.data_to_send())
        while data := connection.recv(4096):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    status, *lines = self.answer.decode().strip().split("\r\n")
                    fields = [tuple(line.lower().split(": ", 1)) for line in lines]
                    peer.send_headers(event.stream_id, [(":status", status.split()[1]), *fields], end_stream=True)
            connection.sendall(peer.data_to_send())

    def serve_udp(self):
        while True:
            try:
                packet, client = self.udp.recvfrom(2000)
            except OSError:
                return
            if not packet:
                return  # it was shut down
            destination = packet[6:6 + packet[5]]
            source = packet[7 + packet[5]:7 + packet[5] + packet[6 + packet[5]]]
            self.udp.sendto(b"\xc0\0\0\0\0" + bytes([len(source)]) + source + bytes([len(destination)]) + destination
                            + self.versions, client)

    def stop(self):
        for one in (self.tcp, self.udp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # else a thread that waits keeps the port
            one.close()


class DoctorTest(Case):
    def setUp(self):
        self.gateway = Gateway(route(respond={"status": 200}), config=OVERRIDE)
        self.gateway.start()
        self.addCleanup(self.gateway.__exit__, None, None, None)

    def doctor(self, *arguments, config=None):
        """(exit status, layers that are red, all of the output)."""
        status, out, err = run("doctor", "-c", config or self.gateway.config_path, "--timeout", "1", "--cacert",
                               authority().certificate, *arguments)
        return status, set(re.findall(r"^  RED +(\S+)", out, re.M)), out + err

    def warned(self, out):
        return set(re.findall(r"^  warn +(\S+)", out, re.M))

    def resolver(self, text):
        upstream = Upstream(text)
        self.addCleanup(upstream.stop)
        return f"127.0.0.1:{upstream.port}"

    def elsewhere(self, port, alpn=()):
        """The configuration, as if the gateway were a server that is not Postern's."""
        text = self.gateway.config_path.read_text()
        text = re.sub(r"https = \d+", f"https = {port}", text)
        if alpn:
            text = re.sub(r"(?m)^(https = \d+)$", rf"\1\nalpn = {json.dumps(alpn)}", text)
        return self.gateway.write("elsewhere.toml", text)

    def against(self, **how):
        server = TlsServer(**how)
        self.addCleanup(server.stop)
        return self.doctor(config=self.elsewhere(server.port))

    def test_healthy(self):
        status, red, out = self.doctor()
        self.assertEqual((status, red), (0, set()), out)
        for layer, said in (("dns", "127.0.0.1 from Postern"), ("certificate", r"for .*expires in"), ("alpn", "h2"),
                            ("http", "HTTP/1.1 200"), ("alt-svc", "clear"), ("quic", "refuses it at once")):
            self.assertRegex(out, rf"(?m)^  ok +{layer} +.*{said}")

    def test_as_json(self):
        status, _, out = self.doctor("--json", HOST)
        said = json.loads(out)
        self.assertEqual(status, 0)
        self.assertLessEqual({"dns", "certificate", "alpn", "http", "alt-svc", "quic"}, {one["layer"] for one in said})
        self.assertIn({"ok"}, [{one["verdict"] for one in said if one["name"] == HOST}])

    def test_another_address(self):
        status, red, out = self.doctor("--resolver", self.resolver(f"{HOST}. 60 A 203.0.113.9"))
        self.assertEqual((status, red), (1, {"resolver"}), out)
        self.assertIn("DHCP", out)

    def test_another_ipv6_address(self):
        text = f"{HOST}. 60 A 127.0.0.1\n{HOST}. 60 AAAA 2001:db8::9"
        status, red, out = self.doctor("--resolver", self.resolver(text))
        self.assertEqual((status, red), (1, {"resolver"}), out)

    def test_leaks(self):
        for value, said in (('alpn="h3,h2"', "offers h3"), ('alpn="h2" ech="AEX+DQBB"', "has ech"),
                            ('alpn="h2" ipv4hint=203.0.113.9', "address hints")):
            with self.subTest(value):
                text = f"{HOST}. 60 A 127.0.0.1\n{HOST}. 60 HTTPS 1 . {value}"
                status, red, out = self.doctor("--resolver", self.resolver(text))
                self.assertEqual((status, red), (1, {"resolver"}), out)
                self.assertIn(said, out)

    def test_harmless_record(self):
        text = f'{HOST}. 60 A 127.0.0.1\n{HOST}. 60 HTTPS 1 . alpn="h2" ipv4hint=127.0.0.1'
        status, red, out = self.doctor("--resolver", self.resolver(text))
        self.assertEqual((status, red), (0, set()), out)

    def test_a_healthy_server_that_is_not_ours(self):
        status, red, out = self.against()
        self.assertEqual((status, red), (0, set()), out)

    def test_a_listener_with_h2_alone(self):
        for fields, wanted in (("Alt-Svc: clear\r\n", (0, set())),
                               ('Alt-Svc: h3=":443"; ma=86400\r\n', (1, {"alt-svc"}))):
            server = TlsServer(alpn=("h2",), fields=fields)
            self.addCleanup(server.stop)
            status, red, out = self.doctor(config=self.elsewhere(server.port, alpn=["h2"]))
            self.assertEqual((status, red), wanted, out)
            self.assertRegex(out, r"(?m)^  ok +http +.*HTTP/2 200")
        self.gateway.change(listener={"alpn": ["h2"]})
        status, red, out = self.doctor()
        self.assertEqual((status, red), (0, set()), out)
        self.assertRegex(out, r"(?m)^  ok +http +.*HTTP/2 200")

    def test_a_resolver_that_leaves_the_chain_to_its_client(self):
        text = "gw.vanillax.me. 60 CNAME edge.vanillax.me.\nedge.vanillax.me. 60 A {}\n" \
               'edge.vanillax.me. 60 HTTPS 1 . alpn="{}"'
        for address, alpn, red in (("127.0.0.1", "h2", set()), ("203.0.113.9", "h2", {"resolver"}),
                                   ("127.0.0.1", "h3,h2", {"resolver"})):
            upstream = Upstream(text.format(address, alpn))
            self.addCleanup(upstream.stop)
            alias = dns.rrset.from_text(f"{HOST}.", 60, "IN", "CNAME", "gw.vanillax.me.")

            def only_the_alias(query, _transport, alias=alias):
                response = dns.message.make_response(query)
                response.answer.append(alias)
                return response

            upstream.on(HOST, only_the_alias)
            found = self.doctor("--resolver", f"127.0.0.1:{upstream.port}")
            self.assertEqual(found[:2], (int(bool(red)), red), found[2])
            self.assertGreater(upstream.count("gw.vanillax.me"), 0)

    def test_a_circle_of_names_ends(self):
        text = f"{HOST}. 60 CNAME a.vanillax.me.\na.vanillax.me. 60 CNAME {HOST}."
        status, red, out = self.doctor("--resolver", self.resolver(text))
        self.assertEqual((status, red), (1, {"resolver"}), out)

    def test_a_reply_too_long_for_udp(self):
        upstream = Upstream(f'{HOST}. 60 A 127.0.0.1\n{HOST}. 60 HTTPS 1 . alpn="h3,h2"')
        self.addCleanup(upstream.stop)

        def cut_short(query, transport):
            response = upstream.reply(query)
            if transport == "udp":
                response.answer.clear()
                response.flags |= dns.flags.TC
            return response

        upstream.on(HOST, cut_short)
        status, red, out = self.doctor("--resolver", f"127.0.0.1:{upstream.port}")
        self.assertEqual((status, red), (1, {"resolver"}), out)
        self.assertIn("agrees with Postern", out)
        self.assertIn("offers h3", out)

    def test_certificates(self):
        for how, said in (({"name": "other.example"}, "it is for other.example"), ({"trusted": False}, "not trusted: self")):
            with self.subTest(said):
                status, red, out = self.against(**how)
                self.assertEqual((status, red), (1, {"certificate"}), out)
                self.assertIn(said, out)

    def test_alt_svc(self):
        status, red, out = self.against(fields='Alt-Svc: h3=":443"; ma=86400\r\n')
        self.assertEqual((status, red), (1, {"alt-svc"}), out)
        status, red, out = self.against(fields="")
        self.assertEqual((status, red), (0, set()), out)
        self.assertIn("alt-svc", self.warned(out))

    def test_what_is_only_worth_a_look(self):
        _, red, out = self.against(alpn=("http/1.1",), status=502)
        self.assertEqual((red, self.warned(out) & {"alpn", "http"}), (set(), {"alpn", "http"}), out)

    def test_tcp(self):
        status, red, out = self.doctor(config=self.elsewhere(new_port()))
        self.assertEqual((status, red), (1, {"tcp"}), out)

    def test_silence(self):
        self.gateway.change(listener={"quic": "ignore"})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
            wait_until("the port", lambda: bound(sink, self.gateway.https_port))  # a worker may still let go of it
            status, red, out = self.doctor()
        self.assertEqual((status, red), (1, {"quic"}), out)
        self.assertIn("udp dport", out)

    def test_icmp(self):
        self.gateway.change(listener={"quic": "ignore"})
        status, red, out = self.doctor()
        self.assertEqual((status, red), (0, set()), out)
        self.assertIn("quic", self.warned(out))

    def test_what_speaks_quic_and_is_not_ours(self):
        for versions, said in ((b"\0\0\0\1", "speaks QUIC"), (b"\x1a\x2a\x3a\x4a\x6b\x33\x43\xcf", "speaks QUIC")):
            status, red, out = self.against(versions=versions)
            self.assertEqual((status, red), (1, {"quic"}), out)
            self.assertIn(said, out)

    def test_a_packet_that_is_lost_is_sent_again(self):
        class Lossy(TlsServer):
            """Takes every first packet of a port for lost."""
            def serve_udp(self):
                seen = set()
                while True:
                    try:
                        packet, client = self.udp.recvfrom(2000)
                    except OSError:
                        return
                    if not packet:
                        return
                    if client in seen:
                        self.udp.sendto(b"\xc0\0\0\0\0\x08" + packet[15:23] + b"\x08" + packet[6:14] + self.versions, client)
                    seen.add(client)

        server = Lossy()
        self.addCleanup(server.stop)
        status, red, out = self.doctor(config=self.elsewhere(server.port))
        self.assertEqual((status, red), (0, set()), out)
        upstream = Upstream(f"{HOST}. 60 A 127.0.0.1")
        self.addCleanup(upstream.stop)
        asked = set()

        def lose_the_first(query, _transport):
            question = query.question[0].to_text()
            if question in asked:
                return upstream.reply(query)
            asked.add(question)
            return None

        upstream.on(HOST, lose_the_first)
        status, red, out = self.doctor("--resolver", f"127.0.0.1:{upstream.port}", HOST)
        self.assertEqual((status, red), (0, set()), out)
        self.assertIn("agrees with Postern", out)

    def test_more_of_certificates(self):
        for more, verdict, said in ((("-days", "-1"), "RED", "has expired"), (("-days", "3"), "warn", "expires in")):
            with self.subTest(said):
                _, _, out = self.against(certificate=more)
                self.assertRegex(out, rf"(?m)^  {verdict} +certificate +.*{said}.*\n(.*\n)? *remedy: renew it")

    def test_a_page_that_takes_its_time_is_not_broken(self):
        status, red, out = self.against(delay=3)
        self.assertEqual((status, red), (0, set()), out)
        self.assertRegex(out, r"(?m)^  warn +http +no answer to GET / within 1 s")

    def test_a_gateway_of_somebody_else(self):
        """An override that leads to no listener of ours: looked at, on port 443, and nobody's fault."""
        self.gateway.change(config=f"""
    [[dns.override]]
    names = ["{HOST}"]
    address = ["127.0.0.77"]
    """)
        for how, wanted, said in (({}, (0, set()), r"ok +tcp +127\.0\.0\.77:443 takes"),
                                  ({"trusted": False}, (0, set()), r"warn +certificate"),
                                  ({"fields": 'Alt-Svc: h3=":443"\r\n'}, (1, {"alt-svc"}), r"RED +alt-svc"),
                                  ({"fields": 'Alt-Svc: h3=":443"\r\n', "versions": b"\0\0\0\1"}, (0, set()),
                                   r"ok +alt-svc +offers HTTP/3, and UDP answers")):
            with self.subTest(str(how)):
                server = TlsServer(address=("127.0.0.77", 443), **how)
                try:
                    found = self.doctor(HOST)
                finally:
                    server.stop()
                self.assertEqual(found[:2], wanted, found[2])
                self.assertRegex(found[2], rf"(?m)^  {said}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, socket.create_server(("127.0.0.77", 443)):
            sink.bind(("127.0.0.77", 443))  # not a word of TLS: not a web site
            found = self.doctor(HOST)
        self.assertEqual(found[:2], (0, set()), found[2])
        found = self.doctor(HOST)  # a printer, say
        self.assertEqual(found[:2], (0, set()), found[2])
        self.assertRegex(found[2], r"(?m)^  warn +tcp +127\.0\.0\.77:443: .*no \[\[gateway\.listener\]\]")

    def test_blocked_names_and_names_outside_are_left_alone(self):
        outside = self.resolver("site.example. 60 A 203.0.113.9\n"
                                'site.example. 60 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB" ipv4hint=203.0.113.8')
        more = f"""
    [[dns.override]]
    names = ["ads.example"]
    address = ["0.0.0.0"]
    [[dns.forward]]
    name = "."
    upstreams = ["udp://{outside}"]
    """
        self.gateway.change(config=OVERRIDE + more)
        status, red, out = self.doctor("--resolver", self.resolver(
            "site.example. 60 A 203.0.113.77\nads.example. 60 A 0.0.0.0"), "site.example", "ads.example", HOST + ".",
            f"https://{HOST}/path?x=1")
        self.assertEqual(red, {"resolver"}, out)  # HOST only: that resolver does not know it
        for name in ("site.example", "ads.example"):
            part = out.split(f"\n{name}\n" if not out.startswith(name) else f"{name}\n")[1]
            self.assertNotRegex(part.split("\n" + HOST)[0], "RED|warn")
        self.assertRegex(out, r"(?m)^  ok +dns +0\.0\.0\.0: blocked")
        self.assertRegex(out, r"(?m)^  ok +tcp +203\.0\.113\.9 is outside")
        status, _, out = self.doctor()
        self.assertEqual(status, 0, out)
        self.assertNotIn("ads.example", out)

    def test_from_a_machine_without_the_configuration(self):
        server = f"127.0.0.1:{self.gateway.port}"
        status, red, out = self.doctor("--server", server, HOST, config=self.gateway.directory / "nowhere.toml")
        self.assertEqual((status, red), (0, set()), out)
        self.assertIn("it is left out", out)
        self.assertRegex(out, rf"(?m)^  ok +dns +127\.0\.0\.1 from Postern at {server}")
        status, _, out = self.doctor("--server", server, config=self.gateway.directory / "nowhere.toml")
        self.assertEqual(status, 2, out)

    def test_resolv_conf(self):
        path = self.gateway.write("resolv.conf", "# nameserver 8.8.8.8\nnameserver 127.0.0.1\nnameserver 203.0.113.53\n")
        status, _, out = self.doctor("--resolv-conf", path)
        self.assertEqual(status, 0, out)
        self.assertIn("this machine also asks 203.0.113.53", out)
        self.assertNotIn("8.8.8.8", out)

    def test_a_configuration_that_cannot_be_read_says_why(self):
        status, _, out = self.doctor(config=self.gateway.write("broken.toml", "[dns]\nlisen = []\n"))
        self.assertEqual(status, 2)
        self.assertRegex(out, r"broken\.toml:2:\d+: .*lisen")

    def test_bypass_by_the_resolver_that_devices_use(self):
        status, red, out = self.doctor("--resolver", self.resolver(
            f"{HOST}. 60 A 127.0.0.1\nuse-application-dns.net. 60 A 203.0.113.7"))
        self.assertEqual((status, red), (1, {"bypass"}), out)

    def test_bypass(self):
        upstream = self.resolver("use-application-dns.net. 60 A 203.0.113.7\nmask.icloud.com. 60 A 203.0.113.7")
        forward = f"""
    [dns.canary]
    firefox_doh = false
    [[dns.forward]]
    name = "."
    upstreams = ["udp://{upstream}"]
    """
        self.gateway.change(config=OVERRIDE + forward)
        status, red, out = self.doctor()
        self.assertEqual((status, red), (1, {"bypass"}), out)
        self.assertIn("firefox_doh = true", out)
        self.assertRegex(out, r"(?s)mask\.icloud\.com\n  warn +bypass")

    def test_no_server(self):
        text = self.gateway.config_path.read_text().replace(str(self.gateway.port), str(free_port()))
        status, red, out = self.doctor(config=self.gateway.write("none.toml", text))
        self.assertEqual((status, red), (1, {"dns"}), out)

    def test_a_name_without_address(self):
        status, red, out = self.doctor("nowhere.vanillax.me")
        self.assertEqual((status, red), (1, {"dns"}), out)

    def test_wrong_use(self):
        self.assertEqual(self.doctor("--resolver", "here")[0], 2)
        self.assertEqual(run("doctor", "--cacert", "/nowhere")[0], 2)


if __name__ == "__main__":
    unittest.main()
