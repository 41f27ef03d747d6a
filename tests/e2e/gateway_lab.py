"""What the tests of the gateway stand on, beside lab.py: a gateway with its configuration, and clients that
say exactly what they are told to. Nothing here shares code with Postern."""

import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile
import textwrap
import time

from gateway_backends import Backend, authority, is_open, new_port
from lab import SLOW, Case, Postern, wait_until

HOST = "app.vanillax.me"


# --- configuration ----------------------------------------------------------------------------


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(str(value))


def table(name, keys):
    """One entry of an array of tables."""
    return f"\n[[{name}]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())


def route(*backends, hosts=(HOST,), listeners=("internal",), **keys):
    """A route to backends, which are URLs, dicts, or objects with `url`; none for redirect, respond."""
    keys = {"listeners": listeners, "hostnames": hosts, **keys}
    if backends:
        keys["backends"] = [one if isinstance(one, dict) else {"url": getattr(one, "url", one)}
                            for one in backends]
    return keys


class Gateway(Postern):
    """Postern with the listener "internal" on 127.0.0.1: `http_port` plain, `https_port` TLS with the
    certificates of `names` ({name: host names}). `listener` adds or replaces keys of it, `limits` is
    [gateway.limits], `config` more TOML."""

    def __init__(self, *routes, listener=None, names=None, limits=None, config="", **options):
        self.http_port, self.https_port = new_port(), new_port()
        self.routes, self.limits, self.more = routes, limits or {}, config
        self.listener = {"name": "internal", "address": ["127.0.0.1"], "http": self.http_port,
                         "https": self.https_port, "redirect_to_https": False, **(listener or {})}
        self.names = names or {"lan": ("*.vanillax.me", "vanillax.me")}
        super().__init__("", **options)
        self.port, self.admin_port = new_port(), new_port()
        self.listen = [f"{self.address}:{self.port}"]
        for name, hosts in self.names.items():
            self.new_certificate(name, *hosts)

    def new_certificate(self, name, *hosts):
        """Writes a new pair in the place of the old one; the certificate."""
        certificate, key = authority().leaf(*hosts)
        for suffix, text in (("key", key), ("crt", certificate)):
            path = self.directory / f"tls/{name}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_text(text)
            fresh.rename(path)
        return certificate

    def configure(self, **parts):
        config = "".join(table("tls.certificate", {"name": name, "cert": f"tls/{name}.crt",
                                                   "key": f"tls/{name}.key"}) for name in self.names)
        listener = {"certificates": list(self.names), **self.listener}
        config += table("gateway.listener", listener)
        config += "".join(table("gateway.route", one) for one in self.routes)
        config += "\n[gateway.limits]\n" + "".join(f"{key} = {toml(value)}\n"
                                                   for key, value in self.limits.items())
        super().configure(**{"config": config + "\n" + textwrap.dedent(self.more), **parts})

    def start(self):
        super().start()
        if self.ready:
            for port in (self.listener["http"], self.listener["https"]):
                if port:
                    wait_until(f"port {port}", lambda port=port: is_open(port))

    # Clients.

    def curl(self, url, *arguments, http="--http2", check=True, seconds=20):
        """curl with this URL at this gateway, whatever port or name the URL has: a Reply."""
        port = self.https_port if url.startswith("https:") else self.http_port
        return curl(url, "--connect-to", f"::127.0.0.1:{port}", http, *arguments, check=check,
                    seconds=seconds)

    def dial(self, tls=True, name=HOST, alpn=("http/1.1",), timeout=6.0):
        """A connection to the TLS port, or to the plain one."""
        port = self.https_port if tls else self.http_port
        plain = socket.create_connection(("127.0.0.1", port), timeout * SLOW)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tls_context(alpn).wrap_socket(plain, server_hostname=name) if tls else plain

    def raw(self, data, tls=False, timeout=6.0):
        """Everything that comes back to these bytes until the gateway closes: (bytes, closed)."""
        with self.dial(tls, timeout=timeout) as connection:
            connection.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
            return read_all(connection)

    # What it says.

    def access(self, token, seconds=8.0):
        """The line of the access log that has this word in it."""
        return self.wait_log(re.escape(token), seconds=seconds)

    def rss(self):
        """Memory in use now, bytes."""
        return process_memory(self.process.pid, "VmRSS")

    def change(self, **settings):
        """New `routes`, `listener` keys, `limits`, `config`, with SIGHUP; what the log says of it."""
        self.listener.update(settings.pop("listener", {}))
        self.more = settings.pop("config", self.more)
        for key, value in settings.items():
            setattr(self, key, value)
        return self.reload()


