# SPDX-License-Identifier: BSD-2-Clause
# Shows that without privileges the command uses the fallbacks and says so in one line, and that it reports a
# probe without a fallback as unavailable.
import os
import pwd
import re
import subprocess

import cli

NOBODY = pwd.getpwnam("nobody")


def become_nobody():
    os.setgroups([])
    os.setgid(NOBODY.pw_gid)
    os.setuid(NOBODY.pw_uid)


class Nobody(cli.Case):
    def setUp(self):
        if os.geteuid() and os.geteuid() != NOBODY.pw_uid:
            self.options = {"cwd": "/"}
        else:
            self.options = {"cwd": "/", "preexec_fn": become_nobody if not os.geteuid() else None}
        try:
            if self.run_as("--version").status == 0:
                return
        except (PermissionError, subprocess.SubprocessError):
            pass
        self.skipTest("an unprivileged user cannot execute " + cli.PROGRAM)

    def run_as(self, *args):
        return cli.run(*args, **self.options)

    def reason(self, probe):
        reason = self.run_as("list", probe, "--json").one(type="probe")["reason"]
        self.assertTrue(reason)
        return reason

    def test_stat(self):
        done = self.run_as("stat", "proc", "--json", "--", "sh", "-c", "exit 3")
        self.assertEqual(done.status, 3)
        self.assert_one_line(done.err, "proc read from files: " + self.reason("proc"))
        line = done.one(type="stats", probe="proc")
        self.assertEqual(line["source"], "files")
        self.assertIn("threads", line["unavailable"])
        self.assertNotIn("threads", line["fields"])
        self.assert_balanced(done.one(type="ledger", probe="proc"))

    def test_list_of_a_scope(self):
        """The fallback of pagecache covers the whole machine only."""
        for scope, source in (("system", "files"), ("self", "none")):
            line = self.run_as("list", "pagecache", "--scope", scope, "--json").one(type="probe")
            self.assertEqual((scope, line["source"]), (scope, source))

    def test_rows_that_a_fallback_does_not_know(self):
        """The reason is printed once. Probes that do have rows would go on."""
        done = self.run_as("stat", "sched", "--by", "process", "--json", "--", "true")
        self.assertEqual((done.status, done.out), (1, b""))
        said = done.err.decode().splitlines()
        self.assertEqual(len(said), 2, said)
        self.assertEqual(said[0], "kernelsight: sched read from files: " + self.reason("sched"))
        self.assertRegex(said[1], "^kernelsight: sched: .*process")

    def test_selftest_of_a_fallback(self):
        """Nothing was tested, and the output does not claim success."""
        done = self.run_as("selftest", "proc")
        self.assertEqual(done.status, 0)
        self.assertRegex(done.out.decode(), r"^proc +not tested: procfs reads files")

    def test_watch(self):
        """A process that lives through two scans is seen, and marked."""
        held, hold = os.pipe()
        process = cli.start("watch", "proc", "--json", "-o", "proc.interval_ms=10", "--", "sh", "-c",
                            "sh -c 'read x; exit 0'; exit 0", stdin=held, **self.options)
        os.close(held)
        line = cli.parse(process.stdout.readline())[0]
        os.close(hold)
        done = cli.finish(process)
        self.assertEqual(done.status, 0)
        self.assert_one_line(done.err, "proc read from files")
        self.assertEqual((line["probe"], line["flags"] & 1, line["cpu"]), ("proc", 1, None))

    def test_unavailable(self):
        done = self.run_as("stat", "fadvise", "--", "sh", "-c", "exit 3")
        self.assertEqual((done.status, done.out), (1, b""))
        self.assert_one_line(done.err, "fadvise: " + self.reason("fadvise"))

    def test_one_of_two_is_unavailable(self):
        done = self.run_as("stat", "proc", "fadvise", "--json", "--", "true")
        self.assertEqual(done.status, 0)
        self.assert_one_line(done.err, "proc read from files, fadvise unavailable")
        line = done.one(type="probe", probe="fadvise")
        self.assertEqual((line["state"], line["source"], line["variant"]), ("failed", "none", None))
        self.assertEqual(done.one(type="stats", probe="proc")["source"], "files")

    def test_forced_variant(self):
        done = self.run_as("stat", "proc", "--variant", "tp_btf", "--", "true")
        self.assertEqual((done.status, done.out), (1, b""))
        self.assert_one_line(done.err, "proc: ")

    def test_forced_fallback(self):
        """The fallback was asked for by name, so there is no message."""
        name = [v["name"] for v in self.run_as("list", "proc", "--json").one()["variants"]
                if v["source"] == "files"][0]
        done = self.run_as("stat", "proc", "--variant", name, "--json", "--", "true")
        self.assertEqual((done.status, done.err), (0, b""))
        self.assertEqual(done.one(type="stats", probe="proc")["variant"], name)

    def test_check(self):
        done = self.run_as("check", "--json")
        self.assertEqual((done.status, done.one()["exit"]), (1, 1))

    def test_nothing_works(self):
        """Without /proc the fallback has nothing to read, and the dynamic loader has no $ORIGIN."""
        cli.need_root()
        libraries = subprocess.run(["ldd", cli.PROGRAM], capture_output=True, text=True, check=True)
        folder = re.search(r"=> (\S+)/libkernelsight\.so", libraries.stdout)
        script = ("mount -t tmpfs none /proc || exit 77\n"
                  f"exec setpriv --reuid {NOBODY.pw_uid} --clear-groups \"$0\" check --json")
        p = subprocess.run(["unshare", "--mount", "sh", "-c", script, cli.PROGRAM],
                           capture_output=True, check=False,
                           env={**os.environ, "LD_LIBRARY_PATH": folder[1] if folder else ""})
        if p.returncode == 77:
            self.skipTest("cannot mount: " + p.stderr.decode())
        self.assertEqual((p.returncode, p.stderr), (3, b""))
        self.assertEqual(cli.parse(p.stdout)[0]["exit"], 3)

    def test_list(self):
        lines = self.run_as("list", "--json").lines()
        self.assertIn("proc", [line["probe"] for line in lines])
        for line in lines:
            self.assertNotEqual(line["source"], "bpf")
            self.assertTrue(line["reason"], line)
            for variant in line["variants"]:
                self.assertEqual(variant["usable"], variant["source"] == "files", line)


if __name__ == "__main__":
    cli.main()
