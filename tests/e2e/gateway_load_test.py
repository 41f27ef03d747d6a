"""Under load (h2load, and clients that connect anew for each request): reloads, certificates that change and
listeners that come and go lose nothing; of backends that die only the requests that they had may fail."""

import concurrent.futures
import http.client
import os
import re
import ssl
import subprocess
import threading
import time
import unittest

from gateway_backends import Backend, Nginx, is_open, new_port, server_context
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route, tls_context
from lab import SLOW, Case, wait_until

SECONDS = 6


def h2load(gateway, path="/small", *arguments, clients=8, streams=8, seconds=SECONDS, host=HOST):
    """Runs h2load for some seconds: a function that waits for it and gives its counts."""
    port = gateway.https_port
    process = subprocess.Popen(["h2load", "-D", str(seconds), "-c", str(clients), "-m", str(streams), "-t", "1",
                                f"--connect-to=127.0.0.1:{port}", *arguments, f"https://{host}:{port}{path}"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish():
        text, _ = process.communicate(timeout=60 * SLOW)
        line = re.search(r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, "
                         r"(\d+) errored, (\d+) timeout", text)
        status = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
        assert line and status, text
        return {"text": text, "done": int(line[3]), "failed": int(line[5]) + int(line[6]) + int(line[7]),
                "good": int(status[1]), "bad": sum(int(status[i]) for i in (2, 3, 4))}
    return finish


class Fresh:
    """Threads that make a connection for each request, HTTP/1.1 over TLS or plain, until they are stopped."""

    def __init__(self, gateway, threads=2, keep=False, method="GET", host=HOST):
        self.gateway, self.keep, self.method, self.host = gateway, keep, method, host
        self.context, self.good, self.wrong, self.running = tls_context(), 0, [], True
        self.threads = [threading.Thread(target=self.work, args=(i % 2 == 0,)) for i in range(threads)]
        for one in self.threads:
            one.start()

    def connect(self, tls):
        if not tls:
            return http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=10 * SLOW)
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.https_port, timeout=10 * SLOW)
        connection.connect()
        connection.sock = self.context.wrap_socket(connection.sock, server_hostname=self.host)
        return connection

    def work(self, tls):
        while self.running:
            try:
                connection = self.connect(tls)
                for _ in range(20 if self.keep else 1):
                    connection.request(self.method, "/small", headers={"Host": self.host})
                    reply = connection.getresponse()
                    if reply.read() and reply.status == 200:
                        self.good += 1
                    else:
                        self.wrong.append(reply.status)
                    if reply.will_close:
                        break
                connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
            time.sleep(0.002)

    def stop(self):
        self.running = False
        for one in self.threads:
            one.join()


class Every:
    """Does something every so many seconds in a thread, while the context lasts; fails at its end as that failed."""

    def __init__(self, seconds, action):
        self.seconds, self.action, self.count, self.ended = seconds, action, 0, threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self):
        self.done = self.pool.submit(self.work)
        return self

    def __exit__(self, *error):
        self.ended.set()
        self.pool.shutdown()
        self.done.result()

    def work(self):
        while not self.ended.wait(self.seconds):
            self.action(self.count)
            self.count += 1


