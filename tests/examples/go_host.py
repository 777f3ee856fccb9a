# SPDX-License-Identifier: BSD-2-Clause
"""Shows that a Go host under load, whose run time sends signals all the time, gets the same variants of
all probes as a quiet C process, with each handle."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'support'))
import tap

PROBES = 4
HANDLES = 10


def build(go, library, include, folder):
    """The host, of the standard library alone, or what the compiler says."""
    library = pathlib.Path(library).resolve().parent
    for path in (HERE / 'go').iterdir():
        if path.name != 'quiet.c':
            shutil.copy(path, folder)
    (folder / 'go.mod').write_text('module host\n\ngo 1.19\n')
    flags = ' '.join(f'-I{pathlib.Path(path).resolve()}' for path in include)
    env = os.environ | {'GOPROXY': 'off', 'GOFLAGS': '-mod=mod', 'GOTOOLCHAIN': 'local', 'CGO_ENABLED': '1',
                        'GOCACHE': os.environ.get('GOCACHE', str(folder / 'cache')), 'CGO_CFLAGS': f'-O2 {flags}',
                        'CGO_LDFLAGS': f'-L{library} -lkernelsight -Wl,-rpath,{library}'}
    return subprocess.run([go, 'build', '-o', 'host', '.'], cwd=folder, env=env, capture_output=True, text=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--quiet', required=True)
    parser.add_argument('--library', required=True)
    parser.add_argument('--include', nargs='+')
    args = parser.parse_args()
    go = shutil.which('go')
    if not go:
        tap.skip('variants', 'there is no go here')
        tap.done()
    want = subprocess.run([args.quiet], check=True, capture_output=True, text=True).stdout
    lines = len(want.splitlines())
    tap.ok(lines == PROBES + 1, 'a quiet process', want)
    with tempfile.TemporaryDirectory() as folder:
        built = build(go, args.library, args.include, pathlib.Path(folder))
        if tap.ok(built.returncode == 0, 'the host is built', built.stderr):
            ran = subprocess.run([f'{folder}/host', str(HANDLES)], capture_output=True, text=True)
            *handles, signals = ran.stdout.splitlines() or ['']
            tap.ok(ran.returncode == 0, 'it ends', ran.stderr)
            tap.ok(signals == 'preempted by SIGURG: true', 'signals came', signals)
            tap.ok(len(handles) >= HANDLES * lines, 'handles', ran.stdout)
            for i in range(0, len(handles), lines):
                got = '\n'.join(handles[i:i + lines]) + '\n'
                tap.ok(got == want, f'variants of handle {i // lines + 1}', got)
    tap.done()


main()
