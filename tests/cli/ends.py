# SPDX-License-Identifier: BSD-2-Clause
# Shows that a signal, a second signal and a closed output end watch and stat as they should.
import fcntl
import os
import select
import signal
import subprocess

import cli


class Ends(cli.Case):
    def setUp(self):
        cli.need_programs("proc")

    def watching(self, **options):
        """A watch of the whole system; processes are made until it has printed a line."""
        process = cli.start("watch", "proc", "--json", **options)
        while not select.select([process.stdout], [], [], 0)[0]:
            subprocess.run(["true"], check=True)
        line = process.stdout.readline()
        cli.parse(line)
        return process

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.watching()
            process.send_signal(number)
            done = cli.finish(process)
            self.assertEqual((done.status, done.err), (0, b""))
            self.assert_balanced(done.lines()[-1])

    def test_signals_while_nobody_reads(self):
        """The first one tears no line and loses none, the second does not wait for the reader."""
        for signals in (1, 2):
            process = cli.start("watch", "proc", "--json")
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
            while not self.is_writing(process):
                subprocess.run(["true"], check=True)
            process.send_signal(signal.SIGTERM)
            while self.has_pending(process):
                os.sched_yield()
            if signals == 2:
                while process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    os.sched_yield()
            done = cli.finish(process)
            if signals == 1:
                self.assertEqual((done.status, done.err), (0, b""))
                self.assert_balanced(done.lines()[-1])
            else:
                self.assertEqual((done.status, done.err),
                                 (1, b"kernelsight: cannot write the output\n"))

    @staticmethod
    def is_writing(process):
        with open(f"/proc/{process.pid}/wchan", encoding="ascii") as file:
            return "pipe_write" in file.read()

    @staticmethod
    def has_pending(process):
        with open(f"/proc/{process.pid}/status", encoding="utf-8", errors="replace") as file:
            pending = next(line for line in file if line.startswith("ShdPnd:"))
        return int(pending.split()[1], 16) != 0

    def test_signal_ignored_before(self):
        """As a shell starts what stands before &."""
        process = self.watching(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        process.send_signal(signal.SIGINT)
        self.assertEqual(cli.finish(process).status, 0)

    def test_signal_with_a_command(self):
        """The command gets it too, and its end is still seen."""
        process = cli.start("stat", "proc", "--json", "--", "sh", "-c", "echo on >&2; exec sleep 60")
        self.assertEqual(process.stderr.readline(), b"on\n")
        process.send_signal(signal.SIGINT)
        done = cli.finish(process)
        self.assertEqual((done.status, done.err), (130, b""))
        fields = done.one(type="stats", probe="proc")["fields"]
        self.assertEqual((fields["process_exits"], fields["killed"]), (1, 1))

    def test_second_signal_gives_the_command_up(self):
        process = cli.start("stat", "proc", "--json", "--", "sh", "-c",
                            "trap '' INT; echo on >&2; read x", stdin=subprocess.PIPE)
        self.assertEqual(process.stderr.readline(), b"on\n")
        # Two that come at once are one.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            os.sched_yield()
        done = cli.finish(process)
        self.assertEqual(done.status, 130)
        self.assertEqual(done.one(type="stats", probe="proc")["fields"]["process_exits"], 0)

    def test_closed_output(self):
        process = self.watching()
        process.stdout.close()
        while process.poll() is None:
            subprocess.run(["true"], check=True)
        self.assertEqual((process.returncode, process.stderr.read()), (0, b""))
        process.stderr.close()

    def test_closed_output_with_a_command(self):
        process = cli.start("watch", "proc", "--json", "--", "sh", "-c",
                            "/bin/true; /bin/true; exit 5")
        process.stdout.close()
        process.wait(timeout=cli.SECONDS)
        self.assertEqual((process.returncode, process.stderr.read()), (5, b""))
        process.stderr.close()

    def test_full_output(self):
        with open("/dev/full", "wb") as full:
            p = subprocess.run([cli.PROGRAM, "list"], stdout=full, stderr=subprocess.PIPE,
                               check=False)
            self.assertEqual(p.returncode, 1)
            self.assert_one_line(p.stderr, "cannot write")
            p = subprocess.run([cli.PROGRAM, "stat", "proc", "-d", "0.1"], stdout=full,
                               stderr=subprocess.PIPE, check=False)
            self.assertEqual(p.returncode, 1)
            self.assert_one_line(p.stderr, "cannot write")


if __name__ == "__main__":
    cli.main()
