# SPDX-License-Identifier: BSD-2-Clause
# Shows that stat counts exactly what a command did, with each variant that works here, in total and in
# intervals, and that the command runs as it would alone and its exit status is passed on.
import signal
import subprocess

import cli


class Stat(cli.Case):
    def check_tree(self, *options):
        done = cli.run("stat", "proc", "--json", *options, "--", *cli.TREE)
        self.assertEqual((done.status, done.err), (3, b""))
        line = done.one(type="stats", probe="proc")
        fields = line["fields"]
        self.assertEqual([fields[name] for name in (
            "processes", "threads", "execs", "process_exits", "thread_exits", "failed", "killed")],
            [3, 0, 4, 4, 0, 2, 0])
        hist = fields["lifetime_ns"]
        self.assertEqual(hist["count"], 4)
        self.assertEqual(hist["zeros"] + sum(n for _, n in hist["buckets"]), 4)
        self.assertLess(hist["sum"], cli.SECONDS * 10**9)
        self.assertEqual((line["source"], line["by"], line["key"]), ("bpf", "total", None))
        self.assertLess(line["since_ns"], line["t_ns"])
        self.assert_balanced(done.one(type="ledger", probe="proc"))
        return line

    def test_tree_by_each_variant(self):
        for name in cli.variants("proc"):
            self.assertEqual(self.check_tree("--variant", name)["variant"], name)

    def test_tree_by_the_best_variant(self):
        best = cli.need_programs("proc")["variant"]
        self.assertEqual(self.check_tree()["variant"], best)

    def test_end_on_files(self):
        """The files of the command are scanned when it has ended and before anybody waits for it."""
        program = "import time\nwhile time.process_time() < 0.2: pass\nraise SystemExit(5)"
        done = cli.run("stat", "sched", "--json", "--variant", "procfs", "--", cli.PYTHON, "-c",
                       program)
        line = done.one(type="stats", probe="sched")
        self.assertEqual((done.status, line["source"]), (5, "files"))
        self.assertGreater(line["fields"]["oncpu_ns"]["sum"], 190000000)

    def test_self_is_reported(self):
        cli.need_programs("proc")
        done = cli.run("stat", "proc", "--json", "--", "true")
        fields = done.one(type="stats", probe="self")["fields"]
        self.assertGreater(fields["user_ns"], 0)
        self.assertGreater(fields["map_bytes"], 0)
        self.assertEqual(fields["fired"], done.one(type="ledger")["fields"]["fired"])

    def test_threads(self):
        cli.need_programs("proc")
        program = ("import threading\nfor i in range(5):\n"
                   " t = threading.Thread(target=int); t.start(); t.join()")
        done = cli.run("stat", "proc", "--json", "--", cli.PYTHON, "-c", program)
        fields = done.one(type="stats", probe="proc")["fields"]
        self.assertEqual((fields["threads"], fields["thread_exits"]), (5, 5))
        self.assertEqual((fields["processes"], fields["execs"]), (0, 1))

    def test_reasons_at_the_end(self):
        """The last lines give the same reason of an unknown field as the lines before: for the variant in use."""
        for name in cli.variants("pagecache"):
            lines = cli.run("stat", "pagecache", "--json", "--variant", name, "-i", "0.05", "-d",
                            "0.15").lines()
            lines = cli.select(lines, type="stats", probe="pagecache")
            self.assertGreater(len(lines), 1)
            for line in lines[1:]:
                self.assertEqual(line["unavailable"], lines[0]["unavailable"], name)
            text = cli.run("stat", "pagecache", "--variant", name, "-d", "0.05").out.decode()
            words = " ".join(text.split())
            for field, why in lines[0]["unavailable"].items():
                self.assertNotIn("not known of this row", why)
                self.assertIn(field, words)
                self.assertIn(" ".join(why.split()), words)

    def test_two_probes(self):
        cli.need_programs("fadvise")
        done = cli.run("stat", "fadvise", "proc", "--json", "--", cli.PYTHON, "-c", cli.ADVICE)
        fields = done.one(type="stats", probe="fadvise")["fields"]
        self.assertEqual(fields["calls"]["random"], 20)
        self.assertEqual(fields["ok"]["random"], 20)
        self.assertEqual(fields["calls"]["normal"], 6)
        self.assertEqual(fields["ok"]["normal"], 5)
        self.assertEqual(sum(fields["errors"].values()), 1)
        self.assertEqual(done.one(type="stats", probe="proc")["fields"]["execs"], 1)
        for name in ("fadvise", "proc"):
            self.assert_balanced(done.one(type="ledger", probe=name))

    def test_duration(self):
        cli.need_programs("proc")
        done = cli.run("stat", "proc", "--json", "-d", "0.2")
        self.assertEqual((done.status, done.err), (0, b""))
        line = done.one(type="stats", probe="proc")
        self.assertGreaterEqual(line["t_ns"] - line["since_ns"], 200 * 10**6)

    def five_intervals(self):
        done = cli.run("stat", "proc", "--json", "-i", "0.1", "-d", "0.5")
        lines = cli.select(done.lines(), type="stats", probe="proc")
        for before, line in zip(lines, lines[1:]):
            self.assertEqual(line["since_ns"], before["t_ns"])
        self.assertEqual(len(cli.select(done.lines(), type="ledger")), len(lines))
        return len(lines)

    def test_intervals(self):
        """Five intervals, each beginning at the end of the one before; fewer if it is late."""
        cli.need_programs("proc")
        self.assert_in_rounds(self.five_intervals, 5)

    def test_intervals_add_up(self):
        cli.need_programs("proc")
        program = "for i in 1 2 3 4 5; do /bin/true; sleep 0.2; done; exit 0"
        done = cli.run("stat", "proc", "--json", "-i", "0.1", "--", "sh", "-c", program)
        lines = cli.select(done.lines(), type="stats", probe="proc")
        self.assertGreater(len(lines), 1)
        self.assertEqual(sum(line["fields"]["processes"] for line in lines), 10)
        self.assertEqual(sum(line["fields"]["process_exits"] for line in lines), 11)

    def test_command_outlives_duration(self):
        cli.need_programs("proc")
        process = cli.start("stat", "proc", "--json", "-d", "0.1", "--", "sh", "-c",
                            "read x; exit 7", stdin=subprocess.PIPE)
        line = cli.parse(process.stdout.readline())[0]
        self.assertEqual(line["fields"]["process_exits"], 0)
        process.stdin.write(b"\n")
        self.assertEqual(cli.finish(process).status, 7)


