#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the probe tests, the fault tests and the self-test in the guests of boots.tsv.

    matrix.py [--amd64 BUILD] [--arm64 BUILD] [--embedded BUILD] [--seconds N] [--only PATTERN]
              [--brief] [NAME...]
    matrix.py --accept [NAME...]    takes the results of the last runs as right: writes *.tsv

NAME: a guest, or a kernel for all of its guests. --embedded: an amd64 build with embedded types of the
guests' kernels (-Dbtf). PATTERN: limits what runs: list, selftest, verified, embedded, probes-NAME,
fault-NAME. Prints a line "count NAME PASSED FAILED SKIPPED SECONDS FLAKY" for each guest and table.
Results of the guests stay in build/kernels/NAME. KS_TEST_SCALE (default 0.02) and KS_TEST_VARIANTS (default
each) reach the tests. A test for which no time was left is reported and counts as skipped. With --brief
most guests leave out tests that show the library's own logic once more (KERNEL_ALIKE).
"""
import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import tables

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
RESULTS = SOURCE / 'build' / 'kernels'
MULTIARCH = {'amd64': 'x86_64-linux-gnu', 'arm64': 'aarch64-linux-gnu'}
SUITES = ['probes', 'fault']
EMBEDDED = 'embedded'
GUESTS = 2
# A guest is ten to fifty times as slow as the machine, and two guests share it.
GUEST_SECONDS = 2400
TEST_SECONDS = 480  # with half of it, what is not done by the end of the guest's time is late, not stuck
GUEST_LEAST = 60  # what a boot takes
FLAKES = 3  # so many in one guest are none of the emulator's
DIED = 125
NO_TIME = 'no time was left'
LATE = 254  # of a command for which no time was left
# Guests run every test of these suites, also new ones. If time is short (--brief), most leave out these:
# they show the same on each kernel, for the reason given.
KERNEL_ALIKE = {
    'probes-settings': 'sampling, limits and settings are our own programs\' arithmetic',
    'probes-scopes': 'a scope is judged by the same lines for each probe; probes-proc and -sched go through them',
    'probes-storm': 'a storm is a question of how much goes on, and an emulated CPU bears little',
    'probes-statistics': 'rows and deltas are made of what the probes\' own tests read',
    'probes-queries': 'what a handle tells of its probes comes from its own tables',
    'probes-tables': 'how full tables are counted is decided by our own programs and the library',
    'probes-roles': 'a role is a number in a map of ours',
    'probes-bpftrace': 'no guest has bpftrace',
    'fault-overload': 'what a full ring loses is counted by our own programs',
    'fault-hidden': 'hidden files are hidden by mounts, from the library',
    'fault-shortlived': 'handles that come and go are the library\'s',
    'fault-life': 'the order of calls is the library\'s',
    'fault-callbacks': 'what a callback may call is the library\'s',
    'fault-fork': 'what a forked child may call is the library\'s',
    'fault-wakeup': 'when a consumer sleeps is the library\'s; probes-burst wakes one',
    'fault-threads': 'locks are the library\'s; an emulated machine shows races least of all',
    'fault-embed': 'what a host sees of the library is the same everywhere',
    'fault-tables': 'descriptors of tables are the library\'s',
    'fault-shortage': 'what the library does without memory or descriptors is the same everywhere; it takes hours',
    'fault-clocks': 'clocks are faked by a libc of its own',
    'fault-descriptors': 'which descriptors a handle knows again is decided by the library',
    'fault-ends': 'how a handle ends beside other threads is the library\'s; it takes minutes in a guest',
    'fault-interrupted': 'what a wait makes of a signal is the library\'s',
    'fault-signals': 'what interrupts a load is made by the test, by a clock that a guest is too slow for',
    'fault-signal_steps': 'the library repeats interrupted calls the same everywhere; it takes hours',
}
USUAL = r'(?!fault-fallbacks|embedded).*'
# They turn ftrace off. After the second, whose programs detach from functions then, 6.12 attaches none.
LAST = ['fault-denials', 'fault-fallbacks']
# The kernel's own complaints. Stalls are not among them: the emulator causes those.
COMPLAINT = re.compile(r'(WARNING: .*CPU|BUG: (?!soft lockup|workqueue lockup)|Oops|'
                       r'general protection|UBSAN|KASAN).*')
# From 6.1 on, kernels complain when programs detach from functions after ftrace was off.
AFTER_FTRACE_OFF = 'ftrace_shutdown'

Boot = collections.namedtuple('Boot', 'name kernel machine arguments cpus environment only brief')


def rows(table):
    for line in (HERE / table).read_text().splitlines():
        if not line.startswith('#'):
            yield ['' if cell == '-' else cell for cell in line.split('\t')]


def boots(names):
    """Returns the boots in the order of the table."""
    machines = {kernel: machine for kernel, machine, _ in rows('kernels.tsv')}
    table = [Boot(name, kernel, machines[kernel], *rest)
             for name, kernel, *rest in rows('boots.tsv')]
    unknown = set(names) - {word for boot in table for word in boot[:2]}
    if unknown:
        sys.exit(f'{" ".join(unknown)}: no such guest or kernel in boots.tsv')
    return [boot for boot in table if not names or {*boot[:2]} & set(names)]


def introspect(build, what):
    return json.loads(subprocess.check_output(['meson', 'introspect', f'--{what}', build]))


def tests_of(build):
    """Yields (suite, name, argv) of all tests."""
    for test in introspect(build, 'tests'):
        yield test['suite'][0].split(':')[-1], test['name'], test['cmd']


def commands(build, embedded, only):
    """Returns [(name, argv)] of all that a guest runs. embedded: another build, or None."""
    cli = f'{build}/examples/kernelsight/kernelsight'
    found = [('list', [cli, 'list', '--scope', 'self', '--json']), ('selftest', [cli, 'selftest']),
             ('verified', [f'{build}/tests/kernels/verified'])]
    found += [(f'{suite}-{name}', argv) for suite, name, argv in tests_of(build) if suite in SUITES]
    if embedded:
        found += [(name, argv) for suite, name, argv in tests_of(embedded) if suite == EMBEDDED]
    found.sort(key=lambda command: LAST.index(command[0]) + 1 if command[0] in LAST else 0)
    return [command for command in found if re.search(only, command[0])]


def make_image(machine, build, commands_of_all):
    """Makes the archive that guests boot into, with all programs of the build that tests may start."""
    folders = [f'{build}/{part}/' for part in
               ['examples/kernelsight', 'tests/kernels'] + [f'tests/{suite}' for suite in SUITES]]
    files = [target['filename'][0] for target in introspect(build, 'targets')
             if target['type'] == 'executable' and target['filename'][0].startswith(tuple(folders))]
    files += [argv[0] for name, argv in commands_of_all if name == EMBEDDED]
    sysroot = '' if machine == 'amd64' else fetch('arm64')
    image = RESULTS / f'{machine}.cpio'
    subprocess.run([HERE / 'image', image, MULTIARCH[machine], sysroot, *files], check=True)
    return image


def fetch(name):
    """Returns a folder, or raises RuntimeError with the reason."""
    done = subprocess.run([HERE / 'fetch', name], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or 'not to be had')
    return done.stdout.strip()


def script(todo, seconds, boot):
    """Returns the script for the guest's shell. It stops in time to send its results."""
    settings = [f'KS_TEST_SCALE={os.environ.get("KS_TEST_SCALE", "0.02")}',
                f'KS_TEST_VARIANTS={os.environ.get("KS_TEST_VARIANTS", "each")}',
                'KS_REQUIRE_ROOT=1', 'KS_GUEST=1', boot.environment]
    lines = [f'export {" ".join(settings)}', 'ulimit -c 0', RUN]
    lines += [] if boot.cpus == 'parallel' else [LONG_SLICES]
    lines += [f'run {name} {seconds - 30} {shlex.join(argv)}' for name, argv in todo]
    return '\n'.join([*lines, 'dmesg >/out/dmesg'])


