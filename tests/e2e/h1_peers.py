"""Who reads the requests of h1_differential_test.py: the HTTP/1.1 codec of Postern, Python's h11, nginx and
HAProxy. Each says in its way what it made of them; here all say it alike."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import textwrap
import threading

import h11

from lab import BINARY, SLOW, free_port, wait_until

H1_DUMP = pathlib.Path(BINARY).resolve().parents[1] / "tests/tools/h1_dump"


class Request:
    """What all have to see alike. `fields` is None where it is not known, without those that are named in `hidden`."""

    def __init__(self, method, path, host, body, fields=None, hidden=()):
        self.method, self.path, self.host, self.body, self.fields, self.hidden = method, path, host, body, fields, hidden

    def differs(self, other):
        """What they do not see alike; "" when there is nothing."""
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in ("method", "path", "host", "body")]
        if self.fields is not None and other.fields is not None:
            pairs.append(("fields", [each for each in self.fields if each[0] not in other.hidden], other.fields))
        return ", ".join(f"{name}: {mine!r} / {theirs!r}"[:300] for name, mine, theirs in pairs if mine != theirs)


class Verdict:
    """Requests that were taken, one after the other, and how it ended: "open" or a refusal."""

    def __init__(self, requests, end, reason=""):
        self.requests, self.end, self.reason = requests, end, reason

    def refused(self):
        return self.end == "refused"

    def __str__(self):
        return f"{len(self.requests)} taken, then {self.end} {self.reason}".strip()


def host_of(authority):
    """Lower case, without port and final dot, as nginx says it."""
    return re.sub(r":\d*$", "", authority).lower().removesuffix(".")


FRAMING = {"host", "content-length", "transfer-encoding", "upgrade"}
HOP = {"connection"}  # HAProxy writes its own


def plain_fields(fields):
    return [(name.lower(), value) for name, value in fields if name.lower() not in FRAMING]


def ours(data):
    done = subprocess.run([H1_DUMP], input=data, stdout=subprocess.PIPE, check=True, timeout=20 * SLOW)
    said = json.loads(done.stdout)
    requests = [Request(each["method"], each["path"], host_of(each["authority"]), each["body"],
                        plain_fields(each["fields"])) for each in said["requests"]]
    return Verdict(requests, "refused" if said["end"] == "fault" else "open", said["reason"])


def split_target(method, target, host):
    """Path and host of a target, by a reading of RFC 9112 section 3.2 that is not ours."""
    if method == "CONNECT":
        return "", target
    match = re.fullmatch(r"(?i:https?)://([^/?]*)(.*)", target)
    if not match:
        return target, host
    rest = match[2] or ("*" if method == "OPTIONS" else "/")
    return "/" + rest if rest.startswith("?") else rest, match[1]


def of_h11(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    requests = []
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
                host = next((value for name, value in fields if name == "host"), "")
                method = event.method.decode()
                path, host = split_target(method, event.target.decode(), host)
                request, body = Request(method, path, host_of(host), "", plain_fields(fields)), b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                request.body = body.decode("latin-1")
                requests.append(request)
                if request.method == "CONNECT":
                    return Verdict(requests, "open")
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return Verdict(requests, "open")
                connection.start_next_cycle()
            else:  # it needs more, or the connection was closed
                return Verdict(requests, "open")
    except h11.RemoteProtocolError as error:
        return Verdict(requests, "refused", str(error))


NGINX = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  log_format seen escape=json '{{"from": "$remote_addr", "status": $status, "method": "$request_method", '
    '"uri": "$request_uri", "host": "$host", "body": "$request_body"}}';
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  client_body_buffer_size 128k;
  large_client_header_buffers 4 64k;
  underscores_in_headers on;
  proxy_ignore_client_abort on;
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/seen.log seen;
    location / {{ proxy_pass http://127.0.0.1:{behind}; }}
  }}
  server {{ listen 127.0.0.1:{behind}; return 200 ok; }}
}}
"""


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert found, f"{name} is not installed"
    return found


