# SPDX-License-Identifier: BSD-2-Clause
"""Shows that types and functions are those of the stored baseline. `scripts/dev abi-baseline` writes
a new one, on purpose: a reviewer then sees the change in the diff."""
import argparse
import platform
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap


def headers(option, source):
    return [option, str(source / 'include/kernelsight')]


def write(args):
    subprocess.run(['abidw', *headers('--headers-dir', args.source), '--no-corpus-path',
                    '--no-comp-dir-path', '--no-show-locs', '--type-id-style', 'hash',
                    '--out-file', str(args.baseline), args.shared], check=True)


def compare(args):
    name = 'abidiff/baseline'
    if not shutil.which('abidiff'):
        tap.skip(name, 'no abidiff here')
    elif platform.machine() != 'x86_64':
        tap.skip(name, 'the baseline is of x86_64')
    else:
        run = subprocess.run(['abidiff', '--no-show-locs', *headers('--headers-dir2', args.source),
                              str(args.baseline), args.shared], capture_output=True, text=True)
        lines = (run.stdout + run.stderr).splitlines()
        tap.ok(run.returncode == 0, name, lines + ['if meant: scripts/dev abi-baseline'])
    tap.done()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--shared', required=True)
    parser.add_argument('--write', action='store_true')
    args = parser.parse_args()
    args.baseline = args.source / 'tests/abi/baseline.abi'
    if args.write:
        write(args)
    else:
        compare(args)


main()