def result(status, output):
    """Translates an exit status into the words of meson's log."""
    if status == 77:
        return 'SKIP'
    if status:
        return 'TIMEOUT' if status == 137 else 'ERROR'
    plan = re.search(r'^1\.\.(\d+)', output, re.M)
    cases = len(re.findall(r'^(?:not )?ok\b', output, re.M))
    return 'OK' if not plan or int(plan[1]) == cases else 'ERROR'


def unpack(path):
    """Returns {name: content} of the archives that a guest sent, as far as they arrived."""
    files = {}
    try:
        with tarfile.open(path, ignore_zeros=True) as archive:
            for member in archive:
                if member.isfile():
                    content = archive.extractfile(member).read().decode(errors='replace')
                    files[pathlib.Path(member.name).name] = content
    except (OSError, tarfile.TarError):
        pass
    return files


def complaints(files, ftrace_off):
    """Yields complaints in the kernel's log. ftrace_off: the uptime from which ftrace may be off."""
    for line in files.get('dmesg', 'BUG: it did not come back').splitlines():
        at = re.match(r'\[ *([0-9.]+)\]', line)
        excused = AFTER_FTRACE_OFF in line and at and float(at[1]) >= ftrace_off
        if COMPLAINT.search(line) and not excused:
            yield line


def entries(todo, files, ftrace_off):
    """Yields a line of meson's log for each command, and one for the kernel's own complaints."""
    for name, _ in todo:
        output, errors = files.get(f'{name}.out', ''), files.get(f'{name}.err', '')
        if f'{name}.status' not in files:
            yield {'name': name, 'result': 'ERROR', 'stdout': '',
                   'stderr': 'it did not run, or not to its end'}
            continue
        status, first = int(files[f'{name}.status']), files.get(f'{name}.first', '')
        if status in (77, LATE) and first:  # it failed, and has not passed since
            yield {'name': name, 'result': 'ERROR', 'stdout': '', 'stderr': first}
        elif status == LATE:
            yield {'name': name, 'result': 'SKIP', 'stdout': '', 'stderr': NO_TIME}
        else:
            yield {'name': name, 'result': result(status, output), 'stdout': output,
                   'stderr': errors}
    said = '\n'.join(complaints(files, ftrace_off))
    yield {'name': 'kernel log', 'result': 'ERROR' if said else 'OK', 'stdout': '', 'stderr': said}


