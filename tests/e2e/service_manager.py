"""What systemd does for a service, without systemd: binds its sockets and keeps them while it restarts
(sd_listen_fds(3)), listens to what it says (sd_notify(3))."""

import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

from lab import READY_S, SLOW, Postern, wait_until

# Between fork and exec: descriptors to 3, 4, ..., and LISTEN_PID, which only the new process knows.
PASS_ON = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 200) for fd in sys.argv[1].split(",") if fd]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.closerange(3 + len(fds), 1000)
os.execv(sys.argv[2], sys.argv[2:])
"""


def bound(kind, address, port, v6only=True):
    """A socket as a unit without ReusePort= gets it: nobody else can bind there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, kind)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    if kind == socket.SOCK_STREAM:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((address, port))
    if kind == socket.SOCK_STREAM:
        one.listen(1024)
    return one


class Notices:
    """The socket that NOTIFY_SOCKET names; every datagram as a dictionary, with the time it came."""

    def __init__(self, target):
        self.target = target
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(target.replace("@", "\0", 1) if target.startswith("@") else target)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except OSError:
                return
            if not text:
                return
            said = dict(line.split("=", 1) for line in text.splitlines())
            said["at"] = time.monotonic()
            self.heard.append(said)

    def wait(self, name, mark=0, value="1", seconds=8.0):
        """The first message since `mark` that says NAME=value."""
        return wait_until(f"{name}={value} from the service", lambda: next(
            (one for one in self.heard[mark:] if one.get(name) == value), None), seconds)

    def count(self, name):
        return sum(name in one for one in list(self.heard))

    def close(self):
        self.socket.close()


class Managed(Postern):
    """Postern as a unit with sockets. `sockets` are [(name of its unit, socket)]."""

    def __init__(self, *arguments, sockets=(), watchdog_us=0, target=None, environment=None, **options):
        super().__init__(*arguments, **options)
        self.sockets = list(sockets)
        self.watchdog_us = watchdog_us
        self.notices = Notices(target or str(self.directory / "notify"))
        self.environment = environment or {}

    def start(self):
        self.configure()
        environment = os.environ | {"NOTIFY_SOCKET": self.notices.target} | self.environment
        if self.sockets:
            environment.setdefault("LISTEN_FDS", str(len(self.sockets)))
            environment.setdefault("LISTEN_FDNAMES", ":".join(name for name, _ in self.sockets))
        if self.watchdog_us:
            environment["WATCHDOG_USEC"] = str(self.watchdog_us)
        numbers = [one.fileno() for _, one in self.sockets]
        command = [self.binary, "run", "-c", str(self.config_path)]
        mark = len(self.notices.heard)
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", PASS_ON, ",".join(map(str, numbers)), *command],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.directory,
            env=environment, pass_fds=numbers)
        for stream in (self.process.stderr, self.process.stdout):
            threading.Thread(target=self._collect, args=(stream,), daemon=True).start()
        if self.ready:
            wait_until("READY=1", lambda: self.is_ready(mark), READY_S)

    def is_ready(self, mark):
        assert self.process.poll() is None, "it ended:\n" + "\n".join(self.log[-40:])
        return any(one.get("READY") == "1" for one in self.notices.heard[mark:])

    def restart(self):
        """As `systemctl restart` does it: the old process is gone before the new one begins."""
        status = self.stop(seconds=45)
        assert status == 0, f"exit status {status}:\n" + "\n".join(self.log[-40:])
        self.start()

    def __exit__(self, kind, error, trace):
        try:
            super().__exit__(kind, error, trace)
        finally:
            self.notices.close()
            for _, one in self.sockets:
                one.close()

    def threads(self):
        """Thread ids but the main thread's: the workers, in the order of their start."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        return sorted(int(one.name) for one in tasks.iterdir() if int(one.name) != self.process.pid)


__all__ = ["Managed", "Notices", "SLOW", "bound"]
