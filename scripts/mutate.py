#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""mutate.py FILE…: makes small wrong changes (mutants) to a file, one at a time, and prints those that no
test notices. It works in a copy of the tree, build/mutate/tree. Exit status: 0 the tests caught all
mutants, 1 some survived, 2 an error."""
import argparse
import ctypes
import difflib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import mutants

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name('mutate.tests')
# Tests run short, as in the builds with sanitizers. A kernel program of another variant than the best
# runs only if the tests try all variants.
SHORT = {'KS_TEST_SCALE': '0.05', 'PYTHONDONTWRITEBYTECODE': '1'}
BEST = {'KS_TEST_VARIANTS': 'best'}
# They read sources. A line that a mutant makes longer is no wrong change that they notice.
OF_SOURCES = ('unit/prose', 'unit/named', 'unit/layering', 'unit/mutate')
# At a small scale it leaves out most of the calls that could fail.
WHOLE = 'fault/shortage'
MEMORY = 16 << 30
OUTPUT = 1 << 41  # unit/file makes a sparse file of 1 TiB


def die(text):
    print(f'mutate: {text}', file=sys.stderr)
    sys.exit(2)


# ---- the tests of a file -------------------------------------------------------------------------


def read_table(text):
    """Parses mutate.tests into a list of (path, [suite/name])."""
    rows = []
    for line in text.splitlines():
        words = line.split('#')[0].split()
        if words:
            rows.append((words[0], words[1:]))
    return rows


def tests_for(rows, name):
    """The tests of the row with the longest path that fits; unit tests first, each test once."""
    fitting = [row for row in rows if name == row[0] or
               row[0].endswith('/') and name.startswith(row[0])]
    if not fitting:
        return []
    tests = list(dict.fromkeys(max(fitting, key=lambda row: len(row[0]))[1]))
    return sorted(tests, key=lambda test: not test.startswith('unit/'))


def wide_for(rows, tests):
    """The tests of the row `*`: `SUITE/` stands for the whole suite."""
    words = [word for name, words in rows if name == '*' for word in words]
    return [test for word in words for test in ([word] if not word.endswith('/') else
                                                sorted(name for name in tests if name.startswith(word)))
            if test not in OF_SOURCES]


# ---- objects -------------------------------------------------------------------------------------


def code_of(path):
    """A digest of an object file without debug information."""
    data = path.read_bytes()
    digest = hashlib.sha256()
    if data[:4] != b'\x7fELF':
        return hashlib.sha256(data).digest()
    at, = struct.unpack_from('<Q', data, 40)
    size, n, names = struct.unpack_from('<HHH', data, 58)
    sections = [struct.unpack_from('<IIQQQQIIQQ', data, at + i * size) for i in range(n)]
    texts = sections[names][4]
    for section in sections:
        name = data[texts + section[0]:data.index(b'\0', texts + section[0])].decode()
        # A section of type 8 (NOBITS) has no bytes in the file. .BTF contains source lines.
        if 'debug' in name or '.BTF' in name or section[1] == 8 or name in (
                '.symtab', '.strtab', '.shstrtab', '.llvm_addrsig'):
            continue
        digest.update(name.encode() + data[section[4]:section[4] + section[5]])
    return digest.digest()


class Objects:
    """Finds out whether a build has changed the code of any object file."""

    def __init__(self, folders):
        self.folders = [Path(folder) for folder in folders]
        self.first = {path: (stamp, code_of(path)) for path, stamp in self.now().items()}

    def now(self):
        return {path: path.stat().st_mtime_ns for folder in self.folders
                for path in folder.rglob('*.o')}

    def changed(self):
        return any(self.first.get(path, (0, b''))[0] != stamp and
                   self.first.get(path, (0, b''))[1] != code_of(path)
                   for path, stamp in self.now().items())


# ---- running -------------------------------------------------------------------------------------


def be_subreaper():
    """Processes that a test leaves behind become children of this one, which ends them after the test."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def end_orphans():
    for _ in range(100):
        children = []
        for task in Path('/proc/self/task').iterdir():
            children += (task / 'children').read_text().split()
        if not children:
            return
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def limits():
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))


class Test:
    def __init__(self, name, command, env=None, targets=(), folder=None):
        self.name, self.command, self.env = name, command, env or {}
        self.targets, self.folder = list(targets), folder
        self.variants = {}
        self.seconds = None  # duration without a mutant

    def run(self, log):
        """Does the test pass? A test that takes much longer than without a mutant does not."""
        patience = 20 + 5 * self.seconds if self.seconds is not None else 900
        start = time.monotonic()
        with open(log, 'wb') as output:
            child = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=output, preexec_fn=limits,
                                     env={**os.environ, **SHORT, **self.variants, **self.env})
            try:
                passed = child.wait(patience) == 0
            except subprocess.TimeoutExpired:
                passed = False
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        end_orphans()
        if self.seconds is None:
            self.seconds = time.monotonic() - start
        return passed


