"""What the gateway listens on and with which certificates: at start, and when the configuration or the
files of a certificate change while it serves."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from gateway_backends import new_port
from lab import SLOW, Case, Postern, run, wait_until

HOST = "app.vanillax.me"
ROUTE = """
    [[gateway.route]]
    hostnames = ["*.vanillax.me"]
    respond   = { body = "served" }
    """


def make_pair(directory, name, hosts="DNS:*.vanillax.me", days=90):
    """NAME.crt and NAME.key by the openssl command, self-signed; negative days: expired."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    base = directory / name
    extensions = base.with_suffix(".ext")
    extensions.write_text(f"subjectAltName={hosts}\n")
    for words in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                   f"{base}.key", "-out", f"{base}.csr", "-subj", "/CN=test"],
                  ["x509", "-req", "-in", f"{base}.csr", "-signkey", f"{base}.key", "-out", f"{base}.crt",
                   "-days", str(days), "-extfile", str(extensions)]):
        subprocess.run(["openssl", *words], check=True, capture_output=True)


def leaf(path):
    return ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text())


class Site(Postern):
    """Postern with the listener "internal" and the pair tls/tls.crt, tls/tls.key."""

    def __init__(self, ready=True, **options):
        super().__init__(ready=ready, **options)
        self.port, self.admin_port, self.http, self.https = (new_port() for _ in range(4))
        self.listen = [f"{self.address}:{self.port}"]
        self.tls = self.directory / "tls"
        make_pair(self.tls, "tls")
        self.parts["config"] = self.config()

    def config(self, listener="", cert="tls/tls.crt", key="tls/tls.key", certificates="lan", https=None,
               more=""):
        return f"""
    [[tls.certificate]]
    name = "lan"
    cert = "{cert}"
    key  = "{key}"

    [[gateway.listener]]
    name         = "internal"
    address      = ["127.0.0.1"]
    http         = {self.http}
    https        = {https or self.https}
    certificates = ["{certificates}"]
    {listener}
    {ROUTE}
    {more}
    """

    def say(self):
        """What it says when it ends by itself, which it has to."""
        self.start()
        status = self.process.wait(20 * SLOW)
        wait_until("what it said", lambda: self.log)
        time.sleep(0.1)
        self.process.stderr.close()
        return status, "\n".join(self.log)

    # Clients.

    def handshake(self, port=None, session=None, context=None):
        context = context or client_context()
        plain = socket.create_connection(("127.0.0.1", port or self.https), 6 * SLOW)
        return context.wrap_socket(plain, server_hostname=HOST, session=session)

    def served_leaf(self):
        with self.handshake() as connection:
            return connection.getpeercert(binary_form=True)

    def get(self, connection):
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        got = b""
        while not got.endswith(b"served"):
            part = connection.recv(65536)
            if not part:
                raise AssertionError(f"closed after {got!r}")
            got += part
        return got.split(b"\r\n")[0].decode()

    def is_listening(self, port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def quic_initial():
    """A long header of version 1 with ids of 8 bytes, padded as RFC 9000 wants it (section 14.1)."""
    head = b"\xc0" + b"\x00\x00\x00\x01" + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
    return head + bytes(1200 - len(head))


def quic_reply(port, timeout=2.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(timeout * SLOW)
        channel.connect(("127.0.0.1", port))
        try:
            channel.send(quic_initial())
            return channel.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            return None


class Start(Case):
    def test_a_taken_port_is_named_with_its_listener(self):
        site = Site(ready=False)
        with socket.create_server(("127.0.0.1", site.https)):
            status, said = site.say()
        self.assertEqual(status, 1, said)
        self.assertIn(f'gateway.listener "internal": 127.0.0.1:{site.https} (TCP) is in use', said)
        self.assertIn(f"ss -lnp 'sport = :{site.https}'", said)

    def test_so_is_a_taken_udp_port(self):
        site = Site(ready=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", site.https))
            status, said = site.say()
        self.assertEqual(status, 1, said)
        self.assertIn(f"127.0.0.1:{site.https} (UDP) is in use", said)
        self.assertIn('quic = "refuse"', said)

    def test_an_address_of_another_machine_is_said_to_be_one(self):
        site = Site(ready=False)
        site.parts["config"] = site.config().replace('"127.0.0.1"]', '"198.51.100.9"]')
        status, said = site.say()
        self.assertEqual(status, 1, said)
        self.assertIn('gateway.listener "internal"', said)
        self.assertIn("this machine does not have that address", said)

    def problems(self, site, config):
        site.parts["config"] = config
        site.configure()
        status, out, err = run("check", "-c", site.config_path)
        self.assertEqual(status, 1, out + err)
        return out + err

    def test_check_finds_what_start_would_refuse(self):
        site = Site()
        make_pair(site.tls, "other")
        line = next(n for n, text in enumerate(self.lines(site), 1) if "tls.certificate" in text)
        for config, said in (
                (site.config(key="tls/other.key"),
                 rf'postern\.toml:{line}:1: tls\.certificate "lan": .*tls/other\.key'),
                (site.config(key="tls/none.key"), r"postern\.toml:\d+:\d+: .*tls/none\.key.*no such file"),
                (site.config(certificates="laan"), r"did you mean 'lan'"),
                (site.config(more='[[gateway.route]]\nlisteners = ["internl"]\nrespond = {}'),
                 r"did you mean 'internal'")):
            found = self.problems(site, config)
            self.assertRegex(found, said)
            self.assertIn("1 error", found)

    def lines(self, site):
        site.configure()
        return site.config_path.read_text().splitlines()

    def test_an_expired_certificate_at_start_is_served_with_a_warning(self):
        site = Site()
        make_pair(site.tls, "tls", days=-1)
        said = r'tls\.certificate "lan" \(.*tls/tls\.crt\) has expired on 20'
        site.start()
        site.handshake().close()
        self.assertTrue(any(re.search(said, line) for line in site.log), site.log)
        status, out, err = run("check", "-c", site.config_path)
        self.assertEqual(status, 0, out + err)
        self.assertRegex(out, "warning: " + said)
        site.stop()

    def test_check_warns_of_a_certificate_that_ends_soon(self):
        site = Site()
        make_pair(site.tls, "tls", days=5)
        site.configure()
        status, out, err = run("check", "-c", site.config_path)
        self.assertEqual(status, 0, out + err)
        self.assertRegex(out, r'warning: tls\.certificate "lan" \(.*tls/tls\.crt\) expires in [45] days')

    def test_check_warns_of_names_without_certificate_or_address(self):
        site = Site()
        make_pair(site.tls, "tls", "DNS:other.example")
        zone = "@ 60 SOA ns hostmaster 1 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
        site.write("without.zone", zone)
        site.write("with.zone", zone + "app 60 A 127.0.0.1\n")
        served = '[[dns.zone]]\nname = "vanillax.me"\nfile = "{}"\n'
        override = '[[dns.override]]\nnames = ["x.example"]\naddress = ["127.0.0.1"]\nhttps = "none"\n'
        absent = f"gateway.route.hostnames: '{HOST}' has no address: the zone 'vanillax.me.' ends here"
        for more, wanted, not_wanted in (
                ("", f"no certificate of the listener 'internal' covers '{HOST}'", "x.example"),
                (override, "'x.example' leads to the listener 'internal', which has no certificate", "ends here"),
                (served.format("without.zone"), absent, "x.example"),
                (served.format("without.zone") + "fallthrough = true\n", "no certificate", "ends here"),
                (served.format("with.zone"), "no certificate", "ends here")):
            with self.subTest(more):
                site.parts["config"] = site.config("publish_dns = false").replace("*.vanillax.me", HOST) + more
                site.configure()
                status, out, err = run("check", "-c", site.config_path)
                self.assertEqual(status, 0, out + err)
                self.assertIn(wanted, out)
                self.assertNotIn(not_wanted, out)

    def test_check_warns_of_challenges_that_nobody_here_can_see(self):
        site = Site()
        make_pair(site.tls, "tls", "DNS:vanillax.me,DNS:*.vanillax.me,DNS:nas.home.arpa")
        zone = "@ 60 SOA ns hostmaster 1 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
        site.write("vanillax.zone", zone)
        site.write("home.zone", zone)
        site.write("with.zone", zone + "_acme-challenge 60 TXT abc\n")
        override = '[[dns.override]]\nnames = ["*.vanillax.me"]\naddress = ["127.0.0.1"]\n'
        served = '[[dns.zone]]\nname = "vanillax.me"\nfile = "{}"\n'
        home = '[[dns.zone]]\nname = "home.arpa"\nfile = "home.zone"\n'
        hidden = 'warning: dns.override.other: "none" hides TXT of \'_acme-challenge.vanillax.me\''
        absent = "warning: dns.zone: 'vanillax.me' has no TXT of '_acme-challenge.vanillax.me'"
        exception = '[[dns.override]]\nnames = ["_acme-challenge.vanillax.me"]\nforward = true\n'
        for more, wanted in ((override + 'other = "none"\n', hidden),
                             (override + 'other = "none"\n' + exception, None),
                             (override + home, None),
                             (served.format("vanillax.zone"), absent),
                             (served.format("vanillax.zone") + exception, None),
                             (served.format("vanillax.zone") + "fallthrough = true\n", None),
                             (served.format("with.zone"), None)):
            site.parts["config"] = site.config() + more
            site.configure()
            status, out, err = run("check", "-c", site.config_path)
            self.assertEqual(status, 0, out + err)
            self.assertEqual([line for line in out.splitlines() if "_acme" in line and (
                wanted is None or wanted not in line)], [], more)
            if wanted is not None:
                self.assertIn(wanted, out, more)

    def test_a_gateway_without_a_nameserver_is_served_in_silence(self):
        site = Site(ready=False)
        site.whole = ('[server]\nworkers = 1\nuser = ""\nadmin = ""\nlog = { level = "warn", requests = false }\n'
                      "[dns]\nlisten = []\n" + site.config())
        with site:
            wait_until("the listener", lambda: site.is_listening(site.https))
            with site.handshake() as connection:
                self.assertEqual(site.get(connection), "HTTP/1.1 200 OK")
            self.assertEqual(site.log, [])


class Certificates(Case):
    def test_a_renewed_pair_is_served_and_connections_under_way_go_on(self):
        with Site() as site, site.handshake() as before:
            self.assertEqual(before.getpeercert(binary_form=True), leaf(site.tls / "tls.crt"))
            self.assertEqual(site.get(before), "HTTP/1.1 200 OK")
            make_pair(site.tls, "tls")
            line = site.wait_log("certificate_reloaded")
            self.assertIn("tls/tls.crt", line)
            wait_until("the new certificate", lambda: site.served_leaf() == leaf(site.tls / "tls.crt"))
            self.assertEqual(site.metrics()['postern_tls_certificate_reloads_total{result="taken"}'], 1)

    def test_a_key_without_its_certificate_is_refused_once_until_it_comes(self):
        with Site() as site:
            served = leaf(site.tls / "tls.crt")
            make_pair(site.directory / "new", "tls")
            os.replace(site.directory / "new/tls.key", site.tls / "tls.key")
            line = site.wait_log("certificate_rejected")
            self.assertIn("tls/tls.crt", line)
            self.assertIn("tls/tls.key", line)
            self.assertEqual(site.served_leaf(), served)
            self.assertEqual(site.metrics()['postern_tls_certificate_rejected{name="lan"}'], 1)
            os.utime(site.tls / "tls.key")  # looked at again, not told again
            os.replace(site.directory / "new/tls.crt", site.tls / "tls.crt")
            site.wait_log("certificate_reloaded")
            wait_until("the new certificate", lambda: site.served_leaf() == leaf(site.tls / "tls.crt"))
            self.assertEqual(len([one for one in site.log if "certificate_rejected" in one]), 1)
            self.assertEqual(site.metrics()['postern_tls_certificate_rejected{name="lan"}'], 0)

    def test_a_renewed_pair_that_has_expired_is_not_taken(self):
        with Site() as site:
            def renew(days):
                """The new certificate."""
                make_pair(site.directory / "new", "tls", days=days)
                new = leaf(site.directory / "new/tls.crt")
                for name in ("tls.key", "tls.crt"):
                    os.replace(site.directory / "new" / name, site.tls / name)
                return new
            rejected, served = 'postern_tls_certificate_rejected{name="lan"}', leaf(site.tls / "tls.crt")
            self.assertNotEqual(renew(-1), served)
            self.assertRegex(site.wait_log("certificate_rejected"),
                             r" error   certificate_rejected: lan \(.*/tls\.crt, .*/tls\.key\): .*/tls\.crt: the "
                             r"certificate has expired on 20\d\d-\d\d-\d\d; renew it; the certificate as it was goes "
                             r"on being served$")
            self.assertEqual((site.served_leaf(), site.metrics()[rejected]), (served, 1))
            self.assertIn(" reload_refused: 1 error; ", site.reload())
            self.assertEqual(site.served_leaf(), served)
            new = renew(90)
            wait_until("the new certificate", lambda: site.served_leaf() == new)
            self.assertEqual(site.metrics()[rejected], 0)
            self.assertEqual(len([one for one in site.log if "certificate_rejected" in one]), 1)

    def test_a_certificate_and_key_written_one_after_the_other_are_read_as_a_pair(self):
        with Site() as site:
            make_pair(site.directory / "new", "tls")
            (site.tls / "tls.crt").write_bytes((site.directory / "new/tls.crt").read_bytes())
            time.sleep(0.1)
            (site.tls / "tls.key").write_bytes((site.directory / "new/tls.key").read_bytes())
            site.wait_log("certificate_reloaded")
            self.assertFalse([one for one in site.log if "certificate_rejected" in one])

    def test_a_mounted_secret_is_swapped_by_its_symlink(self):
        site = Site()
        first, second = site.tls / "..2026_1", site.tls / "..2026_2"
        make_pair(first, "tls")
        make_pair(second, "tls")
        for name in ("tls.crt", "tls.key"):
            (site.tls / name).unlink()
            (site.tls / name).symlink_to(f"..data/{name}")
        (site.tls / "..data").symlink_to(first.name)
        with site:
            self.assertEqual(site.served_leaf(), leaf(first / "tls.crt"))
            (site.tls / "..data_tmp").symlink_to(second.name)
            os.rename(site.tls / "..data_tmp", site.tls / "..data")
            site.wait_log("certificate_reloaded")
            wait_until("the new certificate", lambda: site.served_leaf() == leaf(second / "tls.crt"))
            # A client that is not this file's: the openssl command.
            said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.https}",
                                   "-servername", HOST], input="", capture_output=True, text=True,
                                  timeout=20 * SLOW, check=False).stdout
            pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.S)[0]
            self.assertEqual(ssl.PEM_cert_to_DER_cert(pem), leaf(second / "tls.crt"))

    def test_a_session_goes_on_over_a_reload(self):
        with Site() as site:
            context = client_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with site.handshake(context=context) as first:
                site.get(first)
                session = first.session
            self.assertRegex(site.reload(config=site.config('hsts = "1d"')), "reload")
            site.wait_log("reloaded")
            with site.handshake(context=context, session=session) as second:
                self.assertTrue(second.session_reused)
                site.get(second)

    def test_when_each_certificate_ends_is_in_the_metrics(self):
        with Site() as site:
            ends = site.metrics()['postern_tls_certificate_not_after_seconds{name="lan"}']
            text = subprocess.run(["openssl", "x509", "-in", site.tls / "tls.crt", "-noout", "-enddate"],
                                  capture_output=True, text=True, check=True).stdout
            self.assertEqual(ends, ssl.cert_time_to_seconds(text.strip().split("=")[1]))


