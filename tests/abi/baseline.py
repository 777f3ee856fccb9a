# SPDX-License-Identifier: BSD-2-Clause
"""Shows that layouts, numbers, types and functions equal the stored baselines.
`scripts/dev abi-baseline` writes new ones on purpose, so that a reviewer sees the change in the diff.

baseline.abi is libabigail's view of the functions and of all types that they use. baseline.layout has
what libabigail cannot see: records and rows, which are passed as bytes, and the constants."""
import argparse
import difflib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap
from header_text import constants, layout

HERE = Path(__file__).resolve().parent
REMEDY = 'if it is meant: scripts/dev abi-baseline'


def layouts(source):
    lines = []
    for header in sorted((source / 'include/kernelsight').glob('*.h')):
        text = header.read_text()
        lines += [f'{header.name}: {line}' for line in layout(text)[0] + constants(text)]
    return '\n'.join(lines) + '\n'


def write_abi(source, shared, out):
    subprocess.run(['abidw', '--headers-dir', str(source / 'include/kernelsight'),
                    '--exported-interfaces-only', '--drop-private-types', '--no-elf-needed',
                    '--no-corpus-path', '--no-comp-dir-path', '--no-show-locs',
                    '--no-parameter-names', '--type-id-style', 'hash', '--out-file', str(out),
                    shared], check=True)
    # abidw of Debian 12 keeps the folder of some units, despite its options
    text = re.sub(r" comp-dir-path='[^']*'", '', Path(out).read_text())
    Path(out).write_text(re.sub(r" path='[^']*/(lib/[^']*)'", r" path='\1'", text))


def compare_layouts(source):
    old = (HERE / 'baseline.layout').read_text().splitlines()
    new = layouts(source).splitlines()
    lines = list(difflib.unified_diff(old, new, 'baseline', 'now', n=0, lineterm=''))
    tap.ok(not lines, 'baseline/layout', lines + [REMEDY])


def compare_abi(source, shared):
    name = 'baseline/abi'
    if not shared:
        tap.skip(name, 'only for a plain build by gcc')
    elif not shutil.which('abidiff'):
        tap.skip(name, 'no abidiff here')
    elif platform.machine() != 'x86_64':
        tap.skip(name, 'the baseline is of x86_64')
    else:
        with tempfile.NamedTemporaryFile(suffix='.abi') as now:
            write_abi(source, shared, now.name)
            run = subprocess.run(['abidiff', str(HERE / 'baseline.abi'), now.name],
                                 capture_output=True, text=True)
        lines = (run.stdout + run.stderr).splitlines()
        tap.ok(run.returncode == 0, name, lines + [REMEDY])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--shared')
    parser.add_argument('--write', action='store_true')
    args = parser.parse_args()
    if args.write:
        (HERE / 'baseline.layout').write_text(layouts(args.source))
        write_abi(args.source, args.shared, HERE / 'baseline.abi')
        return
    compare_layouts(args.source)
    compare_abi(args.source, args.shared)
    tap.done()


main()