class Status(cli.Case):
    def setUp(self):
        cli.need_programs("proc")

    def status_of(self, script):
        return cli.run("watch", "proc", "--json", "--", "sh", "-c", script).status

    def test_exit(self):
        for status in (0, 1, 3, 255):
            self.assertEqual(self.status_of(f"exit {status}"), status)

    def test_signal(self):
        for name in ("TERM", "KILL", "SEGV", "INT", "PIPE"):
            self.assertEqual(self.status_of(f"ulimit -c 0; kill -{name} $$"),
                             128 + getattr(signal, "SIG" + name))

    def test_no_such_command(self):
        done = cli.run("stat", "proc", "--", "/nonexistent/command")
        self.assertEqual((done.status, done.out), (127, b""))
        self.assert_one_line(done.err, "/nonexistent/command", "No such file")

    def test_no_program(self):
        done = cli.run("stat", "proc", "--", "/etc/passwd")
        self.assertEqual((done.status, done.out), (126, b""))
        self.assert_one_line(done.err, "/etc/passwd", "Permission denied")

    def test_command_runs_as_alone(self):
        """The command inherits no handler, no mask and no descriptor of ours."""
        program = ("import os, signal\n"
                   "assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()\n"
                   "status = open('/proc/self/status').read()\n"
                   "ignored = int(status.split('SigIgn:')[1].split()[0], 16)\n"
                   "assert not ignored >> signal.SIGCHLD - 1 & 1\n"
                   "assert len(os.listdir('/proc/self/fd')) == 4\n")
        done = cli.run("stat", "proc", "--json", "--", cli.PYTHON, "-S", "-c", program)
        self.assertEqual((done.status, done.err), (0, b""))


if __name__ == "__main__":
    cli.main()