def flaky(todo, files):
    """Yields (name, end of its output) for tests that failed and then passed in a second run."""
    for name, _ in todo:
        first = files.get(f'{name}.first', '')
        if first and files.get(f'{name}.status') == '0\n':
            yield name, ''.join(f'  {line}\n' for line in first.splitlines()[-12:])


def count(log):
    """Returns (passed, failed, skipped), and the text about failures."""
    done = subprocess.run([SOURCE / 'tests/support/count.py', log], capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()], done.stderr


# Emulated CPUs are slow, but clocks are not. From Linux 7.0 on, programs are preempted: with normal time
# slices that would be one run in ten, not one in a thousand. (Guests with parallel CPUs test preemption.)
LONG_SLICES = """
if [ "$(uname -r | cut -d. -f1)" -ge 7 ]; then
	echo 70000000 >/sys/kernel/debug/sched/base_slice_ns
	echo NO_WAKEUP_PREEMPTION >/sys/kernel/debug/sched/features
fi"""

# Arguments: NAME, the uptime that ends it, and the command. Kills what the command left behind. Sends the
# output at once, since the guest may die. Runs a failed command once more, since an emulated machine stands
# still at times; keeps and reports the first output.
RUN = f"""
run() {{
	local name=$1 end=$2 limit status
	shift 2
	echo "$(cut -d' ' -f1 /proc/uptime) $name"
	while :; do
		limit=$((end - $(cut -d. -f1 /proc/uptime)))
		[ $limit -lt {TEST_SECONDS} ] || limit={TEST_SECONDS}
		status=137
		: >/out/$name.out >/out/$name.err
		if [ $limit -gt 0 ]; then
			setsid timeout -s KILL $limit "$@" >/out/$name.out 2>/out/$name.err </dev/null &
			wait $!
			status=$?
			kill -KILL -- -$! 2>/dev/null
		fi
		[ $status != 137 ] || [ $limit -ge {TEST_SECONDS // 2} ] || status={LATE}
		case $status in 0 | 77 | {LATE}) break ;; esac
		[ ! -e /out/$name.first ] || break
		(echo "exit status $status"; cat /out/$name.out /out/$name.err) >/out/$name.first
	done
	[ $status != {LATE} ] || : >/out/$name.out
	echo $status >/out/$name.status
	[ -e /out/$name.first ] || : >/out/$name.first
	tar cf - -C /out $name.out $name.err $name.first $name.status >$ARCHIVE
	rm /out/$name.*
}}"""


