# SPDX-License-Identifier: BSD-2-Clause
"""young.py SOURCE BUILD. Shows that tests and the command pass on a machine that booted a minute ago, with
an empty home, no cache and no tracefs mounted. Namespaces fake such a machine."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import names
import tap

UP = 60
SECONDS = 300
SUITES = ['unit']
# One test of each kind that uses the kernel.
BESIDES = ['probes-proc', 'probes-sched_waits', 'probes-proc_files', 'fault-clocks']
# These look at the tree only, or run such tests themselves.
NOT = ['unit-layering', 'unit-guests', 'unit-mutate', 'unit-named']
BEFORE = 'umount -l /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; exec "$@"'


def young(command, home):
    """Runs a command on such a machine. Returns (exit status, output)."""
    uptime = int(float(Path('/proc/uptime').read_text().split()[0]))
    back = [f'--monotonic={UP - uptime}', f'--boottime={UP - uptime}'] if uptime > UP else []
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('XDG_', 'KS_'))}
    run = subprocess.run(
        ['unshare', '--mount', '--time', '--fork', '--kill-child', *back, 'sh', '-c', BEFORE, 'sh', *command],
        env={**kept, 'HOME': home, 'KS_TEST_VARIANTS': 'best', 'KS_TEST_SCALE': '0.05',
             'G_TEST_SRCDIR': sys.argv[1]},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors='replace', timeout=SECONDS)
    return run.returncode, run.stdout


def check(name, command, home):
    status, said = young(command, home)
    tap.ok(status in (0, 77), name, [f'exit status {status}', *said.splitlines()[-30:]])


def main():
    build = sys.argv[2]
    if os.geteuid():
        tap.skip('young', 'needs root')
        tap.done()
    home = tempfile.mkdtemp(prefix='ks-young-')
    status, said = young(['cut', '-d.', '-f1', '/proc/uptime'], home)
    if status:
        tap.skip('young', f'no time namespace here: {said.strip()}')
        tap.done()
    tap.ok(int(said) < UP + 60, 'the machine is up for a minute', said)
    tests = json.loads((Path(build) / 'meson-info/intro-tests.json').read_text())
    commands = {f"{test['suite'][0].split(':')[-1]}-{test['name']}": test['cmd'] for test in tests}
    for suite, name in sorted(set(names.tests(build))):
        full = f'{suite}-{name}'
        if full not in NOT and (suite in SUITES or full in BESIDES):
            check(full, commands[full], home)
    cli = f'{build}/examples/kernelsight/kernelsight'
    for command in (['check'], ['list'], ['selftest'], ['stat', 'proc', 'sched', '--', 'true'],
                    ['watch', 'proc', '--', 'true']):
        check(f'kernelsight {command[0]}', [cli, *command], home)
    shutil.rmtree(home, ignore_errors=True)
    tap.done()


main()