class Listeners(Case):
    def test_a_reload_moves_the_listener_and_keeps_what_is_under_way(self):
        with Site() as site:
            old, new = site.https, new_port()
            with site.handshake() as before:
                self.assertEqual(site.get(before), "HTTP/1.1 200 OK")
                before.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode())  # half a request
                site.reload(config=site.config(https=new))
                site.wait_log("reloaded")
                with site.handshake(new) as after:
                    self.assertEqual(site.get(after), "HTTP/1.1 200 OK")
                wait_until("the old port to close", lambda: not site.is_listening(old))
                self.assertIsNone(quic_reply(old, 0.3))
                self.assertIsNotNone(quic_reply(new))
                before.sendall(b"\r\n")
                self.assertIn(b"200", before.recv(65536))

    def test_a_reload_that_cannot_open_a_port_changes_nothing(self):
        with Site() as site:
            taken = new_port()
            with socket.create_server(("127.0.0.1", taken)):
                site.reload(config=site.config(https=taken))
                line = site.wait_log("reload_refused")
            self.assertIn(f'gateway.listener "internal": 127.0.0.1:{taken} (TCP) is in use', line)
            with site.handshake() as connection:
                self.assertEqual(site.get(connection), "HTTP/1.1 200 OK")
            self.assertEqual(site.metrics()["postern_config_last_reload_successful"], 0)

    def test_a_port_that_is_ours_is_not_said_to_be_another_programs(self):
        with Site() as site:
            spare, admin, http = new_port(), site.admin_port, site.http
            site.admin_port, site.http = spare, admin
            site.reload(config=site.config())
            line = site.wait_log("reload_refused")
            self.assertIn(f'gateway.listener "internal": 127.0.0.1:{admin} is still that of server.admin', line)
            mark = len(site.log)
            site.admin_port, site.http = http, spare
            site.reload(config=site.config())
            line = site.wait_log("reload_refused", mark)
            self.assertIn(f'server.admin: 127.0.0.1:{http} is still that of gateway.listener "internal"', line)
            # As they say: one after the other.
            for site.admin_port, site.http in ((spare, http), (spare, admin), (http, admin)):
                mark = len(site.log)
                site.reload(config=site.config())
                site.wait_log("reloaded", mark)
                wait_until("both", lambda: site.is_listening(site.admin_port) and site.is_listening(site.http))

    def test_a_listener_comes_and_goes(self):
        more = """
            [[gateway.listener]]
            name    = "plain"
            address = ["127.0.0.1"]
            http    = PORT
            https   = 0
            publish_dns = false
            """
        with Site(server="workers = 2\n") as site:
            port = new_port()
            site.reload(config=site.config(more=more.replace("PORT", str(port))))
            site.wait_log("reloaded")
            with socket.create_connection(("127.0.0.1", port), 6 * SLOW) as connection:
                self.assertEqual(site.get(connection), "HTTP/1.1 200 OK")
            mark = len(site.log)
            site.reload(config=site.config())
            site.wait_log("reloaded", mark)
            wait_until("it to go", lambda: not site.is_listening(port))

    def test_quic_is_refused_until_a_reload_says_ignore(self):
        with Site() as site:
            reply = quic_reply(site.https)
            self.assertEqual(reply[1:5], bytes(4), "Version Negotiation")
            site.reload(config=site.config('quic = "ignore"'))
            site.wait_log("reloaded")
            wait_until("silence", lambda: quic_reply(site.https, 0.2) is None)
            with site.handshake() as connection:
                self.assertEqual(site.get(connection), "HTTP/1.1 200 OK")


