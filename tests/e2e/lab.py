"""The bench that end-to-end tests stand on: the real binary on loopback, upstream servers that say
what the test tells them to, and ways to ask. Nothing here shares code with Postern."""

import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest
import urllib.request

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

BINARY = os.environ.get("POSTERN", str(pathlib.Path(__file__).parents[2] / "build/src/postern"))
SLOW = float(os.environ.get("POSTERN_SLOW", "1"))  # sanitizer builds take their time
READY_S = 20 * SLOW
PORTS = int(os.environ.get("POSTERN_PORTS", "600"))
PORT_FIRST = int(os.environ.get("POSTERN_PORT_FIRST", "10000"))
PORT_TURN = itertools.count()


def free_port(host="127.0.0.1"):
    """A port that is free for UDP and TCP now. Below the ports that the kernel draws for sockets
    without one, and each test file has a range of its own: nobody takes it before it is used.
    One after the other, so that two are never the same."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(PORTS):
        port = PORT_FIRST + next(PORT_TURN) % PORTS
        with socket.socket(family, socket.SOCK_STREAM) as tcp, \
                socket.socket(family, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((host, port))
                udp.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def wait_until(what, condition, seconds=8.0):
    """Polls until `condition()` is true; its value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * SLOW:g} s for {what}")
        time.sleep(0.02)


# --- asking -----------------------------------------------------------------------------------


def make_query(name, rdtype="A", rdclass="IN", **options):
    """A query with EDNS unless told otherwise, RD set, a random id."""
    options.setdefault("use_edns", 0)
    return dns.message.make_query(name, rdtype, rdclass, **options)


def records(section):
    """A section as sorted lines "name ttl type rdata", as people write them."""
    lines = []
    for rrset in section:
        for rdata in rrset:
            lines.append(f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} "
                         f"{rdata.to_text()}")
    return sorted(lines)


def data(section, rdtype):
    """The rdata of one type in a section, sorted."""
    return sorted(rdata.to_text() for rrset in section for rdata in rrset
                  if rrset.rdtype == dns.rdatatype.from_text(rdtype))


def ede(reply):
    """Extended DNS errors of a reply: [(code, text)]."""
    return [(int(option.code), option.text or "") for option in reply.options
            if int(option.otype) == 15]


def ede_codes(reply):
    return [code for code, _ in ede(reply)]


def receive_exactly(connection, size):
    got = b""
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            return got
        got += part
    return got


def receive_framed(connection):
    """One message from a stream; b"" when it was closed."""
    head = receive_exactly(connection, 2)
    return receive_exactly(connection, struct.unpack("!H", head)[0]) if len(head) == 2 else b""


def framed(message):
    return struct.pack("!H", len(message)) + message


def tests_or_said(loader, obstacle, what, *cases):
    """The tests of these classes; with an obstacle ("" is none) a test that says so, and fails when CI=true."""
    if not obstacle:
        return unittest.TestSuite(loader.loadTestsFromTestCase(one) for one in cases)
    said = f"{what} TESTS DID NOT RUN: {obstacle}"  # tests/all.sh looks for these words
    print(said)

    def fail():
        raise AssertionError(said)
    return unittest.TestSuite([unittest.FunctionTestCase(fail)] if os.environ.get("CI") == "true" else [])


def where_namespaces_work(loader, reason, what, *cases):
    return tests_or_said(loader, reason and f"no network namespaces here: {reason}", what, *cases)


# --- the program ------------------------------------------------------------------------------


