# SPDX-License-Identifier: BSD-2-Clause
# Shows that watch prints every event of a command, with each variant that works here, with the values that
# the kernel knows, and only of processes that --scope and --exclude-comm select.
import os
import shutil
import subprocess
import tempfile

import cli


class Watch(cli.Case):
    def test_tree_by_each_variant(self):
        for name in cli.variants("proc"):
            done = cli.run("watch", "proc", "--json", "--variant", name, "--", *cli.TREE)
            self.assertEqual(done.status, 3)
            events = [line["event"] for line in cli.select(done.lines(), type="event")]
            self.assertEqual([events.count(kind) for kind in ("fork", "exec", "exit")], [3, 4, 4])
            ledger = done.one(type="ledger", probe="proc")
            self.assert_balanced(ledger)
            self.assertEqual(ledger["fields"]["delivered"], 11)

    def test_fields(self):
        cli.need_programs("proc")
        done = cli.run("watch", "proc", "--json", "--", *cli.TREE)
        lines = done.lines()
        first = cli.select(lines, event="exec")[0]
        ends = cli.select(lines, event="exit")
        self.assertTrue(first["fields"]["path"].endswith("/sh"), first)
        self.assertEqual(first["comm"], "sh")
        self.assertEqual(sorted(line["fields"]["status"] for line in ends), [0, 0, 1, 3])
        self.assertEqual({line["fields"]["ppid"] for line in ends if line["pid"] != first["pid"]},
                         {first["pid"]})
        self.assertEqual(first["fields"]["uid"], os.geteuid())
        self.assertEqual({line["weight"] for line in lines if line["type"] == "event"}, {1})

    def test_text(self):
        cli.need_programs("proc")
        done = cli.run("watch", "proc", "--", *cli.TREE)
        lines = done.out.decode().splitlines()
        self.assertEqual(len(lines), 11, done.out)
        for line in lines:
            self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} proc\.(fork|exec|exit) +\d+/\d+ +\S+")
        self.assertRegex(lines[-1], r"proc\.exit .* sh .* status=3")
        self.assertEqual(done.err.decode(),
                         "proc: 11 records, 0 lost, 0 throttled; ledger balanced\n")

    def test_settings(self):
        for name in cli.variants("fadvise"):
            for setting, calls in (("0", 26), ("1000s", 0)):
                done = cli.run("watch", "fadvise", "--json", "--variant", name, "-o",
                               "fadvise.slow_ns=" + setting, "--", cli.PYTHON, "-c", cli.ADVICE)
                events = cli.select(done.lines(), type="event", probe="fadvise")
                self.assertEqual(len(events), calls, name)
                self.assert_balanced(done.one(type="ledger"))

    def test_codes_have_names(self):
        cli.need_programs("fadvise")
        done = cli.run("watch", "fadvise", "--json", "-o", "fadvise.slow_ns=0", "--", cli.PYTHON,
                       "-c", cli.ADVICE)
        fields = [line["fields"] for line in cli.select(done.lines(), type="event")]
        self.assertEqual({(f["advice"], f["advice_name"]) for f in fields},
                         {(0, "normal"), (1, "random")})
        self.assertEqual(sum(f["offset"] == 4096 and f["length"] == 8192 for f in fields), 5)

    def test_negative_numbers(self):
        """Values that are signed in the kernel are signed here, as text and as JSON."""
        cli.need_programs("fadvise")
        program = ("import os\nfd = os.open('/proc/self/exe', os.O_RDONLY)\n"
                   "os.posix_fadvise(fd, -5, 4096, os.POSIX_FADV_RANDOM)\n"
                   "try: os.posix_fadvise(-1, 0, -7, os.POSIX_FADV_RANDOM)\n"
                   "except OSError: pass")
        options = ["watch", "fadvise", "-o", "fadvise.slow_ns=0"]
        done = cli.run(*options, "--json", "--", cli.PYTHON, "-c", program)
        events = [e["fields"] for e in cli.select(done.lines(), event="call")]
        self.assertEqual([(f["offset"], f["length"], f["fd"]) for f in events if f["fd"] == -1 or
                          f["offset"] < 0], [(-5, 4096, events[0]["fd"]), (0, -7, -1)])
        text = cli.run(*options, "--", cli.PYTHON, "-c", program).out.decode()
        self.assertIn(" offset=-5B length=4.0KiB ", text)
        self.assertIn(" length=-7B ", text)

    def test_samples(self):
        """One in five of the calls that are not slow is printed, with weight five."""
        cli.need_programs("fadvise")
        done = cli.run("watch", "fadvise", "--json", "-o", "fadvise.slow_ns=1000s", "-o",
                       "fadvise.sample_every=5", "--", cli.PYTHON, "-c", cli.ADVICE)
        events = cli.select(done.lines(), type="event", probe="fadvise")
        self.assertEqual({e["weight"] for e in events} | {5}, {5})
        self.assertEqual(done.one(type="ledger")["fields"]["sampled_out"] + len(events), 26)

    def test_variant_that_does_not_work(self):
        broken = [v for v in cli.need_programs("fadvise")["variants"] if not v["usable"]]
        if not broken:
            self.skipTest("each variant works here")
        done = cli.run("watch", "fadvise", "--variant", broken[0]["name"], "--", "true")
        self.assertEqual((done.status, done.out), (1, b""))
        self.assert_one_line(done.err, "fadvise: ")


