# SPDX-License-Identifier: BSD-2-Clause
"""figures.py BENCH. Shows that a benchmark still runs to its end and prints each figure as a number with its
unit. The values of such a shortened run mean nothing, so none is asserted."""
import os
import re
import subprocess
import sys

import tap

# The tools that a figure is compared with are not installed everywhere.
TOOL = re.compile(r'no (perf|redis-server|bpftrace|libbpf-tools|runqlat|cpudist|execsnoop)|one CPU only')
NUMBER = re.compile(r'-?\d+(\.\d+)?(e[+-]\d+)?')

run = subprocess.run([sys.argv[1]], capture_output=True, text=True, env={**os.environ, 'KS_BENCH_SHORT': '1'})
lines = run.stdout.splitlines()
if os.geteuid() and all('not root' in line for line in lines):
    tap.skip('figures', 'needs root')
    tap.done()
tap.ok(run.returncode == 0, 'runs to its end', f'exit status {run.returncode}\n{run.stdout}{run.stderr}')
tap.ok(lines, 'has figures', run.stderr)
for line in lines:
    columns = [column.strip() for column in line.split('\t')]
    name = columns[0]
    if len(columns) > 4 and columns[3] == 'skipped' and TOOL.search(columns[4]):
        tap.skip(name, columns[4])
        continue
    value = columns[1].split(' ')[0] if len(columns) == 5 else ''
    tap.ok(NUMBER.fullmatch(value) and columns[3] in ('', 'met', 'MISSED'), name, line)
tap.done()
