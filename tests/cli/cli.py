# SPDX-License-Identifier: BSD-2-Clause
"""Functions for all tests of the command line: run it, check its JSON against the schema, print TAP."""
import collections
import functools
import json
import os
import pathlib
import select as selector
import signal
import subprocess
import sys
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

PROGRAM = None
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "docs" / "cli-json.schema.json"
PYTHON = "/usr/bin/python3"
INVISIBLE = "\x1b\x7f\x9b\u202e\u2028\u2069\U000e0041"
ROUNDS = 5
SECONDS = 300  # none takes so long unless it hangs

# 4 processes that exec (sh, true, true, false), of which sh makes 3; sh and false fail.
TREE = ["sh", "-c", "/bin/true; /bin/true; /bin/false; exit 3"]
ADVICE = """
import os
fd = os.open('/proc/self/exe', os.O_RDONLY)
for _ in range(20):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
for advice in range(5):
    os.posix_fadvise(fd, 4096, 8192, os.POSIX_FADV_NORMAL)
try:
    os.posix_fadvise(-1, 0, 0, os.POSIX_FADV_NORMAL)
except OSError:
    pass
"""
# A thread takes this name and then forks two processes.
ODD = b'a b\xff"\\\x1b\n'
RENAMED = """
import ctypes, os
ctypes.CDLL(None).prctl(15, %r, 0, 0, 0)
for i in range(2):
    pid = os.fork()
    if not pid:
        os._exit(7)
    os.waitpid(pid, 0)
""" % ODD


class Done:
    """The outcome of a run."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def lines(self):
        return parse(self.out)

    def one(self, **wanted):
        """Returns the only line with these members."""
        found = select(self.lines(), **wanted)
        assert len(found) == 1, f"{len(found)} lines with {wanted}: {self.out!r} {self.err!r}"
        return found[0]


def parse(out):
    """Returns lines of JSON as objects, each checked against the schema."""
    lines = [json.loads(line) for line in out.decode("utf-8").splitlines()]
    assert not set(INVISIBLE) & set(out.decode("utf-8")), out
    for line in lines:
        validate(line)
    return lines


def validate(line):
    if jsonschema is None:
        raise unittest.SkipTest("python3-jsonschema is not installed")
    errors = list(jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(line))
    assert not errors, f"{errors[0].message} at {list(errors[0].absolute_path)} of {line}"


def select(lines, **wanted):
    return [line for line in lines if all(line.get(k) == v for k, v in wanted.items())]


def run(*args, **options):
    p = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=SECONDS, check=False, **options)
    return Done(p.returncode, p.stdout, p.stderr)


def start(*args, **options):
    """Starts it unbuffered: communicate() does not know what readline() has read ahead."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([PROGRAM, *args], bufsize=0, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def finish(process):
    out, err = process.communicate(timeout=SECONDS)
    return Done(process.returncode, out, err)


def need_root():
    if os.geteuid() == 0:
        return
    if os.environ.get("KS_REQUIRE_ROOT") == "1":
        raise AssertionError("this test needs root")
    raise unittest.SkipTest("needs root")


@functools.lru_cache(maxsize=None)
def probe(name):
    """Returns the line of `list --json` for one probe."""
    return run("list", name, "--json").one(type="probe")


def need_programs(name):
    """Skips the test unless the probe works with kernel programs here."""
    need_root()
    line = probe(name)
    if line["source"] != "bpf":
        raise unittest.SkipTest(f"{name} does not run on kernel programs: {line['reason']}")
    return line


def variants(name):
    """Returns the variants with kernel programs that work here."""
    return [v["name"] for v in need_programs(name)["variants"]
            if v["usable"] and v["source"] == "bpf"]