class Postern:
    """`postern run` with a configuration in a directory of its own. Use as a context manager.

    `config` is TOML; [server] and [dns] are written by this class, with the lines of `server` and
    `dns` added. `files` are written below the directory first. `environment` is added to the one here.
    """

    def __init__(self, config="", server="", dns="", files=None, listen=None, ready=True,
                 binary=BINARY, whole=None, arguments=None, environment=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="postern-e2e-"))
        self.binary = binary
        self.port = free_port()
        self.admin_port = free_port()
        self.address = "127.0.0.1"
        self.config_path = self.directory / "postern.toml"
        self.parts = {"config": config, "server": server, "dns": dns}
        self.listen = listen or [f"{self.address}:{self.port}"]
        self.whole = whole
        self.arguments = arguments
        self.variables = environment or {}
        self.ready = ready
        self.log = []
        self.process = None
        for name, content in (files or {}).items():
            self.write(name, content)

    def write(self, name, content):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(textwrap.dedent(content))
        return path

    def configure(self, **parts):
        """Writes the configuration file, with some of its parts replaced."""
        self.parts.update(parts)
        if self.whole is not None:
            self.config_path.write_text(self.whole)
            return
        sections = {name: textwrap.dedent(text) for name, text in self.parts.items()}
        server, config = sections["server"], sections["config"]
        if "workers" not in server:
            server = "workers = 1\n" + server
        if "admin" not in server:
            server = f'admin = "127.0.0.1:{self.admin_port}"\n' + server
        listen = ", ".join(f'"{one}"' for one in self.listen)
        if "[[dns.forward]]" not in config:  # never the resolvers of the machine under the tests
            config += textwrap.dedent("""
                [[dns.forward]]
                name = "."
                upstreams = ["udp://127.0.0.1:9"]
                timeout = "500ms"
                """)
        self.config_path.write_text(
            f"[server]\n{server}\n[dns]\nlisten = [{listen}]\n{sections['dns']}\n{config}")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        try:
            status = self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
            if kind is not None:
                print("--- what the server said:\n" + "\n".join(self.log[-40:]), flush=True)
        if kind is None:
            assert status == 0, f"exit status {status}:\n" + "\n".join(self.log[-60:])

    def start(self):
        self.configure()
        arguments = self.arguments or ["run", "-c", str(self.config_path)]
        self.process = subprocess.Popen([self.binary, *arguments], stderr=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, cwd=self.directory,
                                        env={**os.environ, **self.variables})
        for stream in (self.process.stderr, self.process.stdout):
            threading.Thread(target=self._collect, args=(stream,), daemon=True).start()
        if self.ready:
            wait_until("the first answer", self._answers, READY_S)

    def _collect(self, stream):
        with stream, contextlib.suppress(ValueError):
            for line in stream:
                self.log.append(line.rstrip("\n"))

    def _answers(self):
        if self.process.poll() is not None:
            time.sleep(0.1)
            raise AssertionError(f"ended with status {self.process.returncode}:\n"
                                 + "\n".join(self.log[-40:]))
        with contextlib.suppress(OSError, dns.exception.DNSException):
            query = dns.message.make_query("ready.invalid.", "A")
            dns.query.udp(query, self.address, port=self.port, timeout=0.2)
            return True
        return False

    def stop(self, how=signal.SIGTERM, seconds=15):
        """Asks it to end; its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not end on SIGTERM:\n" + "\n".join(self.log[-40:])) from None

    def begin_reload(self, **parts):
        """The same, and does not wait for the end: the place in the log where it began."""
        mark = len(self.log)
        self.configure(**parts)
        self.process.send_signal(signal.SIGHUP)
        self.wait_log(r"\breload\b.*\breading ", mark)
        return mark

    def reload(self, **parts):
        """Writes the configuration anew and sends SIGHUP; the log line that tells the outcome."""
        mark = self.begin_reload(**parts)
        return self.wait_log(r"\b(reloaded|reload_refused)\b", mark)

    def wait_log(self, pattern, mark=0, seconds=8.0):
        """The first line since `mark` in which `pattern` is found."""
        def look():
            return next((line for line in self.log[mark:] if re.search(pattern, line)), None)
        try:
            return wait_until(f"the log line {pattern!r}", look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; said since:\n" + "\n".join(self.log[mark:])) from None

    # Asking it.

    def ask(self, name, rdtype="A", rdclass="IN", tcp=False, source=None, timeout=6.0, **options):
        return self.exchange(make_query(name, rdtype, rdclass, **options), tcp, source, timeout)

    def exchange(self, query, tcp=False, source=None, timeout=6.0):
        how = dns.query.tcp if tcp else dns.query.udp
        extra = {} if tcp else {"ignore_trailing": False}
        return how(query, self.address, port=self.port, timeout=timeout * SLOW, source=source,
                   **extra)

    def answer(self, name, rdtype="A", **options):
        """The answer section's rdata of the type asked for."""
        return data(self.ask(name, rdtype, **options).answer, rdtype)

    def raw_udp(self, message, timeout=6.0, address=None):
        """What comes back to these bytes; None when nothing does in time."""
        family = socket.AF_INET6 if address and ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.settimeout(timeout * SLOW)
            channel.connect((address or self.address, self.port))
            channel.send(message)
            try:
                return channel.recv(65535)
            except TimeoutError:
                return None

    def connect(self, timeout=6.0):
        return socket.create_connection((self.address, self.port), timeout * SLOW)

    def metrics(self):
        """What /metrics says: {name with labels: value}."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics",
                                    timeout=6 * SLOW) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

    def dig(self, *arguments, tool="dig"):
        """What a person sees: dig, kdig or drill, pointed at this server."""
        where = {"dig": [f"@{self.address}", "-p", str(self.port)],
                 "kdig": [f"@{self.address}", "-p", str(self.port)],
                 "drill": ["-p", str(self.port), f"@{self.address}"]}[tool]
        if tool == "drill":  # takes the name first, then the server
            where = ["-p", str(self.port)]
            arguments = (*arguments[:1], f"@{self.address}", *arguments[1:])
        done = subprocess.run([tool, *where, *arguments], capture_output=True, text=True,
                              timeout=30 * SLOW, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def run(*arguments, timeout=30, **options):
    """The program to its end: (exit status, standard output, standard error)."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout * SLOW, check=False, **options)
    return done.returncode, done.stdout, done.stderr


