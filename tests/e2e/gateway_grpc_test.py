"""gRPC: client and server of @grpc/grpc-js with the gateway between; HTTP/2 over TLS in front, h2c behind."""

import json
import subprocess
import unittest

import npm
from gateway_backends import HERE, authority, new_port, node
from gateway_lab import Gateway, route
from lab import SLOW, Case, wait_until

NAME = "grpc.vanillax.me"
NOT_FOUND, DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE, ABORTED = 5, 4, 1, 14, 10


def setUpModule():
    npm.install()


class Grpc(Case):
    @classmethod
    def setUpClass(cls):
        cls.port = new_port()
        cls.server = node("grpc_server.js", cls.port)
        cls.gateway = Gateway(route(f"h2c://127.0.0.1:{cls.port}", hosts=[NAME]),
                              route(f"h2c://127.0.0.1:{new_port()}", hosts=["dead.vanillax.me"]),
                              route(f"h2c://127.0.0.1:{cls.port}", hosts=["short.vanillax.me"],
                                    timeouts={"request": "500ms"}))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.gateway.__exit__(None, None, None)

    def client(self, what, host=NAME):
        done = subprocess.run(["node", HERE / "node/grpc_client.js", str(self.gateway.https_port),
                               authority().certificate, host, what], capture_output=True, text=True, check=False,
                              timeout=30 * SLOW)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_unary_with_metadata_before_and_behind(self):
        said = self.client("unary")
        said.pop("ms")
        self.assertEqual(said, {"code": 0, "size": 5, "head": "head", "authority": NAME, "trailer": "end",
                                "bytes": [0, 255, 1]})

    def test_eight_megabytes_each_way(self):
        said = self.client("large")
        self.assertEqual((said["code"], said.get("size")), (0, 8 << 20))

    def test_status_codes_come_in_trailers_or_in_a_head_alone(self):
        for code in (NOT_FOUND, 16, 2):
            said = self.client(f"fail:{code}")
            self.assertEqual((said["code"], said["details"], said["detail"]), (code, "not found: ä%\n", "why"))

    def test_a_stream_from_the_server(self):
        said = self.client("many")
        self.assertEqual([one["text"] for one in said["messages"]], [str(i) for i in range(2000)])

    def test_messages_leave_when_they_are_written(self):
        times = [one["ms"] for one in self.client("slow")["messages"]]
        self.assertEqual(len(times), 4)
        self.assertGreater(times[-1] - times[0], 600)

    def test_a_stream_that_breaks(self):
        said = self.client("broken")
        self.assertEqual((said["code"], said["details"], [one["text"] for one in said["messages"]]),
                         (ABORTED, "broken", ["one"]))

    def test_a_stream_from_the_client(self):
        self.assertEqual(self.client("sum")["text"], "1000000")

    def test_both_talk_in_turns(self):
        said = self.client("talk")
        self.assertEqual([one["text"] for one in said["messages"]], [f"re: {i}" for i in range(20)])
        self.assertEqual(said["code"], 0)

    def test_two_hundred_calls_at_once(self):
        self.assertEqual(self.client("parallel")["wrong"], [])

    def test_a_deadline_and_a_cancelled_call_reach_the_server(self):
        for what, code in (("deadline", DEADLINE_EXCEEDED), ("cancel", CANCELLED)):
            before = self.server.said.count("cancelled")
            said = self.client(what)
            self.assertEqual(said["code"], code)
            self.assertLess(said["ms"], 3000 * SLOW)
            wait_until("the server to hear of it", lambda: self.server.said.count("cancelled") > before)

    def test_no_server_is_unavailable(self):
        self.assertEqual(self.client("unary", "dead.vanillax.me")["code"], UNAVAILABLE)
        self.assertIn(self.client("cancel", "short.vanillax.me")["code"],
                      (UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED))


if __name__ == "__main__":
    unittest.main()