@functools.lru_cache(maxsize=None)
def memory_cgroup():
    """Returns where the memory controller's hierarchy is mounted, and our path in it; None if it is not
    mounted."""
    version = run("check", "--json").one(type="check")["machine"]["cgroups"]["memory_controller"]
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    groups = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().split()]
    for _, mount, kind, options, *_ in mounts:
        if version == "v2" and kind == "cgroup2":
            own = [path for _, names, path in groups if not names]
        elif version == "v1" and kind == "cgroup" and "memory" in options.split(","):
            own = [path for _, names, path in groups if "memory" in names.split(",")]
        else:
            continue
        return Hierarchy(mount, own[0])
    return None


Hierarchy = collections.namedtuple("Hierarchy", "mount own")


def readable(stream, seconds):
    return bool(selector.select([stream], [], [], seconds)[0])


class Case(unittest.TestCase):
    def assert_one_line(self, err, *words):
        """stderr has one line, from the program itself, with these words in it."""
        text = err.decode()
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.startswith("kernelsight: "), text)
        for word in words:
            self.assertIn(word, text)

    def other(self, program):
        """Starts a process that reads a byte, runs the program, writes a byte and reads until the end."""
        go, done = os.pipe(), os.pipe()
        code = (f"import os\nos.read({go[0]}, 1)\n{program}\nos.write({done[1]}, b'x')\n"
                f"os.read({go[0]}, 1)")
        child = subprocess.Popen([PYTHON, "-c", code], pass_fds=(go[0], done[1]))
        os.close(go[0])
        os.close(done[1])
        self.addCleanup(child.wait)
        self.addCleanup(os.close, go[1])
        self.addCleanup(os.close, done[0])
        return child.pid, go[1], done[0]

    def run_beside(self, go, done, *args):
        """Runs the command line with a command that lets such a process continue."""
        trigger = f"import os; os.write({go}, b'x'); os.read({done}, 1)"
        result = run(*args, "--", PYTHON, "-c", trigger, pass_fds=(go, done))
        self.assertEqual((result.status, result.err), (0, b""))
        return result

    def assert_in_rounds(self, play, want):
        """Repeats what a busy machine may disturb. A real fault fails every round."""
        seen = []
        while want not in seen and len(seen) < ROUNDS:
            seen.append(play())
        self.assertIn(want, seen)

    def assert_balanced(self, line):
        f = line["fields"]
        self.assertEqual((line["type"], line["balanced"]), ("ledger", True), line)
        self.assertEqual(f["fired"], sum(f[name] for name in (
            "filtered", "sampled_out", "throttled", "aggregated", "opened", "submitted",
            "lost_ring", "lost_locked", "lost_map", "unmatched", "ambiguous", "malformed")))
        self.assertEqual(f["submitted"], f["delivered"] + f["discarded"] + f["in_flight"])


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0

    def line(self, ok, test, more=""):
        self.number += 1
        name = f"{type(test).__name__}.{getattr(test, '_testMethodName', test)}"
        print(f"{'ok' if ok else 'not ok'} {self.number} - {name}{more}", flush=True)

    def addSuccess(self, test):
        self.line(True, test)

    def addSkip(self, test, reason):
        self.line(True, test, f" # SKIP {reason}".replace("\n", " "))

    def broken(self, test, error):
        self.line(False, test)
        for line in self._exc_info_to_string(error, test).splitlines():
            print("#", line, flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.broken(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.broken(test, err)


def reset_signals():
    """A shell starts background jobs with some signals ignored, and the command honours that. The
    processes that the tests start must not inherit it."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main():
    """PROGRAM [TEST...]: runs the tests of the calling file as TAP."""
    global PROGRAM
    reset_signals()
    PROGRAM = os.path.abspath(sys.argv[1])
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    for test in loader.loadTestsFromModule(sys.modules["__main__"]):
        for case in test:
            if not sys.argv[2:] or any(word in case.id() for word in sys.argv[2:]):
                suite.addTest(case)
    print(f"1..{suite.countTestCases()}", flush=True)
    result = Tap()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
