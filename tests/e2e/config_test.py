"""The configuration and the life of the process: errors, reload, the end, the commands."""

import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest

from lab import (BINARY, SLOW, Case, Postern, Upstream, framed, free_port, make_query,
                 receive_framed, run, wait_until)

GOOD = """\
    [dns]
    listen = ["127.0.0.1:0"]

    [[dns.override]]
    names   = ["llama.vanillax.me"]
    address = ["192.168.10.50"]
    """


class Checked(Case):
    def check(self, text, files=None):
        """`postern check` on this text: (exit status, everything it said)."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "postern.toml")
            for name, content in {"postern.toml": text, **(files or {})}.items():
                where = os.path.join(directory, name)
                os.makedirs(os.path.dirname(where), exist_ok=True)
                with open(where, "w", encoding="utf-8") as file:
                    file.write(textwrap.dedent(content))
            status, out, err = run("check", "-c", path)
            return status, (out + err).replace(path, "postern.toml").replace(directory + "/", "")

    def assert_error(self, text, place, *parts, files=None):
        status, said = self.check(text, files)
        self.assertEqual(status, 1, said)
        self.assertIn(f"postern.toml:{place}: ", said)
        line = next(one for one in said.splitlines() if f"postern.toml:{place}: " in one)
        for part in parts:
            self.assertIn(part, line)

    def test_a_good_configuration_passes(self):
        status, said = self.check(GOOD.replace(":0", ":5353"))
        self.assertEqual(status, 0, said)

    def test_an_unknown_key_is_an_error_with_line_column_and_the_near_name(self):
        self.assert_error('[dns]\nlisten = ["127.0.0.1:5353"]\nudp_paylod = 1232\n', "3:1",
                          "udp_paylod", "did you mean", "udp_payload")
        self.assert_error('[[dns.override]]\nname = ["a.example"]\naddress = ["10.0.0.1"]\n', "2:1",
                          "did you mean", "names")
        self.assert_error('[dns.cahce]\nsize = "1MiB"\n', "1:6", "cahce", "did you mean", "cache")

    def test_wrong_types_and_values(self):
        for line, place, part in (
                ('udp_payload = "big"', "2:15", "udp_payload"),
                ("udp_payload = 70000", "2:15", ""),
                ('listen = "127.0.0.1:53"', "2:10", ""),
                ('listen = ["127.0.0.1:99999"]', "2:11", "127.0.0.1:99999"),
                ('listen = ["127.0.0.300:53"]', "2:11", "127.0.0.300"),
                ('allow = ["10.0.0.0/33"]', "2:10", "10.0.0.0/33")):
            with self.subTest(line=line):
                self.assert_error(f"[dns]\n{line}\n", place, part)

    def test_durations_and_sizes(self):
        self.assert_error('[dns.cache]\nmax_ttl = "1 fortnight"\n', "2:11", "1 fortnight")
        self.assert_error('[dns.cache]\nsize = "lots"\n', "2:8", "lots")
        self.assertEqual(self.check('[dns.cache]\nmax_ttl = "12h"\nsize = "1GiB"\n')[0], 0)

    def test_near_values_are_named(self):
        self.assert_error('[[dns.forward]]\nname = "."\nupstreams = ["udp://10.0.0.1"]\n'
                          'policy = "fastets"\n', "4:10", "fastest")
        self.assert_error('[[dns.override]]\nnames = ["a.example"]\naddress = ["10.0.0.1"]\n'
                          'https = "gatway"\n', "4:9", "gateway")

    def test_all_problems_in_one_run(self):
        status, said = self.check("""\
            [server]
            workers = "many"

            [dns]
            listen = ["nowhere"]

            [[dns.override]]
            names = ["a..example"]
            adress = ["10.0.0.1"]

            [[dns.zone]]
            name = "home.arpa"
            file = "none.zone"
            """)
        self.assertEqual(status, 1)
        for place in ("2:11", "5:11", "8:10", "9:1", "13:8"):
            self.assertIn(f"postern.toml:{place}: ", said)

    def test_names_given_twice(self):
        twice = ('[[dns.override]]\nnames = ["a.example"]\naddress = ["10.0.0.1"]\n'
                 '[[dns.override]]\nnames = ["b.example", "A.example."]\naddress = ["10.0.0.2"]\n')
        self.assert_error(twice, "5:23", "A.example", "2")

    def test_an_override_needs_one_way_to_answer(self):
        self.assertEqual(self.check('[[dns.override]]\nnames = ["a.example"]\n')[0], 1)
        self.assertEqual(self.check('[[dns.override]]\nnames = ["a.example"]\naddress = ["10.0.0.1"]\n'
                                    'cname = "b.example"\n')[0], 1)

    def test_an_unknown_view_is_a_dangling_reference(self):
        self.assert_error('[[dns.view]]\nname = "lan"\nclients = ["10.0.0.0/8"]\n'
                          '[[dns.override]]\nnames = ["a.example"]\naddress = ["10.0.0.1"]\n'
                          'views = ["lam"]\n', "7:10", "lam", "lan")

    def test_what_is_not_built_yet_says_so(self):
        for text, place in (
                ('[dns]\ntls = { listen = ["127.0.0.1:853"], certificates = ["lan"] }\n', "2:"),
                ('[dns]\nhttps = { listeners = ["internal"], path = "/dns-query" }\n', "2:"),
                ('[[dns.forward]]\nname = "."\nupstreams = ["tls://1.1.1.1#cloudflare-dns.com"]\n', "3:"),
                ('[[dns.forward]]\nname = "."\nupstreams = ["https://1.1.1.1/dns-query"]\n', "3:")):
            with self.subTest(text=text):
                status, said = self.check(text)
                self.assertEqual(status, 1)
                self.assertRegex(said, rf"postern\.toml:{place}.*not built yet")

    def test_broken_toml(self):
        status, said = self.check("[dns\nlisten = []\n")
        self.assertEqual(status, 1)
        self.assertRegex(said, r"postern\.toml:[12]:\d+: ")

    def test_a_file_that_is_not_there(self):
        status, out, err = run("check", "-c", "/nowhere/postern.toml")
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/postern.toml", out + err)

    def test_includes_are_merged(self):
        more = {"conf.d/a.toml": '[[dns.override]]\nnames = ["b.example"]\naddress = ["10.0.0.1"]\n'}
        main = 'include = ["conf.d/*.toml"]\n[dns]\nudp_payload = 1400\n'
        self.assertEqual(self.check(main, more), (0, self.check(main, more)[1]))
        status, said = self.check(main, {"conf.d/b.toml": "[dns]\nudp_payload = 1200\n"})
        self.assertEqual(status, 1)
        self.assertIn("conf.d/b.toml:2:", said)
        self.assertIn("postern.toml:3", said)
        status, said = self.check(main, {"conf.d/b.toml": "[dns]\nudp_paylod = 1200\n"})
        self.assertIn("conf.d/b.toml:2:1: ", said)

    def test_cidr_for_ipv6_reverse_zones(self):
        self.assertEqual(self.check('[[dns.forward]]\nname = "fd00::/8"\n'
                                    'upstreams = ["udp://10.0.0.1"]\n')[0], 0)


class Process(Case):
    CONFIG = """
        [[dns.override]]
        names   = ["llama.vanillax.me"]
        address = ["{address}"]
        """

    def config(self, address):
        return self.CONFIG.format(address=address)

    def test_a_configuration_with_an_error_is_not_served_at_start(self):
        postern = Postern(self.config("192.168.10.500"), ready=False)
        postern.start()
        self.assertEqual(postern.process.wait(20 * SLOW), 1)
        wait_until("the reason", lambda: any("postern.toml:" in line for line in postern.log))

    def test_a_port_that_is_taken_is_an_error_that_names_it(self):
        with Postern(self.config("10.0.0.1")) as first:
            second = Postern(self.config("10.0.0.1"), ready=False,
                             listen=[f"127.0.0.1:{first.port}"])
            second.start()
            self.assertEqual(second.process.wait(20 * SLOW), 1)
            wait_until("the reason",
                       lambda: any(f"127.0.0.1:{first.port}" in line for line in second.log))
            self.assertEqual(first.answer("llama.vanillax.me"), ["10.0.0.1"])

    def test_sighup_reloads(self):
        with Postern(self.config("10.0.0.1")) as postern:
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])
            postern.reload(config=self.config("10.0.0.2"))
            wait_until("the new address", lambda: postern.answer("llama.vanillax.me") == ["10.0.0.2"])

    def test_a_reload_with_any_error_changes_nothing(self):
        with Postern(self.config("10.0.0.1")) as postern:
            mark = len(postern.log)
            postern.reload(config=self.config("10.0.0.2") +
                           "[dns.limits]\ntcp_client = 5\n")
            postern.wait_log(r"postern\.toml:\d+:1: .*tcp_client", mark)
            time.sleep(0.5)
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])
            postern.reload(config=self.config("10.0.0.3"))
            wait_until("the mended one", lambda: postern.answer("llama.vanillax.me") == ["10.0.0.3"])

    def test_a_reload_with_a_broken_zone_changes_nothing(self):
        zone = "$TTL 60\n@ IN SOA ns admin 1 2 3 4 5\n  IN NS ns\nns IN A 10.9.9.9\n"
        with Postern(self.config("10.0.0.1"), files={"x.zone": zone}) as postern:
            postern.write("broken.zone", zone.replace("10.9.9.9", "10.9.9.999"))
            mark = len(postern.log)
            postern.reload(config=self.config("10.0.0.2") +
                           '[[dns.zone]]\nname = "x.example"\nfile = "broken.zone"\n')
            postern.wait_log(r"broken\.zone:4:\d+: ", mark)
            time.sleep(0.3)
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])

    def test_a_reload_may_change_the_listeners(self):
        with Postern(self.config("10.0.0.1")) as postern:
            old, new = postern.port, free_port()
            postern.listen = [f"127.0.0.1:{old}", f"127.0.0.1:{new}"]
            postern.reload()
            postern.port = new
            wait_until("the new port", lambda: postern._answers())
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])
            self.assertEqual(postern.answer("llama.vanillax.me", tcp=True), ["10.0.0.1"])
            postern.listen = [f"127.0.0.1:{new}"]
            postern.reload()
            postern.port = old
            wait_until("the old port to be closed", lambda: not postern._answers())
            postern.port = new
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])

    def test_a_listener_may_go_and_come_back_at_once(self):
        with Postern(self.config("10.0.0.1"), server="workers = 2") as postern:
            old, new = postern.port, free_port()
            for port in (new, old) * 3:
                postern.listen = [f"127.0.0.1:{port}"]
                self.assertIn("reloaded", postern.reload())

    def test_sighup_during_the_start_is_a_reload_after_it(self):
        zone = ("$TTL 60\n@ IN SOA ns admin 1 2 3 4 5\n  IN NS ns\nns IN A 10.9.9.9\n"
                "$GENERATE 1-900000 h-$ IN A 10.0.0.8\n")  # takes a good while to read
        postern = Postern(self.config("10.0.0.1") +
                          '[[dns.zone]]\nname = "x.example"\nfile = "x.zone"\n',
                          files={"x.zone": zone}, ready=False)

        def holds_it_back():
            with open(f"/proc/{postern.process.pid}/status", encoding="ascii") as status:
                blocked = next(line.split()[1] for line in status if line.startswith("SigBlk:"))
            return int(blocked, 16) >> (signal.SIGHUP - 1) & 1
        with postern:
            wait_until("SIGHUP to be held back", holds_it_back)
            postern.process.send_signal(signal.SIGHUP)
            postern.wait_log(r"reloaded: ", seconds=20)
            self.assertEqual(postern.answer("ns.x.example"), ["10.9.9.9"])

    def test_a_signal_after_the_end_does_not_look_like_a_failure(self):
        for _ in range(5):
            with Postern(self.config("10.0.0.1")) as postern:
                postern.process.send_signal(signal.SIGTERM)
                postern.wait_log("stopped: ")
                while postern.process.poll() is None:
                    postern.process.send_signal(signal.SIGTERM)
                self.assertEqual(postern.process.returncode, 0)

    def test_a_listener_that_is_widened_loses_no_query(self):
        with Upstream("slow.example.com. 300 A 203.0.113.1") as up, \
                Postern(self.config("10.0.0.1") + up.forward(timeout="5s")) as postern:
            up.delay = 3.0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
                waiting.settimeout(8 * SLOW)
                waiting.connect((postern.address, postern.port))
                waiting.send(make_query("slow.example.com").to_wire())
                wait_until("the query upstream", lambda: up.count("slow.example.com"))
                postern.listen = [f"0.0.0.0:{postern.port}"]
                mark = len(postern.log)
                postern.reload()
                postern.wait_log("reloaded: ", mark)
                for _ in range(20):
                    self.assertEqual(postern.answer("llama.vanillax.me", timeout=1), ["10.0.0.1"])
                self.assertIn(bytes([203, 0, 113, 1]), waiting.recv(4096))
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])

    def test_while_it_ends_new_queries_are_turned_away_at_once(self):
        with Upstream("slow.example.com. 300 A 203.0.113.1") as up, \
                Postern(self.config("10.0.0.1") + up.forward(timeout="5s")) as postern:
            up.delay = 2.0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
                waiting.settimeout(8 * SLOW)
                waiting.connect((postern.address, postern.port))
                waiting.send(make_query("slow.example.com").to_wire())
                wait_until("the query upstream", lambda: up.count("slow.example.com"))
                postern.process.send_signal(signal.SIGTERM)
                postern.wait_log("stopping: ")
                time.sleep(0.3)
                with self.assertRaises(ConnectionRefusedError):
                    postern.raw_udp(make_query("llama.vanillax.me").to_wire(), timeout=1)
                self.assertIn(bytes([203, 0, 113, 1]), waiting.recv(4096))

    def test_tcp_clients_of_an_address_that_stays_do_not_notice_a_reload(self):
        with Postern(self.config("10.0.0.1")) as postern:
            other = f"127.0.0.2:{postern.port}"
            postern.listen = [f"127.0.0.1:{postern.port}", other]
            mark = len(postern.log)
            postern.reload()
            postern.wait_log("reloaded: ", mark)
            with postern.connect() as kept, \
                    socket.create_connection(("127.0.0.2", postern.port), 6 * SLOW) as leaving:
                for connection in (kept, leaving):
                    connection.sendall(framed(make_query("llama.vanillax.me").to_wire()))
                    self.assertTrue(receive_framed(connection))
                postern.listen = [f"127.0.0.1:{postern.port}"]
                mark = len(postern.log)
                postern.reload()
                postern.wait_log("reloaded: ", mark)
                self.assertEqual(receive_framed(leaving), b"")
                kept.sendall(framed(make_query("llama.vanillax.me").to_wire()))
                self.assertTrue(receive_framed(kept))

    def test_after_the_user_is_dropped_addresses_can_be_taken_away_and_widened(self):
        postern = Postern(self.config("10.0.0.1"), server='user = "nobody"\nworkers = 2\n')
        os.chmod(postern.directory, 0o755)
        with postern:
            for listen in ([f"127.0.0.1:{postern.port}", f"127.0.0.2:{postern.port}"],
                           [f"127.0.0.1:{postern.port}"], [f"0.0.0.0:{postern.port}"]):
                postern.listen = listen
                mark = len(postern.log)
                postern.reload()
                postern.wait_log("reloaded: ", mark)
                self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])
                self.assertEqual(postern.answer("llama.vanillax.me", tcp=True), ["10.0.0.1"])

    def test_root_without_the_right_to_low_ports_still_drops_to_its_user(self):
        if os.getuid() != 0:
            return
        postern = Postern(self.config("10.0.0.1"), server='user = "nobody"', binary="setpriv")
        postern.arguments = ["--bounding-set=-net_bind_service", BINARY, "run", "-c",
                             str(postern.config_path)]
        with postern:
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])

    def test_files_that_the_dropped_user_cannot_read_are_named(self):
        zone = "$TTL 60\n@ IN SOA ns admin 1 2 3 4 5\n  IN NS ns\nns IN A 10.9.9.9\n"
        postern = Postern(self.config("10.0.0.1") +
                          '[[dns.zone]]\nname = "x.example"\nfile = "x.zone"\n',
                          server='user = "nobody"', files={"x.zone": zone})
        os.chmod(postern.directory, 0o755)
        os.chmod(postern.directory / "x.zone", 0o600)
        with postern:
            if os.getuid() != 0:
                return
            self.assert_says(postern.wait_log("unreadable: "), "nobody", "x.zone", "chmod")
            self.assertEqual(len([one for one in postern.log if "unreadable: " in one]), 1)
            self.assertEqual(postern.answer("ns.x.example"), ["10.9.9.9"])
            mark = len(postern.log)
            os.utime(postern.directory / "x.zone")
            postern.reload()
            postern.wait_log("reload_refused", mark)
            said = "\n".join(postern.log[mark:])
            self.assertIn("Permission denied", said)
            self.assertNotIn("SOA", said)

    def test_the_admin_address_may_change_on_the_same_port(self):
        with Postern(self.config("10.0.0.1")) as postern:
            for admin in (f"0.0.0.0:{postern.admin_port}", f"127.0.0.1:{postern.admin_port}"):
                mark = len(postern.log)
                postern.reload(server=f'admin = "{admin}"')
                postern.wait_log("reloaded: ", mark)
                self.assertIn("postern_workers", postern.metrics())

    def test_the_admin_address_needs_no_udp(self):
        postern = Postern(self.config("10.0.0.1"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", postern.admin_port))
            with postern:
                self.assertIn("postern_workers", postern.metrics())

    def test_limits_are_shown(self):
        with Postern(self.config("10.0.0.1")) as postern:
            metrics = postern.metrics()
            for name in ("dns_chain_hops", "dns.limits.tcp_clients", "dns_tcp_clients_of_address",
                         "dns_tcp_queries_under_way", "file_descriptors", "gateway_backend_waiting",
                         "admin_connections"):
                self.assertEqual(metrics.get(f'postern_limit_hits_total{{limit="{name}"}}'), 0, name)
            self.assertEqual(metrics['postern_dns_udp_dropped_total{reason="source_port_0"}'], 0)

    def test_many_reloads_under_load_lose_no_query(self):
        with Postern(self.config("10.0.0.1"), server="workers = 2") as postern:
            failures = []
            done = threading.Event()

            def client():
                while not done.is_set():
                    try:
                        got = postern.answer("llama.vanillax.me", timeout=3)
                    except Exception as error:  # pylint: disable=broad-except
                        got = error
                    if got not in (["10.0.0.1"], ["10.0.0.2"]):
                        failures.append(got)
            threads = [threading.Thread(target=client) for _ in range(2)]
            for thread in threads:
                thread.start()
            for i in range(20):
                postern.reload(config=self.config(f"10.0.0.{1 + i % 2}"))
                time.sleep(0.05)
            done.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])

    def test_the_cache_survives_a_reload(self):
        with Upstream("www.example.com. 300 A 203.0.113.1") as up, \
                Postern(self.config("10.0.0.1") + up.forward()) as postern:
            postern.answer("www.example.com")
            postern.reload(config=self.config("10.0.0.1") + up.forward() +
                           "[dns.limits]\ntcp_clients = 5\n")
            time.sleep(0.5)
            self.assertEqual(postern.answer("www.example.com"), ["203.0.113.1"])
            self.assertEqual(up.count("www.example.com"), 1)

    def test_sigterm_finishes_what_is_under_way(self):
        with Upstream("slow.example.com. 300 A 203.0.113.1") as up, \
                Postern(self.config("10.0.0.1") + up.forward(timeout="3s")) as postern:
            up.delay = 1.0
            with postern.connect() as connection:
                connection.sendall(framed(make_query("slow.example.com").to_wire()))
                wait_until("the query upstream", lambda: up.count("slow.example.com"))
                postern.process.send_signal(signal.SIGTERM)
                reply = receive_framed(connection)
            self.assertIn(bytes([203, 0, 113, 1]), reply)
            self.assertEqual(postern.process.wait(10 * SLOW), 0)

    def test_sigint_stops_too_and_quickly_when_idle(self):
        with Postern(self.config("10.0.0.1")) as postern:
            began = time.monotonic()
            self.assertEqual(postern.stop(signal.SIGINT), 0)
            self.assertLess(time.monotonic() - began, 3 * SLOW)

    def test_idle_connections_do_not_hold_up_the_end(self):
        with Postern(self.config("10.0.0.1")) as postern:
            with postern.connect():
                began = time.monotonic()
                self.assertEqual(postern.stop(), 0)
                self.assertLess(time.monotonic() - began, 5 * SLOW)

    def test_json_log(self):
        with Postern(self.config("10.0.0.1"),
                     server='log = { level = "info", format = "json", queries = true }') as postern:
            postern.answer("llama.vanillax.me")
            line = postern.wait_log("llama")
            self.assertEqual((line[0], line[-1]), ("{", "}"))

    def test_queries_are_logged_on_demand(self):
        with Postern(self.config("10.0.0.1"), server="log = { queries = true }") as postern:
            postern.answer("llama.vanillax.me")
            self.assert_says(postern.wait_log("llama"), "127.0.0.1", "A")
        with Postern(self.config("10.0.0.1")) as postern:
            postern.answer("llama.vanillax.me")
            time.sleep(0.3)
            self.assertFalse([line for line in postern.log if "llama" in line])


class Commands(Case):
    CONFIG = """\
        [dns]
        listen = ["127.0.0.1:5353"]

        [[dns.view]]
        name    = "lan"
        clients = ["192.168.10.0/24"]

        [[dns.override]]
        names   = ["*.vanillax.me"]
        address = ["192.168.10.50"]

        [[dns.override]]
        names   = ["nas.vanillax.me"]
        address = ["192.168.10.20"]
        views   = ["lan"]

        [[dns.zone]]
        name = "home.arpa"
        file = "home.zone"

        [[dns.forward]]
        name      = "."
        upstreams = ["udp://192.0.2.53"]
        """

    def explain(self, *arguments):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "postern.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(textwrap.dedent(self.CONFIG))
            with open(os.path.join(directory, "home.zone"), "w", encoding="utf-8") as file:
                file.write("$TTL 60\n@ IN SOA ns admin 1 2 3 4 5\n  IN NS ns\nns IN A 10.9.9.9\n")
            status, out, err = run("explain", *arguments, "-c", path)
            self.assertEqual(status, 0, out + err)
            return out

    def test_help_and_version(self):
        status, out, _ = run("--help")
        self.assertEqual(status, 0)
        self.assert_says(out, "run", "check", "explain")
        for command in ("run", "check", "explain"):
            status, out, _ = run(command, "--help")
            self.assertEqual(status, 0)
            self.assertIn("-c", out)
        self.assertEqual(run("--version")[0], 0)

    def test_wrong_use_is_exit_status_2(self):
        for arguments in (["fly"], ["run", "--fast"], ["explain"], []):
            with self.subTest(arguments=arguments):
                self.assertEqual(run(*arguments)[0], 2)

    def test_a_wrong_command_is_named(self):
        status, _, err = run("chek")
        self.assertEqual(status, 2)
        self.assert_says(err, "'chek'", "did you mean 'check'?")

    def test_check_looks_for_the_user(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "postern.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write('[server]\nuser = "no-such-user"\n[dns]\nlisten = ["127.0.0.1:5353"]\n')
            status, out, _ = run("check", "-c", path)
            self.assertEqual(status, 1 if os.getuid() == 0 else 0)
            self.assert_says(out, "postern.toml:2:8: ", "no-such-user", "useradd")

    def test_the_second_signal_leaves_nothing_of_the_example(self):
        with tempfile.TemporaryDirectory() as home, open("/tmp/postern-example.lock", "w",
                                                         encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # its port is fixed
            with subprocess.Popen([BINARY, "run"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env=dict(os.environ, TMPDIR=home)) as process:
                process.stdout.readline()
                wait_until("the example", lambda: os.listdir(home))
                time.sleep(0.5)
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGINT)
                process.wait(20 * SLOW)
            self.assertEqual(os.listdir(home), [])

    def test_explain_names_the_override_and_its_line(self):
        self.assert_says(self.explain("llama.vanillax.me", "A"), "override", "*.vanillax.me",
                         "postern.toml:8", "192.168.10.50")

    def test_explain_looks_with_the_eyes_of_a_client(self):
        self.assertIn("192.168.10.20", self.explain("nas.vanillax.me", "A", "--client", "192.168.10.9"))
        self.assertIn("192.168.10.50", self.explain("nas.vanillax.me", "A", "--client", "10.0.0.9"))

    def test_explain_names_the_zone_and_the_forward(self):
        self.assert_says(self.explain("ns.home.arpa"), "zone", "home.arpa", "10.9.9.9")
        self.assert_says(self.explain("www.example.com"), "forward", "192.0.2.53")

    def test_explain_says_that_txt_of_an_override_is_forwarded(self):
        self.assert_says(self.explain("_acme-challenge.vanillax.me", "TXT"), "forward", "192.0.2.53")

    def test_explain_says_where_a_url_leads(self):
        gateway = """
            [[gateway.listener]]
            name    = "internal"
            address = ["192.168.10.50"]
            https   = 0

            [[gateway.route]]
            hostnames = ["app.vanillax.me"]
            matches   = [{ path_prefix = "/api", method = "POST" }]
            backends  = [{ url = "http://api:8080", weight = 3 }, { url = "http://old" }]
            timeouts  = { request = "30s" }
            filters   = { rewrite_prefix = "/v1", rewrite_host = "api.inside", set_request_headers = { "X-Env" = "lan" }, remove_response_headers = ["Server"] }

            [[gateway.route]]
            hostnames = ["app.vanillax.me"]
            redirect  = { hostname = "www.vanillax.me", status = 302 }
            """
        config = self.CONFIG
        self.addCleanup(setattr, self, "CONFIG", config)
        self.CONFIG = config + gateway
        said = self.explain("http://app.vanillax.me/api/x?y=1", "--method", "POST")
        self.assert_says(said, "192.168.10.50", "internal (", "HTTP on 192.168.10.50:80",
                         'path_prefix = "/api", method = "POST"', "http://api:8080/v1/x?y=1, 3 of 4",
                         "http://old:80/v1/x?y=1, 1 of 4", "api.inside", "set X-Env: lan",
                         "remove Server", "request 30s, backend none, idle 10m")
        self.assert_says(self.explain("http://app.vanillax.me/"), "302 to http://www.vanillax.me/")
        self.assert_says(self.explain("http://other.vanillax.me/"), "none: 404")
        self.assert_says(self.explain("http://192.168.10.51/"), "none of ours on 192.168.10.51:80")
        self.assert_says(self.explain("https://elsewhere.example/"), "forward", "no listener has such a port",
                         "upstream's record without alpn h3, h3-*")
        self.CONFIG += '[dns.svcb]\nexcept = ["example"]\n'
        self.assert_says(self.explain("https://elsewhere.example/"), "upstream's record as it is (dns.svcb.except)")

    def test_explain_of_what_is_no_url_is_wrong_use(self):
        for url in ("ftp://app.vanillax.me/", "http://", "http://a b/", "https://x/..%2fy"):
            with self.subTest(url=url), tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, "postern.toml")
                with open(path, "w", encoding="utf-8") as file:
                    file.write('[dns]\nlisten = ["127.0.0.1:5353"]\n')
                status, _, err = run("explain", url, "-c", path)
                self.assertEqual(status, 2)
                self.assert_says(err, "is not a URL")

    def test_the_built_in_example_passes_its_own_check(self):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run([BINARY, "check"], capture_output=True, text=True, check=False,
                                  timeout=30 * SLOW, cwd=home,
                                  env=dict(os.environ, HOME=home, XDG_STATE_HOME=""))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assert_says(done.stderr, "no /etc/postern/postern.toml", "built-in example")


if __name__ == "__main__":
    unittest.main()
