"""An HTTP/2 client that does what a test says, also what no client should: python3-h2 for the protocol,
python3-hyperframe for frames of one's own."""

import contextlib
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from gateway_lab import HOST, Reply
from lab import SLOW


class Stream:
    """What came back on one stream."""

    def __init__(self):
        self.informational, self.fields, self.trailers, self.body = [], None, None, b""
        self.ended, self.reset, self.parts = False, None, 0

    @property
    def status(self):
        return int(dict(self.fields or [(":status", "0")])[":status"])

    @property
    def done(self):
        return self.ended or self.reset is not None

    def reply(self):
        return Reply([(self.status, self.fields[1:], "2")], self.body)


class Connection(h2.connection.H2Connection):
    """python3-h2 takes nothing behind a GOAWAY; streams that are open may end (RFC 9113 section 6.8)."""

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Http2:
    """One connection. `request` sends, `wait` reads until something is true."""

    def __init__(self, gateway, name=HOST, settings=None, window=None):
        self.socket = gateway.dial(name=name, alpn=("h2", "http/1.1"))
        assert self.socket.selected_alpn_protocol() == "h2", self.socket.selected_alpn_protocol()
        self.protocol = Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        if settings:
            self.protocol.local_settings.update(settings)
            self.protocol.local_settings.acknowledge()  # else it says what was before
        self.protocol.initiate_connection()
        if window is None:
            self.protocol.increment_flow_control_window(1 << 30)
        self.tolerant = False  # True: answers to frames that were sent past the protocol are no error
        self.reading = True  # gives the window back as data comes
        self.streams, self.events, self.closed, self.goaway = {}, [], False, None
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()

    def flush(self):
        self.socket.settimeout(6 * SLOW)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.socket.sendall(self.protocol.data_to_send())

    def send(self, *frames):
        """Frames past the protocol's own ideas; False when the other side takes no more."""
        self.socket.settimeout(6 * SLOW)
        data = b"".join(one if isinstance(one, bytes) else one.serialize() for one in frames)
        try:
            self.socket.sendall(data)
        except TimeoutError:  # it does not read any more: that is no end yet
            return False
        except OSError:
            self.closed = True
        return not self.closed

    # Requests.

    def open(self, *fields, method="GET", path="/", authority=HOST, scheme="https", end=True, only=None):
        """A request's head; the stream's number. `only` replaces all fields."""
        stream = self.protocol.get_next_available_stream_id()
        head = only or [(":method", method), (":scheme", scheme), (":authority", authority),
                        (":path", path), *fields]
        self.streams[stream] = Stream()
        self.protocol.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def at_once(self, *fields, body=b"", trailers=None, **how):
        """A request whose head and body leave in one write; the stream's number."""
        flush, self.flush = self.flush, lambda: None
        stream = self.open(*fields, end=False, **how)
        self.protocol.send_data(stream, body, end_stream=trailers is None)
        if trailers:
            self.protocol.send_headers(stream, trailers, end_stream=True)
        self.flush = flush
        self.flush()
        return stream

    def data(self, stream, body, end=False):
        """Body, within the windows."""
        while body:
            room = min(self.protocol.local_flow_control_window(stream),
                       self.protocol.max_outbound_frame_size)
            if room <= 0:
                self.wait(lambda: self.protocol.local_flow_control_window(stream) > 0)
                continue
            self.protocol.send_data(stream, body[:room])
            body = body[room:]
            self.flush()
        if end:
            self.protocol.end_stream(stream)
            self.flush()

    def request(self, *fields, body=None, trailers=None, **how):
        """A whole request; its stream when it is done."""
        stream = self.open(*fields, end=body is None, **how)
        if body is not None:
            self.data(stream, body, end=trailers is None)
        if trailers:
            self.protocol.send_headers(stream, trailers, end_stream=True)
            self.flush()
        return self.finish(stream)

    def finish(self, stream, seconds=10):
        self.wait(lambda: self.streams[stream].done, seconds)
        return self.streams[stream]

    # Replies.

    def wait(self, condition, seconds=10.0):
        """Reads until it holds; fails when the connection ends or time is up before."""
        if not self.read(condition, seconds):
            raise AssertionError(f"closed={self.closed} goaway={self.goaway} "
                                 f"streams={ {k: vars(v) for k, v in self.streams.items()} }")

    def read(self, condition=lambda: False, seconds=10.0):
        """Reads until it holds, the end, or time is up; whether it holds."""
        end = time.monotonic() + seconds * SLOW
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or self.closed:
                return condition()
            self.socket.settimeout(min(left, 0.2))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                self.closed = True
                continue
            try:
                for event in self.protocol.receive_data(data):
                    self._take(event)
            except h2.exceptions.ProtocolError:
                if not self.tolerant:
                    raise
                # It would say GOAWAY because of an answer to a frame that it has not sent itself.
                self.protocol.data_to_send()
            self.flush()
        return True

    def _take(self, event):
        self.events.append(event)
        stream = self.streams.get(getattr(event, "stream_id", None), Stream())
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.informational.append(event.headers)
        elif isinstance(event, h2.events.ResponseReceived):
            stream.fields = event.headers
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = event.headers
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            stream.parts += 1
            if self.reading and event.flow_controlled_length:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)

    def remote(self, setting):
        """A setting of the gateway's."""
        self.wait(lambda: any(isinstance(one, h2.events.RemoteSettingsChanged) for one in self.events))
        return self.protocol.remote_settings.get(setting)
