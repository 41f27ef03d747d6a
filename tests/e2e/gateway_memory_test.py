"""What requests under way may hold of the memory, when many receivers take nothing."""

import contextlib
import socket
import threading

from h2.settings import SettingCodes
from hyperframe.frame import SettingsFrame

from gateway_backends import Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route
from lab import BINARY, SLOW, Case, wait_until

MIB = 1 << 20
HELD = "postern_gateway_requests_memory_bytes"
HITS = 'postern_limit_hits_total{limit="gateway_memory"}'
DEAF = "deaf.vanillax.me"


class DeafBackend:
    """Of HTTP/2 without TLS: takes requests, but nothing of their bodies."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"h2c://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.socket.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            own = SettingsFrame(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0,
                                          SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
            connection.sendall(own.serialize() + SettingsFrame(flags=["ACK"]).serialize())
            while connection.recv(65536):
                pass

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Memory(Case):
    """With 128 MiB for the process: 32 are planned for requests, and they may have 48."""

    def setUp(self):
        self.backend = Backend()
        self.addCleanup(self.backend.stop)
        self.backend.on("/large", lambda e: e.reply(body=bytes(1_000_000)))
        self.backend.on("/book", lambda e: e.reply(body=bytes(4 * MIB)))
        self.backend.on("/huge", lambda e: e.reply(body=bytes(30 * MIB)))
        deaf = DeafBackend()
        self.addCleanup(deaf.stop)
        self.gateway = Gateway(route(self.backend), route(deaf, hosts=[DEAF]), binary="/usr/bin/prlimit")
        self.gateway.arguments = [f"--rss={128 * MIB}", BINARY, "run", "-c", str(self.gateway.config_path)]
        self.addCleanup(self.gateway.__exit__, None, None, None)
        self.gateway.start()
        self.gateway.wait_log("memory_limit: 2048 connections at most in place of 20000 .* 128 MiB")
        self.held = contextlib.ExitStack()
        self.addCleanup(self.held.close)

    def hits(self):
        return self.gateway.metrics()[HITS]

    def client(self, **options):
        return self.held.enter_context(Http2(self.gateway, **options))

    def stall(self, connections, meanwhile):
        """Clients with 100 streams each, whose windows stay closed."""
        clients = []
        for _ in range(connections):
            clients.append(self.client(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0}))
            for _ in range(100):
                clients[-1].open(path="/large")
            meanwhile()
        return clients

    def is_served(self):
        return self.gateway.curl(f"https://{HOST}/", check=False).status == 200

    def test_who_does_not_read_goes_and_the_others_are_served(self):
        before = self.gateway.rss()
        reader = self.client(window=65535)
        reader.reading = False
        read = reader.open(path="/book")
        # The system's buffers hold as much as they may before the gateway has to.
        deaf = self.held.enter_context(socket.socket())
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", self.gateway.http_port))
        deaf.sendall(f"GET /huge HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        read_until(deaf, b"\r\n\r\n")

        def read_slowly():
            reader.protocol.increment_flow_control_window(8192)
            reader.protocol.increment_flow_control_window(8192, read)
            reader.flush()
            reader.read(seconds=0.1 / SLOW)
            return True

        clients = self.stall(12, read_slowly)
        wait_until("requests refused, or bodies given up", lambda: read_slowly() and self.hits() > 0, 15)
        self.gateway.wait_log("memory_short: requests under way hold .* of 32 in all that are planned")
        if SLOW == 1:  # sanitizers keep what was freed
            self.assertLess(self.gateway.rss() - before, 80 * MIB)
        self.assertLess(self.gateway.metrics()[HELD], 49 * MIB)
        self.assertTrue(self.is_served())
        wait_until("less to be held", lambda: read_slowly() and self.gateway.metrics()[HELD] < 33 * MIB, 15)
        # Those that have waited longest went first, in HTTP/1.1 too, and can see that it is not all.
        # Whoever reads slowly is not one of them.
        reader.protocol.increment_flow_control_window(1 << 30)
        reader.protocol.increment_flow_control_window(1 << 30, read)
        reader.reading = True
        reader.flush()
        self.assertEqual(len(reader.finish(read, 30).body), 4 * MIB)
        self.assertLess(self.rest_of(deaf), 30 * MIB)
        wait_until("some streams to be reset", lambda: clients[0].read(seconds=0.1) or any(
            one.reset for one in clients[0].streams.values()), 15)
        self.assertRegex(self.gateway.access("path=/large"), "failure=\"?memory short")
        self.held.close()
        wait_until("all memory back", lambda: self.gateway.metrics()[HELD] == 0)

    def rest_of(self, connection):
        size = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 20):
                size += len(chunk)
        return size

    def test_requests_that_came_before_their_turn_count(self):
        go = threading.Event()
        self.addCleanup(go.set)
        self.backend.on("/slow", lambda e: (go.wait(60 * SLOW), e.reply()))
        head = f"GET /x HTTP/1.1\r\nHost: {HOST}\r\nX-Fill: {'x' * 1000}\r\n\r\n".encode()
        plain = self.held.enter_context(self.gateway.dial(tls=False))
        plain.sendall(head.replace(b"/x", b"/slow", 1) + head * 40)
        wait_until("them to be counted", lambda: self.gateway.metrics()[HELD] > 45_000)
        go.set()
        wait_until("their memory back", lambda: self.gateway.metrics()[HELD] == 0)
        self.assertEqual(len(self.backend.seen("/x")), 40)

    def test_uploads_that_a_backend_does_not_take(self):
        clients = []
        for _ in range(8):
            clients.append(self.client())
            for _ in range(100):
                stream = clients[-1].open(path="/", authority=DEAF, method="PUT", end=False)
                clients[-1].data(stream, bytes(64_000))
        wait_until("some refused, or given up", lambda: self.hits() > 0, 15)
        self.assertLess(self.gateway.metrics()[HELD], 49 * MIB)
        self.assertTrue(self.is_served())
        wait_until("less to be held", lambda: self.gateway.metrics()[HELD] < 33 * MIB, 15)
        refused = [one for client in clients for one in self.done(client)]
        self.assertGreater(len(refused), 100)
        self.assertEqual({one.status for one in refused}, {503})
        self.assertIn(b"no memory left", refused[0].body)

    def done(self, client):
        client.read(seconds=0.5 / SLOW)
        return [one for one in client.streams.values() if one.done]

    def test_requests_without_their_end_do_not_keep_the_others_out(self):
        """Large fields, of which HPACK makes a few bytes each."""
        big = [("x-fill", "v" * 3500)] * 17
        for _ in range(8):
            client = self.client()
            for _ in range(100):
                client.open(*big, ("content-length", "10"), method="POST", end=False)
        last = self.client()
        for _ in range(60):
            last.open(("content-length", "10"), method="POST", end=False)
        for _ in range(5):
            self.assertTrue(self.is_served())
        self.assertLess(self.gateway.metrics()[HELD], 49 * MIB)
        self.assertGreater(self.hits(), 0)

    def test_slow_readers_and_idle_tunnels_are_kept_while_others_do_not_read(self):
        self.backend.on("/socket", lambda e: (
            e.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"),
            e.connection.sendall(e.connection.recv(100))))
        tunnel = self.held.enter_context(self.gateway.dial())
        tunnel.sendall(f"GET /socket HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n".encode())
        self.assertIn(b" 101 ", read_until(tunnel, b"\r\n\r\n"))
        readers = [self.slow_reader() for _ in range(2)]
        self.stall(12, lambda: None)
        wait_until("memory to be short", lambda: self.hits() > 0, 15)
        wait_until("those who do not read to be gone", lambda: self.gateway.metrics()[HELD] < 33 * MIB, 20)
        for thread, failed in readers:
            thread.join(2)
            self.assertEqual((thread.is_alive(), failed), (True, []))
        tunnel.sendall(b"still there?")
        self.assertEqual(tunnel.recv(100), b"still there?")

    def slow_reader(self, a_second=150_000):
        """One that takes /huge steadily, in a thread that lives until the end, and what went wrong."""
        connection = self.held.enter_context(self.gateway.dial(tls=False))
        connection.sendall(f"GET /huge HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        over, failed = threading.Event(), []
        self.addCleanup(over.set)

        def read():
            while not over.wait(0.1):
                try:
                    if not connection.recv(a_second // 10):
                        return failed.append("the end came too soon")
                except OSError as error:
                    return failed.append(error)
            return None

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread, failed

    def test_answers_of_one_chunk_take_turns(self):
        """Thousands of requests of 27 bytes for which there is no route."""
        before = self.gateway.rss()
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for _ in range(10):
            plain = self.held.enter_context(self.gateway.dial(tls=False))
            plain.sendall(request * 2400)
            self.assertIn(b" 404 ", plain.recv(4096))
        if SLOW == 1:
            self.assertLess(self.gateway.rss() - before, 10 * MIB)

    def test_heads_and_handshakes_without_their_end_count(self):
        fields = "".join(f"X-{i}: {'x' * 690}\r\n" for i in range(80))
        for _ in range(20):
            plain = self.held.enter_context(self.gateway.dial(tls=False))
            plain.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{fields}".encode())
        wait_until("heads to be counted", lambda: self.gateway.metrics()[HELD] > 20 * 55_000)
        hello = bytes.fromhex("160301000f 0100 8ca0 0303") + bytes(9)  # 36,000 bytes are to come
        for _ in range(20):
            client = self.held.enter_context(socket.create_connection(("127.0.0.1", self.gateway.https_port)))
            client.sendall(hello)
        wait_until("handshakes to be counted", lambda: self.gateway.metrics()[HELD] > 20 * (55_000 + 60_000))
        self.held.close()
        wait_until("all memory back", lambda: self.gateway.metrics()[HELD] == 0)
