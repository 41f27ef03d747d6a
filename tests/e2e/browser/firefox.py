"""Firefox over Marionette."""

import base64
import contextlib
import datetime
import json
import re
import shutil
import socket
import subprocess
import time

from network import inside, wait_until
from visit import PAGE, Visit

PORT = 2828
PREFERENCES = {
    "marionette.port": PORT,
    "network.trr.mode": 5,
    "network.dns.native_https_query": True,
    # The lab's CA is not one that Firefox came with; over QUIC it would not do otherwise.
    "network.http.http3.disable_when_third_party_roots_found": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.prefetch-next": False,
    "browser.cache.disk.enable": False,
    "browser.cache.memory.enable": False,
    "browser.startup.page": 0,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "toolkit.cosmeticAnimations.enabled": False,
}
DROP = "Services.obs.notifyObservers(null, 'net:cancel-all-connections');"
FORGET_NAMES = "Services.dns.clearCache(true);"


class Firefox:
    """A running browser with one page."""

    NAME = "firefox"
    TRIES_QUIC_BY_CHANCE = True  # when it knows of it

    def __init__(self, network, profile, _hosts):
        self.network, self.profile = network, profile
        if not profile.exists():
            shutil.copytree(network.home / ".pki/nssdb", profile)
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))
        self.net_log = profile.with_suffix(f".{time.monotonic_ns()}.moz_log")
        command = network.as_client(
            "MOZ_LOG=timestamp,nsHttp:5", f"MOZ_LOG_FILE={self.net_log}", "firefox-esr", "--headless",
            "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", profile)
        with profile.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.number = 0
        self.channel = wait_until("Marionette", self._connect, 30)
        self.stream = self.channel.makefile("rb")
        self._receive()
        self.call("WebDriver:NewSession", capabilities={"alwaysMatch": {"pageLoadStrategy": "normal"}})

    def _connect(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the browser is gone, see {self.profile.with_suffix('.log')}")
        with contextlib.suppress(OSError):
            channel = inside(self.network.client, lambda: socket.create_connection(("127.0.0.1", PORT), 1))
            channel.settimeout(60)  # it greets when it has started
            return channel
        return None

    def close(self):
        """Ends it as a person would: what it learned is written to the profile."""
        with contextlib.suppress(OSError, AssertionError, ValueError):
            self.call("Marionette:Quit", flags=["eAttemptQuit"])
        self.stream.close()
        self.channel.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # The protocol.

    def call(self, command, seconds=100, **params):
        """The result of a command."""
        self.number += 1
        message = json.dumps([0, self.number, command, params]).encode()
        self.channel.settimeout(seconds)
        self.channel.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise AssertionError(f"{command}: {error['error']}: {error['message']}")
        return result

    def _receive(self):
        size = b""
        while (digit := self.stream.read(1)) != b":":
            if not digit:
                raise AssertionError("the browser is gone")
            size += digit
        return json.loads(self.stream.read(int(size)))

    def run(self, script, seconds=90):
        """The value of JavaScript in the page, waited for when it is a promise."""
        self.call("WebDriver:SetTimeouts", script=seconds * 1000)
        return self.call("WebDriver:ExecuteScript", seconds + 5, script=f"return ({script});", args=[])["value"]

    # What a person does.

    def open(self, url, seconds=90):
        """Opens the page and waits until it is loaded."""
        def navigate():
            self.call("WebDriver:SetTimeouts", pageLoad=seconds * 1000)
            self.call("WebDriver:Navigate", seconds + 10, url=url)
        return self._visit(navigate)

    def type(self, name):
        """A name in the address bar, and Enter."""
        def enter():
            self._run_as_browser(f"""const bar = Services.wm.getMostRecentWindow('navigator:browser').gURLBar;
                bar.value = {json.dumps(name)};
                bar.handleCommand();""")
            wait_until("the page", lambda: self.run("document.readyState + document.title") in
                       ("completeHOME", "completeEDGE"), 30)
        return self._visit(enter)

    def _visit(self, go):
        before, began, error = self.network.quic_packets(), time.monotonic(), ""
        try:
            go()
        except AssertionError as failure:
            error = str(failure)
        took = time.monotonic() - began
        title, where, protocol = json.loads(self.run(PAGE))
        packets = self.network.quic_packets() - before
        return Visit(took, error, "" if error else title, where, protocol, packets)

    def forget_connections(self, names=True):
        """What time does, at once: names are asked for anew, and no connection is left."""
        self.open("about:blank")
        self._run_as_browser(FORGET_NAMES * names + DROP)

    def drop_connections(self):
        """It would wait for minutes on those that lead nowhere after a move."""
        self._run_as_browser(DROP)

    def _run_as_browser(self, script):
        self.call("Marionette:SetContext", value="chrome")
        self.call("WebDriver:ExecuteScript", script=script, args=[])
        self.call("Marionette:SetContext", value="content")

    def choose_file(self, path):
        """Puts the file into the page's only input."""
        found = self.call("WebDriver:FindElement", using="css selector", value="input")["value"]
        self.call("WebDriver:ElementSendKeys", id=next(iter(found.values())), text=str(path))

    def screenshot(self, path):
        picture = self.call("WebDriver:TakeScreenshot", full=False, hash=False)["value"]
        path.write_bytes(base64.b64decode(picture))

    # What it keeps.

    def knows_h3(self, host):
        """Whether the profile of the closed browser has an Alt-Svc for the host."""
        kept = self.profile / "AlternateServices.bin"
        return kept.exists() and host.encode() in kept.read_bytes()

    def logged_errors(self, since=0.0):
        """Sessions of HTTP/3 that began since this time, failed or not, and errors of ECH, from the log of the
        closed browser."""
        return self._logged(since, r"Http3Session::Init |SSL_ERROR_ECH")

    def failed_requests(self, since=0.0):
        """Errors of ECH; that a request failed is seen by the page."""
        return self._logged(since, r"SSL_ERROR_ECH")

    def _logged(self, since, pattern):
        start = datetime.datetime.fromtimestamp(since, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
        return [line for path in self.network.directory.glob(self.net_log.name + "*")
                for line in path.read_text(errors="replace").splitlines()
                if line >= start and re.search(pattern, line)]
