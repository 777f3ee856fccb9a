#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts the cases in a meson log. Prints "passed failed skipped", and failures on stderr."""
import json
import re
import sys

CASE = re.compile(r'^(not )?ok\b ?(.*)', re.M)
SKIP = re.compile(r'#\s*skip\S*\s*(.*)', re.I)
TAIL = 40


def show(entry, path):
    lines = [line for line in entry.get('stdout', '').splitlines() if not line.startswith('ok ')]
    lines += entry.get('stderr', '').splitlines()
    print(f'---- {entry["name"]}: {entry["result"]}', file=sys.stderr)
    for line in lines[-TAIL:]:
        print(f'  {line}', file=sys.stderr)
    print(f'---- all of it: {path.removesuffix(".json")}.txt', file=sys.stderr)


def count(entry):
    """Returns (passed, failed, skipped) of one program, which prints TAP or is a single case."""
    passed = failed = skipped = 0
    output = entry.get('stdout', '')
    for case in CASE.finditer(output):
        if case[1]:
            failed += 1
        elif SKIP.search(case[2]):
            skipped += 1
        else:
            passed += 1
    if entry['result'] == 'SKIP' and not passed + failed + skipped:
        skipped = 1
    elif entry['result'] not in ('OK', 'SKIP') and not failed:
        failed = 1  # it crashed, hung, or ran fewer cases than planned
    elif not passed + failed + skipped and '\n1..0\n' not in f'\n{output}\n':
        passed = 1
    return passed, failed, skipped


def main():
    path = sys.argv[1]
    total = [0, 0, 0]
    try:
        with open(path) as log:
            entries = [json.loads(line) for line in log]
    except OSError:
        entries = []
    for entry in entries:
        counts = count(entry)
        total = [a + b for a, b in zip(total, counts)]
        if counts[1]:
            show(entry, path)
    if not entries:
        print(f'---- no test ran: {path}', file=sys.stderr)
        total[1] = 1
    print(*total)


main()
