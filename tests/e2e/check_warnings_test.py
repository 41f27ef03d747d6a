"""`postern check` against the truth: for each small configuration it warns when, and only when, a browser that asks the
running server would not come to the page that its author meant. Asked by dnspython and by Python's TLS."""

import re
import socket
import ssl
import unittest

import dns.rdtypes.svcbbase as svcb

from gateway_lab import HOST, Gateway, route, tls_context
from lab import SLOW, Case, Upstream, data, run

HERE, OUTSIDE = "127.0.0.1", "203.0.113.1"
PUBLIC = "".join(f'{name}. 300 A {OUTSIDE}\n{name}. 300 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB"\n'
                 for name in (HOST, "nas.vanillax.me", "a.b.vanillax.me", "x.corp.vanillax.me"))
ZONE = {"lan.zone": """
    $TTL 60
    @ SOA ns.example. admin.example. 1 3600 600 86400 60
    @ NS ns.example.
    other A 127.0.0.1
    _acme-challenge TXT "x"
    """}


def override(*names, **keys):
    """One [[dns.override]] to this gateway, unless `keys` say something else."""
    lines = [f'names = ["{", ".join(names)}"]'.replace(", ", '", "')]
    if "forward" not in keys:
        keys = {"address": f'["{HERE}"]', **keys}
    return "\n[[dns.override]]\n" + "\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items())]) + "\n"


