# SPDX-License-Identifier: BSD-2-Clause
# Shows that --scope cgroup:PATH means the cgroup and all below it, given as a directory or as a path, and
# that watch reports when it was removed and created again.
import errno
import os
import pathlib
import re
import signal
import subprocess
import time

import cli


class Cgroups(cli.Case):
    def setUp(self):
        cli.need_programs("proc")
        hierarchy = cli.memory_cgroup()
        if not hierarchy:
            self.skipTest("no cgroup hierarchy is mounted")
        self.path = hierarchy.own.rstrip("/") + f"/ks-cli-{os.getpid()}"
        self.dir = pathlib.Path(hierarchy.mount + self.path)
        try:
            self.make(self.dir)
        except OSError as error:
            self.skipTest(f"no cgroup can be made: {error}")

    def make(self, directory):
        directory.mkdir()
        self.addCleanup(lambda: directory.exists() and directory.rmdir())

    def move(self, pid, directory):
        (directory / "cgroup.procs").write_text(str(pid))

    def check(self, scope, directory):
        pid, go, done = self.other(cli.RENAMED)
        self.move(pid, directory)
        result = self.run_beside(go, done, "watch", "proc", "--json", "--scope", "cgroup:" + scope)
        self.move(pid, self.dir.parent)
        events = cli.select(result.lines(), type="event", probe="proc")
        self.assertEqual([e["event"] for e in events].count("fork"), 2)
        self.assertEqual([e["pid"] for e in events if e["event"] == "fork"], [pid] * 2)
        self.assertEqual([e["fields"]["status"] for e in events if e["event"] == "exit"], [7, 7])
        self.assertEqual({e["cgroup"] for e in events}, {directory.stat().st_ino})

    def test_by_directory(self):
        self.check(str(self.dir), self.dir)

    def test_by_path(self):
        self.check(self.path, self.dir)

    def test_below(self):
        self.make(self.dir / "below")
        self.check(str(self.dir), self.dir / "below")

    def remove(self):
        """Removes the cgroup. Its processes have ended, but may not have left it yet."""
        for _ in range(6000):
            try:
                return self.dir.rmdir()
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.01)
        return self.dir.rmdir()

    def made_again(self, pattern, *options):
        process = cli.start("watch", "proc", "--scope", f"cgroup:{self.dir}", *options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.enter_and_leave(process)
        self.remove()
        self.dir.mkdir()
        line = process.stdout.readline()
        while line and not re.search(pattern, line):
            line = process.stdout.readline()  # of who was in it, late
        process.send_signal(signal.SIGTERM)
        process.wait()
        return line

    def enter_and_leave(self, process):
        """Processes enter and leave until the first line shows that the programs are attached."""
        while not cli.readable(process.stdout, 0.05):
            subprocess.run(["sh", "-c", f"echo $$ >{self.dir}/cgroup.procs; /bin/true; exit 0"],
                           check=True)
        while cli.readable(process.stdout, 0.2):
            process.stdout.readline()

    def test_made_again(self):
        line = cli.parse(self.made_again(rb'"event": ?"state"', "--json"))[0]
        self.assertEqual((line["probe"], line["event"]), ("self", "state"))
        fields = line["fields"]
        self.assertEqual([fields[k] for k in ("probe", "state_name", "source_name", "cause_name")],
                         [1, "on", "bpf", "scope"])

    def test_made_again_as_text(self):
        line = self.made_again(rb"\*\*\*").decode()
        self.assertRegex(line, r"^[0-9:.]+ \*\*\* proc is on, from bpf: the scope's cgroup was "
                               r"created again, and is watched \*\*\*\n$")


if __name__ == "__main__":
    cli.main()
