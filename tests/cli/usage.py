# SPDX-License-Identifier: BSD-2-Clause
# Shows that a wrong argument gives one clear line and exit status 2 before a command is started, and that
# help and version need no privilege and fit a terminal.
import os
import subprocess
import unicodedata

import cli

COMMANDS = ("list", "check", "watch", "stat", "selftest", "explain")

# name: (arguments, words that the line must have)
WRONG = {
    "command": (["bogus"], ["bogus", "--help"]),
    "command_misspelt": (["wach"], ["did you mean 'watch'"]),
    "no_probe": (["stat"], ["which probe", "kernelsight list"]),
    "probe": (["stat", "nothing"], ["no probe 'nothing'", "kernelsight list"]),
    "probe_misspelt": (["watch", "porc"], ["did you mean 'proc'"]),
    "probe_self": (["stat", "self"], ["no probe 'self'"]),
    "probe_escape": (["stat", "x\x1b[31m\ny"], ["x\\x1b[31m\\ny"]),
    "option": (["stat", "proc", "--bogus"], ["--bogus", "stat --help"]),
    "option_misspelt": (["stat", "proc", "--jsn"], ["did you mean --json"]),
    "letter": (["stat", "proc", "-z"], ["-z"]),
    "option_of_stat": (["watch", "proc", "-i", "1"], ["-i"]),
    "option_value": (["stat", "proc", "-d"], ["-d needs a value"]),
    "json_value": (["stat", "proc", "--json=1"], ["--json"]),
    "seconds": (["stat", "proc", "-d", "soon"], ["-d takes seconds", "soon"]),
    "seconds_zero": (["stat", "proc", "-i", "0"], ["-i takes seconds"]),
    "seconds_nan": (["stat", "proc", "-d", "nan"], ["-d takes seconds"]),
    "scope": (["stat", "proc", "--scope", "me"], ["no scope 'me'", "comm:NAME", "tree:N", "cgroup:PATH"]),
    "scope_twice": (["stat", "proc", "--scope", "self", "--scope", "system"], ["twice"]),
    "pids": (["stat", "proc", "--scope", "pid:1,,2"], ["not a list of pids"]),
    "tree": (["stat", "proc", "--scope", "tree:1,x"], ["not a list of pids", "tree:1,2"]),
    "tree_empty": (["stat", "proc", "--scope", "tree:"], ["not a list of pids"]),
    "cgroup_empty": (["stat", "proc", "--scope", "cgroup:"], ["no scope 'cgroup:'"]),
    "cgroup_missing": (["stat", "proc", "--scope", "cgroup:/no/such/cgroup"], ["/no/such/cgroup"]),
    "by": (["stat", "proc", "--by", "user"], ["no grouping 'user'", "process"]),
    "by_of_watch": (["watch", "proc", "--by", "process"], ["--by"]),
    "top": (["stat", "proc", "--by", "process", "--top", "few"], ["--top takes a number", "few"]),
    "top_alone": (["stat", "proc", "--top", "3"], ["--top needs rows", "--by"]),
    "role": (["stat", "proc", "--role", "writer"], ["TID=NAME", "'writer'"]),
    "role_tid": (["stat", "proc", "--role", "x=writer"], ["TID=NAME"]),
    "role_empty": (["stat", "proc", "--role", "1="], ["TID=NAME"]),
    "pid_negative": (["stat", "proc", "--scope", "pid:-1"], ["not a list of pids"]),
    "pid_large": (["stat", "proc", "--scope", "pid:2147483648"], ["not a list of pids"]),
    "comm_long": (["stat", "proc", "--scope", "comm:0123456789abcdef"], ["1 to 15 bytes"]),
    "comm_empty": (["stat", "proc", "--scope", "comm:"], ["1 to 15 bytes"]),
    "exclude_long": (["stat", "proc", "--exclude-comm", "0123456789abcdef"], ["1 to 15 bytes"]),
    "setting": (["stat", "proc", "-o", "proc.nothing=1"], ["proc has no setting 'nothing'"]),
    "setting_misspelt": (["stat", "fadvise", "-o", "fadvise.slow_n=1"], ["did you mean 'slow_ns'"]),
    "setting_form": (["stat", "proc", "-o", "bogus"], ["PROBE.SETTING=VALUE"]),
    "setting_probe": (["stat", "proc", "-o", "nothing.x=1"], ["no probe 'nothing'"]),
    "setting_other": (["stat", "proc", "-o", "fadvise.slow_ns=1"], ["not asked for"]),
    "value": (["stat", "fadvise", "-o", "fadvise.slow_ns=x"], ["takes a number", "'x'"]),
    "value_negative": (["stat", "fadvise", "-o", "fadvise.slow_ns=-1"], ["takes a number"]),
    "value_large": (["stat", "fadvise", "-o", "fadvise.slow_ns=18446744073709551616"],
                    ["takes a number"]),
    "value_unit": (["stat", "fadvise", "-o", "fadvise.slow_ns=1K"], ["takes a number"]),
    "value_empty": (["stat", "fadvise", "-o", "fadvise.slow_ns="], ["takes a number"]),
    "variant": (["stat", "proc", "--variant", "bogus"], ["no variant 'bogus'", "tp_btf"]),
    "no_command": (["stat", "proc", "--"], ["no command"]),
    "scope_of_list": (["list", "--scope", "cgroup:/nowhere"], ["/nowhere"]),
    "command_of_list": (["list", "--", "true"], ["takes no command"]),
}