class Stop(Case):
    def half_a_request(self, site):
        connection = site.handshake()
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode())
        wait_until("the connection", lambda: site.metrics()["postern_gateway_connections"] == 1)
        return connection

    def test_sigterm_waits_for_a_request_under_way(self):
        with Site() as site:
            with self.half_a_request(site) as connection:
                site.process.send_signal(signal.SIGTERM)
                self.assertIn("30 s at most", site.wait_log("stopping"))
                wait_until("the port to close", lambda: not site.is_listening(site.https))
                self.assertIsNone(site.process.poll())
                connection.sendall(b"\r\n")
                self.assertIn(b"200", connection.recv(65536))
            self.assertEqual(site.process.wait(10 * SLOW), 0)

    def test_a_second_signal_ends_it_at_once(self):
        with Site() as site, self.half_a_request(site):
            site.process.send_signal(signal.SIGTERM)
            site.wait_log("stopping")
            site.process.send_signal(signal.SIGTERM)
            self.assertEqual(site.process.wait(5 * SLOW), 0)


class Example(Case):
    def test_the_example_has_other_ports_when_its_own_are_taken(self):
        with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
            for port in (8443, 8080):
                with contextlib.suppress(OSError):  # somebody else has it: as good
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            environment = dict(os.environ, HOME=home)
            environment.pop("XDG_STATE_HOME", None)
            status, out, err = run("check", env=environment)
            self.assertEqual(status, 0, out + err)
            self.assertEqual(os.stat(f"{home}/.local/state/postern/example/tls.key").st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main()