class Tree:
    """The copy of the tree, its build, and its tests."""

    def __init__(self, root=ROOT, base='build/mutate'):
        self.root = root
        self.base = root / base
        self.tree, self.dir = self.base / 'tree', self.base / 'build'
        self.log = self.base / 'log'
        self.copy()
        if not (self.dir / 'build.ninja').exists():
            self.dir.mkdir(parents=True, exist_ok=True)
            self.call('meson', 'setup', str(self.dir), str(self.tree), '-Dwerror=false', '-Dtests=true')
        self.call('ninja', '-C', str(self.dir), 'build.ninja')  # meson runs again if a meson.build changed
        self.tests = self.read_tests()
        self.objects = None

    def call(self, *command):
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode:
            die(f'{" ".join(command)} fails:\n{run.stdout[-3000:]}{run.stderr[-1000:]}')
        return run.stdout

    def copy(self):
        """Copies only files that differ, so that the build compiles little."""
        listed = self.call('git', '-C', str(self.root), 'ls-files', '-co', '--exclude-standard')
        names = {name for name in listed.splitlines() if (self.root / name).is_file()}
        for name in names:
            source, target = self.root / name, self.tree / name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
        for path in sorted(self.tree.rglob('*')):
            name = str(path.relative_to(self.tree))
            if path.is_file() and name not in names and '__pycache__' not in name:
                path.unlink()

    def read_tests(self):
        targets = {}
        for target in json.loads(self.call('meson', 'introspect', '--targets', str(self.dir))):
            targets[target['id']] = [os.path.relpath(name, self.dir) for name in target['filename']]
        tests = {}
        for test in json.loads(self.call('meson', 'introspect', '--tests', str(self.dir))):
            suite = test['suite'][0].split(':')[-1]
            needs = [name for target in test['depends'] for name in targets[target]]
            tests[f'{suite}/{test["name"]}'] = Test(
                test['name'], test['cmd'], test['env'], needs, test['workdir'] or self.dir)
        if WHOLE in tests:
            tests[WHOLE].env = {**tests[WHOLE].env, 'KS_TEST_SCALE': '1'}
        return tests

    def build(self, tests):
        """Builds the targets of tests. Returns whether that succeeded."""
        targets = sorted({name for test in tests for name in test.targets})
        with open(self.log, 'wb') as log:
            return subprocess.run(['ninja', '-C', str(self.dir), '-j1', *targets], stdout=log,
                                  stderr=log, stdin=subprocess.DEVNULL).returncode == 0

    def remember(self):
        self.objects = Objects([self.dir / 'lib', self.dir / 'bpf'])


# ---- one file ------------------------------------------------------------------------------------


class Outcome:
    def __init__(self):
        self.caught, self.survivors, self.broken, self.same = [], [], 0, 0

    def counted(self):
        return len(self.caught) + len(self.survivors)


def groups_of(tests):
    """Two groups: unit tests are built and run before the other tests are built."""
    unit = [test for test in tests if test.command and 'unit' in str(test.targets)]
    return [group for group in (unit, [test for test in tests if test not in unit]) if group]


def judge(project, tests):
    """The name of the test that fails; False: none fails; '': no code changed; None: does not compile."""
    checked = False
    for group in groups_of(tests):
        if not project.build(group):
            return None
        if not checked and not project.objects.changed():
            return ''
        checked = True
        for test in group:
            if test.run(project.log):
                continue
            # A test that measures may fail on a busy machine. A mutant must make it fail twice.
            if 'unit' in str(test.targets) or not test.run(project.log):
                return test.name
    return False


def judge_widely(project, path, text, mutant, wide):
    """judge() by the tests in `wide`. Removes those that fail without a mutant from it."""
    if any(test.seconds is None for test in wide):
        path.write_text(text)
        if not project.build(wide):
            die(f'the tree does not build without a mutant, see {project.log}')
        wide[:] = [test for test in wide if test.run(project.log)]
        path.write_text(mutant.apply(text))
    return judge(project, wide)


def difference(name, text, mutant):
    lines = difflib.unified_diff(text.splitlines(), mutant.apply(text).splitlines(), n=0, lineterm='')
    return '\n'.join(line for line in lines if line[:2] not in ('--', '++', '@@'))


