"""Chromium over a pipe of the DevTools protocol."""

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import time

from visit import PAGE, Visit

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --no-default-browser-check
    --password-store=basic --use-mock-keychain --disable-default-apps --metrics-recording-only
    --remote-debugging-pipe""".split()

def high(descriptor):
    """The descriptor under a number that 3 and 4 do not meet."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return moved


class Chromium:
    """A running browser with one page. `hosts` are those whose private CA it believes over QUIC too: a
    host named with another port is trusted so, and nothing is forced on 443."""

    NAME = "chromium"
    TRIES_QUIC_BY_CHANCE = False

    def __init__(self, network, profile, hosts):
        self.network, self.profile = network, profile
        self.net_log = profile.with_suffix(f".{time.monotonic_ns()}.netlog")
        self.number, self.buffer, self.session = 0, b"", None
        self._start(f"--user-data-dir={profile}", f"--log-net-log={self.net_log}",
                    "--origin-to-force-quic-on=" + ",".join(f"{host}:4443" for host in hosts))
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Network.enable")
        self.call("Network.setCacheDisabled", cacheDisabled=True)

    def _start(self, *arguments):
        commands, self.to = os.pipe()
        self.answers, said = os.pipe()
        commands, said = high(commands), high(said)
        command = self.network.as_client("bash", "-c", f'exec "$@" 3<&{commands} 4>&{said}', "bash",
                                         "chromium", *FLAGS, *arguments, "about:blank")
        with self.profile.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=(commands, said), start_new_session=True)
        os.close(commands)
        os.close(said)

    def close(self):
        """Ends it as a person would: what it learned is written to the profile."""
        self.session = None
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close", seconds=5)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.to)
        os.close(self.answers)

    # The protocol.

    def call(self, method, seconds=30, **params):
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = self.wait(lambda one: one.get("id") == self.number, seconds)
        if answer is None:
            raise AssertionError(f"{method}: no answer in {seconds} s")
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, wanted, seconds):
        """The first message for which `wanted` holds; the others are dropped. None when late."""
        end = time.monotonic() + seconds
        while True:
            while b"\0" in self.buffer:
                message, _, self.buffer = self.buffer.partition(b"\0")
                message = json.loads(message)
                if wanted(message):
                    return message
            if not select.select([self.answers], [], [], max(0, end - time.monotonic()))[0]:
                return None
            part = os.read(self.answers, 1 << 16)
            if not part:
                raise AssertionError(f"the browser is gone, see {self.profile.with_suffix('.log')}")
            self.buffer += part

    def run(self, script, seconds=30):
        """The value of JavaScript in the page, waited for when it is a promise."""
        said = self.call("Runtime.evaluate", seconds, expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            raise AssertionError(said["exceptionDetails"].get("exception", {}).get("description", said))
        return said["result"].get("value")

    # What a person does.

    def open(self, url, seconds=20):
        """Opens the page and waits until it is loaded."""
        before, began = self.network.quic_packets(), time.monotonic()
        error = self.call("Page.navigate", seconds, url=url).get("errorText", "")
        if not error and self.wait(lambda one: one.get("method") == "Page.loadEventFired", seconds) is None:
            error = "not loaded in time"
        took = time.monotonic() - began
        title, where, protocol = json.loads(self.run(PAGE))
        packets = self.network.quic_packets() - before
        return Visit(took, error, "" if error else title, where, protocol, packets)

    def type(self, name):
        """A name in the address bar, which a headless browser has not got: it is asked to go where the bar of
        older ones went, to http. The HTTPS record leads to https."""
        return self.open(f"http://{name}/")

    def forget_connections(self, names=True):
        """What time does, at once: names are asked for anew, and no connection is left."""
        self.open("chrome://net-internals/#dns")
        for what in ["clearHostResolverCache"] * names + ["flushSocketPools"]:
            self.run(f"chrome.send('{what}')")
        self.open("about:blank")

    def drop_connections(self):
        """It does so itself when the address changes."""

    def choose_file(self, path):
        """Puts the file into the page's only input."""
        page = self.call("DOM.getDocument")["root"]["nodeId"]
        field = self.call("DOM.querySelector", nodeId=page, selector="input")["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=field)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    # What it keeps.

    def knows_h3(self, host):
        """Whether the profile of the closed browser has an Alt-Svc for the host."""
        state = json.loads((self.profile / "Default/Network Persistent State").read_text())
        servers = state["net"]["http_server_properties"].get("servers", [])
        return any(one["server"] == f"https://{host}" and one.get("alternative_service") for one in servers)

    def logged_errors(self, since=0.0):
        """Errors of QUIC and ECH since this time, also of attempts that no request depended on, from the net log
        of the closed browser."""
        return [f"{kind} {name}" for kind, _, name in self._logged(since)
                if "QUIC" in name or "ECH" in name or kind == "QUIC_SESSION_CLOSED"]

    def failed_requests(self, since=0.0):
        """The same, of requests that failed for good, as a person would see."""
        return [f"{kind} {name}" for kind, source, name in self._logged(since)
                if source == "URL_REQUEST" and kind != "HTTP_TRANSACTION_RESTART_AFTER_ERROR"
                and ("QUIC" in name or "ECH" in name)]

    def _logged(self, since):
        """(event, its source, error) of each event with an error."""
        log = json.loads(self.net_log.read_text())
        tables = [{number: name for name, number in log["constants"][table].items()}
                  for table in ("logEventTypes", "logSourceType", "netError")]
        start = float(log["constants"]["timeTickOffset"]) / 1000
        for one in log["events"]:
            code = one.get("params", {}).get("net_error")
            if code and start + float(one["time"]) / 1000 >= since:
                keys = (one["type"], one["source"]["type"], code)
                yield tuple(table.get(key, str(key)) for table, key in zip(tables, keys))
