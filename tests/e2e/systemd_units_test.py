"""The units of systemd/: taken by systemd as they are meant, a sandbox that is tight and that the server
lives in, the sockets of the configuration that is installed."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import tomllib
import unittest

import dns.query

from lab import BINARY, SLOW, Case, free_port, make_query

ROOT = pathlib.Path(__file__).parents[2]
UNITS = ROOT / "systemd"


def settings(unit, key):
    """The values of a key in a unit file."""
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.M)


class Units(Case):
    def analyze(self, *words, **environment):
        done = subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True,
                              check=False, timeout=60 * SLOW, env=dict(os.environ, **environment))
        return done.returncode, done.stdout + done.stderr

    def copies(self, directory):
        """The units, with the binary under test and the page of documentation that is installed."""
        for unit in UNITS.iterdir():
            text = unit.read_text().replace("/usr/bin/postern", BINARY)
            text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
            pathlib.Path(directory, unit.name).write_text(text)
        return sorted(str(path) for path in pathlib.Path(directory).iterdir())

    def test_systemd_takes_the_units_as_they_are_meant(self):
        with tempfile.TemporaryDirectory() as directory:
            units = self.copies(directory)
            self.assertEqual([pathlib.Path(unit).name for unit in units],
                             ["postern-dns.socket", "postern-gateway.socket", "postern-quic.socket",
                              "postern.service"])
            status, text = self.analyze("verify", "--man=no", *units, SYSTEMD_UNIT_PATH=f"{directory}:")
            self.assertEqual((status, text), (0, ""))
            pathlib.Path(units[3]).write_text("[Service]\nType=notify\nWatchdogSecs=3\nExecStart=/none\n")
            status, text = self.analyze("verify", "--man=no", units[3], SYSTEMD_UNIT_PATH=f"{directory}:")
            self.assertNotEqual((status, text), (0, ""), "a unit with mistakes would show")

    def test_the_service_is_exposed_less_than_2_of_10(self):
        unit = str(UNITS / "postern.service")
        status, text = self.analyze("security", "--offline=true", "--threshold=20", unit)
        self.assertEqual(status, 0, text)
        level = float(re.search(r"exposure level for postern.service: ([\d.]+)", text)[1])
        self.assertLess(level, 2.0)
        self.assertEqual(settings("postern.service", "CapabilityBoundingSet"), ["CAP_NET_BIND_SERVICE"])
        self.assertEqual(self.analyze("security", "--offline=true", "--threshold=2", unit)[0], 1)

    def test_the_sockets_are_those_of_the_configuration_that_is_installed(self):
        listen = tomllib.loads((ROOT / "packaging/deb/postern.toml").read_text())["dns"]["listen"]
        for key in ("ListenDatagram", "ListenStream"):
            self.assertEqual(settings("postern-dns.socket", key), listen)

    def test_what_the_sandbox_forbids_is_not_used(self):
        """Every system call from start to end, with queries and a reload, is one of the filter's."""
        allowed = self.allowed_calls()
        self.assertLess({"accept4", "splice"}, allowed)  # splice: for relayed connections
        self.assertNotIn("chown", allowed)
        # Not in one directory: the server watches its configuration's, and each trace would be an event.
        with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as other:
            used = self.traced_calls(pathlib.Path(directory, "postern.toml"), pathlib.Path(other, "trace"))
        self.assertIn("recvmmsg", used)
        self.assertEqual(used - allowed, set())

    def allowed_calls(self):
        def members(name):
            _, text = self.analyze("syscall-filter", name)
            found = set()
            for word in re.findall(r"^    (@?\w+(?:-\w+)*)$", text, re.M):
                found |= members(word) if word.startswith("@") else {word}
            return found
        calls = set()
        for value in settings("postern.service", "SystemCallFilter"):
            for word in value.lstrip("~").split():
                calls = calls - members(word) if value.startswith("~") else calls | members(word)
        return calls

    def traced_calls(self, config, trace):
        port = free_port()
        config.write_text(f'[server]\nworkers = 2\nuser = ""\nadmin = ""\n[dns]\n'
                          f'listen = ["127.0.0.1:{port}"]\n'
                          '[[dns.override]]\nnames = ["*.here.test"]\naddress = ["192.0.2.7"]\n')
        server = subprocess.Popen(["strace", "-f", "-qq", "-o", str(trace), BINARY, "run", "-c", config],
                                  stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if "started:" in line:
                    break
            dns.query.udp(make_query("a.here.test."), "127.0.0.1", port=port, timeout=10 * SLOW)
            dns.query.tcp(make_query("a.here.test."), "127.0.0.1", port=port, timeout=10 * SLOW)
            children = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGHUP)
            for line in server.stderr:
                if "reloaded" in line:
                    break
        finally:
            for child in pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGTERM)
            server.communicate(timeout=30 * SLOW)
        return set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))


if __name__ == "__main__":
    unittest.main()
