# SPDX-License-Identifier: BSD-2-Clause
"""newcomer.py SOURCE BUILD. Shows that a new probe made by `scripts/dev new-probe` builds, passes its own
test unchanged, and works with watch and stat; and that the commands in CONTRIBUTING.md work in a fresh
tree."""
import json
import os
import sys

import commands
import tap
from tree_copy import Copy

NAME = 'widget'
# Two full builds would take too long. This one is incremental.
BUILT = 'scripts/dev build'


def check_probe(copy):
    copy.check(f'scripts/dev new-probe {NAME}')
    status, _ = copy.run(f'scripts/dev new-probe {NAME}')
    tap.ok(status, 'new-probe/twice is refused')
    if not copy.check(BUILT, 'new-probe/it builds', seconds=900):
        return
    status, said = copy.run('scripts/dev format --check')
    tap.ok(status == 0, 'new-probe/format', said)
    for test in ('schema', 'registry', 'layering'):
        status, said = copy.run(f'scripts/test unit-{test}')
        tap.ok(status == 0, f'new-probe/unit-{test}', said)
    cli = 'build/gcc/examples/kernelsight/kernelsight'
    if os.geteuid():
        tap.skip('new-probe/its own test', 'needs root')
        return
    copy.check(f'build/gcc/tests/probes/probes-{NAME}', 'new-probe/its own test', KS_TEST_VARIANTS='best')
    for by in ('total', 'cpu', 'process', 'cgroup', 'role'):
        copy.check(f'{cli} stat {NAME} --by {by} -- sh -c "true; true"', f'new-probe/stat by {by}')
    status, said = copy.run(f'{cli} stat {NAME} --json -- sh -c "/bin/true; /bin/true; /bin/true"')
    rows = [json.loads(line) for line in said.splitlines() if line.startswith('{')]
    seen = [row['fields']['seen'] for row in rows if row['type'] == 'stats' and row['probe'] == NAME]
    tap.ok(status == 0 and seen == [3], 'new-probe/it counts', said)


def main():
    source, _ = sys.argv[1:]
    with Copy(source) as copy:
        path = f'{copy.tree}/build/gcc/examples/kernelsight:{os.environ["PATH"]}'
        commands.check_document(copy, 'CONTRIBUTING.md', PATH=path)
        commands.check_document(copy, 'docs', PATH=path)
        check_probe(copy)
    tap.done()


main()
