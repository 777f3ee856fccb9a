# SPDX-License-Identifier: BSD-2-Clause
# Shows that the counts of waits for a CPU, and of turns on a CPU that another thread ended, agree with
# libbpf-tools.
import glob
import os
import re
import signal
import subprocess
import time

import cli

SLEEPS = """
import sys, time
sys.stdin.readline()
for _ in range(400):
    time.sleep(0.001)
print('done', flush=True)
sys.stdin.readline()
"""
# Yields to another process on the same CPU, which does the same.
YIELDS = """
import os, sys
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
sys.stdin.readline()
parent = os.getpid()
other = os.fork()
while not other:
    os.sched_yield()
    if os.getppid() != parent:
        os._exit(0)
for _ in range(4000):
    os.sched_yield()
os.kill(other, 9)
os.wait()
print('done', flush=True)
sys.stdin.readline()
"""
PLACES = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]


def find(tool):
    paths = (f"{place}/{tool}" for place in PLACES)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def links(pid):
    """Returns the number of programs that a process has attached."""
    found = 0
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        found += "link_type" in text and "prog_id" in text
    return found


def counted(text):
    """Returns the number of observations in a histogram of libbpf-tools."""
    return sum(int(n) for n in re.findall(r"^\s*\d+ -> \d+\s*:\s*(\d+)", text, re.M))


class Tools(cli.Case):
    def compare(self, tool, programs, script):
        """Returns (count of the tool, our row) for one process."""
        program = find(tool)
        if not program:
            self.skipTest(f"no {tool} (libbpf-tools)")
        cli.need_programs("sched")
        work = subprocess.Popen([cli.PYTHON, "-c", script], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        scope = f"pid:{work.pid}"
        ours = subprocess.Popen([cli.PROGRAM, "stat", "sched", "--json", "--scope", scope],
                                stdout=subprocess.PIPE, text=True)
        theirs = subprocess.Popen([program, "-p", str(work.pid)], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        try:
            end = time.monotonic() + 60
            while links(theirs.pid) < programs or links(ours.pid) < 3:
                if theirs.poll() is not None:
                    self.skipTest(f"{tool} does not run here")
                if time.monotonic() > end:
                    self.fail("not attached within a minute")
                time.sleep(0.05)
            time.sleep(0.2)
            work.stdin.write("\n")
            work.stdin.flush()
            work.stdout.readline()
            for process in (ours, theirs):
                process.send_signal(signal.SIGINT)
            out, text = ours.communicate()[0], theirs.communicate()[0]
        finally:
            for process in (work, ours, theirs):
                process.kill()
                process.wait()
            work.stdin.close()
            work.stdout.close()
        row = next(line for line in cli.parse(out.encode())
                   if line["type"] == "stats" and line["probe"] == "sched")
        return counted(text), row["fields"]

    def agree(self, tool, programs, script, number):
        """They may differ by a few: waits that began before or that go on at the end."""
        for _ in range(cli.ROUNDS):
            theirs, row = self.compare(tool, programs, script)
            ours = number(row)
            print(f"# {tool} {theirs}, we {ours}")
            if ours >= 390 and abs(theirs - ours) <= ours // 50:
                return
        self.fail(f"{tool} counts {theirs}, we {ours}, {cli.ROUNDS} times")

    def test_runqlat(self):
        self.agree("runqlat", 3, SLEEPS, lambda row: row["runq_ns"]["count"])

    def test_cpudist(self):
        """The tool leaves out turns that ended in sleep."""
        self.agree("cpudist", 1, YIELDS, lambda row: row["preempted"])


if __name__ == "__main__":
    cli.main()
