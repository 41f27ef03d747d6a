"""PostgreSQL behind a TCP listener: a temporary cluster that requires TLS, psql through the relay."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import threading
import unittest

from gateway_backends import authority, is_open, new_port
from gateway_lab import Gateway, route, table
from lab import SLOW, Case, wait_until

BIN = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


def unprivileged():
    """initdb refuses root: the user of Debian's package, else whoever runs the test."""
    if os.getuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Cluster:
    def __init__(self):
        self.user, self.port = unprivileged(), new_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="postern-pg-"))
        self.data = self.directory / "data"
        certificate, key = authority().leaf("localhost", "127.0.0.1")
        (self.directory / "server.crt").write_text(certificate)
        (self.directory / "server.key").write_text(key)
        (self.directory / "server.key").chmod(0o600)
        if self.user:
            for path in (self.directory, *self.directory.iterdir()):
                shutil.chown(path, self.user)
        self.run("initdb", "-D", self.data, "-U", "alice", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        (self.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        (self.data / "postgresql.auto.conf").write_text(
            f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nssl = on\nfsync = off\n"
            f"unix_socket_directories = ''\nssl_cert_file = '{self.directory}/server.crt'\n"
            f"ssl_key_file = '{self.directory}/server.key'\n")
        self.start()

    def run(self, program, *arguments):
        done = subprocess.run([BIN / program, *map(str, arguments)], user=self.user, cwd=self.directory,
                              capture_output=True, text=True, timeout=60 * SLOW, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        self.log = open(self.directory / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen([BIN / "postgres", "-D", self.data], user=self.user, cwd=self.directory,
                                        stdout=self.log, stderr=self.log)
        try:
            wait_until("postgres", lambda: is_open(self.port), 20)
        except AssertionError as error:
            raise AssertionError((self.directory / "log").read_text()) from error

    def stop(self):
        self.process.terminate()  # "smart": waits for sessions
        self.process.send_signal(2)  # "fast"
        self.process.wait(20 * SLOW)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Postgres(Case):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.port = new_port()
        cls.gateway = Gateway(route(respond={"status": 200, "body": "x"}), config=table("gateway.listener", {
            "name": "postgres", "address": ["127.0.0.1"], "tcp": cls.port,
            "backends": [f"127.0.0.1:{cls.cluster.port}"]}))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)
        cls.cluster.stop()

    def psql(self, *arguments, mode="verify-full", **options):
        where = (f"host=localhost hostaddr=127.0.0.1 port={self.port} user=alice dbname=postgres sslmode={mode} "
                 f"sslrootcert={authority().certificate} connect_timeout=10")
        done = subprocess.run(["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", where, *arguments],
                              capture_output=True, text=True, timeout=60 * SLOW, check=False, **options)
        return done.returncode, done.stdout.strip(), done.stderr

    def sql(self, text):
        status, out, err = self.psql("-c", text)
        self.assertEqual(status, 0, err)
        return out

    def test_a_query_with_tls_from_end_to_end(self):
        self.assertEqual(self.sql("select ssl from pg_stat_ssl where pid = pg_backend_pid()"), "t")
        status, _, err = self.psql("-c", "select 1", mode="disable")
        self.assertNotEqual(status, 0)
        self.assertIn("no encryption", err)

    def test_a_large_table_in_and_out(self):
        self.sql("create table big (n int, t text)")
        rows = "".join(f"{i}\t{'x' * 200}\n" for i in range(50_000))
        status, _, err = self.psql("-c", "copy big from stdin", input=rows)
        self.assertEqual(status, 0, err)
        self.assertEqual(self.sql("select count(*), sum(n) from big"), f"50000|{sum(range(50_000))}")
        status, out, _ = self.psql("-c", "copy (select * from big order by n) to stdout")
        self.assertEqual((status, out + "\n" == rows), (0, True))

    def test_a_long_quiet_query_and_many_sessions(self):
        results = []
        threads = [threading.Thread(target=lambda i=i: results.append(self.sql(f"select pg_sleep(1), {i}")))
                   for i in range(10)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual(sorted(results), sorted(f"|{i}" for i in range(10)))

    def test_a_reload_leaves_sessions_alone(self):
        got = []
        session = threading.Thread(target=lambda: got.append(self.sql("select pg_sleep(1.5), 'still here'")))
        session.start()
        wait_until("the session", lambda: self.sql(
            "select count(*) from pg_stat_activity where query like '%still here%' and pid <> pg_backend_pid()") == "1")
        self.gateway.reload()
        session.join()
        self.assertEqual(got, ["|still here"])

    def test_zz_a_server_that_is_gone_is_an_error_at_once(self):
        self.assertEqual(self.sql("select 1"), "1")
        self.gateway.more = table("gateway.listener", {"name": "postgres", "address": ["127.0.0.1"], "tcp": self.port,
                                                       "backends": [f"127.0.0.1:{new_port()}"]})
        self.gateway.reload()
        wait_until("the new backend", lambda: self.psql("-c", "select 1")[0] != 0)


if __name__ == "__main__":
    unittest.main()
