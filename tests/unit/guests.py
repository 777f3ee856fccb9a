# SPDX-License-Identifier: BSD-2-Clause
"""guests.py SOURCE BUILD. Shows that guests run every new test automatically, that each test left out for
guests exists and has a reason, and that each pattern of boots.tsv matches something."""
import sys
from pathlib import Path

sys.path[:0] = [str(Path(sys.argv[1]) / 'tests/support'), str(Path(sys.argv[1]) / 'tests/kernels')]
import matrix
import tap

BUILD = sys.argv[2]
known = {f'{suite}-{name}' for suite, name, _ in matrix.tests_of(BUILD) if suite in matrix.SUITES}
gone = sorted(set(matrix.KERNEL_ALIKE) - known)
tap.ok(len(known) > 30, 'tests are found', f'{known}')
tap.ok(not gone, 'each test that is left out exists', gone)
short = [name for name, why in matrix.KERNEL_ALIKE.items() if len(why.split()) < 4]
tap.ok(not short, 'each has its reason', short)

guests = matrix.Matrix({'amd64': BUILD, 'arm64': BUILD}, 0, '', brief=True, embedded=BUILD)
for commands in guests.commands.values():
    commands.append(('probes-new', ['new']))
idle = [f'{boot.name}: {word}' for boot in matrix.boots([]) for word in guests.idle(boot)]
tap.ok(not idle, 'each pattern of boots.tsv means a test', idle)
for kernel in ('5.10', '6.1', '6.12', '6.18', 'newest', 'arm64-6.1', 'arm64-newest'):
    todo = {name for boot in matrix.boots([kernel]) for name, _ in guests.todo(boot)}
    tap.ok('probes-new' in todo, f'{kernel} runs a new test', sorted(todo))
    left = sorted(known - todo - set(matrix.KERNEL_ALIKE) - {'fault-fallbacks', 'probes-torn'})
    tap.ok(not left, f'{kernel} runs all that has no reason not to', left)
tap.done()
