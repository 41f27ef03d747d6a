"""All that a home asks of it at once: one gateway on one configuration, names from Postern's own nameserver, and the
clients that people use, which go where its records lead."""

import json
import subprocess
import threading
import unittest

import dns.rdtypes.svcbbase as svcb

import npm
from gateway_backends import HERE, Backend, authority, new_port, node
from gateway_lab import Gateway, curl, route, table
from gateway_postgres_test import Cluster
from gateway_upload_test import SIZE
from gateway_ws_test import WsServer
from lab import SLOW, Case

ARGOCD, CHAT, IMMICH, PG = (f"{name}.vanillax.me" for name in ("argocd", "chat", "immich", "pg"))
ADDRESS = "127.0.0.1"  # the clients of node/ know no other
TOKENS = 8


def setUpModule():
    npm.install()


class Whole(Case):
    @classmethod
    def setUpClass(cls):
        cls.read, grpc_port, cls.sql_port = threading.Semaphore(0), new_port(), new_port()
        cls.enterClassContext(node("grpc_server.js", grpc_port))
        sockets = cls.enterClassContext(WsServer())
        chat = cls.enterClassContext(Backend(handlers={"/": cls.page, "/stream": cls.stream}))
        immich = cls.enterClassContext(Backend())
        cluster = Cluster()
        cls.addClassCleanup(cluster.stop)
        cls.gateway = cls.enterClassContext(Gateway(
            route(f"h2c://127.0.0.1:{grpc_port}", hosts=[ARGOCD]),
            route(sockets, hosts=[CHAT], matches=[{"path_exact": "/ws"}]), route(chat, hosts=[CHAT]),
            route(immich, hosts=[IMMICH]), names={"wild": ["*.vanillax.me"]},
            listener={"publish_dns": False},  # what is said of the names comes of the override alone
            config=table("dns.override", {"names": ["*.vanillax.me"], "address": [ADDRESS], "https": "gateway"})
            + table("gateway.listener", {"name": "postgres", "address": [ADDRESS], "tcp": cls.sql_port,
                                         "backends": [f"127.0.0.1:{cluster.port}"]})))

    @staticmethod
    def page(e):
        e.reply(fields=[("Alt-Svc", 'h3=":443"; ma=86400')], body=b"a page")

    @classmethod
    def stream(cls, e):
        """A token more each time that the client has read one; it ends early when the client does not."""
        e.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(TOKENS):
            event = f"data: token {i}\n\n"
            e.send(f"{len(event):x}\r\n{event}\r\n")
            if not cls.read.acquire(timeout=10 * SLOW):
                e.close()
                return
        e.send("0\r\n\r\n")

    def port(self, name):
        """What the HTTPS record says, as a browser reads it, beside the address."""
        self.assertEqual(self.gateway.answer(name), [ADDRESS])
        self.assert_nodata(self.gateway.ask(name, "AAAA"))
        ((record,),) = self.gateway.ask(name, "HTTPS").answer
        self.assertEqual((record.priority, record.target.to_text()), (1, "."))
        said = dict(record.params)
        self.assertEqual(list(said), [svcb.ParamKey.ALPN, svcb.ParamKey.PORT, svcb.ParamKey.IPV4HINT])
        self.assertEqual(said[svcb.ParamKey.ALPN].ids, (b"h2", b"http/1.1"))
        self.assertEqual(said[svcb.ParamKey.IPV4HINT].addresses, (ADDRESS,))
        self.assertEqual(said[svcb.ParamKey.PORT].port, self.gateway.https_port)
        return said[svcb.ParamKey.PORT].port

    def there(self, name, path):
        """The last arguments of curl."""
        port = self.port(name)
        return "--http2", "--resolve", f"{name}:{port}:{ADDRESS}", f"https://{name}:{port}{path}"

    def get(self, name, path, *arguments, seconds=20):
        *how, url = self.there(name, path)
        return curl(url, *how, *arguments, seconds=seconds)

    def node(self, script, *arguments):
        """What a client of node/ says at its end."""
        done = subprocess.run(["node", HERE / "node" / script, *map(str, arguments)], capture_output=True, text=True,
                              check=False, timeout=30 * SLOW)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_pages_over_http_2_which_forget_http_3(self):
        for name, status, body in ((CHAT, 200, "a page"), (ARGOCD, 415, "")):  # a page is no call of gRPC
            reply = self.get(name, "/")
            self.assertEqual((reply.version, reply.status, reply.text), ("2", status, body))
            self.assertEqual(reply.values("Alt-Svc"), ["clear"])

    def test_a_websocket(self):
        (seen,) = self.node("ws_client.js", json.dumps({
            "url": f"wss://{CHAT}/ws", "port": self.port(CHAT), "ca": str(authority().certificate),
            "steps": [["text", "häppchen"], ["close", [1000, "bye"]]]}))
        self.assertEqual((seen["status"], seen["got"], seen["closed"], seen["errors"]),
                         (101, ["häppchen"], [1000, "bye"], []))

    def test_a_stream_of_tokens_each_of_which_is_read_before_the_next_is_written(self):
        command = ["curl", "-sSN", "--max-time", str(30 * SLOW), "--cacert", authority().certificate,
                   *self.there(CHAT, "/stream")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            for i in range(TOKENS):
                self.assertEqual(client.stdout.readline() + client.stdout.readline(), f"data: token {i}\n\n")
                self.read.release()
            self.assertEqual((client.stdout.read(), client.wait()), ("", 0))

    def test_an_upload_of_gigabytes(self):
        file = self.gateway.directory / "large"
        with open(file, "wb") as sparse:
            sparse.truncate(SIZE)
        reply = self.get(IMMICH, "/api/assets", "-T", str(file), seconds=120)
        self.assertEqual((reply.version, reply.status, reply.json()["size"]), ("2", 200, SIZE))

    def test_a_grpc_call_with_trailers(self):
        said = self.node("grpc_client.js", self.port(ARGOCD), authority().certificate, ARGOCD, "unary")
        said.pop("ms")
        self.assertEqual(said, {"code": 0, "size": 5, "head": "head", "authority": ARGOCD, "trailer": "end",
                                "bytes": [0, 255, 1]})

    def test_a_session_of_psql_encrypted_from_end_to_end(self):
        (address,) = self.gateway.answer(PG)
        where = (f"host={PG} hostaddr={address} port={self.sql_port} user=alice dbname=postgres sslmode=verify-ca "
                 f"sslrootcert={authority().certificate} connect_timeout=10")
        done = subprocess.run(["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", where], text=True,
                              input="select 6 * 7;\nselect ssl from pg_stat_ssl where pid = pg_backend_pid();\n",
                              capture_output=True, timeout=60 * SLOW, check=False)
        self.assertEqual((done.returncode, done.stdout.split()), (0, ["42", "t"]), done.stderr)


if __name__ == "__main__":
    unittest.main()
