"""The HTTP/2 codec, both sides, against Python's h2, over pipes: an implementation that shares nothing
with it."""

import fcntl
import os
import pathlib
import random
import subprocess
import unittest

import h2.config
import h2.connection
import h2.events

from lab import BINARY

H2_PIPE = pathlib.Path(BINARY).resolve().parents[1] / "tests/tools/h2_pipe"
ECHO_HEAD = [(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", "/p?q=1"),
             ("cookie", "a=1"), ("cookie", "b=2")]


class Peer:
    """Python's side of a connection to h2_pipe."""

    def __init__(self, test, *arguments, client_side):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([H2_PIPE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        test.addCleanup(self.process.kill)
        # More than the windows let h2_pipe send: it never waits for us to read while we write.
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client_side, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.bodies = {}  # of streams: what is still to be sent
        self.trailers = []

    def send(self, stream, body, trailers=()):
        self.bodies[stream] = body
        self.trailers = list(trailers)

    def pump(self):
        """Sends what the windows allow, then everything that h2 has to say."""
        for stream, body in list(self.bodies.items()):
            while True:
                size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
                if size == 0 and body:
                    break
                last = size == len(body)
                self.h2.send_data(stream, body[:size], end_stream=last and not self.trailers)
                body = body[size:]
                if last:
                    if self.trailers:
                        self.h2.send_headers(stream, self.trailers, end_stream=True)
                    break
            self.bodies[stream] = body
            if not body:
                del self.bodies[stream]
        self.process.stdin.write(self.h2.data_to_send())

    def events(self):
        """What comes next, until h2_pipe has nothing more to say."""
        while True:
            self.pump()
            data = os.read(self.process.stdout.fileno(), random.randint(1, 40000))
            if not data:
                return
            yield from self.h2.receive_data(data)

    def end(self):
        self.process.stdin.close()
        errors = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(20), errors


class H2PeerTest(unittest.TestCase):
    def test_python_h2_is_served(self):
        peer = Peer(self, "serve", client_side=True)
        sent = {1: random.randbytes(500_000), 3: random.randbytes(200_000), 5: b""}
        for stream, body in sent.items():
            peer.h2.send_headers(stream, ECHO_HEAD)
            peer.send(stream, body, [("x-sum", "7")])
        got, heads, trailers, open_streams = {1: b"", 3: b"", 5: b""}, {}, {}, 3
        for event in peer.events():
            if isinstance(event, h2.events.ResponseReceived):
                heads[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                got[event.stream_id] += event.data
                peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                trailers[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                open_streams -= 1
            if open_streams == 0:
                break
        self.assertEqual(peer.end(), (0, ""))
        self.assertTrue(got == sent)
        for stream in sent:
            self.assertEqual(heads[stream][":status"], "200")
            self.assertEqual(heads[stream]["x-path"], "/p?q=1")
            self.assertEqual(heads[stream]["x-cookie"], "a=1; b=2")
            self.assertEqual(trailers[stream], {"x-sum": "7"})

    def test_python_h2_is_asked(self):
        peer = Peer(self, "fetch", "300000", "1", "0", "70000", client_side=False)
        came, methods = {}, set()
        for event in peer.events():
            if isinstance(event, h2.events.RequestReceived):
                came[event.stream_id] = b""
                methods.add(dict(event.headers)[":method"])
                peer.h2.send_headers(event.stream_id, [(":status", "103"), ("link", "</a>")])
            elif isinstance(event, h2.events.DataReceived):
                came[event.stream_id] += event.data
                peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                peer.h2.send_headers(event.stream_id, [(":status", "201"), ("x", "y")])
                peer.send(event.stream_id, came[event.stream_id], [("x-sum", "9")])
        status, errors = peer.end()
        self.assertEqual(status, 0)
        self.assertEqual(methods, {"POST"})
        self.assertEqual(sorted(errors.splitlines()),
                         sorted(f"201 {size} same 9 error=0" for size in (300000, 1, 0, 70000)))

    def test_a_refused_stream_may_be_sent_again(self):
        peer = Peer(self, "fetch", "10", client_side=False)
        for event in peer.events():
            if isinstance(event, h2.events.RequestReceived):
                peer.h2.reset_stream(event.stream_id, 7)
        self.assertEqual(peer.end(), (0, "0 0 other  error=7 unprocessed\n"))


if __name__ == "__main__":
    unittest.main()
