# SPDX-License-Identifier: BSD-2-Clause
"""Shows that headers and build refuse a big-endian machine with a message that says so, and that the headers
compile for a little-endian machine other than this one."""
import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

SENTENCE = 'kernelsight: records are little endian, and big-endian machines are not supported'
# No libc of the target is needed: clang brings what the headers include.
CLANG = ['clang', '-ffreestanding', '-fsyntax-only', '-x', 'c']
# meson only has to be told the target: no compiler for it is needed.
CROSS = '''[binaries]
c = 'cc'
ar = 'ar'
[host_machine]
system = 'linux'
cpu_family = 's390x'
cpu = 's390x'
endian = 'big'
[properties]
skip_sanity_check = true
'''


def errors(text):
    return [line for line in text.splitlines() if ' error: ' in line.lower()]


def check_header(folders, name, target, refused):
    includes = [f'-I{folder / "include"}' for folder in folders]
    run = subprocess.run([*CLANG, f'--target={target}', *includes, '-'],
                         input=f'#include <kernelsight/{name}>\n', capture_output=True, text=True)
    lines = errors(run.stderr)
    if refused:
        found = [line for line in lines if SENTENCE in line]
        tap.ok(run.returncode != 0 and len(found) == 1, f'{target}/{name}', run.stderr)
    else:
        tap.ok(run.returncode == 0, f'{target}/{name}', run.stderr)


def check_build(source):
    if not shutil.which('meson'):
        tap.skip('s390x/meson', 'no meson here')
        return
    with tempfile.TemporaryDirectory() as folder:
        cross = Path(folder) / 'cross'
        cross.write_text(CROSS)
        run = subprocess.run(['meson', 'setup', '--cross-file', cross, Path(folder) / 'build', source],
                             capture_output=True, text=True)
    lines = errors(run.stdout)
    tap.ok(run.returncode != 0 and len(lines) == 1 and SENTENCE in lines[0], 's390x/meson',
           run.stdout + run.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--build', type=Path, required=True)
    args = parser.parse_args()
    source, folders = args.source, [args.source, args.build]
    headers = sorted(p.name for p in (source / 'include/kernelsight').glob('*.h'))
    for name in headers:
        if not shutil.which('clang'):
            tap.skip(f's390x/{name}', 'no clang here')
            continue
        check_header(folders, name, 's390x-linux-gnu', True)
        check_header(folders, name, 'aarch64-linux-gnu', False)
    check_build(source)
    tap.done()


main()