class Scope(cli.Case):
    """The command starts after the probes are enabled: here it lets another process begin."""

    def events(self, options, program=cli.RENAMED):
        cli.need_programs("proc")
        pid, go, done = self.other(program)
        options = [option.replace(b"PID", b"%d" % pid) for option in options]
        result = self.run_beside(go, done, "watch", "proc", "--json", *options)
        events = cli.select(result.lines(), type="event", probe="proc")
        # the exit may come before or after the end of the command
        return pid, [e for e in events if (e["event"], e["pid"]) != ("exit", pid)]

    def test_pid(self):
        pid, events = self.events([b"--scope", b"pid:PID"])
        self.assertEqual([(e["event"], e["pid"]) for e in events], [("fork", pid)] * 2)

    def test_tree(self):
        """A running process and all that it starts are in scope; its parent is not."""
        program = "import subprocess\nsubprocess.run(['sh', '-c', '/bin/true; /bin/false; exit 0'])"
        pid, events = self.events([b"--scope", b"tree:PID"], program)
        kinds = [e["event"] for e in events]
        self.assertEqual([kinds.count(kind) for kind in ("fork", "exec", "exit")], [3, 3, 3])
        self.assertEqual([e["pid"] for e in events if e["event"] == "fork"][0], pid)

    def test_comm_of_odd_bytes(self):
        _, events = self.events([b"--scope", b"comm:" + cli.ODD])
        self.assertEqual(sorted(e["event"] for e in events), ["exit", "exit", "fork", "fork"])
        self.assertEqual({e["comm"] for e in events}, {'a b\\xff"\\\\\x1b\n'})
        self.assertEqual([e["fields"]["status"] for e in events if e["event"] == "exit"], [7, 7])

    def test_exclude_comm(self):
        pid, events = self.events([b"--scope", b"pid:PID", b"--exclude-comm", cli.ODD])
        self.assertEqual([e for e in events if e["pid"] == pid], [])

    def test_system(self):
        pid, events = self.events([b"--scope", b"system", b"-o", b"proc.max_per_sec=0"])
        self.assertEqual(sum(e["event"] == "fork" and e["pid"] == pid for e in events), 2)

    def test_odd_bytes_on_a_terminal(self):
        """No character that moves the cursor reaches the terminal."""
        cli.need_programs("proc")
        done = cli.run("watch", "proc", "--", cli.PYTHON, "-c", cli.RENAMED)
        self.assertIn(rb' "a b\xff\"\\\x1b\n" ', done.out)
        self.assertNotIn(b"\x1b", done.out)
        self.assertNotIn(b"\xff", done.out)


class Names(cli.Case):
    """A name is printed unchanged, and cannot be taken for another name or for a field."""
    # A file's name, its form as text and as JSON text. As bytes, since not all is UTF-8.
    NAMES = (
        (b'a b" uid=0', r'"a b\" uid=0"', 'a b" uid=0'),
        (b"a\\xff", r'"a\\xff"', r"a\\xff"),
        (b"a\xff", r'"a\xff"', r"a\xff"),
        (b"a\xc2\x9b1m", r'"a\u009b1m"', "a\x9b1m"),
        ("\u202egpj.\u2069".encode(), r'"\u202egpj.\u2069"', "\u202egpj.\u2069"),
        ("a\u2028b\U000e0041".encode(), r'"a\u2028b\U000e0041"', "a\u2028b\U000e0041"),
        ("gr\xfcn".encode(), '"gr\xfcn"', "gr\xfcn"),
        (b"plain", "plain", "plain"),
    )

    def setUp(self):
        cli.need_programs("proc")
        self.folder = tempfile.mkdtemp(prefix="ks-names-")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_file(self, name, *options):
        path = os.path.join(self.folder.encode(), name)
        shutil.copy("/bin/true", path)
        done = cli.run("watch", "proc", *options, "--", path)
        self.assertEqual(done.status, 0)
        return done

    def test_path(self):
        for name, text, json_text in self.NAMES:
            done = self.run_file(name)
            line = next(x for x in done.out.decode().split("\n") if "proc.exec" in x)
            quote = '"' if text[0] == '"' else ""
            self.assertTrue(line.endswith(f" path={quote}{self.folder}/{text[len(quote):]}"), line)
            line = cli.select(self.run_file(name, "--json").lines(), event="exec")[0]
            self.assertEqual(line["fields"]["path"], f"{self.folder}/{json_text}")

    def test_comm(self):
        """A thread's name with spaces is quoted, too, and no name is cut."""
        done = self.run_file(b"sh path=x")
        self.assertRegex(done.out, rb'proc\.exit +\d+/\d+ +"sh path=x"     start=')
        done = self.run_file(b"plain")
        self.assertRegex(done.out, rb"proc\.exit +\d+/\d+ +plain           start=")


if __name__ == "__main__":
    cli.main()
