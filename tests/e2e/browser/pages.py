"""The backend behind the gateway: a page, an echo over WebSocket, an event stream, a place for uploads."""

import base64
import hashlib
import http.server
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = b'<!doctype html><title>HOME</title><link rel=icon href="data:,">home<input type=file>'
EVENTS = 5


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.websocket()
        elif self.path == "/events":
            self.events()
        else:
            self.say(PAGE)

    def do_POST(self):
        """Says how many bytes came, whatever their framing."""
        count = 0
        for part in self.body():
            count += len(part)
        self.say(str(count).encode())

    def say(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Alt-Svc", 'h3=":443"; ma=86400')  # a backend that leaks what is outside
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield from self.pieces(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from self.pieces(size)
            self.rfile.readline()
        self.rfile.readline()

    def pieces(self, left):
        while left > 0:
            part = self.rfile.read(min(left, 1 << 18))
            if not part:
                raise ConnectionError("cut short")
            left -= len(part)
            yield part

    def events(self):
        """Each event only after the one before has gone, and the stream stays open for the last."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(EVENTS):
            event = b"data: %d\n\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.server.gone.wait(0.1)
        self.server.gone.wait(20)
        self.close_connection = True

    def websocket(self):
        accept = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + GUID).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.close_connection = True
        while frame := self.frame():
            kind, data = frame
            self.wfile.write(bytes([0x80 | kind, len(data)]) + data)
            if kind == 8:
                return

    def frame(self):
        """One short masked frame: (opcode, data); None at the end."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        mask = self.rfile.read(4)
        data = self.rfile.read(head[1] & 0x7F)
        return head[0] & 0xF, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        pass


class Pages:
    def __init__(self, address):
        self.server = Server(address, Handler)
        self.server.gone = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.gone.set()
        self.server.shutdown()
        self.server.server_close()
