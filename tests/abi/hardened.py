# SPDX-License-Identifier: BSD-2-Clause
"""Shows that the installed files are hardened: addresses are bound at start and read-only from then on, no
stack is executable, buffer overruns are caught, and objects have the note without which a process runs
without branch protection."""
import argparse
import platform
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

NOTES = {'x86_64': 'x86 feature: IBT, SHSTK', 'aarch64': 'AArch64 feature: BTI, PAC'}


def readelf(*arguments):
    return subprocess.run(['readelf', '-W', *arguments], check=True, capture_output=True, text=True).stdout


def check_linked(name, path, *, fortified):
    segments, dynamic = readelf('-l', path), readelf('-d', path)
    tap.ok('GNU_RELRO' in segments, f'{name}/relro', segments)
    tap.ok(re.search(r'\(FLAGS\).*BIND_NOW|\(BIND_NOW\)', dynamic), f'{name}/bound at once', dynamic)
    tap.ok('TEXTREL' not in dynamic, f'{name}/text stays as it is', dynamic)
    stack = re.search(r'GNU_STACK\s.*', segments)
    tap.ok(stack and re.search(r'\sRW\s', stack[0]), f'{name}/stack', segments)
    loads = re.findall(r'^\s*LOAD\s.*$', segments, re.M)
    tap.ok(loads and not any('RWE' in line for line in loads), f'{name}/no page is written and run', loads)
    calls = readelf('--dyn-syms', path)
    tap.ok('__stack_chk_fail' in calls, f'{name}/stack protector', calls)
    if fortified:
        tap.ok(re.search(r'\b__\w+_chk\b', calls), f'{name}/fortified', calls)


def objects_of(archive):
    """Returns {object: its text from readelf}."""
    parts = re.split(r'^File: (.*)$', '\n' + readelf('-S', '-n', archive), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def check_objects(name, archives, note):
    objects = {}
    for archive in archives:
        objects.update(objects_of(archive))
    tap.ok(objects, f'{name}/objects')
    wrong = [path for path, said in objects.items()
             if not re.search(r'\.note\.GNU-stack\s+PROGBITS\s+0+ \w+ 0+ 00\s+0', said)]
    tap.ok(not wrong, f'{name}/stack', wrong)
    if note:
        wrong = [path for path, said in objects.items() if note not in said]
        tap.ok(not wrong, f'{name}/branches', wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--linked', nargs='*', default=[])
    parser.add_argument('--objects', nargs='*', default=[])
    parser.add_argument('--archive')
    parser.add_argument('--fortified', action='store_true')
    parser.add_argument('--branches', action='store_true')
    args = parser.parse_args()
    note = NOTES.get(platform.machine()) if args.branches else None
    for path in args.linked:
        check_linked(Path(path).name, path, fortified=args.fortified)
    check_objects('objects', args.objects, note)
    if args.archive:
        check_objects('archive', [args.archive], note)
    tap.done()


main()
