"""Backends whose host vanishes with requests under way. Three network namespaces:

    near                Postern and its clients
    fire    10.61.0.2   a backend, whose firewall drops everything then
    cable   10.62.0.2   a backend, whose cable is pulled

Needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN."""

import contextlib
import os
import pathlib
import sys
import threading
import time
import unittest

from gateway_backends import Backend
from gateway_h2_backend import H2Backend
from gateway_lab import Gateway, read_until, route
from lab import SLOW, Case, wait_until, where_namespaces_work

sys.path.append(str(pathlib.Path(__file__).parent / "browser"))
from network import inside, sh, why_not  # noqa: E402  pylint: disable=wrong-import-position

os.environ["PATH"] += ":/usr/sbin:/sbin"
NEAR, FIRE, CABLE = (f"pt{os.getpid()}-{name}" for name in ("near", "fire", "cable"))
NETWORKS = {FIRE: "10.61.0", CABLE: "10.62.0"}
DROP = "table inet t { chain i { type filter hook input priority 0; policy drop; }; " \
       "chain o { type filter hook output priority 0; policy drop; }; }"


def load_tests(loader, _tests, _pattern):
    return where_namespaces_work(loader, why_not(), "VANISHING", Vanish)


class Far(H2Backend):
    """It leaves requests for /silent without an answer."""

    def __init__(self, address):
        super().__init__(host=address)
        reply = self.done
        self.done = lambda request: reply(request) if request.fields[":path"] != "/silent" else None


def status(connection):
    return int(read_until(connection, b"\r\n").split()[1])


def statuses(*connections):
    return {status(one) for one in connections}


