"""The log: what journald and programs read, bursts that are held back, and a reader that stops reading."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import dns.message

from gateway_lab import Gateway, route
from lab import BINARY, SLOW, Case, Postern, free_port, wait_until

OVERRIDE = """
    [[dns.override]]
    names   = ["*.vanillax.me"]
    address = ["192.168.10.50"]
    https   = "none"
    """


class Piped(Postern):
    """Its standard error is a pipe of the test's own, which is read when the test says so."""

    def __init__(self, *arguments, journal=None, **options):
        super().__init__(*arguments, **options)
        self.journal = journal
        self.reader = -1

    def start(self):
        self.configure()
        self.reader, writer = os.pipe()
        environment = {key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"}
        if self.journal:
            stream = os.fstat(writer)
            environment["JOURNAL_STREAM"] = f"{stream.st_dev}:{stream.st_ino + (self.journal != 'this')}"
        self.process = subprocess.Popen([self.binary, "run", "-c", str(self.config_path)], stderr=writer,
                                        stdout=subprocess.DEVNULL, cwd=self.directory, env=environment)
        os.close(writer)
        if self.ready:
            wait_until("the first answer", self._answers)

    def __exit__(self, *error):
        super().__exit__(*error)
        os.close(self.reader)

    def text(self, until):
        """Reads until this stands in it; everything so far."""
        got = b""
        end = time.monotonic() + 20 * SLOW
        while until not in got and time.monotonic() < end:
            if select.select([self.reader], [], [], 1)[0]:
                got += os.read(self.reader, 65536)
        return got.decode()


class Journal(Case):
    def lines(self, journal, **log):
        server = "log = { " + ", ".join(f'{key} = "{value}"' for key, value in log.items()) + " }\n"
        config = OVERRIDE + '[[dns.forward]]\nname = "home.arpa"\nupstreams = ["tcp://127.0.0.1:9"]\ntimeout = "500ms"\n'
        with Piped(config, journal=journal, server=server) as postern:
            postern.ask("nothing.home.arpa")  # forward_failed: a warning
            return [line for line in postern.text(b"forward_failed").splitlines() if line]

    def test_priorities_and_no_time_when_standard_error_is_the_journal(self):
        lines = self.lines("this", level="info")
        for line in lines:
            self.assertRegex(line, r"^<[34567]>[a-z0-9_]+: ")
        self.assertTrue(any(line.startswith("<6>listening: ") for line in lines), lines)
        self.assertTrue(any(line.startswith("<4>forward_failed: ") for line in lines), lines)

    def test_the_time_and_the_level_where_the_variable_is_of_another_stream(self):
        for journal in ("other", None):
            for line in self.lines(journal, level="info"):
                self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) +[a-z0-9_]+: ")

    def test_JSON_in_the_journal_has_the_priority_in_front(self):
        for line in self.lines("this", format="json"):
            self.assertRegex(line, r"^<[34567]>\{")
            json.loads(line[3:])


class Json(Case):
    def test_every_line_is_JSON_whatever_clients_send(self):
        names = ["a\\032\\010\\013b", "\\\"quote", "back\\\\slash", "\\195\\164", "\\255\\254", "\\027[31mred", "nul\\000"]
        server = 'log = { level = "debug", format = "json", queries = true }\n'
        with Gateway(route(respond={"status": 200, "body": "x"}), server=server) as gateway:
            for name in names:
                for rdtype in ("A", "HTTPS", "TXT"):
                    gateway.ask(f"{name}.vanillax.me", rdtype)
            for path in (b"/\"\\", b"/\x1b[31m", b"/\xff\xfe", b"/\xc3\xa4", b"/%0a%0d"):
                gateway.raw(b"GET " + path + b" HTTP/1.1\r\nHost: app.vanillax.me\r\nUser-Agent: \"\x80\r\nConnection: close\r\n\r\n")
            gateway.raw(b"\x16\x03\x01nonsense\n", tls=False)
            with socket.create_connection(("127.0.0.1", gateway.https_port)) as plain:
                plain.sendall(b"\xff\"\\\n" * 20)
                with contextlib.suppress(OSError):
                    plain.recv(100)
            gateway.reload()
            lines = list(gateway.log)
        self.assertGreater(len(lines), 30)
        said = [json.loads(line) for line in lines]
        for one in said:
            self.assertLessEqual({"time", "level", "event"}, set(one))
        self.assertTrue(any("request" == one["event"] for one in said))
        self.assertGreaterEqual(len([one for one in said if one["event"] == "query"]), 3 * len(names))


