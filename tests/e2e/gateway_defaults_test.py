"""The time limits that nobody wrote, by a clock that runs fast for Postern alone (libfaketime): what an hour does is seen in
seconds."""

import concurrent.futures
import contextlib
import pathlib
import socket
import subprocess
import threading
import time
import unittest

from gateway_backends import Backend, authority, new_port
from gateway_lab import HOST, Gateway, read_until, route, table
from gateway_timing_test import Unread, cut_unread, idle_timeouts
from lab import SLOW, Case

LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
DAY = 24 * 60  # minutes
LATEST = 3 * SLOW  # seconds that an end may be late by this machine's clock


class Fast(Gateway):
    """A gateway in which time passes so many times faster. Its clients do not: they get time for their heads. Nor do its
    backends: it waits 5 seconds of its own for a connection, so what needs one is best tried again."""

    def __init__(self, speed, *routes, **options):
        self.speed = speed
        fast = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"+0 x{speed}"}
        super().__init__(*routes, limits={"header_timeout": "1h"}, environment=fast, **options)

    def sleep(self, minutes):
        time.sleep(minutes * 60 / self.speed)


def get(connection, path="/", *fields):
    connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]).encode())


def echo(e):
    """Switches to a protocol that says everything back."""
    e.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while data := e.connection.recv(4096):
        e.connection.sendall(data)


def until_it_works(begin):
    """What begin() gives, at the first time that it does not fail."""
    for _ in range(50):
        try:
            return begin()
        except (AssertionError, OSError) as error:
            last = error
    raise last


class Heads(Case):
    """By this machine's clock."""

    def seconds(self, connection, head):
        """How long it is until the end for a client that goes on saying a bit of its head."""
        begin, got = time.monotonic(), b""
        connection.sendall(head)
        connection.settimeout(0.2)
        while time.monotonic() - begin < 30 * SLOW:
            try:
                connection.sendall(b"y" if head else b"")
                part = connection.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                part = b""
            if not part:
                return time.monotonic() - begin, got
            got += part
        return None, got

    def test_a_head_and_a_handshake_have_ten_seconds(self):
        head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX: ".encode()
        with Gateway(route(respond={"body": "here"})) as gateway, concurrent.futures.ThreadPoolExecutor() as pool, \
                gateway.dial(tls=False) as plain, gateway.dial() as tls, \
                socket.create_connection(("127.0.0.1", gateway.https_port)) as half:
            for took, got in pool.map(self.seconds, (plain, tls, half), (head, head, b"")):
                self.assertIsNotNone(took)
                self.assertTrue(9.5 < took < 10 + 3 * SLOW, took)
                self.assertNotIn(b"here", got)


class Defaults(Case):
    def assert_end(self, gateway, connection, minutes, begin=None):
        """The connection ends after so many minutes of silence, by the gateway's clock, and not before."""
        begin = begin or time.monotonic()
        connection.settimeout(minutes * 60 / gateway.speed + LATEST)
        try:
            self.assertEqual(connection.recv(4096), b"")
        except ConnectionResetError:
            pass
        self.assertGreater((time.monotonic() - begin) * gateway.speed / 60, minutes * 0.98)

    def test_a_connection_is_kept_for_three_minutes_between_requests(self):
        with Fast(100, route(respond={"body": "here"})) as gateway, gateway.dial(tls=False) as connection:
            for _ in range(2):
                get(connection)
                read_until(connection, b"here")
                begin = time.monotonic()
                gateway.sleep(2)
            self.assert_end(gateway, connection, 3, begin)
            self.assertEqual(idle_timeouts(gateway), 1)

    def test_a_silent_backend_is_waited_for_ten_minutes(self):
        over = threading.Event()
        with Backend() as backend, Fast(100, route(backend)) as gateway:
            backend.on("/", lambda e: over.wait(60))

            def ask():
                with gateway.dial(tls=False, timeout=20) as connection:
                    begin = time.monotonic()
                    get(connection)
                    self.assertIn(b" 504 ", read_until(connection, b"\r\n"))
                    self.assertGreater(time.monotonic() - begin, 5.8)
            until_it_works(ask)
            self.assertEqual(idle_timeouts(gateway), 1)
            over.set()

    def test_what_a_client_does_not_read_is_kept_for_ten_minutes(self):
        with Backend() as backend, Fast(50, route(backend)) as gateway:
            for options in ((), ("Connection: close",)):
                with self.subTest(options):
                    unread = Unread(gateway, backend, False, *options)
                    gateway.sleep(8)
                    self.assertEqual(read_until(unread.client, b"0\r\n\r\n").count(b"x"), unread.sent)
                    unread.client.close()
            # It is not to be kept for a next request: that would end, and be counted, after three minutes.
            unread, seconds = cut_unread(gateway, backend, False, "Connection: close", seconds=20)
            self.assertGreater(seconds, 10)  # some of the ten minutes passed before
            unread.client.close()

    def test_the_end_of_a_certificate_of_the_chain_is_told_two_weeks_before(self):
        gateway = Fast(50_000, route(respond={"body": "here"}))
        short = gateway.directory / "short.crt"
        subprocess.run(["openssl", "x509", "-in", authority().certificate, "-signkey", authority().key, "-days", "18",
                        "-out", short], check=True, capture_output=True)
        pair = gateway.directory / "tls/lan.crt"
        pair.write_text(pair.read_text() + short.read_text())
        with gateway:
            gateway.sleep(8 * DAY)  # then all of the log is there: its thread sleeps by the other clock
        told = [line.partition(" certificate_expiry: ")[2] for line in gateway.log if "certificate_expiry" in line]
        self.assertGreater(len(told), 1)
        self.assertRegex(told[0], r'^tls.certificate "lan" \(.*lan.crt\): the certificate of /CN=Postern tests in it expires '
                         r"in (1[0-3]|[0-9]) days?, on 20.*; some clients refuse the chain then: take it out, or put the new one there$")
        self.assertEqual([line for line in gateway.log if " config: " in line], [])  # nothing at the start

    def test_what_was_upgraded_and_tcp_may_be_silent_for_an_hour(self):
        with socket.create_server(("127.0.0.1", 0)) as server, Backend() as backend:
            def serve():
                while True:  # one at a time; those that were given up end at once
                    with server.accept()[0] as connection:
                        with contextlib.suppress(OSError):
                            while data := connection.recv(4096):
                                connection.sendall(data)
            threading.Thread(target=serve, daemon=True).start()
            relay = new_port()
            listener = {"name": "tcp", "address": ["127.0.0.1"], "tcp": relay,
                        "backends": [f"127.0.0.1:{server.getsockname()[1]}"]}
            backend.on("/", echo)
            with Fast(600, route(backend), config=table("gateway.listener", listener)) as gateway:
                def upgrade():
                    connection = gateway.dial(tls=False)
                    get(connection, "/", "Connection: upgrade", "Upgrade: echo")
                    self.assertIn(b" 101 ", read_until(connection, b"\r\n\r\n"))
                    return connection

                def connect():
                    connection = socket.create_connection(("127.0.0.1", relay))
                    connection.sendall(b"before")
                    read_until(connection, b"before")
                    return connection
                upgraded, tcp = until_it_works(upgrade), until_it_works(connect)
                gateway.sleep(50)
                for connection in (upgraded, tcp):
                    connection.sendall(b"after")
                    read_until(connection, b"after")
                begin = time.monotonic()
                self.assert_end(gateway, upgraded, 60, begin)
                self.assert_end(gateway, tcp, 60, begin)
                upgraded.close()
                tcp.close()


if __name__ == "__main__":
    unittest.main()