def process_memory(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s*(\d+) kB", text, re.M)[1]) * 1024


def tls_context(alpn=("http/1.1",)):
    context = ssl.create_default_context(cafile=authority().certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def read_all(connection):
    """(bytes until the end, whether there was an end before the time-out)."""
    got = b""
    while True:
        try:
            part = connection.recv(65536)
        except TimeoutError:
            return got, False
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return got, True
        if not part:
            return got, True
        got += part


def read_until(connection, mark):
    """Bytes up to and with `mark`."""
    got = b""
    while mark not in got:
        part = connection.recv(65536)
        if not part:
            raise AssertionError(f"closed before {mark!r}: {got!r}")
        got += part
    return got


# --- curl -------------------------------------------------------------------------------------


class Reply:
    """What a client got. `heads` has every head, also of 1xx, as (status, fields)."""

    def __init__(self, heads, body, code=0, error="", seconds=0.0):
        self.heads, self.body, self.code, self.error = heads, body, code, error
        self.status, self.fields, self.version = (heads[-1] if heads else (0, [], ""))
        self.seconds = seconds

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name):
        found = self.values(name)
        return ", ".join(found) if found else None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


def parse_heads(text):
    heads = []
    for line in text.split("\r\n"):
        if match := re.match(r"HTTP/([\d.]+) (\d{3})", line):
            heads.append((int(match[2]), [], match[1]))
        elif ":" in line:
            name, _, value = line.partition(":")
            heads[-1][1].append((name, value.strip()))
    return heads


def curl(url, *arguments, check=True, seconds=20):
    with tempfile.TemporaryDirectory(prefix="postern-curl-") as directory:
        head, body = os.path.join(directory, "head"), os.path.join(directory, "body")
        began = time.monotonic()
        done = subprocess.run(["curl", "-sS", "--max-time", str(seconds * SLOW), "--cacert",
                               authority().certificate, "-D", head, *([] if "-o" in arguments else ["-o", body]),
                               *arguments, url],
                              capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        texts = [pathlib.Path(path).read_bytes() if os.path.exists(path) else b""
                 for path in (head, body)]
    if check and done.returncode:
        raise AssertionError(f"curl {url}: {done.returncode} {done.stderr}")
    heads, body = parse_heads(texts[0].decode("latin-1")), texts[1] if "-I" not in arguments else b""
    return Reply(heads, body, done.returncode, done.stderr, took)


# --- cases ------------------------------------------------------------------------------------


class EchoCase(Case):
    """One gateway, one echoing backend at HOST, another at alone.vanillax.me; 127.0.0.2 is a trusted proxy."""

    @classmethod
    def setUpClass(cls):
        cls.backend = Backend("echo")
        cls.other = Backend("alone")
        cls.gateway = Gateway(route(cls.backend),
                              route(cls.other, hosts=["alone.vanillax.me"]),
                              listener={"trusted_proxies": ["127.0.0.2/32"]},
                              server='log = { level = "info", format = "text", requests = true }')
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.other.stop()
        cls.gateway.__exit__(None, None, None)

    def get(self, path="/", *arguments, **options):
        return self.gateway.curl(f"http://{HOST}{path}", *arguments, http="--http1.1", **options)