def mutate(project, path, name, tests, chosen, count, say, wide=()):
    """Tries mutants until `count` of them compiled and changed code. What survives `tests` is tried with the
    tests in `wide`, too. Restores the file at the end."""
    text = path.read_text()
    outcome = Outcome()
    try:
        for mutant in chosen:
            path.write_text(mutant.apply(text))
            red = judge(project, tests)
            if red is False and wide:
                red = judge_widely(project, path, text, mutant, wide)
            where = f'{name}:{mutant.line(text)}: {mutant.operator}'
            if red is None:
                outcome.broken += 1
            elif red == '':
                outcome.same += 1
            elif red:
                outcome.caught.append(mutant)
                say(f'caught by {red}: {where}')
            else:
                outcome.survivors.append(mutant)
                print(f'SURVIVED {where}\n{difference(name, text, mutant)}', flush=True)
            if count and outcome.counted() == count:
                break
    finally:
        path.write_text(text)
    print(f'{name}: {outcome.counted()} mutants, {len(outcome.caught)} caught, '
          f'{len(outcome.survivors)} survived ({outcome.broken} more did not compile, '
          f'{outcome.same} changed no code)', flush=True)
    return outcome


def baseline(project, tests, variants=BEST):
    """Runs every test without a mutant: each must pass, and its duration is stored."""
    if not project.build(tests):
        die(f'the tree does not build without a mutant, see {project.log}')
    project.remember()
    for test in tests:
        if test.variants != variants:
            test.variants, test.seconds = variants, None
        if test.seconds is None and not (test.run(project.log) or test.run(project.log)):
            die(f'{test.name} fails without a mutant, see {project.log}')


def main():
    parser = argparse.ArgumentParser(prog='scripts/dev mutate', description=__doc__)
    parser.add_argument('file', nargs='+', help='a file in lib/ or bpf/')
    parser.add_argument('--seed', type=int, default=1, help='seed of the choice of mutants')
    parser.add_argument('--count', type=int, default=15, help='number of mutants for each file')
    parser.add_argument('--all', action='store_true', help='try all mutants')
    parser.add_argument('--operators', help=', '.join(mutants.OPERATORS))
    parser.add_argument('--tests', help='tests to run (unit/rows,probes/sched) instead of those in the table')
    parser.add_argument('--dir', default='build/mutate',
                        help='folder of the copy; a second run at the same time needs another one')
    parser.add_argument('--list', action='store_true', help='print the mutants and run no test')
    parser.add_argument('--verbose', action='store_true', help='also print the mutants that tests caught')
    args = parser.parse_args()

    operators = args.operators.split(',') if args.operators else list(mutants.OPERATORS)
    if set(operators) - set(mutants.OPERATORS):
        die('unknown operator; the operators are ' + ', '.join(mutants.OPERATORS))
    names = [os.path.relpath(Path(name).resolve(), ROOT) for name in args.file]
    table = read_table(TABLE.read_text())
    be_subreaper()
    os.nice(10)
    # Read only the copy from here on: files of the work tree may change meanwhile.
    tree = None if args.list else Tree(base=args.dir)
    root, survivors = tree.tree if tree else ROOT, 0
    headers = mutants.headers_of(root)
    for name in names:
        text = (root / name).read_text()
        found = mutants.make(text, headers, operators)
        count = 0 if args.all else args.count
        chosen = found if args.all else list(mutants.choose(found, 0, random.Random(args.seed)))
        if args.list:
            for mutant in chosen[:count or None]:
                print(f'{name}:{mutant.line(text)}: {mutant.operator}\n{difference(name, text, mutant)}')
            continue
        wanted = args.tests.split(',') if args.tests else tests_for(table, name)
        if not wanted:
            die(f'{TABLE.name} has no tests for {name}')
        unknown = [test for test in wanted if test not in tree.tests]
        if unknown:
            die('unknown tests: ' + ', '.join(unknown))
        tests = [tree.tests[test] for test in wanted]
        variants = {} if name.startswith('bpf/') else BEST
        baseline(tree, tests, variants)
        wide = [] if args.tests else [tree.tests[test] for test in wide_for(table, tree.tests)]
        for test in wide:
            if test.variants != variants and test not in tests:
                test.variants, test.seconds = variants, None
        outcome = mutate(tree, tree.tree / name, name, tests, chosen, count,
                         lambda text: print(text, flush=True) if args.verbose else None, wide)
        survivors += len(outcome.survivors)
    sys.exit(1 if survivors else 0)


if __name__ == '__main__':
    main()
