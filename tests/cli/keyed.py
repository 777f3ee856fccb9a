# SPDX-License-Identifier: BSD-2-Clause
# Shows that the rows of --by have the exact counts of their owners, add up to the total and come in the order
# that --help says, and that --top leaves out the rows that it should.
import collections
import itertools
import os
import tempfile
import time

import cli

CALLS = """
import os
fd = os.open('/proc/self/exe', os.O_RDONLY)
for _ in range(%d):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
"""
SLEEPS = """
import time
for _ in range(25):
    time.sleep(0.001)
"""


def script(*counts):
    """Returns a shell command that runs one process per count, each with that many calls."""
    commands = (f"{cli.PYTHON} -c \"{CALLS % count}\"" for count in counts)
    return ["sh", "-c", "; ".join(commands) + "; exit 0"]


def amount(field):
    """Returns a number, the sum of an array, or count and sum of a histogram, as a list."""
    if isinstance(field, int):
        return [field]
    return [field["count"], field["sum"]] if "sum" in field else [sum(field.values())]


class Keyed(cli.Case):
    def rows(self, probe, by, *args):
        cli.need_programs(probe)
        done = cli.run("stat", probe, "--json", "--by", by, *args)
        self.assertEqual((done.status, done.err), (0, b""))
        self.assert_balanced(done.one(type="ledger", probe=probe))
        total = done.one(type="stats", probe=probe, by="total")
        return total, cli.select(done.lines(), type="stats", by=by)

    def assert_adds_up(self, total, rows):
        self.assertTrue(rows)
        for name, field in total["fields"].items():
            columns = zip(*(amount(row["fields"][name]) for row in rows))
            self.assertEqual([sum(column) for column in columns], amount(field), name)

    def test_process(self):
        total, rows = self.rows("fadvise", "process", "--", *script(5, 26))
        self.assert_adds_up(total, rows)
        self.assertEqual([row["fields"]["calls"]["random"] for row in rows[:2]], [26, 5])
        for row in rows[:2]:
            self.assertTrue(row["name"].startswith("python3"), row)
            self.assertFalse(row["rest"], row)
            self.assertTrue(total["since_ns"] < row["start_ns"] < row["t_ns"], row)
        self.assertEqual([row["rest"] for row in rows], [False] * (len(rows) - 1) + [True])
        self.assertIsNone(rows[-1]["key"])

    def test_process_that_lives(self):
        pid, go, done = self.other(CALLS % 7)
        cli.need_programs("fadvise")
        result = self.run_beside(go, done, "stat", "fadvise", "--json", "--by", "process",
                                 "--scope", f"pid:{pid}")
        row = result.one(type="stats", by="process", key=pid)
        self.assertEqual((row["fields"]["calls"]["random"], row["gone"]), (7, False))

    def test_process_that_is_gone(self):
        """The kernel forgets it a moment after its exit: until then it is not gone. A row that is idle
        in an interval has no line, so another process follows until one is gone in the interval of
        its calls."""
        cli.need_programs("fadvise")
        going = tempfile.NamedTemporaryFile()
        command = script(2)[2].replace("; exit 0", "")
        process = cli.start("stat", "fadvise", "--json", "--by", "process", "-i", "0.1", "--",
                            "sh", "-c", f"while [ -e {going.name} ]; do {command}; done")
        self.addCleanup(cli.finish, process)
        self.addCleanup(going.close)
        end_ns = time.monotonic_ns() + 60 * 10**9
        lines = (cli.parse(line)[0] for line in process.stdout)
        lines = itertools.takewhile(lambda line: line["t_ns"] < end_ns, lines)
        row = next((row for row in lines if row.get("gone")), None)
        self.assertIsNotNone(row, "no process was gone in 60 s")
        self.assertTrue(row["name"].startswith("python3"), row)

    def test_role(self):
        pid, go, done = self.other(CALLS % 9)
        cli.need_programs("fadvise")
        result = self.run_beside(go, done, "stat", "fadvise", "--json", "--by", "role", "--scope",
                                 f"pid:{pid}", "--role", f"{pid}=wal-writer")
        row = result.one(type="stats", by="role", name="wal-writer")
        self.assertEqual((row["key"], row["fields"]["calls"]["random"]), (1, 9))
        rest = result.one(type="stats", by="role", rest=True)
        self.assertEqual(sum(rest["fields"]["calls"].values()), 0)

    def test_cpu(self):
        """These rows have buckets, as the total has."""
        total, rows = self.rows("sched", "cpu", "--", cli.PYTHON, "-c", SLEEPS)
        self.assert_adds_up(total, rows)
        keys = [row["key"] for row in rows if row["key"] is not None]
        self.assertEqual(keys, list(range(len(keys))))
        self.assertGreaterEqual(len(keys), os.cpu_count())
        for row in rows:
            hist = row["fields"]["runq_ns"]
            self.assertEqual(hist["count"], hist["zeros"] + sum(n for _, n in hist["buckets"]))

    def test_cgroup(self):
        total, rows = self.rows("fadvise", "cgroup", "--", *script(4))
        self.assert_adds_up(total, rows)
        self.assertEqual(rows[0]["fields"]["calls"]["random"], 4)
        if cli.memory_cgroup():
            path = cli.memory_cgroup().own
            self.assertEqual(rows[0]["path"], path)
            self.assertTrue(rows[0]["container"] or
                            rows[0]["name"] == (path.split("/")[-1] or "/")[:31])

    def test_sched(self):
        """Each sleep is one off-CPU interval, one wake-up and one turn, all of one process. A process that
        is preempted between setting its timer and its sleep may not sleep, so some more are made."""
        total, rows = self.rows("sched", "process", "--", cli.PYTHON, "-c", SLEEPS)
        self.assert_adds_up(total, rows)
        fields = rows[0]["fields"]
        self.assertGreaterEqual(fields["offcpu_ns"]["count"], 20)
        self.assertGreaterEqual(fields["offcpu_ns"]["sum"], 20 * 10**6)
        self.assertGreaterEqual(fields["voluntary"], 20)
        self.assertEqual(set(fields["runq_ns"]), {"count", "sum"})
        self.assertIn("buckets", total["fields"]["runq_ns"])

    def test_pagecache(self):
        """dd of 1,024 pages against dd of 24: the same program, and all other pages are the same."""
        path = os.path.join(os.path.dirname(cli.PROGRAM), f"cli-keyed-{os.getpid()}")
        with open(path, "wb") as data:
            data.write(bytes(4 << 20))
            os.fsync(data.fileno())
        self.addCleanup(os.remove, path)
        many, few = (f"dd if={path} of=/dev/null bs=4096 count={n} status=none" for n in (1024, 24))
        total, rows = self.rows("pagecache", "process", "--", "sh", "-c",
                                f"{many}; {few}; exit 0")
        self.assert_adds_up(total, rows)
        pages = [row["fields"]["requested_pages"] for row in rows if row["name"] == "dd"]
        self.assertEqual(len(pages), 2, rows)
        self.assertEqual(pages[0] - pages[1], 1000, rows)

    def test_top(self):
        """Rows left out are summed up in one line, so that nothing is missing."""
        total, rows = self.rows("fadvise", "process", "--top", "1", "--", *script(3, 30, 300))
        self.assert_adds_up(total, rows)
        self.assertEqual([row["rest"] for row in rows], [False, False, True])
        self.assertEqual(rows[0]["fields"]["calls"]["random"], 300)
        self.assertEqual(rows[1]["fields"]["calls"]["random"], 33)
        # two of Python, and the shell if it was counted
        self.assertIn([row["others"] for row in rows], ([0, 2, 0], [0, 3, 0]))
        self.assertEqual([rows[1][name] for name in ("key", "name", "start_ns", "gone")],
                         [None, None, None, False])

    def test_top_of_cgroups(self):
        total, rows = self.rows("sched", "cgroup", "--top", "1", "--scope", "system", "--",
                                cli.PYTHON, "-c", SLEEPS)
        self.assertEqual([row["others"] for row in rows][:1], [0])
        self.assertLessEqual(sum(row["others"] > 0 for row in rows), 1)
        for name in ("voluntary", "preempted", "wakeups"):
            self.assertEqual(sum(row["fields"][name] for row in rows), total["fields"][name])

    def test_top_of_cpus(self):
        """The row of all CPUs has the sum of their buckets."""
        each = ("import os\nfor cpu in sorted(os.sched_getaffinity(0)):\n"
                " os.sched_setaffinity(0, [cpu])\n" + SLEEPS.replace("\n", "\n ").rstrip())
        total, rows = self.rows("sched", "cpu", "--top", "1", "--", cli.PYTHON, "-c", each)
        self.assert_adds_up(total, rows)
        self.assertEqual([row["others"] == 0 for row in rows][:2],
                         [True, os.cpu_count() == 1][:len(rows)])
        for name in ("runq_ns", "oncpu_ns", "offcpu_ns"):
            buckets = collections.Counter()
            for row in rows:
                hist = row["fields"][name]
                self.assertEqual(hist["count"], hist["zeros"] + sum(n for _, n in hist["buckets"]))
                buckets.update({bound: n for bound, n in hist["buckets"]})
            self.assertEqual(sorted(buckets.items()),
                             [tuple(pair) for pair in total["fields"][name]["buckets"]], name)

    def idle_intervals(self):
        """Lines by process of a command that sleeps in all intervals except its first and last."""
        done = cli.run("stat", "fadvise", "--json", "--by", "process", "-i", "0.02", "--",
                       *script(6, 8)[:2], script(6)[2].replace("exit 0", "sleep 0.3; exit 0"))
        return done, cli.select(done.lines(), type="stats", by="process")

    def test_intervals_have_no_idle_rows(self):
        """Each of the two processes that called has one row. No row is all zero, not even the rest row."""
        cli.need_programs("fadvise")
        _, rows = self.idle_intervals()
        self.assertTrue(rows)
        for row in rows:
            self.assertTrue(any(sum(amount(field)) for field in row["fields"].values()), row)

    def test_intervals(self):
        cli.need_programs("fadvise")
        done = cli.run("stat", "fadvise", "--json", "--by", "process", "-i", "0.05", "--",
                       *script(6, 8))
        rows = cli.select(done.lines(), type="stats", by="process")
        self.assertEqual(sum(row["fields"]["calls"]["random"] for row in rows), 14)

    def test_text(self):
        """Rows that --top leaves out are summed up, and idle processes have no row."""
        cli.need_programs("fadvise")
        done = cli.run("stat", "fadvise", "--by", "process", "--top", "1", "--",
                       *script(3, 30, 300))
        text = done.out.decode()
        self.assertRegex(text, r"\n  process +pid +calls +ok\n")
        self.assertRegex(text, r"\n  python3\S* +\d+ +300 +300\n  2 more +33 +33\n")

    def test_several_probes(self):
        cli.need_programs("sched")
        done = cli.run("stat", "proc", "sched", "pagecache", "--json", "--by", "process", "--",
                       *cli.TREE)
        rows = cli.select(done.lines(), type="stats", probe="proc", by="process")
        self.assertEqual(sum(row["fields"]["process_exits"] for row in rows), 4)
        for probe in ("sched", "pagecache"):
            self.assert_adds_up(done.one(type="stats", probe=probe, by="total"),
                                cli.select(done.lines(), type="stats", probe=probe, by="process"))


if __name__ == "__main__":
    cli.main()