def never_forced(names):
    """Returns variants and transports that tests tried and that passed in no guest."""
    tried, passed = set(), set()
    for path in (RESULTS / name / 'log.json' for name in names):
        ran = map(json.loads, path.read_text().splitlines())
        output = ''.join(one['stdout'] for one in ran if one['name'].startswith('probes-'))
        for case in re.finditer(r'^(not )?ok \d+ /(\w+)/([\w-]+)/([\w-]+)/(.*)', output, re.M):
            failed, probe, variant, transport, name = case.groups()
            shown = {f'{probe} by {variant}', f'{probe} over {transport}'}
            tried |= shown | {f'{probe} over perf'}
            if not failed and '# SKIP' not in name:
                passed |= shown
    return sorted(tried - passed)


class Matrix:
    def __init__(self, builds, seconds, only, brief=False, embedded=None):
        self.complete = True
        self.brief = brief
        self.commands = {machine: commands(build, embedded if machine == 'amd64' else None, only)
                         for machine, build in builds.items()}
        self.end = time.monotonic() + seconds
        self.images = {}
        self.guests = []

    def todo(self, boot):
        left_out = KERNEL_ALIKE if self.brief and boot.brief == 'kernel' else {}
        return [command for command in self.commands[boot.machine]
                if re.fullmatch(boot.only or USUAL, command[0]) and command[0] not in left_out]

    def idle(self, boot):
        """Returns the words of the guest's pattern that match nothing in the build."""
        names = [name for name, _ in self.commands[boot.machine]]
        return [word for word in (boot.only or '.*').split('|')
                if not any(re.fullmatch(word, name) for name in names)]

    def start(self, boot, kernel):
        """Boots the guest. Returns (exit status, its output)."""
        limit = min(GUEST_SECONDS, self.left())
        folder = RESULTS / boot.name
        with open(folder / 'progress', 'w') as progress:
            guest = subprocess.Popen(
                [HERE / 'guest', '-a', boot.machine, '-k', boot.arguments, '-t', str(limit),
                 *(['-p'] if boot.cpus == 'parallel' else []), '-l', folder / 'kernel.log',
                 '-o', folder / 'out.tar', kernel, self.images[boot.machine],
                 script(self.todo(boot), limit, boot)],
                stdout=progress, stderr=subprocess.PIPE, text=True, errors='replace')
            self.guests.append(guest)
            said = guest.communicate()[1]
        return guest.returncode, said

    def skip(self, boot, why):
        self.complete = False
        return f'{boot.name}: skipped: {why}\n', 0, 0, 1, 0

    def stop(self):
        for guest in self.guests:
            guest.terminate()

    def left(self):
        return int(self.end - time.monotonic())

    def run(self, boot):
        """Returns (text to show, passed, failed, skipped, flaky)."""
        folder = RESULTS / boot.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            kernel = fetch(boot.kernel)
            release = (pathlib.Path(kernel) / 'release').read_text().strip()
            if boot.machine == 'amd64' and int(release.split('.')[0]) >= 7:
                fetch('qemu')  # another one than the machine's
        except RuntimeError as why:
            return self.skip(boot, why)
        if self.left() < GUEST_LEAST:
            return self.skip(boot, NO_TIME)
        said, flakes = '', 0
        status, why = self.start(boot, kernel)
        if status == DIED:
            flakes = 1
            said = f'{boot.name}: flaky: the guest died and was booted once more\n{why}'
            if self.left() < GUEST_LEAST:
                self.complete = False
                return f'{said}{boot.name}: {NO_TIME} for that\n', 0, 1, 0, 1
            status, why = self.start(boot, kernel)
        if status:
            said += f'{boot.name}: {why or f"exit status {status}"}\n'
        files = unpack(folder / 'out.tar')
        tables.keep(folder, release, {name: text for name, text in files.items()
                                      if files.get(name.replace('.out', '.status')) == '0\n'})
        once = list(flaky(self.todo(boot), files))
        flakes += len(once)
        said += ''.join(f'{boot.name}: flaky: {name} failed once:\n{text}' for name, text in once)
        late = self.log(boot, files)
        if late:
            self.complete = False
            said += f'{boot.name}: skipped: {NO_TIME} for {" ".join(late)}\n'
        (passed, failed, skipped), failures = count(folder / 'log.json')
        if flakes >= FLAKES:
            failed += 1
            said += f'{boot.name}: {flakes} are too many\n'
        return said + failures, passed, failed, skipped, flakes

    def log(self, boot, files):
        """Writes the log that meson would have written. Returns the tests that no time was left for."""
        begun = {name: float(at) for at, name in re.findall(
            r'^([0-9.]+) (\S+)\r?$', (RESULTS / boot.name / 'progress').read_text(), re.M)}
        ftrace_off = min([begun[name] for name in LAST if name in begun], default=math.inf)
        found = list(entries(self.todo(boot), files, ftrace_off))
        with open(RESULTS / boot.name / 'log.json', 'w') as log, \
                open(RESULTS / boot.name / 'log.txt', 'w') as text:
            for entry in found:
                log.write(json.dumps(entry) + '\n')
                text.write(f'==== {entry["name"]}: {entry["result"]}\n'
                           f'{entry["stdout"]}{entry["stderr"]}\n')
        return [entry['name'] for entry in found if entry['stderr'] == NO_TIME]

    def timed(self, boot):
        start = time.monotonic()
        shown, *counts, flakes = self.run(boot)
        return shown, *counts, int(time.monotonic() - start), flakes


