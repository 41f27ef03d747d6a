"""A backend of HTTP/2, python3-h2, that does what a test says and when."""

import contextlib
import hashlib
import socket
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.settings

from gateway_backends import new_port, server_context


class Request:
    """One stream as the backend sees it."""

    def __init__(self, peer, number, fields):
        self.peer, self.number, self.fields = peer, number, dict(fields)
        self.digest, self.received, self.ended, self.trailers = hashlib.sha256(), 0, False, []

    def reply(self, status=200, body=b"", fields=(), trailers=None, end=True):
        protocol = self.peer.protocol
        protocol.send_headers(self.number, [(":status", str(status)), *fields])
        protocol.send_data(self.number, body, end_stream=end and not trailers)
        if trailers:
            protocol.send_headers(self.number, trailers, end_stream=True)
        self.peer.flush()


class Peer:
    """A connection; `begun(request)` when a head has come, `done(request)` when all has."""

    def __init__(self, backend, connection):
        self.backend, self.socket, self.requests = backend, connection, {}
        self.protocol = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=backend.checked,
            normalize_outbound_headers=backend.checked))
        self.protocol.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.protocol.data_to_send())

    def run(self):
        while data := self.socket.recv(65536):
            for event in self.protocol.receive_data(data):
                self.take(event)
            self.flush()

    def take(self, event):
        request = self.requests.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            request = self.requests[event.stream_id] = Request(self, event.stream_id, event.headers)
            self.backend.exchanges.append(request)
            self.backend.begun(request)
        elif isinstance(event, h2.events.DataReceived):
            request.digest.update(event.data)
            request.received += len(event.data)
            self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            request.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            request.ended = True
            self.backend.done(request)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class H2Backend:
    """h2c, or with `tls` HTTP/2 behind a handshake that begins `late` seconds after the connection. Says ok."""

    def __init__(self, tls=False, late=0.0, checked=True, host="127.0.0.1", port=None):
        """Not `checked`: it may send what is malformed."""
        self.host, self.port = host, port or new_port(host)
        self.late, self.checked = late, checked
        self.context = None
        if tls:
            self.context = server_context("127.0.0.1")
            self.context.set_alpn_protocols(["h2"])
        self.url = f"{'https' if tls else 'h2c'}://{host}:{self.port}"
        self.exchanges, self.peers = [], []
        self.begun = lambda request: None
        self.done = lambda request: request.reply(body=b"ok", fields=[("content-length", "2")])
        self.socket = socket.create_server((host, self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection):
        with contextlib.suppress(OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            time.sleep(self.late)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.peers.append(Peer(self, connection))
            self.peers[-1].run()
        connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for peer in self.peers:
            peer.close()
