# SPDX-License-Identifier: BSD-2-Clause
# Shows that a signal, a second signal and a closed output end watch and stat in the right way.
import fcntl
import os
import pty
import select
import signal
import subprocess

import cli


class Ends(cli.Case):
    def setUp(self):
        cli.need_programs("proc")

    def watching(self, **options):
        """Starts a watch of the whole system, and forks processes until it has printed a line."""
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
        """The first signal tears and loses no line. The second does not wait for the reader."""
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
        """Starts it as a shell starts a command with &."""
        process = self.watching(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        process.send_signal(signal.SIGINT)
        self.assertEqual(cli.finish(process).status, 0)

    def test_signal_with_a_command(self):
        """The command gets the signal, too, and its end is still counted."""
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
        # Two signals that arrive at once count as one.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            os.sched_yield()
        done = cli.finish(process)
        self.assertEqual(done.status, 130)
        self.assertEqual(done.one(type="stats", probe="proc")["fields"]["process_exits"], 0)

    def on_terminal(self, *args):
        """Starts the command as first process of a terminal of its own. Returns (pid, terminal)."""
        pid, terminal = pty.fork()
        if not pid:
            os.execv(cli.PROGRAM, [cli.PROGRAM, *args])
        return pid, terminal

    @staticmethod
    def catches(pid, number):
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
        return int(caught.split()[1], 16) >> number - 1 & 1

    def read_all(self, terminal):
        text = b""
        try:
            while more := os.read(terminal, 4096):
                text += more
        except OSError:  # the other end is closed
            pass
        os.close(terminal)
        return text

    def test_control_c_while_loading(self):
        """The command is not started, or gets the signal, too: it never runs to its end."""
        for command in ("stat", "watch"):
            pid, terminal = self.on_terminal(command, "proc", "sched", "pagecache", "fadvise", "--",
                                             "sh", "-c", "read x; echo 'THE'END")
            while not self.catches(pid, signal.SIGHUP):  # Python catches SIGINT itself
                os.sched_yield()
            os.write(terminal, b"\x03")
            os.write(terminal, b"\n")
            text = self.read_all(terminal)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 130, text)
            self.assertNotIn(b"THEEND", text)

    def test_signal_while_loading(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            process = cli.start("stat", "proc", "--", "sh", "-c", "read x; echo 'THE'END",
                                stdin=subprocess.PIPE)
            while not self.catches(process.pid, number):
                os.sched_yield()
            process.send_signal(number)
            done = cli.finish(process)
            self.assertEqual(done.status, 128 + number)
            self.assertNotIn(b"THEEND", done.out)

    def ignored_by_command(self, *numbers):
        """Returns the signals that a command ignores if kernelsight was started with these ignored."""
        done = cli.run("stat", "proc", "--", cli.PYTHON, "-S", "-c",
                       "print(open('/proc/self/status').read().split('SigIgn:')[1].split()[0])",
                       preexec_fn=lambda: [signal.signal(n, signal.SIG_IGN) for n in numbers])
        return int(done.out.split()[0], 16)

    def test_ignored_signals_are_handed_down(self):
        """nohup still works for the command. Python itself ignores SIGPIPE and SIGXFSZ."""
        before = self.ignored_by_command()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            self.assertFalse(before >> number - 1 & 1)
            self.assertEqual(self.ignored_by_command(number), before | 1 << number - 1)

    def test_hangup_of_a_nohup(self):
        """Neither the command nor kernelsight ends."""
        process = cli.start("stat", "proc", "--json", "--", "sh", "-c",
                            "echo on >&2; read x; exit 4", stdin=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual(process.stderr.readline(), b"on\n")
        process.send_signal(signal.SIGHUP)
        process.stdin.write(b"\n")
        done = cli.finish(process)
        self.assertEqual(done.status, 4)
        self.assertEqual(done.one(type="stats", probe="proc")["fields"]["process_exits"], 1)

    def test_hangup(self):
        """It ends as with other signals, after it has printed the counts."""
        process = cli.start("stat", "proc", "--json", "--", "sh", "-c", "echo on >&2; exec sleep 60")
        self.assertEqual(process.stderr.readline(), b"on\n")
        process.send_signal(signal.SIGHUP)
        done = cli.finish(process)
        self.assertEqual(done.status, 129)
        self.assertEqual(done.one(type="stats", probe="proc")["fields"]["killed"], 1)

    def run_closed(self, fd, *args):
        return cli.run(*args, preexec_fn=lambda: os.close(fd))

    def test_output_closed_from_the_start(self):
        """kernelsight reports that, and does not start the command."""
        for command in ("stat", "watch"):
            done = self.run_closed(1, command, "proc", "--", "sh", "-c", "echo started >&2")
            self.assertEqual(done.status, 1)
            self.assert_one_line(done.err, "cannot write the output", "closed")
        done = self.run_closed(1, "list")
        self.assertEqual(done.status, 1)
        self.assert_one_line(done.err, "cannot write the output")

    def test_input_or_errors_closed_from_the_start(self):
        """They stay closed for the command, and no other file gets their numbers."""
        program = "import os; print(os.listdir('/proc/self/fd')); os._exit(9)"
        for fd in (0, 2):
            done = self.run_closed(fd, "stat", "proc", "--", cli.PYTHON, "-S", "-c", program)
            self.assertEqual((done.status, done.err), (9, b""))
            # listdir() itself has one open, with the free number.
            self.assertEqual(done.out.splitlines()[0], b"['0', '1', '2']", done.out)
            held, hold = os.pipe()
            process = cli.start("stat", "proc", "--", "sh", "-c", f"echo on; read x <&{held}",
                                pass_fds=[held], preexec_fn=lambda fd=fd: os.close(fd))
            self.assertEqual(process.stdout.readline(), b"on\n")
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{fd}"), "/dev/null")
            os.close(held)
            os.close(hold)
            self.assertEqual(cli.finish(process).status, 1)

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
            for end, status in (("true", 1), ("exit 5", 5)):
                p = subprocess.run([cli.PROGRAM, "watch", "proc", "--", "sh", "-c", end],
                                   stdout=full, stderr=subprocess.PIPE, check=False)
                self.assertEqual(p.returncode, status)
                self.assertIn(b"cannot write", p.stderr)


if __name__ == "__main__":
    cli.main()
