"""Ports, certificates and backends for the tests of the gateway: a server that says what the test tells it to, byte by byte, and
servers of other people."""

import atexit
import contextlib
import hashlib
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import textwrap
import threading
import uuid

from lab import SLOW, free_port, wait_until

HERE = pathlib.Path(__file__).parent
_given = set()


def new_port(host="127.0.0.1"):
    """A free port that this process has not given out before."""
    while True:
        port = free_port(host)
        if port not in _given:
            _given.add(port)
            return port


def temporary_directory(prefix):
    directory = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def is_open(port, host="127.0.0.1"):
    with contextlib.suppress(OSError), socket.create_connection((host, port), 0.5):
        return True
    return False


# --- certificates -----------------------------------------------------------------------------


class Authority:
    """A CA made by the openssl command."""

    def __init__(self):
        self.directory = temporary_directory("postern-ca-")
        self.settings = self.directory / "openssl.cnf"
        self.settings.write_text("[req]\ndistinguished_name = dn\n[dn]\n")
        self.key, self.certificate = self.directory / "ca.key", self.directory / "ca.crt"
        self._make(self.key, self.certificate, "/CN=Postern tests", "basicConstraints=critical,CA:TRUE",
                   "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash")

    def _make(self, key, certificate, subject, *extensions, signed=()):
        added = [part for one in extensions for part in ("-addext", one)]
        subprocess.run(["openssl", "req", "-x509", "-config", self.settings, "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", subject,
                        "-keyout", key, "-out", certificate, *signed, *added],
                       check=True, capture_output=True)

    def leaf(self, *names):
        """A new key pair for these names: (certificate, key), PEM."""
        def kind(name):
            with contextlib.suppress(ValueError):
                ipaddress.ip_address(name)
                return "IP"
            return "DNS"
        stem = self.directory / uuid.uuid4().hex
        key, certificate = stem.with_suffix(".key"), stem.with_suffix(".crt")
        self._make(key, certificate, f"/CN={names[0]}", "basicConstraints=critical,CA:FALSE",
                   "subjectAltName=" + ",".join(f"{kind(name)}:{name}" for name in names),
                   "authorityKeyIdentifier=keyid", signed=("-CA", self.certificate, "-CAkey", self.key))
        return certificate.read_text(), key.read_text()


_authority = []


def authority():
    """The CA of this process. Postern believes it too, should it check what backends show."""
    if not _authority:
        _authority.append(Authority())
        os.environ["SSL_CERT_FILE"] = str(_authority[0].certificate)
    return _authority[0]


# --- backends ---------------------------------------------------------------------------------


class Reader:
    """Lines and bytes from a socket."""

    def __init__(self, connection):
        self.connection, self.buffer = connection, b""

    def more(self):
        part = self.connection.recv(262144)
        self.buffer += part
        return bool(part)

    def line(self):
        """Without CRLF; None at the end."""
        while b"\n" not in self.buffer:
            if not self.more():
                return None
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def some(self, most):
        if not self.buffer and not self.more():
            raise ConnectionError("cut in the body")
        part, self.buffer = self.buffer[:most], self.buffer[most:]
        return part