def run(names, builds, args):
    matrix = Matrix(builds, args.seconds, args.only, args.brief, args.embedded)
    chosen = []
    for boot in boots(names):
        if boot.machine not in builds:
            print(f'{boot.name}: skipped: nothing was built for {boot.machine}')
            print(f'count {boot.name} 0 0 1 0 0')
        elif matrix.idle(boot) and not args.only:
            print(f'{boot.name}: nothing is called {" or ".join(matrix.idle(boot))}')
            print(f'count {boot.name} 0 1 0 0 0')
        elif matrix.todo(boot):
            chosen.append(boot)
    for machine in {boot.machine for boot in chosen}:
        matrix.images[machine] = make_image(machine, builds[machine], matrix.commands[machine])
    # first guests that alone show something, then the slow machine: nothing long begins at the end
    chosen.sort(key=lambda boot: (boot.brief != 'all', boot.machine == 'amd64'))
    with concurrent.futures.ThreadPoolExecutor(GUESTS) as pool:
        waiting = {pool.submit(matrix.timed, boot): boot.name for boot in chosen}
        try:
            for done in concurrent.futures.as_completed(waiting):
                shown, *counts = done.result()
                sys.stderr.write(shown)
                print('count', waiting[done], *counts, flush=True)
        except BaseException:  # a signal, or nobody reads any more
            pool.shutdown(wait=False, cancel_futures=True)
            matrix.stop()
            raise
    for table, differs in tables.compare([boot.name for boot in chosen], RESULTS, HERE):
        sys.stderr.write(differs or '')
        counts = (0, 0, 1) if differs is None else (0, 1, 0) if differs else (1, 0, 0)
        print('count', table, *counts, 0, 0, flush=True)
    if not names and not args.only and set(builds) == set(MULTIARCH) and matrix.complete:
        left = never_forced(boot.name for boot in chosen)
        sys.stderr.write(''.join(f'no guest has {lacking}\n' for lacking in left))
        print('count variants', *((0, 1, 0) if left else (1, 0, 0)), 0, 0, flush=True)
    else:
        print('variants: skipped: only a run of all guests to their end forces each')
        print('count variants 0 0 1 0 0')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--amd64')
    parser.add_argument('--arm64')
    parser.add_argument('--embedded', type=os.path.realpath)
    parser.add_argument('--only', default='')
    parser.add_argument('--seconds', type=int, default=1800)
    parser.add_argument('--brief', action='store_true')
    parser.add_argument('--accept', action='store_true')
    parser.add_argument('names', nargs='*')
    args = parser.parse_args()
    if args.accept:
        tables.accept([boot.name for boot in boots(args.names)],
                      [boot.name for boot in boots([])], RESULTS, HERE)
        return
    builds = {machine: str(pathlib.Path(build).resolve())
              for machine, build in (('amd64', args.amd64), ('arm64', args.arm64)) if build}
    RESULTS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run(args.names, builds, args)


if __name__ == '__main__':
    main()