@contextlib.contextmanager
def running(command, port, stop):
    """A server of someone else, from when it serves until it was told to stop."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def serves():
            assert process.poll() is None, f"{command[0]} ended: {process.returncode}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_until(f"{command[0]} to serve", serves, 20)
        yield
    finally:
        process.send_signal(stop)
        process.wait(20 * SLOW)


@contextlib.contextmanager
def nginx(folder):
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(textwrap.dedent(NGINX).format(folder=folder, port=port, behind=free_port()))
    command = [program("nginx"), "-e", f"{folder}/error.log", "-c", config, "-p", folder]
    with running(command, port, signal.SIGQUIT):
        yield port


def sources_of(inputs):
    """An address for each input: nobody takes the requests of one for those of another."""
    return [f"127.1.{i // 200}.{i % 200 + 1}" for i in range(len(inputs))]


def send(port, source, data, due=0, possible=0):
    """What came back. So many answers are waited for before this side closes, those that are only possible not for long."""
    came = b""
    with socket.socket() as client:
        client.settimeout(10 * SLOW)
        client.bind((source, 0))
        client.connect(("127.0.0.1", port))
        with contextlib.suppress(OSError):  # it need not read all of what it refuses
            client.sendall(data)
            while (count := len(statuses(came))) < possible:
                client.settimeout((2 if count < due else 0.2) * SLOW)
                part = receive(client)
                if not part:
                    break
                came += part
            client.shutdown(socket.SHUT_WR)
        client.settimeout(10 * SLOW)
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                came += part
    return came


def receive(client):
    """The next bytes; none when it is silent for too long."""
    try:
        return client.recv(65536)
    except TimeoutError:
        return b""


def statuses(came):
    return re.findall(r"^HTTP/1\.[01] (\d+)", came.decode("latin-1"), re.M)


def all_of_nginx(inputs):
    """Verdicts by the log that nginx wrote."""
    sources = sources_of(inputs)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with nginx(folder) as port:
            for source, data in zip(sources, inputs):
                send(port, source, data)
        lines = (folder / "seen.log").read_text(encoding="latin-1").splitlines()
    seen = {source: [] for source in sources}
    for line in lines:
        said = json.loads(line, strict=False)
        if said["from"] in seen:
            seen[said["from"]].append(said)
    return [of_log(seen[source]) for source in sources]


def of_log(lines):
    requests = []
    for said in lines:
        if said["status"] != 200:
            return Verdict(requests, "refused", str(said["status"]))
        requests.append(Request(said["method"], said["uri"], said["host"].removesuffix("."), said["body"]))
    return Verdict(requests, "open")


HAPROXY = """\
global
  maxconn 200
  nbthread 1
  tune.bufsize 66560  # the head, 64 KiB, and room to rewrite it
defaults
  mode http
  timeout connect 10s
  timeout client 10s
  timeout server 10s
  option http-server-close
  option disable-h2-upgrade
frontend odd
  bind 127.0.0.1:{port}
  default_backend recorder
backend recorder
  server recorder 127.0.0.1:{behind} send-proxy
"""


class Recorder(socketserver.StreamRequestHandler):
    """Notes the request that HAProxy wrote on a connection, by the address that it says it has it from."""

    def handle(self):
        lines = [*iter(lambda: self.rfile.readline().decode("latin-1").removesuffix("\r\n"), "")]
        if len(lines) < 2:
            return  # HAProxy or the probe gave it up
        proxied, line, *fields = lines
        method, target, _ = line.split(" ")
        fields = [tuple(part.strip(" ") for part in field.split(":", 1)) for field in fields]
        said = dict(fields)
        body = self.chunks() if "transfer-encoding" in said else self.sized(int(said.get("content-length", "0")))
        if body is None:
            return
        path, host = split_target(method, target, said.get("host", ""))
        fields = [each for each in plain_fields(fields) if each[0] not in HOP]
        request = Request(method, path, host_of(host), body.decode("latin-1"), fields, HOP)
        self.server.seen.setdefault(proxied.split(" ")[2], []).append(request)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 0\r\n" * (method != "CONNECT") + b"\r\n")

    def sized(self, size):
        """The body; None when its end did not come."""
        body = self.rfile.read(size) if size < 1 << 20 else b""
        return body if len(body) == size else None

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while trailer := self.rfile.readline().rstrip(b"\n"):
            if trailer == b"\r":
                return body
        return None


class Recorders(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # HAProxy gives up what turns out to be bad
            super().handle_error(request, client_address)


def all_of_haproxy(inputs, verdicts):
    """Verdicts by what HAProxy sent to its server and what it answered itself. It may not look at a second request when
    the client has closed its side, so that one waits for the answers there should be by the `verdicts` of another."""
    port, sources = free_port(), sources_of(inputs)
    with tempfile.TemporaryDirectory() as folder, Recorders(("127.0.0.1", free_port()), Recorder) as server:
        server.seen = {}
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        config = pathlib.Path(folder) / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, behind=server.server_address[1]))
        with running([program("haproxy"), "-db", "-f", config], port, signal.SIGTERM):
            answers = [send(port, source, data, len(other.requests), most_answers(data, other))
                       for source, data, other in zip(sources, inputs, verdicts)]
        server.shutdown()
    return [of_answer(server.seen.get(source, []), answer) for source, answer in zip(sources, answers)]


def most_answers(data, verdict):
    return len(verdict.requests) + 1 if verdict.refused() else max(data.count(b" HTTP/1."), len(verdict.requests))


def of_answer(requests, answer):
    status = next((status for status in statuses(answer) if status != "200"), None)
    return Verdict(requests, "refused", status) if status else Verdict(requests, "open")
