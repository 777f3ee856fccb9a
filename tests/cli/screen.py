# SPDX-License-Identifier: BSD-2-Clause
# Shows that output for people fits a terminal of 80 columns and 24 lines and has the same numbers as the
# JSON.
import re

import cli

PROCESSES = "i=0; while [ $i -lt 40 ]; do /bin/true; i=$((i+1)); done; exit 0"


class Screen(cli.Case):
    def check_size(self, text, height=None):
        lines = text.decode().splitlines()
        for line in lines:
            self.assertLessEqual(len(line), 80, line)
        if height:
            self.assertLessEqual(len(lines), height, text.decode())
        return lines

    def test_stat(self):
        cli.need_programs("proc")
        lines = self.check_size(cli.run("stat", "proc", "--", "sh", "-c", PROCESSES).out, 24)
        text = "\n".join(lines)
        self.assertRegex(text, r"^proc by \S+, [0-9.]+ m?s until \d\d:\d\d:\d\d\n")
        self.assertRegex(text, r"\n  processes +40   ")
        self.assertRegex(text, r" execs +41\b")
        self.assertRegex(text, r"\n  lifetime +41 values, mean \S+ .?s, p50 \S+ .?s, p99 ")
        bars = re.findall(r"-> \S+ \S+ +: +(\d+) \|(\*+ *)\|$", text, re.MULTILINE)
        self.assertEqual(sum(int(count) for count, _ in bars), 41)
        self.assertEqual({len(bar) for _, bar in bars}, {32})
        self.assertIn("*" * 32, [bar for _, bar in bars])
        self.assertRegex(text, r"\n  ledger +fired [0-9,]+ = .*; balanced\n")
        self.assertRegex(lines[-1], r"^own cost +kernel \S+ .?s, user \S+ .?s: ")

    def test_histograms_side_by_side(self):
        """The three histograms of sched have the same bounds, and each shows all of its values."""
        cli.need_programs("sched")
        lines = self.check_size(cli.run("stat", "sched", "--", "sh", "-c", PROCESSES).out, 24)
        text = "\n".join(lines)
        counts = re.findall(r"\n  (?:runq|oncpu|offcpu) +([0-9,]+) values, ", text)
        self.assertEqual(len(counts), 3, text)
        self.assertRegex(text, r"\n {20,}runq +oncpu +offcpu\n")
        bars = re.findall(r"(?:->.*| 0 ): +(\d+) \|[* ]{8}\| +(\d+) \|[* ]{8}\| +(\d+) \|", text)
        self.assertEqual([sum(map(int, column)) for column in zip(*bars)],
                         [int(count.replace(",", "")) for count in counts])

    def test_ratio(self):
        """For the total and for a row, as the numbers beside it say."""
        cli.need_programs("pagecache")
        done = cli.run("stat", "pagecache", "--by", "process", "--", "sh", "-c",
                       "cat /bin/sh >/dev/null; exit 0")
        text = "\n".join(self.check_size(done.out))
        value = dict(re.findall(r"(\w+_pages|hit_ratio) +([0-9.,]+)", text))
        requested, missed = (int(value[name].replace(",", ""))
                             for name in ("requested_pages", "missed_pages"))
        self.assertEqual(value["hit_ratio"], f"{100 - 100 * missed / requested:.1f}")
        self.assertRegex(text, r"\n  process +pid requested hit_ratio ")
        self.assertRegex(text, r"\n  cat +\d+ +\d+ +[0-9.]+ %")

    def test_keys(self):
        for by in ("process", "cgroup", "role", "cpu"):
            cli.need_programs("sched")
            done = cli.run("stat", "proc", "sched", "fadvise", "pagecache", "--by", by, "--", "sh",
                           "-c", PROCESSES)
            self.assertEqual((done.status, done.err), (0, b""))
            self.assertIn(f"\n  {by} ", "\n".join(self.check_size(done.out)))

    def test_arrays(self):
        """Shows only rows that are not all 0, with arrays over the same names side by side."""
        cli.need_programs("fadvise")
        done = cli.run("stat", "fadvise", "--", cli.PYTHON, "-c", cli.ADVICE)
        text = "\n".join(self.check_size(done.out, 24))
        self.assertRegex(text, r"\n  advice +calls +ok\n")
        self.assertRegex(text, r"\n    random +20 +20\n")
        self.assertRegex(text, r"\n    normal +6 +5\n")
        self.assertNotIn("willneed", text)

    def three_intervals(self):
        done = cli.run("stat", "proc", "-i", "0.1", "-d", "0.3")
        self.assertEqual((done.status, done.err), (0, b""))
        self.check_size(done.out)
        return done.out.count(b"\nproc by ") + done.out.startswith(b"proc by ")

    def test_intervals(self):
        cli.need_programs("proc")
        self.assert_in_rounds(self.three_intervals, 3)

    def test_list(self):
        done = cli.run("list")
        self.assertEqual((done.status, done.err), (0, b""))
        self.assertIn("proc", self.check_size(done.out)[0])


if __name__ == "__main__":
    cli.main()
