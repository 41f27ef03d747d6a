"""The packages of node/package-lock.json, for the tests that need them: Debian has none of them."""

import fcntl
import pathlib
import subprocess

WHERE = pathlib.Path(__file__).resolve().parent / "node"


def install():
    """Once: what is there and as locked is left. Tests that run at the same time wait for each other."""
    marker, lock = WHERE / "node_modules/.package-lock.json", WHERE / "package-lock.json"
    with open("/tmp/postern-npm.lock", "w", encoding="utf-8") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if marker.exists() and marker.stat().st_mtime >= lock.stat().st_mtime:
            return
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=WHERE, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300)
        if done.returncode != 0:
            raise AssertionError(f"npm ci failed; is its registry reachable?\n{done.stdout}")
        marker.touch()