class Start(Case):
    """What is said before anything is served reaches whoever reads the log: programs, and journalctl -p."""

    def said(self, journal, port=None, config=OVERRIDE, **log):
        """All lines of a start that ends at once, or of one with a warning: up to the first that is served."""
        ready = config == OVERRIDE and port is None
        admin = "0.0.0.0" if ready else "127.0.0.1"  # the former without a token is the warning
        settings = ", ".join(f'{key} = "{value}"' for key, value in log.items())
        postern = Piped(config, journal=journal, ready=ready,
                        server=f'log = {{ {settings} }}\nadmin = "{admin}:{free_port()}"\n')
        postern.port = port or postern.port
        postern.listen = [f"127.0.0.1:{postern.port}"]
        if ready:
            with postern:
                return postern.text(b"started").splitlines()
        postern.start()
        self.assertEqual(postern.process.wait(20 * SLOW), 1)
        text = postern.text(b"start_failed")
        os.close(postern.reader)
        shutil.rmtree(postern.directory)
        return text.splitlines()

    def one(self, lines, event):
        found = [line for line in lines if re.search(rf'(^|\W){event}(: |")', line)]
        self.assertEqual(len(found), 1, lines)
        return found[0]

    def test_a_warning_of_the_configuration(self):
        line = self.one(self.said("this"), "config")
        self.assertRegex(line, r"^<4>config: \S+postern\.toml:\d+:\d+: warning: server\.admin: ")
        line = self.one(self.said(None), "config")
        self.assertRegex(line, r"^\d{4}-\S+Z warning config: ")
        for journal, head in (("this", "<4>"), (None, "")):
            lines = self.said(journal, format="json")
            said = [json.loads(line[len(head):]) for line in lines]
            self.assertEqual([one["level"] for one in said if one["event"] == "config"], ["warning"])
            self.assertTrue(self.one(lines, "config").startswith(head + "{"))

    def test_an_error_of_the_configuration(self):
        wrong = OVERRIDE + '[dns.cahce]\nsize = "1MiB"\n'
        lines = self.said("this", config=wrong)
        self.assertRegex(self.one(lines, "config_rejected"), r"^<3>config_rejected: \S+:\d+:\d+: .*did you mean 'cache'")
        self.assertEqual(self.one(lines, "start_failed"), "<3>start_failed: 1 error in the configuration; nothing is served")
        said = [json.loads(line) for line in self.said(None, config=wrong, format="json")]
        self.assertEqual([(one["level"], one["event"]) for one in said],
                         [("error", "config_rejected"), ("error", "start_failed")])
        # Of what is not even TOML the format is not known; the priority is.
        lines = self.said("this", config=OVERRIDE + "nonsense\n", format="json")
        self.assertEqual({line[:3] for line in lines}, {"<3>"}, lines)

    def test_an_address_that_is_taken(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", free_port()))
            port = taken.getsockname()[1]
            self.assertRegex(self.one(self.said("this", port=port), "start_failed"), rf"^<3>start_failed: .*127\.0\.0\.1:{port}")
            said = [json.loads(line) for line in self.said(None, port=port, format="json")]
            self.assertIn(("error", "start_failed"), [(one["level"], one["event"]) for one in said])

    def test_people_at_a_terminal_get_plain_lines(self):
        with tempfile.TemporaryDirectory(prefix="postern-log-") as directory:
            path = pathlib.Path(directory) / "postern.toml"
            path.write_text('[server]\nlog = { format = "json" }\n[dns.cahce]\n')
            ours, theirs = pty.openpty()
            with open(ours, "rb", buffering=0) as screen:
                process = subprocess.Popen([BINARY, "run", "-c", path], stderr=theirs, stdout=subprocess.DEVNULL)
                os.close(theirs)
                text = b""
                with contextlib.suppress(OSError):  # that is how a terminal ends
                    while part := screen.read(4096):
                        text += part
                self.assertEqual(process.wait(20 * SLOW), 1)
        lines = text.decode().splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[0].startswith(f"{path}:3:6: "), lines)
        self.assertEqual(lines[1], "postern: 1 error in the configuration; nothing is served")


