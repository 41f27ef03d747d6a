"""`postern doctor` against a healthy server, then with one layer broken at a time: it names that layer and
no other. What is broken is a socket, server or resolver of Python's, or what Postern is told to do."""

import contextlib
import json
import re
import socket
import struct
import unittest

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from doctor_lab import OVERRIDE, DoctorCase, TlsServer, chain
from gateway_backends import new_port
from gateway_lab import HOST
from lab import Upstream, free_port, run, wait_until


def bound(sink, port):
    with contextlib.suppress(OSError):
        sink.bind(("127.0.0.1", port))
        return True
    return False


class DoctorTest(DoctorCase):
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
        self.assertEqual((status, red), (1, {"quic"}), out)

    def test_what_speaks_quic_and_is_not_ours(self):
        for versions, said in ((b"\0\0\0\1", "speaks QUIC"), (b"\x1a\x2a\x3a\x4a\x6b\x33\x43\xcf", "speaks QUIC")):
            status, red, out = self.against(versions=versions)
            self.assertEqual((status, red), (1, {"quic"}), out)
            self.assertIn(said, out)

    def test_a_packet_that_is_lost_is_sent_again(self):
        server = TlsServer(lossy=True)
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
        """Who names a page wants to see it, whosever server it is at."""
        self.gateway.change(config=OVERRIDE.replace("127.0.0.1", "127.0.0.77"))
        arguments = "--server", f"127.0.0.1:{self.gateway.port}"
        nowhere = self.gateway.directory / "nowhere.toml"
        for how, layer in (({}, None), ({"trusted": False}, "certificate"), (None, "tcp")):
            server = how is not None and TlsServer(address=("127.0.0.77", 443), **how)
            try:
                found = self.broken(*arguments, HOST.upper(), config=nowhere)
                said = self.doctor(*arguments, HOST, config=nowhere)[2]
            finally:
                if server:
                    server.stop()
            if layer:
                self.only(found, "red", layer, ".")
            else:
                self.assertEqual(found, {})
            self.assertIn("it is left out", said)
            self.assertRegex(said, rf"(?m)^  ok +dns +127\.0\.0\.77 from Postern at 127\.0\.0\.1:{self.gateway.port}$")
        status, _, out = self.doctor(*arguments, config=nowhere)
        self.assertEqual(status, 2, out)

    def test_resolv_conf(self):
        path = self.gateway.write("resolv.conf", "# nameserver 8.8.8.8\nnameserver 127.0.0.1\nnameserver fe80::53\n")
        status, _, out = self.doctor("--resolv-conf", path)
        self.assertEqual(status, 0, out)
        self.assertIn("this machine also asks fe80::53", out)
        self.assertNotIn("8.8.8.8", out)

    def test_resolv_conf_of_systemd_resolved(self):
        """As of its stub, with the file beside it that has the servers."""
        resolved = self.gateway.directory / "resolve"
        self.gateway.write("resolve/stub-resolv.conf", "nameserver 127.0.0.53\noptions edns0 trust-ad\n")
        etc = self.gateway.directory / "etc-resolv.conf"
        etc.symlink_to("resolve/stub-resolv.conf")
        for servers, also in (("127.0.0.1", None), ("127.0.0.1 fe80::53", "fe80::53"),
                              ("127.0.0.1 fe80::1%eth0", "fe80::1%eth0"), ("", "systemd-resolved, and whom that asks")):
            text = "".join(f"nameserver {one}\n" for one in servers.split())
            (resolved / "resolv.conf").write_text("# nameserver 8.8.8.8\n" + text)
            for path in (etc, resolved / "stub-resolv.conf", resolved / "resolv.conf"):
                with self.subTest(servers, path=path.name):
                    found = self.broken("--resolv-conf", path, resolv_conf=None)
                    if also and (servers or path.name != "resolv.conf"):
                        self.only(found, "warning", "bypass", f"^this machine (also )?asks {also}")
                    else:
                        self.assertEqual(found, {})

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

    def test_postern_gives_a_record_of_its_own_that_leads_to_quic(self):
        for value, said in (('alpn="h3,h2"', "offers h3"), ('alpn="h2" ech="AEX+DQBB"', "has ech"),
                            ('alpn="h2" ipv4hint=203.0.113.9', "hints.*203.0.113.9"),
                            ('alpn="h2" ipv6hint=2001:db8::9', "hints.*2001:db8::9")):
            records = f"{HOST}. 60 A 127.0.0.1\n{HOST}. 60 HTTPS 1 . {value}\n"
            self.gateway.write("zones/v.zone", f"$TTL 60\n@ SOA ns.vanillax.me. a.vanillax.me. 1 2 3 4 5\n@ NS ns.example.\n"
                                               f"{records.replace('. 60', '. 60 IN')}")
            upstream = Upstream(records)
            self.addCleanup(upstream.stop)
            passed = f"""
    [dns.svcb]
    except = ["vanillax.me"]
    [dns.limits]
    rebind_protection = {{ enabled = false }}
    {upstream.forward()}"""
            zone = '[[dns.zone]]\nname = "vanillax.me"\nfile = "zones/v.zone"\n'
            for config in (zone, passed):
                with self.subTest(value, config=config):
                    self.gateway.change(config=config, listener={"publish_dns": False})
                    self.only(self.broken(), "red", "dns", said, r"dns\.override.*https = \"gateway\"")
                    self.gateway.change(config=OVERRIDE + config)  # the remedy
                    self.assertEqual(self.broken(), {})

    @staticmethod
    def failing_at(upstream, rdtype, rcode):
        """None: it does not answer that type."""
        return lambda query, _transport: upstream.reply(query) if query.question[0].rdtype != rdtype \
            else rcode and Upstream.failing(rcode)(query, _transport)

    def test_ipv6_addresses_that_do_not_come(self):
        upstream = Upstream(f"{HOST}. 60 A 127.0.0.1")
        self.addCleanup(upstream.stop)
        address = f"127.0.0.1:{upstream.port}"
        for rcode, said in ((None, "does not answer a query for AAAA"), (dns.rcode.SERVFAIL, "AAAA with SERVFAIL"),
                            (dns.rcode.NXDOMAIN, "AAAA with NXDOMAIN")):
            with self.subTest(said):
                upstream.on(HOST, self.failing_at(upstream, dns.rdatatype.AAAA, rcode))
                self.only(self.broken("--resolver", address), "red", "resolver", f"{address} .*{said}")
        upstream.on(HOST, self.failing_at(upstream, dns.rdatatype.AAAA, dns.rcode.SERVFAIL))
        self.gateway.change(config="[dns.limits]\nrebind_protection = { enabled = false }\n" + upstream.forward(),
                            listener={"publish_dns": False})
        self.only(self.broken(), "red", "dns", f"127.0.0.1:{self.gateway.port} .*AAAA with SERVFAIL")

    def test_a_route_whose_host_leads_outside(self):
        """As it should be outside, and not here; what is served for others alone is left alone."""
        upstream = Upstream(f'{HOST}. 60 A 203.0.113.9\n{HOST}. 60 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB"')
        self.addCleanup(upstream.stop)
        passed = f'[[dns.override]]\nnames = ["{HOST}"]\nforward = true\n' + upstream.forward()
        self.gateway.change(config=passed)
        self.only(self.broken(), "red", "dns", "a .*route.* serves it, and its addresses lead outside", "override")
        self.gateway.change(config=upstream.forward(), listener={"publish_dns": False})
        self.only(self.broken(), "warning", "dns", "a .*route.* serves it", "publish_dns = true")
        self.gateway.change(config=upstream.forward() + OVERRIDE)  # the remedy
        self.assertEqual(self.broken(), {})
        self.gateway.change(config=upstream.forward(), listener={"publish_dns": False, "https": 0, "alt_svc": "strip"})
        self.assertEqual(self.broken(), {})

    def test_nothing_to_look_at(self):
        """Then whether anybody answers."""
        self.gateway.change(routes=(), config="")
        self.assertEqual(self.broken(), {})
        silent = f"127.0.0.1:{free_port()}"
        self.only(self.broken("--resolver", silent), "red", "resolver", "does not answer")
        text = self.gateway.config_path.read_text().replace(str(self.gateway.port), str(free_port()))
        self.only(self.broken(config=self.gateway.write("none.toml", text)), "red", "dns", "does not answer", "systemctl")

    def test_an_interim_answer_before_the_page(self):
        status, red, out = self.against(alpn=("http/1.1",), interim=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        self.assertEqual((status, red), (0, set()), out)
        self.assertRegex(out, r"(?m)^  ok +http +HTTP/1\.1 200 X\n  ok +alt-svc +clear$")

    def test_a_resolver_that_does_not_know_type_65(self):
        def failing(rcode):
            return self.failing_at(upstream, dns.rdatatype.HTTPS, rcode)

        upstream = Upstream(f"{HOST}. 60 A 127.0.0.1")
        self.addCleanup(upstream.stop)
        address = f"127.0.0.1:{upstream.port}"
        self.assertEqual(self.broken("--resolver", address), {})
        for rcode, said in ((None, "does not answer a query for HTTPS"), (dns.rcode.SERVFAIL, "HTTPS with SERVFAIL"),
                            (dns.rcode.NXDOMAIN, "HTTPS with NXDOMAIN"), (dns.rcode.NOTIMP, "HTTPS with NOTIMP")):
            with self.subTest(said):
                upstream.on(HOST, failing(rcode))
                self.only(self.broken("--resolver", address), "red", "resolver", f"{address} .*{said}")
        upstream.on(HOST, failing(None))  # Postern has to ask it
        self.gateway.change(config="[dns.limits]\nrebind_protection = { enabled = false }\n" + upstream.forward(),
                            listener={"publish_dns": False})
        self.only(self.broken(), "red", "dns", f"127.0.0.1:{self.gateway.port} .*a query for HTTPS")

    def test_a_resolver_that_fails(self):
        for rcode, said in ((dns.rcode.REFUSED, "refuses to answer this machine"), (dns.rcode.SERVFAIL, "SERVFAIL")):
            with self.subTest(said):
                upstream = Upstream()
                self.addCleanup(upstream.stop)
                upstream.on(HOST, Upstream.failing(rcode))
                address = f"127.0.0.1:{upstream.port}"
                self.only(self.broken("--resolver", address), "red", "resolver", f"{address} .*{said}")

    def test_ipv6_that_leads_away(self):
        away = OVERRIDE.replace('"127.0.0.1"', '"127.0.0.1", "2001:db8::9"')
        self.gateway.change(config=away)
        agrees = self.resolver(f"{HOST}. 60 A 127.0.0.1\n{HOST}. 60 AAAA 2001:db8::9")
        for more in ((), ("--resolver", agrees)):
            self.only(self.broken(*more), "red", "dns", "AAAA 2001:db8::9 leads away", "or none")
        self.gateway.change(config=OVERRIDE)
        self.only(self.broken("--resolver", agrees), "red", "resolver", "2001:db8::9")

    def test_a_certificate_between_is_missing(self):
        for whole in (True, False):
            server = TlsServer(files=chain(HOST, whole))
            self.addCleanup(server.stop)
            found = self.broken(config=self.elsewhere(server.port))
            if whole:
                self.assertEqual(found, {})
            else:
                self.only(found, "red", "certificate", "not trusted: unable to get local issuer", "fullchain")

    def test_no_handshake(self):
        kept = []

        def closes(plain):
            plain.recv(4096)
            plain.close()

        def resets(plain):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            closes(plain)

        def speaks_plainly(plain):
            plain.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            closes(plain)

        for accept, said in ((kept.append, "nothing came within 1 s"), (closes, "closed"), (resets, "closed"),
                             (speaks_plainly, "is not TLS")):
            with self.subTest(said):
                server = TlsServer(accept=accept)
                self.addCleanup(server.stop)
                one = self.only(self.broken(config=self.elsewhere(server.port)), "red", "certificate",
                                f"no TLS handshake: .*{said}", f"sport = :{server.port}")
                self.assertNotIn("[[tls.certificate]]", one["remedy"])
        for one in kept:
            one.close()

    def test_no_certificate_for_the_name(self):
        self.gateway.new_certificate("lan", "other.example")
        self.gateway.change()
        self.only(self.broken(), "red", "certificate", "unrecognized name", r"\[\[tls\.certificate\]\]")

    def test_a_client_of_another_view(self):
        lan = """
    [[dns.view]]
    name = "lan"
    clients = ["127.0.0.2/32"]
    """
        guest = lan.replace("lan", "guest").replace("127.0.0.2/32", "127.0.0.0/8")
        override = OVERRIDE.rstrip() + '\n    views = ["{}"]\n    '
        outside, empty = (Upstream(text) for text in (f"{HOST}. 60 A 203.0.113.9", ""))
        self.addCleanup(outside.stop)
        self.addCleanup(empty.stop)
        self.gateway.change(config=lan + guest + override.format("guest"), listener={"publish_dns": False})
        self.assertEqual(self.broken(), {})
        said = r'(?m)^  ok +dns +127\.0\.0\.1 from Postern at .*: 127\.0\.0\.1 is in the view "guest"'
        self.assertRegex(self.doctor()[2], said)
        for upstream, view, verdict, start in ((outside, 'the view "guest"', "warning", ""),
                                               (outside, "no view", "warning", ""),
                                               (empty, 'the view "guest"', "red", r"no address for it \(NXDOMAIN\): ")):
            with self.subTest(view, verdict=verdict):
                views = lan + guest if "guest" in view else lan
                self.gateway.change(config=views + override.format("lan") + upstream.forward())
                self.only(self.broken(), verdict, "dns", rf'{start}127\.0\.0\.1 is in {view}, and the override '
                          r'\(.*postern\.toml:\d+\) holds for the view "lan"', r'\[\[dns\.view\]\] "lan"')

    def test_a_resolver_of_another_view(self):
        upstream = Upstream(f"{HOST}. 60 A 203.0.113.9", address="127.0.0.3")
        self.addCleanup(upstream.stop)
        self.gateway.change(config=OVERRIDE + """
    [[dns.view]]
    name = "guest"
    clients = ["127.0.0.3/32"]
    """)
        self.only(self.broken("--resolver", f"127.0.0.3:{upstream.port}"), "red", "resolver",
                  r'says 203\.0\.113\.9.*127\.0\.0\.3 is in the view "guest", and 127\.0\.0\.1 is in no view')

    def test_postern_fails(self):
        """The resolver, which has the right address, is not to blame."""
        resolver = self.resolver(f"{HOST}. 60 A 127.0.0.1")
        self.gateway.change(listener={"publish_dns": False}, config="")  # the upstream is not there
        self.only(self.broken("--resolver", resolver, HOST), "red", "dns", "cannot find out .SERVFAIL", "postern explain")
        self.gateway.reload(dns='allow = ["192.168.0.0/16"]')
        self.only(self.broken("--resolver", resolver, HOST), "red", "dns", "refuses to answer.*127.0.0.1 .REFUSED",
                  "dns.allow")

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
