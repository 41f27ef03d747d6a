"""`postern doctor` against a healthy server, then with one layer broken at a time: it names that layer and
no other."""

import re
import socket
import unittest

from gateway_lab import HOST, Gateway, route
from lab import Case, Upstream, free_port, run

OVERRIDE = f"""
    [[dns.override]]
    names = ["{HOST}"]
    address = ["127.0.0.1"]
    """


class DoctorTest(Case):
    def setUp(self):
        self.gateway = Gateway(route(respond={"status": 200}), config=OVERRIDE)
        self.gateway.start()
        self.addCleanup(self.gateway.__exit__, None, None, None)

    def doctor(self, *arguments):
        """(exit status, layers that are red, all of the output)."""
        status, out, err = run("doctor", "-c", self.gateway.config_path, "--timeout", "1", *arguments)
        return status, set(re.findall(r"^RED +(\S+)", out, re.M)), out + err

    def resolver(self, text):
        upstream = Upstream(text)
        self.addCleanup(upstream.stop)
        return f"127.0.0.1:{upstream.port}"

    def test_healthy(self):
        status, red, out = self.doctor()
        self.assertEqual((status, red), (0, set()), out)
        self.assertIn("refused at once", out)

    def test_another_address(self):
        status, red, out = self.doctor("--resolver", self.resolver(f"{HOST}. 60 A 203.0.113.9"))
        self.assertEqual((status, red), (1, {"resolver"}), out)
        self.assertIn("DHCP", out)

    def test_leaks(self):
        for value in ('alpn="h3,h2"', 'alpn="h2" ech="AEX+DQBB"'):
            with self.subTest(value):
                text = f"{HOST}. 60 A 127.0.0.1\n{HOST}. 60 HTTPS 1 . {value}"
                status, red, out = self.doctor("--resolver", self.resolver(text))
                self.assertEqual((status, red), (1, {"resolver"}), out)
                self.assertIn("offers h3 or ech", out)

    def test_harmless_record(self):
        text = f'{HOST}. 60 A 127.0.0.1\n{HOST}. 60 HTTPS 1 . alpn="h2"'
        status, red, out = self.doctor("--resolver", self.resolver(text))
        self.assertEqual((status, red), (0, set()), out)

    def test_silence(self):
        self.gateway.change(listener={"quic": "ignore"})
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sink.close)
        sink.bind(("127.0.0.1", self.gateway.https_port))
        status, red, out = self.doctor()
        self.assertEqual((status, red), (1, {"quic"}), out)

    def test_bypass(self):
        upstream = self.resolver("use-application-dns.net. 60 A 203.0.113.7")
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

    def test_no_server(self):
        config = self.gateway.config_path
        text = config.read_text().replace(str(self.gateway.port), str(free_port()))
        config.write_text(text)
        status, red, out = self.doctor()
        self.assertEqual((status, red), (1, {"dns"}), out)

    def test_wrong_use(self):
        self.assertEqual(self.doctor("--resolver", "here")[0], 2)


if __name__ == "__main__":
    unittest.main()