# --- upstream ---------------------------------------------------------------------------------


class Asked:
    """One query that an upstream got."""

    def __init__(self, message, transport, peer):
        question = message.question[0]
        self.message = message
        self.name = question.name.to_text()  # in the case in which it came
        self.type = dns.rdatatype.to_text(question.rdtype)
        self.transport = transport
        self.peer = peer
        self.when = time.monotonic()


class Upstream:
    """A server on 127.0.0.1, UDP and TCP, that knows the records it was given.

    Unknown names are NXDOMAIN, unknown types NODATA, both with a SOA. `on(name, handler)` replaces
    that: handler(query, transport) returns a message, bytes, several of these in a list, or None to
    say nothing.
    """

    def __init__(self, text="", address="127.0.0.1", port=None, negative_ttl=60):
        self.rrsets = {}
        self.handlers = {}
        self.asked = []
        self.silent = False
        self.delay = 0.0
        self.negative_ttl = negative_ttl
        self.address = address
        self.port = port or free_port(address)
        self.running = False
        self.add(text)
        self.start()

    def add(self, text):
        for line in textwrap.dedent(text).splitlines():
            line = line.split(" ;")[0].strip()
            if not line:
                continue
            name, ttl, rdtype, rdata = line.split(None, 3)
            key = (dns.name.from_text(name), dns.rdatatype.from_text(rdtype))
            new = dns.rrset.from_text(name, int(ttl), "IN", rdtype, rdata)
            if key in self.rrsets:
                self.rrsets[key].update(new)
            else:
                self.rrsets[key] = new

    def replace(self, text):
        self.rrsets.clear()
        self.add(text)

    def on(self, name, handler):
        self.handlers[dns.name.from_text(name)] = handler

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def url(self, scheme="udp"):
        return f"{scheme}://{self.address}:{self.port}"

    def forward(self, name=".", **settings):
        """The TOML that sends `name` here."""
        lines = [f"[[dns.forward]]\nname = \"{name}\"\nupstreams = [\"{self.url()}\"]"]
        lines += [f'{key} = "{value}"' for key, value in settings.items()]
        return "\n" + "\n".join(lines) + "\n"

    def count(self, name=None, rdtype=None, transport=None):
        return len([one for one in list(self.asked)
                    if (name is None or one.name.lower() == dns.name.from_text(name).to_text().lower())
                    and (rdtype is None or one.type == rdtype)
                    and (transport is None or one.transport == transport)])

    # Replies.

    def reply(self, query):
        """What the records say."""
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name
        for _ in range(16):
            found = self.rrsets.get((name, question.rdtype))
            alias = self.rrsets.get((name, dns.rdatatype.CNAME))
            if found is not None or alias is None:
                break
            response.answer.append(alias)
            name = alias[0].target
        if found is not None:
            response.answer.append(found)
            return response
        response.authority.append(self.soa(name))
        if not any(owner == name or owner.is_subdomain(name) for owner, _ in self.rrsets):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def soa(self, name):
        zone = name.split(min(3, len(name)))[1]
        return dns.rrset.from_text(
            zone, self.negative_ttl, "IN", "SOA",
            f"ns.upstream.invalid. admin.upstream.invalid. 1 3600 600 86400 {self.negative_ttl}")

    @staticmethod
    def failing(rcode):
        """A handler that answers with an error."""
        def handler(query, _transport):
            response = dns.message.make_response(query)
            response.set_rcode(rcode)
            return response
        return handler

    def _replies(self, message, transport, peer):
        try:
            query = dns.message.from_wire(message)
        except dns.exception.DNSException:
            return []
        self.asked.append(Asked(query, transport, peer))
        if self.silent:
            return []
        handler = self.handlers.get(query.question[0].name)
        said = handler(query, transport) if handler else self.reply(query)
        said = said if isinstance(said, list) else [said]
        return [one if isinstance(one, bytes) else self._render(one, query, transport)
                for one in said if one is not None]

    @staticmethod
    def _render(response, query, transport):
        if transport == "tcp":
            return response.to_wire(max_size=65535)
        limit = query.payload if query.edns >= 0 else 512
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            return short.to_wire()

    # Sockets.

    def start(self):
        self.running = True
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((self.address, self.port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((self.address, self.port))
        self.tcp.listen(64)
        self.connections = []
        self.serving = [threading.Thread(target=target, daemon=True) for target in (self._serve_udp, self._serve_tcp)]
        for thread in self.serving:
            thread.start()

    def stop(self):
        """Unplugged: nothing listens here any more, and the port can be taken again at once."""
        if not self.running:
            return
        self.running = False
        for one in [self.udp, self.tcp, *self.connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self.serving:  # who still waits in a system call holds its socket
            thread.join(5)

    def _later(self, action):
        if self.delay:
            threading.Timer(self.delay, action).start()
        else:
            action()

    def _serve_udp(self):
        channel = self.udp
        while self.running:
            try:
                message, peer = channel.recvfrom(65535)
            except OSError:
                return
            threading.Thread(target=self._udp_reply, args=(channel, message, peer),
                             daemon=True).start()

    def _udp_reply(self, channel, message, peer):
        for reply in self._replies(message, "udp", peer):
            def send(reply=reply):
                with contextlib.suppress(OSError):
                    channel.sendto(reply, peer)
            self._later(send)

    def _serve_tcp(self):
        listener = self.tcp
        while self.running:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._tcp_session, args=(connection, peer), daemon=True).start()

    def _tcp_session(self, connection, peer):
        with contextlib.suppress(OSError):
            while True:
                message = receive_framed(connection)
                if not message:
                    connection.close()
                    return
                threading.Thread(target=self._tcp_reply, args=(connection, message, peer),
                                 daemon=True).start()

    def _tcp_reply(self, connection, message, peer):
        for reply in self._replies(message, "tcp", peer):
            def send(reply=reply):
                with contextlib.suppress(OSError):
                    connection.sendall(framed(reply))
            self._later(send)


class Case(unittest.TestCase):
    """A test with the words of this trade."""

    maxDiff = None

    def assert_rcode(self, reply, rcode):
        self.assertEqual(dns.rcode.to_text(reply.rcode()), rcode)

    def assert_nodata(self, reply, minimum=None, owner=None):
        """NOERROR, no answer, a SOA in authority (with this minimum)."""
        self.assert_rcode(reply, "NOERROR")
        self.assertEqual(records(reply.answer), [])
        self.assert_soa(reply, minimum, owner)

    def assert_nxdomain(self, reply, minimum=None, owner=None):
        self.assert_rcode(reply, "NXDOMAIN")
        self.assert_soa(reply, minimum, owner)

    def assert_soa(self, reply, minimum=None, owner=None):
        found = [rrset for rrset in reply.authority if rrset.rdtype == dns.rdatatype.SOA]
        self.assertEqual(len(found), 1, f"one SOA in authority\n{reply}")
        if minimum is not None:
            self.assertEqual(found[0][0].minimum, minimum)
        if owner is not None:
            self.assertEqual(found[0].name.to_text(), owner)

    def assert_says(self, text, *parts):
        """Each part stands in the text."""
        for part in parts:
            self.assertIn(part, text)


class Shared(Case):
    """A test case whose methods share one server and its upstream: `up` and `postern`.

    A subclass sets RECORDS (what upstream knows), CONFIG, and maybe DNS, SERVER, FILES. "{up}" in
    them is upstream's URL; a forward of "." to it is added unless CONFIG has forwards of its own.
    """

    RECORDS = ""
    CONFIG = ""
    DNS = ""
    SERVER = ""
    FILES = {}
    LISTEN = None

    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(cls.RECORDS)
        config = textwrap.dedent(cls.CONFIG).replace("{up}", cls.up.url())
        if "[[dns.forward]]" not in config:
            config += cls.up.forward()
        cls.postern = Postern(config, server=cls.SERVER, dns=cls.DNS, files=cls.FILES,
                              listen=cls.LISTEN)
        cls.postern.start()
        cls.ask = cls.postern.ask
        cls.answer = cls.postern.answer

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()
        cls.postern.__exit__(None, None, None)