class Wrong(cli.Case):
    pass


def add_wrong(name, args, words):
    def test(self):
        done = cli.run(*args)
        self.assertEqual((done.status, done.out), (2, b""), done.err)
        self.assert_one_line(done.err, *words)

    setattr(Wrong, "test_" + name, test)


for key, (arguments, expected) in WRONG.items():
    add_wrong(key, arguments, expected)


class Escapes(cli.Case):
    def test_invisible(self):
        """No control or format character, and no separator except the space, reaches a terminal."""
        kinds = ("Cc", "Cf", "Zl", "Zp")
        characters = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) in kinds]
        self.assertGreater(len(characters), 200)
        for at in range(0, len(characters), 64):
            some = characters[at:at + 64]
            done = cli.run("stat", "x" + "x".join(some) + "x")
            self.assertEqual(done.status, 2)
            text = done.err.decode()
            self.assertFalse(set(some) & set(text.removesuffix("\n")))
            self.assertIn("'x" + "x".join(map(self.escaped, some)) + "x'", text)

    @staticmethod
    def escaped(character):
        code = ord(character)
        if character == "\n":
            return "\\n"
        return f"\\x{code:02x}" if code < 0x80 else \
            f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Pids(cli.Case):
    def test_dead_pid(self):
        child = subprocess.Popen(["true"])
        child.wait()
        done = cli.run("stat", "proc", "--scope", f"pid:{child.pid}")
        self.assertEqual((done.status, done.out), (2, b""))
        self.assert_one_line(done.err, str(child.pid), "no process")

    def test_one_dead_pid_of_two(self):
        child = subprocess.Popen(["true"])
        child.wait()
        done = cli.run("watch", "proc", "--scope", f"pid:{os.getpid()},{child.pid}")
        self.assertEqual(done.status, 2)
        self.assert_one_line(done.err, str(child.pid))

    def test_dead_root_of_a_tree(self):
        child = subprocess.Popen(["true"])
        child.wait()
        done = cli.run("stat", "proc", "--scope", f"tree:{child.pid}")
        self.assertEqual((done.status, done.out), (2, b""))
        self.assert_one_line(done.err, str(child.pid), "no process")

    def test_dead_thread_of_a_role(self):
        cli.need_programs("proc")
        child = subprocess.Popen(["true"])
        child.wait()
        done = cli.run("stat", "proc", "--role", f"{child.pid}=writer")
        self.assertEqual((done.status, done.out), (2, b""))
        self.assert_one_line(done.err, f"--role {child.pid}=writer")

    def test_command_is_not_started(self):
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"ks-cli-{os.getpid()}")
        done = cli.run("stat", "proc", "--variant", "bogus", "--", "touch", path)
        self.assertEqual(done.status, 2)
        self.assertFalse(os.path.exists(path))


class Help(cli.Case):
    def check_text(self, text):
        for line in text.decode().splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_nothing(self):
        done = cli.run()
        self.assertEqual((done.status, done.out), (2, b""))
        self.assertIn(b"USAGE", done.err)

    def test_help(self):
        done = cli.run("--help")
        self.assertEqual((done.status, done.err), (0, b""))
        self.check_text(done.out)
        for command in COMMANDS:
            self.assertIn(f"\n    {command} ".encode(), done.out)

    def test_each_command(self):
        for command in COMMANDS:
            done = cli.run(command, "--help")
            self.assertEqual((done.status, done.err), (0, b""))
            self.check_text(done.out)
            self.assertIn(b"\nEXAMPLES\n    kernelsight " + command.encode(), done.out)

    def test_settings_are_those_of_the_schema(self):
        out = cli.run("stat", "--help").out.decode()
        for probe in ("proc", "fadvise"):
            for name in cli.probe(probe)["settings"]:
                self.assertIn(name, out)

    def test_version(self):
        done = cli.run("--version")
        self.assertEqual((done.status, done.err), (0, b""))
        self.assertRegex(done.out, rb"^kernelsight \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    cli.main()