class Vanish(Case):
    def setUp(self):
        for name in (NEAR, FIRE, CABLE):
            sh("ip", "netns", "add", name)
            self.addCleanup(sh, "ip", "netns", "del", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        for name, network in NETWORKS.items():
            end = "to-" + name.rpartition("-")[2]
            sh("ip", "link", "add", end, "netns", NEAR, "type", "veth", "peer", "name", "wire", "netns", name)
            for where, wire, host in ((NEAR, end, 1), (name, "wire", 2)):
                sh("ip", "-n", where, "addr", "add", f"{network}.{host}/24", "dev", wire)
                sh("ip", "-n", where, "link", "set", wire, "up")

    @contextlib.contextmanager
    def gateway_to(self, hosts):
        """A gateway to these backends, and what begins a request whose connection is read later."""
        routes = [route(backend, hosts=[host]) for host, backend in hosts.items()]
        with Gateway(*routes, server="log = { requests = true }") as gateway, contextlib.ExitStack() as held:
            def begin(method, host, path):
                connection = held.enter_context(gateway.dial(tls=False, timeout=60))
                connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
                return connection
            yield gateway, begin

    def test_what_is_under_way_fails_and_the_host_is_asked_anew_when_it_is_back(self):
        with contextlib.ExitStack() as ends:
            fire, cable = (ends.enter_context(inside(name, lambda network=network: Far(f"{network}.2")))
                           for name, network in NETWORKS.items())
            inside(NEAR, lambda: self.vanish_and_return({"fire.vanillax.me": fire, "cable.vanillax.me": cable}))

    def vanish_and_return(self, hosts):
        with self.gateway_to(hosts) as (gateway, begin):
            for host in hosts:
                self.assertEqual(status(begin("GET", host, "/")), 200)
            under_way = [begin("POST", host, "/silent") for host in hosts]
            for backend in hosts.values():
                wait_until("the request", lambda backend=backend: backend.exchanges[-1].fields[":path"] == "/silent")
            began = time.monotonic()
            sh("ip", "netns", "exec", FIRE, "nft", DROP)
            sh("ip", "-n", CABLE, "link", "set", "wire", "down")
            later = [begin("GET", host, "/later") for host in hosts]
            self.assertEqual([status(one) for one in under_way], [502, 502])
            # 15 s until a PING, 10 s for its answer, and two looks that are 500 ms apart.
            self.assertTrue(20 < time.monotonic() - began < 30 + 5 * SLOW, time.monotonic() - began)
            for host in hosts:
                line = gateway.access(f"host={host} path=/silent")
                self.assertIn("failure=\"the backend's host has vanished\"", line)
            # These are sent again, on new connections, for which there is nobody.
            for connection in later:
                self.assertIn(status(connection), (503, 504))
            self.assertLess(time.monotonic() - began, 40 + 10 * SLOW)
            sh("ip", "netns", "exec", FIRE, "nft", "flush ruleset")
            sh("ip", "-n", CABLE, "link", "set", "wire", "up")
            for host, backend in hosts.items():
                wait_until("its return", lambda host=host: status(begin("GET", host, "/again")) == 200, 30)
                self.assertEqual(len(backend.peers), 2)

    def test_http1(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        with contextlib.ExitStack() as ends:
            hosts = {f"{name.rpartition('-')[2]}.vanillax.me": ends.enter_context(
                inside(name, lambda network=network: Backend(host=f"{network}.2"))) for name, network in NETWORKS.items()}
            for backend in hosts.values():
                backend.on("/silent", lambda e: hold.wait(300))
                backend.on("/kept", lambda e: (time.sleep(0.5), e.reply()))
            inside(NEAR, lambda: self.vanish(hosts))

    def vanish(self, hosts):
        """Requests that it had got, and others, on kept connections, that it has not."""
        with self.gateway_to(hosts) as (gateway, begin):
            self.assertEqual(statuses(*[begin("GET", host, "/kept") for host in hosts for _ in range(3)]), {200})
            silent = [begin("POST", host, "/silent") for host in hosts]
            for backend in hosts.values():
                wait_until("the request", lambda backend=backend: backend.seen("/silent"))
            began = time.monotonic()
            sh("ip", "netns", "exec", FIRE, "nft", DROP)
            sh("ip", "-n", CABLE, "link", "set", "wire", "down")
            lost = [begin("POST", host, "/lost") for host in hosts]
            repeated = [begin("GET", host, "/repeated") for host in hosts]
            self.assertEqual(statuses(*lost), {502})
            # 10 s without an acknowledgement, and 15 s more.
            self.assertTrue(24 < time.monotonic() - began < 28 + 5 * SLOW, time.monotonic() - began)
            self.assertEqual(statuses(*silent), {502})
            # The system asks after 15 s and then thrice, every 5 s.
            self.assertTrue(24 < time.monotonic() - began < 36 + 5 * SLOW, time.monotonic() - began)
            self.assertLessEqual(statuses(*repeated), {503, 504})
            for host in hosts:
                self.assertIn("failure=\"the backend's host has vanished\"", gateway.access(f"host={host} path=/lost"))
                self.assertRegex(gateway.access(f"host={host} path=/silent"), "failure=\".*(timed out|No route)")

    def test_requests_that_end_before_the_ping_do_not_keep_the_connection_of_a_host_that_vanished(self):
        inside(NEAR, self.forget_and_return)

    def forget_and_return(self):
        """The host forgets a connection and takes new ones, as after a loss of power."""
        with inside(FIRE, lambda: Far(f"{NETWORKS[FIRE]}.2")) as backend, \
                Gateway(route(backend, hosts=["fire.vanillax.me"], timeouts={"backend": "2s"})) as gateway:
            def status():
                with gateway.dial(tls=False, timeout=10) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: fire.vanillax.me\r\n\r\n")
                    return int(read_until(connection, b"\r\n").split()[1])
            self.assertEqual(status(), 200)
            old = backend.peers[0].socket.getpeername()[1]
            sh("ip", "netns", "exec", FIRE, "nft", "table inet t { chain i { type filter hook input priority 0; "
               f"tcp sport {old} drop; }}; }}")
            began, statuses = time.monotonic(), []
            while time.monotonic() - began < 30 * SLOW and statuses[-1:] != [200]:
                time.sleep(1)
                statuses.append(status())
            self.assertEqual(statuses[-1], 200, statuses)
            self.assertEqual(set(statuses[:-1]), {504})


if __name__ == "__main__":
    unittest.main()