class Burst(Case):
    def test_a_stranger_cannot_fill_the_log(self):
        """Each failed handshake is a line at this level; 100 of them are written, the others are told as a number."""
        with Gateway(route(respond={"status": 200, "body": "x"}), server='log = { level = "debug" }\n') as gateway:
            count = 250
            for _ in range(count):
                with socket.create_connection(("127.0.0.1", gateway.https_port)) as plain:
                    plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    with contextlib.suppress(OSError):
                        while plain.recv(1000):
                            pass
            key = "postern_log_held_back_lines_total"
            wait_until("the rest to be held back", lambda: gateway.metrics()[key] >= count - 100)
            lines = [line for line in gateway.log if "handshake_failed" in line]
            self.assertLessEqual(len(lines), 101)
            told = gateway.wait_log("log_limited: [0-9]+ more lines of handshake_failed", seconds=15)
            held = int(re.search(r"log_limited: (\d+)", told)[1])
            lines = [line for line in gateway.log if re.search(" handshake_failed: ", line)]
            self.assertEqual(len(lines) + held, gateway.metrics()[key] + len(lines))
            self.assertEqual(held, gateway.metrics()[key])


class StoppedReader(Case):
    """A reader of standard error that stops, as a paused terminal or a stuck journal does."""

    QUERIES = 15_000
    LABEL = "x" * 60

    def test_queries_are_answered_and_what_was_lost_is_told(self):
        with Piped(OVERRIDE, server="log = { queries = true }\n") as postern, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.connect((postern.address, postern.port))
            channel.settimeout(5 * SLOW)
            query = dns.message.make_query(f"{self.LABEL}.{self.LABEL}.{self.LABEL}.vanillax.me", "A").to_wire()
            slowest, asked = 0.0, 0

            def ask_more(count):
                nonlocal slowest, asked
                for _ in range(count):
                    began = time.monotonic()
                    channel.send(query)
                    channel.recv(2000)
                    slowest = max(slowest, time.monotonic() - began)
                asked += count
                return postern.metrics()["postern_log_dropped_lines_total"]
            # More than the pipe and the queue hold; where the machine has much else to do, the workers' rings lose some before.
            ask_more(self.QUERIES)
            lost = wait_until("lines to be lost", lambda: ask_more(1000))
            self.assertLess(slowest, 1.0 * SLOW)
            text = postern.text(b"lines were lost")

            def told():
                return sum(int(number) for number in re.findall(r"log_dropped: (\d+) lines", text))
            ring = 'postern_query_log_dropped_total{reason="ring"}'
            while text.count(".vanillax.me. ") + told() + postern.metrics()[ring] < asked:
                if not select.select([postern.reader], [], [], 10 * SLOW)[0]:
                    break
                text += os.read(postern.reader, 65536).decode()
            self.assertGreaterEqual(told(), lost)
            self.assertEqual(told(), postern.metrics()["postern_log_dropped_lines_total"])
            self.assertEqual(text.count(".vanillax.me. ") + told() + postern.metrics()[ring], asked)

    def test_it_ends_although_nobody_reads(self):
        with Piped(OVERRIDE, server="log = { queries = true }\n") as postern:
            for i in range(800):
                postern.ask(f"{self.LABEL}.{self.LABEL}.n{i}.vanillax.me")
            began = time.monotonic()
            self.assertEqual(postern.stop(), 0)
            self.assertLess(time.monotonic() - began, 5 * SLOW)

    def test_a_reader_that_is_gone_does_no_harm(self):
        postern = Piped(OVERRIDE, server="log = { queries = true }\n")
        with postern:
            os.close(postern.reader)
            for _ in range(50):
                self.assertEqual(postern.answer("llama.vanillax.me"), ["192.168.10.50"])
            wait_until("the loss to be counted", lambda: postern.metrics()["postern_log_dropped_lines_total"] >= 1)
            postern.reader = os.open("/dev/null", os.O_RDONLY)


if __name__ == "__main__":
    unittest.main()