class Load(Case):
    def test_reloads_and_new_certificates_lose_nothing(self):
        with Nginx() as one, Nginx("http2") as two, Gateway(
                route(one, two), route(respond={"status": 200, "body": "own"}, matches=[{"path_prefix": "/own"}]),
                server="workers = 2\nlog = { requests = false }") as gateway:
            fresh, kept = Fresh(gateway), Fresh(gateway, keep=True)
            finish = h2load(gateway)
            end, i = time.monotonic() + SECONDS, 0
            while time.monotonic() < end:
                i += 1
                gateway.new_certificate("lan", "*.vanillax.me", f"x{i}.example")
                extra = route(respond={"status": 200, "body": str(i)}, hosts=[f"n{i}.vanillax.me"])
                gateway.change(routes=(*gateway.routes[:2], extra))
                wait_until("the new route", lambda i=i: gateway.curl(
                    f"http://n{i}.vanillax.me/", http="--http1.1", check=False).text == str(i))
                time.sleep(0.5)
            fresh.stop()
            kept.stop()
            load = finish()
            self.assertEqual((fresh.wrong, kept.wrong), ([], []))
            self.assertEqual((load["failed"], load["bad"]), (0, 0), load["text"])
            self.assertGreater(min(fresh.good, kept.good, load["good"]), 100)
            self.assertGreater(i, 4)

    def test_backends_that_die_cost_only_what_they_had(self):
        backends = [Nginx(), Nginx()]
        with Gateway(route(*backends), server="log = { requests = false }") as gateway:
            kept = Fresh(gateway, threads=4, keep=True)
            finish = h2load(gateway, clients=4, streams=4)
            kills = 0
            end = time.monotonic() + SECONDS
            while time.monotonic() < end - 1:
                victim = backends[kills % 2]
                victim.die()
                kills += 1
                time.sleep(0.4)
                victim.start()
                time.sleep(0.4)
            kept.stop()
            load = finish()
            for one in backends:
                one.stop()
            had = kills * (4 * 4 + 4)
            self.assertLessEqual(load["failed"] + len(kept.wrong), had, (load["text"], kept.wrong))
            self.assertGreater(load["good"], 100)
            self.assertGreater(kills, 3)

    def test_with_all_faults_at_once_only_what_the_dead_backend_had_fails(self):
        calm, certificates = "calm.vanillax.me", []
        slowly = lambda e: (e.body(), time.sleep(0.04), e.reply(body=b"small"))  # it always has requests to die with
        with Nginx() as other, Nginx() as steady, Backend(handlers={"/small": slowly}) as victim, Gateway(
                route({"url": victim.url, "weight": 2}, other), route(steady, hosts=[calm]),
                server="workers = 2") as gateway:
            pair = threading.Lock()  # a reload that finds half a new pair would be refused

            def die(_):
                victim.stop()
                time.sleep(0.1)
                victim.start()

            def renew(i):
                with pair:
                    certificates.append(gateway.new_certificate("lan", "*.vanillax.me", f"x{i}.example"))

            def reload(i):
                extra = route(respond={"status": 200, "body": str(i)}, hosts=[f"n{i}.vanillax.me"])
                with pair:
                    self.assertRegex(gateway.change(routes=(*gateway.routes[:2], extra)), r"\breloaded\b")

            body = gateway.write("body", "x")
            fresh = [Fresh(gateway), Fresh(gateway, method="POST"), Fresh(gateway, keep=True, method="POST")]
            unhurt = [Fresh(gateway, host=calm), Fresh(gateway, host=calm, method="POST")]
            finish = [h2load(gateway, "/small", "--rps=40", *more, clients=4, streams=4, host=host)
                      for more, host in (([], HOST), (["-d", body], HOST), ([], calm))]
            with Every(0.6, die) as deaths, Every(0.5, renew) as renewals, Every(1, reload) as reloads:
                time.sleep(SECONDS)
                for one in (*fresh, *unhurt):
                    one.stop()
            *loads, unhurt_load = [one() for one in finish]
            gateway.curl(f"https://{calm}/small?last")
            gateway.access("/small?last")  # every line before it is there
            errors = [line for line in gateway.log if re.search(r" status=5\d\d ", line)]
            self.assertEqual(gateway.metrics()["postern_log_dropped_lines_total"], 0)
            wait_until("the last certificate", lambda: self.shown(gateway) == certificates[-1])
        for line in errors:
            self.assertRegex(line, rf" host={HOST} .* backend={victim.url} .*failure=")
        failed = sum(load["failed"] for load in loads) + sum(len(one.wrong) for one in fresh)
        self.assertLessEqual(failed, len(errors), (loads, [one.wrong for one in fresh], errors))
        self.assertEqual([one.wrong for one in unhurt], [[], []])
        self.assertEqual((unhurt_load["failed"], unhurt_load["bad"]), (0, 0), unhurt_load["text"])
        self.assertGreater(len(errors), 0)
        self.assertGreater(min(one.good for one in (*fresh, *unhurt)), 20)
        self.assertGreater(min(load["good"] for load in (*loads, unhurt_load)), 100)
        self.assertGreater(min(deaths.count, renewals.count, reloads.count), 1)

    def shown(self, gateway):
        """The certificate that a new client gets."""
        with gateway.dial() as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))

    def test_idempotent_requests_survive_the_only_backend_being_restarted_gracefully(self):
        with Nginx() as nginx, Gateway(route(nginx), server="log = { requests = false }") as gateway:
            kept = Fresh(gateway, threads=4, keep=True)
            for _ in range(6):
                time.sleep(0.4)
                nginx.process.send_signal(1)  # nginx reloads: its old worker closes kept connections
            kept.stop()
            self.assertEqual(kept.wrong, [])
            self.assertGreater(kept.good, 100)

    def test_many_idle_connections_are_cheap_go_on_and_are_freed(self):
        # At most 15 KiB each, buffers of the first moments aside; sanitizers keep books of their own.
        each = (15 << 10) if SLOW == 1 else (160 << 10) * SLOW
        for make, ask in ((lambda gateway: gateway.dial(), self.ask_h1), (Http2, self.ask_h2)):
            with self.subTest(ask.__name__), Gateway(route(respond={"status": 200, "body": "x"})) as gateway:
                for one in [make(gateway) for _ in range(30)]:
                    ask(one)
                    one.close()
                before = gateway.rss()
                held = [make(gateway) for _ in range(300)]
                for one in held:
                    ask(one)
                wait_until("them to need little", lambda: (gateway.rss() - before) / len(held) < each)
                for one in held:
                    ask(one)
                for one in held:
                    one.close()
                files = lambda: len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
                wait_until("their sockets to be closed", lambda: files() < 100)

    def ask_h1(self, connection):
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        self.assertIn(b" 200 ", read_until(connection, b"\r\n\r\nx"))

    def ask_h2(self, connection):
        stream = connection.open()
        connection.wait(lambda: connection.streams[stream].done)
        self.assertEqual((connection.streams[stream].status, connection.streams[stream].body), (200, b"x"))

    def test_the_last_backend_with_tls_goes_while_it_is_in_use(self):
        hold = threading.Event()
        with Backend("tls", context=server_context("127.0.0.1")) as backend, Gateway(
                route(backend, health={"path": "/health", "interval": "100ms"})) as gateway:
            backend.on("/wait", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"),
                                           hold.wait(20 * SLOW), e.send("b")))
            with gateway.dial() as connection:
                connection.sendall(f"GET /wait HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                read_until(connection, b"\r\n\r\na")
                gateway.change(routes=[route(respond={"status": 200, "body": "x"})])
                asked = len(backend.seen("/health"))
                wait_until("new connections to it", lambda: len(backend.seen("/health")) > asked + 2)
                hold.set()
                self.assertEqual(read_until(connection, b"b"), b"b")

    def test_listeners_move_on_reload(self):
        with Gateway(route(respond={"status": 200, "body": "x"})) as gateway:
            old, moved = gateway.http_port, new_port()
            gateway.change(listener={"http": moved})
            gateway.http_port = moved
            wait_until("the new port", lambda: gateway.curl(f"http://{HOST}/", http="--http1.1", check=False).status == 200)
            wait_until("the old port to be closed", lambda: not is_open(old))
            self.assertEqual(gateway.curl(f"https://{HOST}/").status, 200)


if __name__ == "__main__":
    unittest.main()
