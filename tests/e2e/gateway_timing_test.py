"""What must not depend on who is fast: backends that are not there yet, clients that read late or say first that they have
said all, connections that end in the very moment of their next use."""

import hashlib
import os
import signal
import socket
import ssl
import threading
import time
import unittest

from gateway_backends import Backend, new_port, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_all, read_until, route
from lab import SLOW, Case, wait_until

LATE = 0.3  # seconds until a backend shakes hands


class LateBackend(Backend):
    """Its TLS handshake begins late."""

    def __init__(self, name="", late=LATE):
        self.late = late
        super().__init__(name, context=server_context("127.0.0.1"))

    def _session(self, connection, peer):
        time.sleep(self.late)
        super()._session(connection, peer)


def post(path, body, *fields, method="POST"):
    head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


def to_dead_first(other):
    """A route whose first request goes to a backend that is not there, then to this one."""
    return route({"url": f"http://127.0.0.1:{new_port()}", "weight": 1_000_000}, {"url": other.url, "weight": 1})


class SentToAnother(Case):
    def test_a_body_that_came_before_the_refusal_has_its_end_at_the_next_backend(self):
        for make in (H2Backend, Backend):
            for http2 in (False, True):
                with self.subTest(backend=make.__name__, http2=http2), make() as backend, \
                        Gateway(to_dead_first(backend)) as gateway:
                    if http2:
                        with Http2(gateway) as client:
                            stream = client.at_once(("content-length", "3"), method="POST", body=b"abc")
                            self.assertEqual(client.finish(stream).status, 200)
                    else:
                        with gateway.dial(tls=False) as client:
                            client.sendall(post("/", b"abc"))
                            self.assertIn(b" 200 ", read_until(client, b"\r\n"))
                    gateway.curl(f"http://{HOST}/", http="--http1.1")
                    if make is Backend:
                        self.assertEqual(backend.accepted, 1)  # complete, so it was kept


if __name__ == "__main__":
    unittest.main()