class Truth(Case):
    def reached(self, gateway, name):
        """What becomes of a browser: "here", "outside", or what goes wrong on the way."""
        addresses = data(gateway.ask(name).answer, "A")
        if not addresses:
            return "no address"
        keys = set()
        for rrset in gateway.ask(name, "HTTPS").answer:
            for record in rrset:
                keys.update(record.params)
                if any(one.startswith(b"h3") for one in getattr(record.params.get(svcb.ParamKey.ALPN), "ids", ())):
                    keys.add("h3")
        if addresses == [OUTSIDE]:
            return "outside"
        if "h3" in keys or svcb.ParamKey.ECH in keys:
            return "tries QUIC or ECH here"
        try:
            with socket.create_connection((addresses[0], gateway.https_port), 6 * SLOW) as plain, \
                    tls_context().wrap_socket(plain, server_hostname=name) as connection:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 "))
        except ConnectionRefusedError:
            return "refused"
        except ssl.SSLError:
            return "no certificate"
        return "here"

    def check(self, name, wanted, becomes, line=None, config="", files=None, **options):
        """`becomes`: what really happens; `line`: a pattern of the line that a warning points to, None for no warning."""
        with Upstream(PUBLIC) as up:
            gateway = Gateway(route(respond={"status": 200}), config=config + up.forward(), files=files, **options)
            with gateway:
                self.assertEqual(self.reached(gateway, name), becomes)
                status, out, err = run("check", "-c", gateway.config_path)
                self.assertEqual(status, 0, out + err)
                warnings = [one for one in re.findall(r"(?m)^\S+?:(\d+):(?:\d+:)? warning: (.*)$", out + err)
                            if "expires in" not in one[1]]
                self.assertEqual(bool(warnings), becomes != wanted, warnings)
                text = gateway.config_path.read_text().splitlines()
                for at, said in warnings:
                    self.assertIsNotNone(line, said)
                    self.assertRegex(text[int(at) - 1], line, said)

    # The names of routes.

    def test_a_published_route(self):
        self.check(HOST, "here", "here")

    def test_a_route_without_DNS(self):
        self.check(HOST, "here", "outside", "^hostnames", listener={"publish_dns": False})

    def test_publish_dns_is_off_and_a_wildcard_override_covers_it(self):
        self.check(HOST, "here", "here", listener={"publish_dns": False}, config=override("*.vanillax.me"))

    def test_a_listener_on_all_addresses_publishes_nothing(self):
        self.check(HOST, "here", "outside", "^hostnames", listener={"address": ["0.0.0.0"]})

    def test_a_listener_on_all_addresses_and_an_override(self):
        self.check(HOST, "here", "here", listener={"address": ["0.0.0.0"]}, config=override(HOST))

    def test_a_zone_that_ends_here_without_the_host(self):
        self.check(HOST, "here", "no address", r"^\[\[gateway.route\]\]", listener={"publish_dns": False}, files=ZONE,
                   config='[[dns.zone]]\nname = "vanillax.me"\nfile = "lan.zone"\n')

    def test_a_published_route_in_a_zone_without_the_host(self):
        self.check(HOST, "here", "here", files=ZONE, config='[[dns.zone]]\nname = "vanillax.me"\nfile = "lan.zone"\n')

    def test_an_exception_for_the_name_of_a_route(self):
        self.check(HOST, "here", "outside", "^hostnames", config=override("*.vanillax.me")
                   + override(HOST, forward="true"))

    def test_an_exception_for_the_published_name_of_a_route(self):
        self.check(HOST, "here", "outside", "^hostnames", config=override(HOST, forward="true"))

    def test_an_override_for_another_view(self):
        view = '[[dns.view]]\nname = "guests"\nclients = ["127.0.0.8/32"]\n'
        self.check(HOST, "here", "here", config=view + override(HOST, address='["192.168.77.1"]', views='["guests"]'))

    def test_the_only_override_is_for_another_view(self):
        view = '[[dns.view]]\nname = "guests"\nclients = ["127.0.0.8/32"]\n'
        self.check("nas.vanillax.me", "outside", "outside", config=view + override("nas.vanillax.me", views='["guests"]'))

    def test_an_override_leads_the_name_of_a_route_to_another_address(self):
        self.check(HOST, "here", "refused", "^hostnames", config=override(HOST, address='["127.0.0.9"]'))

    def test_a_wildcard_override_leads_the_name_of_a_route_to_another_address(self):
        self.check(HOST, "here", "refused", "^hostnames", listener={"publish_dns": False},
                   config=override("*.vanillax.me", address='["127.0.0.9"]'))

    def test_of_two_addresses_one_is_the_listener(self):
        self.check(HOST, "here", "here", config=override(HOST, address='["127.0.0.1", "fd00::9"]'))

    # Other names.

    def test_an_override_that_no_certificate_covers(self):
        self.check("a.b.vanillax.me", "here", "no certificate", r"^\[\[dns.override\]\]",
                   config=override("a.b.vanillax.me"))

    def test_an_exact_override_beside_a_wildcard(self):
        self.check("nas.vanillax.me", "here", "here", config=override("*.vanillax.me") + override("nas.vanillax.me"))

    def test_a_forwarded_domain_under_the_wildcard_of_an_override(self):
        forward = '[[dns.forward]]\nname = "corp.vanillax.me"\nupstreams = ["127.0.0.1:9"]\n'
        self.check("x.corp.vanillax.me", "outside", "no certificate", "^name = ", config=override("*.vanillax.me") + forward)

    def test_a_forwarded_domain_with_an_exception(self):
        with Upstream(f"x.corp.vanillax.me. 300 A {OUTSIDE}") as corp:
            self.check("x.corp.vanillax.me", "outside", "outside", config=override("*.vanillax.me")
                       + override("corp.vanillax.me", "*.corp.vanillax.me", forward="true")
                       + corp.forward("corp.vanillax.me"))

    def test_records_that_are_passed_with_h3(self):
        for svcb_settings, becomes, line in (("", "here", None), ("strip_alpn = []", "tries QUIC or ECH here", "^https"),
                                             ('except = ["vanillax.me"]', "here", None)):
            with self.subTest(svcb_settings):
                self.check("nas.vanillax.me", "here", becomes, line,
                           config=f"[dns.svcb]\n{svcb_settings}\n" + override("nas.vanillax.me", https='"edit"'))

    def test_an_override_that_nobody_may_keep(self):
        self.check("nas.vanillax.me", "here", "here", config=override("nas.vanillax.me", ttl='"0s"'))


if __name__ == "__main__":
    unittest.main()
