"""What the log says of single clients: one line per client, event and day, whichever worker saw it, with counters of all of them."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import struct
import unittest

import quic_client
from gateway_backends import Backend, authority
from gateway_lab import HOST, Gateway, route
from lab import SLOW, Case, Shared, run, wait_until

WORKERS = 3
TIMES = 24  # from as many source ports: no worker gets none of them


def lines(postern, event, client):
    """The lines of this event that name this client. Whatever was counted before is in the log when the reload is."""
    mark = len(postern.log)
    postern.process.send_signal(signal.SIGHUP)
    postern.wait_log("reloaded: |\"reloaded\"", mark)
    return [line for line in postern.log if event in line and re.search(rf"\b{re.escape(client)}\b", line)]


def fields(line):
    return dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line.split(": ", 1)[1]))


class EditedRecords(Shared):
    SERVER = f"workers = {WORKERS}\n"
    RECORDS = r"""
        both.example.com.      300 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB"
        all.example.com.       300 HTTPS 1 . alpn="h3" no-default-alpn
        plain.example.com.     300 HTTPS 1 . alpn="h2"
        alias.example.com.     300 CNAME both.example.com.
        private.example.com.   300 HTTPS 1 . alpn="h2" ipv4hint=192.168.3.4
        edit.vanillax.me.      300 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB" ipv4hint=203.0.113.9
        none.vanillax.me.      300 HTTPS 1 . alpn="h3,h2"
        both.example.com.      300 A 192.0.2.1
        """
    CONFIG = """
        [[dns.override]]
        names   = ["none.vanillax.me"]
        address = ["192.168.10.50"]
        https   = "none"

        [[dns.override]]
        names   = ["edit.vanillax.me"]
        address = ["192.168.10.50"]
        https   = "edit"
        """

    def counted(self, why):
        return self.postern.metrics()[f'postern_dns_https_answers_edited_total{{why="{why}"}}']

    def told(self, client, name, why, rdtype="HTTPS"):
        """Asks often; the fields of the one line."""
        before = self.counted(why)
        for i in range(TIMES):
            self.ask(name, rdtype, source=client, tcp=i % 8 == 7)
        self.assertEqual(self.counted(why) - before, TIMES)
        found = lines(self.postern, "https_record_edited", client)
        self.assertEqual(len(found), 1, found)
        got = fields(found[0])
        self.assertEqual((got["client"], got["why"], got["type"]), (client, why, rdtype))
        return got

    def test_h3_taken_out_of_a_public_name_for_two_clients(self):
        for client in ("127.0.0.1", "127.0.0.2"):
            got = self.told(client, "Both.Example.com", "svcb")
            self.assertEqual((got["name"], got["removed"]), ("both.example.com", "h3"))

    def test_a_record_withheld(self):
        self.assertEqual(self.told("127.0.0.3", "all.example.com", "svcb")["removed"], "record")

    def test_an_override_with_none(self):
        self.assertNotIn("removed", self.told("127.0.0.4", "none.vanillax.me", "override_nodata"))

    def test_an_override_with_edit(self):
        got = self.told("127.0.0.5", "edit.vanillax.me", "override_edit")
        self.assertEqual((got["name"], got["removed"]), ("edit.vanillax.me", "h3,ech,hints"))

    def test_behind_an_alias_the_name_is_the_one_asked_for(self):
        self.assertEqual(self.told("127.0.0.6", "alias.example.com", "svcb")["name"], "alias.example.com")

    def test_a_private_hint(self):
        self.assertEqual(self.told("127.0.0.7", "private.example.com", "rebind")["removed"], "hints")

    def test_SVCB_at_an_override(self):
        self.told("127.0.0.8", "none.vanillax.me", "override_nodata", "SVCB")

    def test_what_is_not_edited_and_what_is_not_HTTPS_says_nothing(self):
        before = self.postern.metrics()
        for name, rdtype in (("plain.example.com", "HTTPS"), ("both.example.com", "A"), ("none.vanillax.me", "A"),
                             ("nowhere.example.com", "HTTPS")):
            for _ in range(3):
                self.ask(name, rdtype, source="127.0.0.9")
        after = self.postern.metrics()
        for name in after:
            if name.startswith("postern_dns_https_answers_edited_total"):
                self.assertEqual(after[name], before[name], name)
        self.assertEqual(lines(self.postern, "https_record_edited", "127.0.0.9"), [])


class Json(Shared):
    SERVER = f'workers = {WORKERS}\nlog = {{ format = "json" }}\n'
    CONFIG = """
        [[dns.override]]
        names   = ["*.vanillax.me"]
        address = ["127.0.0.1"]
        https   = "none"
        """

    def test_hostile_names_are_escaped_in_JSON(self):
        for _ in range(3):
            self.ask("a\\032\\010b\\\"=\\255.vanillax.me", "HTTPS")
        found = lines(self.postern, "https_record_edited", "127.0.0.1")
        self.assertEqual(len(found), 1)
        said = json.loads(found[0])
        self.assertEqual((said["client"], said["type"], said["why"]), ("127.0.0.1", "HTTPS", "override_nodata"))
        self.assertIn("vanillax.me", said["name"])
        for line in self.postern.log:
            json.loads(line)


class Made(Case):
    def test_an_HTTPS_record_made_for_the_gateway(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), server=f"workers = {WORKERS}\n") as gateway:
            for _ in range(TIMES):
                gateway.ask(HOST, "HTTPS")
            self.assertEqual(sum(value for name, value in gateway.metrics().items()
                                 if name.startswith("postern_dns_https_answers_edited_total{why=\"override_")), TIMES)
            found = lines(gateway, "https_record_edited", "127.0.0.1")
            self.assertEqual(len(found), 1)
            self.assertEqual(fields(found[0])["name"], HOST)
            self.assertIn(fields(found[0])["why"], ("override_gateway", "override_nodata"))


class AltSvc(Case):
    OFFER = 'h3=":443"; ma=86400'

    def gateway(self, backend, **listener):
        backend.on("/h3", lambda e: e.reply(200, [("Alt-Svc", self.OFFER)]))
        backend.on("/clear", lambda e: e.reply(200, [("Alt-Svc", "clear")]))
        return Gateway(route(backend), listener=listener, server=f"workers = {WORKERS}\n")

    def test_each_client_is_named_once_with_the_name_and_the_backend(self):
        for policy in ("clear", "strip"):
            with Backend() as backend, self.gateway(backend, alt_svc=policy) as gateway:
                for client in ("127.0.0.1", "127.0.0.2"):
                    for i in range(8):
                        http = "--http2" if i % 2 else "--http1.1"
                        gateway.curl(f"https://{HOST}/h3", "--interface", client, http=http)
                self.assertEqual(gateway.metrics()["postern_gateway_alt_svc_cleared_total"], 16)
                for client in ("127.0.0.1", "127.0.0.2"):
                    found = lines(gateway, "alt_svc_removed", client)
                    found = [line for line in found if f"client={client} " in line]
                    self.assertEqual(len(found), 1, found)
                    got = fields(found[0])
                    self.assertEqual((got["name"], got["backend"]), (HOST, backend.url))
                    self.assertEqual(json.loads(got["removed"]), self.OFFER)

    def test_what_is_passed_and_what_offers_nothing_is_not_named(self):
        with Backend() as backend, self.gateway(backend) as gateway:
            gateway.curl(f"https://{HOST}/clear")
            gateway.curl(f"https://{HOST}/other")
            self.assertEqual(lines(gateway, "alt_svc_removed", "127.0.0.1"), [])
        with Backend() as backend, self.gateway(backend, alt_svc="pass") as gateway:
            gateway.curl(f"https://{HOST}/h3")
            self.assertEqual(lines(gateway, "alt_svc_removed", "127.0.0.1"), [])
            self.assertEqual(gateway.metrics()["postern_gateway_alt_svc_cleared_total"], 0)

    def test_an_offer_in_an_interim_answer(self):
        early = f"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nAlt-Svc: {self.OFFER}\r\n\r\n"
        for policy, passed in (("clear", []), ("strip", []), ("pass", [self.OFFER])):
            with Backend() as backend, self.gateway(backend, alt_svc=policy) as gateway:
                backend.on("/early", lambda e: (e.send(early), e.reply(body=b"page")))
                for http in ("--http1.1", "--http2"):
                    reply = gateway.curl(f"https://{HOST}/early", http=http)
                    self.assertEqual([head[0] for head in reply.heads], [103, 200], (policy, http))
                    fields = [(key.lower(), value) for key, value in reply.heads[0][1]]
                    self.assertIn(("link", "</a>"), fields)
                    self.assertEqual([value for key, value in fields if key == "alt-svc"], passed, (policy, http))
                removed = 0 if passed else 2
                self.assertEqual(gateway.metrics()["postern_gateway_alt_svc_cleared_total"], removed)
                found = lines(gateway, "alt_svc_removed", "127.0.0.1")
                self.assertEqual(len(found), min(removed, 1), found)

    def test_the_client_that_a_trusted_proxy_names(self):
        with Backend() as backend, self.gateway(backend, trusted_proxies=["127.0.0.2"]) as gateway:
            for _ in range(3):
                gateway.curl(f"https://{HOST}/h3", "--interface", "127.0.0.2", "-H", "X-Forwarded-For: 203.0.113.7")
            self.assertEqual(len(lines(gateway, "alt_svc_removed", "client=203.0.113.7")), 1)


class Quic(Case):
    def test_a_client_that_tries_QUIC_on_many_ports_is_named_once(self):
        packet = struct.pack("!BI", 0xC3, 1) + b"\x08" + b"\x01" * 8 + b"\x05" + b"\x02" * 5
        packet += os.urandom(1200 - len(packet))
        with Gateway(route(respond={"status": 200, "body": "x"}), server=f"workers = {WORKERS}\n") as gateway:
            for _ in range(TIMES):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.settimeout(6 * SLOW)
                    client.sendto(packet, ("127.0.0.1", gateway.https_port))
                    self.assertTrue(client.recv(2000))
            key = 'postern_gateway_quic_datagrams_total{outcome="refused"}'
            wait_until("all to be counted", lambda: gateway.metrics()[key] == TIMES)
            found = [line for line in lines(gateway, "quic_refused", "127.0.0.1") if "still tries" in line]
            self.assertEqual(len(found), 1, found)

    def test_the_name_of_a_ClientHello_over_two_datagrams(self):
        hello = quic_client.client_hello(HOST)
        name_at = hello.index(HOST.encode())
        with Gateway(route(respond={"status": 200, "body": "x"}), server=f"workers = {WORKERS}\n") as gateway:
            cuts = {"127.0.0.1": name_at - 20, "127.0.0.2": name_at + 5}  # all in the second; half of it
            for source, cut in cuts.items():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.bind((source, 0))
                    client.settimeout(6 * SLOW)
                    for number, at, piece in ((0, 0, hello[:cut]), (1, cut, hello[cut:])):
                        frames = quic_client.crypto(at, piece)
                        client.sendto(quic_client.initial(frames, number=number), ("127.0.0.1", gateway.https_port))
                        self.assertTrue(client.recv(2000))
            for source in cuts:
                found = [line for line in lines(gateway, "quic_refused", source) if f"client {source} " in line]
                self.assertEqual(len(found), 1, found)
                self.assertIn(f" for {HOST}; refused", found[0])

    def try_without_name(self, gateway, source):
        """The first datagram of a ClientHello whose name is in the second, which never comes."""
        hello = quic_client.client_hello(HOST)
        frames = quic_client.crypto(0, hello[:hello.index(HOST.encode()) - 20])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((source, 0))
            client.settimeout(6 * SLOW)
            client.sendto(quic_client.initial(frames), ("127.0.0.1", gateway.https_port))
            self.assertTrue(client.recv(2000))

    def test_a_line_that_waits_for_its_name_is_written_when_the_listener_goes(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), server=f"workers = {WORKERS}\n") as gateway:
            said = f"on 127.0.0.1:{gateway.https_port}; refused"
            self.try_without_name(gateway, "127.0.0.1")
            for policy in ("ignore", "refuse"):
                mark = len(gateway.log)
                gateway.change(listener={"quic": policy})
                gateway.wait_log("reloaded: ", mark)
                found = [line for line in gateway.log if f"client 127.0.0.1 still tries QUIC {said}" in line]
                self.assertEqual(len(found), 1)
            self.try_without_name(gateway, "127.0.0.2")
            self.assertEqual(gateway.stop(), 0)
            found = wait_until("the last line", lambda: [line for line in gateway.log if "stopped" in line] and [
                line for line in gateway.log if f"client 127.0.0.2 still tries QUIC {said}" in line])
            self.assertEqual(len(found), 1)

    def test_a_look_by_the_doctor_is_no_client_that_still_tries(self):
        with Gateway(route(respond={"status": 200, "body": "x"}), server=f"workers = {WORKERS}\n") as gateway:
            _, out, err = run("doctor", "-c", gateway.config_path, "--timeout", "1", "--resolv-conf", "/dev/null", "--cacert",
                              authority().certificate, HOST)
            self.assertRegex(out, r"(?m)^  ok +quic +.*refuses it at once", err)
            self.assertEqual(lines(gateway, "quic_refused", "127.0.0.1"), [])
            key = 'postern_gateway_quic_datagrams_total{outcome="refused"}'
            self.assertGreater(gateway.metrics()[key], 0)
            for number in (1, 2):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.settimeout(6 * SLOW)
                    frames = quic_client.crypto(0, quic_client.client_hello(HOST))
                    client.sendto(quic_client.initial(frames, number=number), ("127.0.0.1", gateway.https_port))
                    self.assertTrue(client.recv(2000))
            found = lines(gateway, "quic_refused", "127.0.0.1")
            self.assertEqual(len(found), 1, found)
            self.assertIn(f" for {HOST}; refused", found[0])


def anyone():
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Ech(Case):
    OUTER_NAME = "cloudflare-ech.com"

    def shake_hands(self, gateway, name, client):
        """One TLS handshake, whatever comes of it."""
        address = ("127.0.0.1", gateway.https_port)
        with socket.create_connection(address, 6 * SLOW, source_address=(client, 0)) as plain:
            with contextlib.suppress(ssl.SSLError, ConnectionResetError):
                with anyone().wrap_socket(plain, server_hostname=name):
                    pass

    def count_and_lines(self, gateway, handshakes):
        """(the counter, when it is that much at least; the lines of each client)"""
        key = "postern_gateway_ech_outer_sni_total"
        wait_until("all to be counted", lambda: gateway.metrics()[key] >= handshakes)
        found = {client: [line for line in lines(gateway, "ech_seen", client) if f"client {client} " in line]
                 for client in ("127.0.0.1", "127.0.0.2")}
        return gateway.metrics()[key], found

    def check(self, **options):
        with Gateway(route(respond={"status": 200, "body": "x"}), server=f"workers = {WORKERS}\n", **options) as gateway:
            for _ in range(TIMES):
                self.shake_hands(gateway, HOST, "127.0.0.2")
                self.shake_hands(gateway, self.OUTER_NAME, "127.0.0.1")
            count, found = self.count_and_lines(gateway, TIMES)
            self.assertEqual((count, len(found["127.0.0.1"]), found["127.0.0.2"]), (TIMES, 1, []), found)
            self.assertIn(f"(SNI {self.OUTER_NAME})", found["127.0.0.1"][0])
            for _ in range(3):
                self.shake_hands(gateway, self.OUTER_NAME.upper(), "127.0.0.2")
            count, found = self.count_and_lines(gateway, TIMES + 3)
            self.assertEqual((count, [len(one) for one in found.values()]), (TIMES + 3, [1, 1]), found)

    def test_a_client_with_the_outer_name_is_counted_each_time_and_named_once(self):
        self.check()

    def test_also_when_the_gateway_has_a_certificate_for_it(self):
        self.check(names={"lan": ("*.vanillax.me", self.OUTER_NAME)})

    def test_the_outer_names_are_those_of_the_configuration(self):
        with Gateway(route(respond={}), config='[gateway]\nech_public_names = ["outer.example"]\n') as gateway:
            self.shake_hands(gateway, self.OUTER_NAME, "127.0.0.2")
            self.shake_hands(gateway, "outer.example", "127.0.0.1")
            count, found = self.count_and_lines(gateway, 1)
            self.assertEqual((count, len(found["127.0.0.1"]), found["127.0.0.2"]), (1, 1, []), found)


if __name__ == "__main__":
    unittest.main()