class Exchange:
    """One request at a backend, and the way to answer it."""

    def __init__(self, reader, first, peer):
        self.reader, self.connection, self.peer = reader, reader.connection, peer
        self.method, self.target, self.version = first.split(" ")
        self.fields, self.trailers, self.ended, self.close_after = self._fields(), [], False, False
        self.received, self.digest = 0, hashlib.sha256()

    def _fields(self):
        fields = []
        while line := self.reader.line():
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return fields

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name):
        found = self.values(name)
        return ", ".join(found) if found else None

    def _sized(self, size):
        while size:
            part = self.reader.some(size)
            size -= len(part)
            self.received += len(part)
            self.digest.update(part)
            yield part

    def parts(self):
        """The body as it comes."""
        if self.ended:
            return
        if "chunked" in (self.header("Transfer-Encoding") or "").lower():
            while size := int(self.reader.line().split(";")[0], 16):
                yield from self._sized(size)
                self.reader.line()
            self.trailers = self._fields()
        else:
            yield from self._sized(int(self.header("Content-Length") or 0))
        self.ended = True

    def body(self):
        return b"".join(self.parts())

    def send(self, *parts):
        for part in parts:
            self.connection.sendall(part if isinstance(part, bytes) else part.encode("latin-1"))

    def reply(self, status=200, fields=(), body=b"", reason="OK"):
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields),
                 f"Content-Length: {len(body)}", "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + (body if self.method != "HEAD" else b""))

    def close(self):
        self.close_after = True

    def reset(self):
        """The connection ends with RST, as when the process dies with data unread."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_after = True

    def echo(self, fields=()):
        """Says in JSON what was asked."""
        for _ in self.parts():
            pass
        self.reply(200, [("Content-Type", "application/json"), *fields], json.dumps(
            {"method": self.method, "target": self.target, "version": self.version, "size": self.received,
             "fields": self.fields, "sha256": self.digest.hexdigest(), "trailers": self.trailers,
             "name": getattr(self, "name", "")}).encode())


class Backend:
    """An HTTP/1.1 server that echoes, or does what `on(path, handler)` says."""

    def __init__(self, name="", port=None, context=None, handlers=None, host="127.0.0.1"):
        self.name, self.host, self.port, self.context = name, host, port or new_port(host), context
        self.url = f"{'https' if context else 'http'}://{host}:{self.port}"
        self.handlers = dict(handlers or {})
        self.exchanges, self.accepted, self.open = [], 0, set()
        self.start()

    def on(self, path, handler):
        self.handlers[path] = handler

    def seen(self, path):
        return [one for one in list(self.exchanges) if one.target.split("?")[0] == path]

    def start(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((self.host, self.port))
        self.socket.listen(512)
        threading.Thread(target=self._accept, args=(self.socket,), daemon=True).start()

    def stop(self):
        """As if the process had been killed."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.drop()

    def drop(self):
        """Every connection is closed; the server stays."""
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def _accept(self, listening):
        while True:
            try:
                connection, peer = listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._session, args=(connection, peer), daemon=True).start()

    def _session(self, connection, peer):
        with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.open.add(connection)
            reader = Reader(connection)
            while first := reader.line():
                exchange = Exchange(reader, first, peer)
                exchange.name = self.name
                self.exchanges.append(exchange)
                self.handlers.get(exchange.target.split("?")[0], Exchange.echo)(exchange)
                if exchange.close_after:
                    break
                exchange.body()
        self.open.discard(connection)
        connection.close()


def pem(*names):
    """A file with a new certificate and its key."""
    path = temporary_directory("postern-backend-") / "pair.pem"
    path.write_text("".join(authority().leaf(*names)))
    return path


def server_context(*names):
    """TLS for a backend."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem(*names))
    return context


class Process:
    """A server of somebody else's; `ready` is a port, or a word on its standard output."""

    def __init__(self, *command, ready, **options):
        self.said = []
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.STDOUT, **options)
        threading.Thread(target=self._collect, daemon=True).start()
        wait_until(f"{command[0]}", lambda: self._is_ready(ready), 20)

    def _collect(self):
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self.said.append(line.rstrip("\n"))

    def _is_ready(self, ready):
        if self.process.poll() is not None:
            raise AssertionError("ended:\n" + "\n".join(self.said))
        return is_open(ready) if isinstance(ready, int) else any(ready in one for one in self.said)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(10 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def node(script, *arguments):
    """A server of tests/e2e/node, which says "ready" when it is."""
    return Process("node", HERE / "node" / script, *arguments, ready="ready")


class Nginx(Process):
    """nginx on `port` with files below `root`: HTTP/1.1, or TLS, or HTTP/2 without TLS."""

    def __init__(self, how="", port=None):
        self.port, self.directory = port or new_port(), temporary_directory("postern-nginx-")
        self.root = self.directory / "www"
        self.root.mkdir()
        self.directory.chmod(0o755)
        certificate, key = authority().leaf("127.0.0.1", "localhost")
        (self.directory / "pair.pem").write_text(certificate + key)
        tls = f"ssl_certificate {self.directory}/pair.pem; ssl_certificate_key {self.directory}/pair.pem;"
        (self.directory / "nginx.conf").write_text(textwrap.dedent(f"""\
            daemon off; worker_processes 1; pid {self.directory}/pid; error_log stderr warn;
            {'user root;' if os.getuid() == 0 else ''}
            events {{ worker_connections 2000; }}
            http {{
              access_log off; keepalive_requests 1000000;
              {' '.join(f'{kind}_temp_path {self.directory}/{kind};' for kind in
                        ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))}
              server {{
                listen 127.0.0.1:{self.port} {how}; root {self.root}; {tls if how == 'ssl' else ''}
                location /small {{ default_type text/plain; return 200 "small\\n"; }}
              }}
            }}
            """))
        scheme = {"ssl": "https", "http2": "h2c"}.get(how, "http")
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        super().__init__("nginx", "-c", self.directory / "nginx.conf", ready=self.port, start_new_session=True)

    def die(self):
        """At once, with its workers: they would go on serving without their master."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until("the port to be free", lambda: not is_open(self.port))
