"""A service under a service manager: what it says to it, and that a restart with passed sockets loses no
query, refuses no connection."""

import concurrent.futures
import ctypes
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from lab import SLOW, Case, Upstream, free_port, wait_until
from gateway_backends import is_open
from gateway_reload_test import make_pair, quic_reply
from service_manager import Managed, bound

OVERRIDE = """
    [[dns.override]]
    names   = ["*.here.test"]
    address = ["192.0.2.7"]
    """
DGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM


class Notify(Case):
    def test_ready_is_said_when_it_answers_and_stopping_when_it_ends(self):
        with Managed(OVERRIDE) as postern:
            self.assertEqual(postern.answer("www.here.test.", timeout=1), ["192.0.2.7"])
            ready = postern.notices.wait("READY")
            self.assertEqual(ready["STATUS"], f"serving {postern.config_path}")
            self.assertNotIn("WATCHDOG", ready)
            postern.stop()
            postern.notices.wait("STOPPING")
            self.assertEqual(postern.notices.count("WATCHDOG"), 0, "nobody asked for it")

    def test_a_reload_is_told_with_its_time_and_its_outcome(self):
        with Managed(OVERRIDE) as postern:
            for config, said in ((OVERRIDE, "serving "), ("[[dns.override]]\n", "refused (2 errors)")):
                mark, before = len(postern.notices.heard), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                postern.reload(config=config)
                reloading = postern.notices.wait("RELOADING", mark)
                after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                self.assertLessEqual(before // 1000, int(reloading["MONOTONIC_USEC"]))
                self.assertLessEqual(int(reloading["MONOTONIC_USEC"]), after // 1000)
                ready = postern.notices.wait("READY", mark)
                self.assertLess(reloading["at"], ready["at"])
                self.assertIn(said, ready["STATUS"])

    def test_signs_of_life_stop_when_a_worker_hangs(self):
        with Managed(OVERRIDE, server="workers = 2", watchdog_us=300_000) as postern:
            signs = lambda: postern.notices.count("WATCHDOG")
            wait_until("three signs", lambda: signs() >= 3)
            with held_thread(postern.threads()[-1]):
                time.sleep(0.3)  # one may have been on its way
                mark = signs()
                time.sleep(0.6)
                self.assertEqual(signs(), mark)
            wait_until("more signs", lambda: signs() >= mark + 2)

    def test_an_abstract_socket_is_spoken_to_as_well(self):
        with Managed(OVERRIDE, target=f"@postern-test-{os.getpid()}") as postern:
            postern.notices.wait("READY")

    def test_a_manager_that_is_not_there_is_no_reason_not_to_serve(self):
        for target, why in (("/nonexistent/notify", "No such file"), ("vsock:2:1234", "Invalid argument"),
                            ("@" + "x" * 200, "Invalid argument")):
            with Managed(OVERRIDE, environment={"NOTIFY_SOCKET": target}, ready=False) as postern:
                postern.wait_log(rf"NOTIFY_SOCKET={target}: {why}")
                wait_until("an answer", postern._answers)


class held_thread:  # pylint: disable=invalid-name
    """One thread of a child process stands still, the others go on (ptrace(2))."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ask(self, request):
        result = self.libc.ptrace(ctypes.c_long(request), ctypes.c_long(self.thread), None, None)
        assert result == 0, os.strerror(ctypes.get_errno())

    def __enter__(self):
        self.ask(self.SEIZE)
        self.ask(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, *error):
        self.ask(self.DETACH)


class SocketCase(Case):
    def dns_sockets(self, port, address="127.0.0.1"):
        return [("postern-dns.socket", bound(DGRAM, address, port)),
                ("postern-dns.socket", bound(STREAM, address, port))]

    def managed(self, config=OVERRIDE, port=None, address="127.0.0.1", more=(), **options):
        port = port or free_port()
        postern = Managed(config, sockets=[*self.dns_sockets(port, address), *more],
                          listen=[f"[{address}]:{port}" if ":" in address else f"{address}:{port}"],
                          **options)
        postern.port = port
        return postern


class Passed(SocketCase):
    def test_passed_sockets_are_served_by_every_worker(self):
        for address in ("127.0.0.1", "0.0.0.0", "::"):
            with self.managed(address=address, server="workers = 2") as postern:
                postern.address = {"::": "::1"}.get(address, "127.0.0.2" if address == "0.0.0.0" else address)
                for tcp in (False, True):
                    reply = postern.ask("www.here.test.", tcp=tcp)
                    self.assertEqual(reply.answer[0][0].address, "192.0.2.7")
                for protocol in ("UDP", "TCP"):
                    postern.wait_log(rf":{postern.port} {protocol} from postern-dns.socket")
                self.assertEqual([line for line in postern.log if " warning passed" in line], [])

    def test_what_nothing_listens_on_is_named(self):
        port, dual = free_port(), free_port("::1")
        stray = [("postern-gateway.socket", bound(STREAM, "127.0.0.1", port)),
                 ("both.socket", bound(DGRAM, "::", dual, v6only=False)),
                 ("", socket.socket(socket.AF_UNIX, DGRAM)), ("x", socket.socket())]
        with self.managed(more=stray) as postern:
            postern.wait_log(rf"127.0.0.1:{port} TCP was passed by postern-gateway.socket, but nothing")
            postern.wait_log("BindIPv6Only=ipv6-only")
            postern.wait_log("descriptor 7 from the service manager is no socket with an IP address")
            postern.wait_log("descriptor 8 from x is no")
            self.assertEqual(postern.answer("www.here.test."), ["192.0.2.7"])

    def test_what_was_not_passed_is_bound_as_ever(self):
        with self.managed() as postern:
            second = free_port()
            postern.listen.append(f"127.0.0.1:{second}")
            postern.reload()
            postern.wait_log("reloaded")
            postern.port = second
            self.assertEqual(postern.answer("www.here.test."), ["192.0.2.7"])

    def test_another_address_on_the_port_is_refused_with_the_reason(self):
        port = free_port()
        postern = self.managed(port=port, address="0.0.0.0", ready=False)
        postern.listen = [f"127.0.0.1:{port}"]
        with postern:
            self.assertEqual(postern.process.wait(20 * SLOW), 1)
            postern.wait_log(rf"127.0.0.1:{port} \(UDP\) is not free: postern-dns.socket was passed as 0.0.0.0:{port}")
            postern.process = None

    def test_sockets_of_another_process_are_left_alone(self):
        port = free_port()
        with self.managed(port=port, ready=False, environment={"LISTEN_PID": "1"}) as postern:
            self.assertEqual(postern.process.wait(20 * SLOW), 1)
            postern.wait_log("in use by another program")
            postern.process = None

    def test_nonsense_in_the_environment_is_no_reason_not_to_serve(self):
        for fds in ("", "-3", "x", "99999999999999999999"):
            with Managed(OVERRIDE, environment={"LISTEN_FDS": fds}) as postern:
                self.assertEqual(postern.answer("www.here.test."), ["192.0.2.7"])

    def test_an_address_that_goes_and_comes_back_is_served_again(self):
        with self.managed() as postern:
            kept = postern.listen
            mark = len(postern.log)
            other = free_port()
            postern.reload(**{"dns": ""})
            postern.listen = [f"127.0.0.1:{other}"]
            postern.reload()
            postern.wait_log("was passed by postern-dns.socket, but nothing", mark)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                waiting = [pool.submit(postern.ask, "a.here.test.", tcp=tcp, timeout=20)
                           for tcp in (False, True)]
                time.sleep(0.2)
                postern.listen = kept
                postern.reload()
                for one in waiting:
                    self.assert_rcode(one.result(), "NOERROR")


class Askers:
    """People who ask without a pause, each once: whoever gets no answer is counted."""

    def __init__(self, *tasks):
        self.stopping = False
        self.good, self.bad = 0, []
        self.threads = [threading.Thread(target=self._ask, args=(task,), daemon=True) for task in tasks]

    def _ask(self, task):
        while not self.stopping:
            try:
                task()
                self.good += 1
            except Exception as error:  # pylint: disable=broad-except
                self.bad.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stopping = True
        for thread in self.threads:
            thread.join(60 * SLOW)


class Restart(SocketCase):
    RESTARTS = 3

    def restarts(self, postern, askers):
        for _ in range(self.RESTARTS):
            mark = askers.good
            wait_until("answers", lambda mark=mark: askers.good > mark + 100)
            postern.restart()

    def test_no_query_is_lost(self):
        with Upstream("late.vanillax.me. 1 A 203.0.113.9") as up:
            up.delay = 0.2
            with self.managed(OVERRIDE + up.forward(), server="workers = 2") as postern:
                def ask(name, tcp):
                    def once():
                        reply = postern.ask(name, tcp=tcp, timeout=20)
                        assert len(reply.answer) == 1, reply.to_text()
                    return once
                tasks = [ask(name, tcp) for name in ("a.here.test.", "late.vanillax.me.")
                         for tcp in (False, True)]
                with Askers(*tasks, *tasks) as askers:
                    self.restarts(postern, askers)
                self.assertEqual(askers.bad[:5], [])

    def test_dnsperf_loses_none(self):
        with self.managed(server="workers = 2") as postern, tempfile.NamedTemporaryFile("w") as names:
            names.write("".join(f"n{i}.here.test A\n" for i in range(500)))
            names.flush()
            run = subprocess.Popen(["dnsperf", "-s", postern.address, "-p", str(postern.port), "-d", names.name,
                                    "-l", "4", "-Q", "3000", "-t", "20", "-c", "20", "-T", "2"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(self.RESTARTS):
                time.sleep(0.7)
                postern.restart()
            said = run.communicate(timeout=60 * SLOW)[0]
            self.assertRegex(said, r"Queries lost: +0 \(0.00%\)")
            sent = int(re.search(r"Queries sent: +(\d+)", said)[1])
            self.assertGreater(sent, 3000)


class Gateway(SocketCase):
    def gateway(self, config="", tls_passed=True, **options):
        https, http = free_port(), free_port()
        more = [("postern-gateway.socket", bound(STREAM, "127.0.0.1", http))]
        if tls_passed:
            more += [("postern-gateway.socket", bound(STREAM, "127.0.0.1", https)),
                     ("postern-quic.socket", bound(DGRAM, "127.0.0.1", https))]
        postern = self.managed(f"""
            [[tls.certificate]]
            name = "lan"
            cert = "tls.crt"
            key  = "tls.key"
            [[gateway.listener]]
            name         = "internal"
            address      = ["127.0.0.1"]
            http         = {http}
            https        = {https}
            certificates = ["lan"]
            redirect_to_https = false
            publish_dns = true
            [[gateway.route]]
            hostnames = ["*.vanillax.me"]
            respond   = {{ body = "served" }}
            {config}
            """, more=more, server='workers = 2\nlog = { requests = false }', **options)
        make_pair(postern.directory, "tls")
        postern.https, postern.http = https, http
        return postern

    def fetch(self, postern, host="app.vanillax.me"):
        """One request on a connection of its own, over TLS 1.3."""
        context = ssl.create_default_context(cafile=str(postern.directory / "tls.crt"))
        with socket.create_connection(("127.0.0.1", postern.https), 30 * SLOW) as plain, \
                context.wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            got = b""
            while chunk := secure.recv(4096):
                got += chunk
        assert got.startswith(b"HTTP/1.1 200") and got.endswith(b"served"), got

    def test_no_connection_is_refused(self):
        with self.gateway() as postern:
            with Askers(*[lambda: self.fetch(postern)] * 4) as askers:
                for _ in range(3):
                    mark = askers.good
                    wait_until("answers", lambda mark=mark: askers.good > mark + 30)
                    postern.restart()
            self.assertEqual(askers.bad, [])
            self.assertGreater(askers.good, 90)

    def test_quic_is_refused_only_as_long_as_tls_is_served_in_its_place(self):
        """Of passed sockets in part: plain HTTP goes on while what is under way finishes, TLS does not."""
        with self.gateway(tls_passed=False) as postern:
            self.assertIsNotNone(quic_reply(postern.https))
            with socket.create_connection(("127.0.0.1", postern.http), 6 * SLOW) as under_way:
                under_way.sendall(b"GET / HTTP/1.1\r\n")
                wait_until("the connection", lambda: postern.metrics()["postern_gateway_connections"] == 1)
                postern.process.send_signal(signal.SIGTERM)
                wait_until("the end of TLS", lambda: not is_open(postern.https))
                self.assertIsNone(quic_reply(postern.https, 0.5))
                self.assertTrue(is_open(postern.http))
                under_way.sendall(b"Host: app.vanillax.me\r\n\r\n")
                self.assertIn(b" 200 ", under_way.recv(4096))

    def test_h2load_loses_no_request(self):
        """One on each connection: on a second, HTTP itself lets a server close before it comes."""
        with self.gateway() as postern:
            def load(*options):
                said = subprocess.run(
                    ["h2load", *options, "-c", "20", "-n", "20", "--connect-to",
                     f"127.0.0.1:{postern.https}", "https://app.vanillax.me/"],
                    capture_output=True, text=True, check=True, timeout=60 * SLOW).stdout
                assert "20 started, 20 done, 20 succeeded, 0 failed" in said, said
            with Askers(lambda: load("--h1"), load) as askers:
                for _ in range(3):
                    mark = askers.good
                    wait_until("runs", lambda mark=mark: askers.good > mark + 5)
                    postern.restart()
            self.assertEqual(askers.bad, [])

    def test_connections_that_are_kept_lose_no_request(self):
        """Many requests on a connection: what the server has begun to answer it ends, and what it has not seen a
        client may send again (RFC 9110 section 9.2.2, RFC 9113 section 8.7)."""
        with self.gateway() as postern:
            def kept():
                context = ssl.create_default_context(cafile=str(postern.directory / "tls.crt"))
                plain = socket.create_connection(("127.0.0.1", postern.https), 30 * SLOW)
                with context.wrap_socket(plain, server_hostname="app.vanillax.me") as secure:
                    for number in range(200):
                        secure.sendall(b"GET / HTTP/1.1\r\nHost: app.vanillax.me\r\n\r\n")
                        got = b""
                        while not got.endswith(b"served"):
                            chunk = secure.recv(4096)
                            if not chunk and not got and number > 0:
                                return  # closed between two requests: a client asks again
                            assert chunk, got
                            got += chunk
                        if b"connection: close" in got.lower():
                            return

            def multiplexed():
                subprocess.run(
                    ["curl", "-sS", "--http2", "--parallel", "--parallel-max", "20", "--fail", "-o", "/dev/null",
                     "--cacert", postern.directory / "tls.crt", "--connect-to", f"::127.0.0.1:{postern.https}",
                     "https://app.vanillax.me/[1-300]"],
                    check=True, capture_output=True, text=True, timeout=60 * SLOW)

            with Askers(kept, kept, multiplexed, multiplexed) as askers:
                for _ in range(3):
                    mark = askers.good
                    wait_until("answers", lambda mark=mark: askers.good > mark + 4)
                    postern.restart()
            self.assertEqual(askers.bad, [])

    def test_while_a_download_ends_others_are_served(self):
        with SlowBackend() as slow, self.gateway(f"""
            [[gateway.route]]
            hostnames = ["slow.vanillax.me"]
            backends  = [{{ url = "http://127.0.0.1:{slow.port}" }}]
            """) as postern, concurrent.futures.ThreadPoolExecutor() as pool:
            download = pool.submit(self.fetch, postern, "slow.vanillax.me")
            self.assertTrue(slow.asked.wait(20 * SLOW))
            postern.process.send_signal(signal.SIGTERM)
            postern.wait_log("stopping")
            for _ in range(20):
                began = time.monotonic()
                self.fetch(postern)
                self.assertLess(time.monotonic() - began, 5 * SLOW)
                self.assertEqual(len(postern.ask("a.vanillax.me.", timeout=5).answer), 1)
            self.assertIsNone(postern.process.poll(), "the download keeps it")
            self.assertFalse(download.done())
            slow.answer.set()
            download.result()
            self.assertEqual(postern.process.wait(20 * SLOW), 0)
            waiting = pool.submit(self.fetch, postern)
            postern.start()
            waiting.result()


class SlowBackend:
    """Answers one request when it is told to."""

    def __init__(self):
        self.asked, self.answer = threading.Event(), threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.answer.set()
        self.socket.close()

    def _serve(self):
        client, _ = self.socket.accept()
        with client:
            client.recv(4096)
            self.asked.set()
            self.answer.wait(60 * SLOW)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved")


if __name__ == "__main__":
    unittest.main()
