# SPDX-License-Identifier: BSD-2-Clause
"""Shows that the symbol map, the headers and the libraries have the same functions, each with the release
that introduced it; that no other symbol is visible; and that the library has no writable memory outside
of handles."""
import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

NODE = re.compile(r'^KERNELSIGHT_(\d+\.\d+) \{(.*?)^\}', re.S | re.M)
BLOCK = re.compile(r'^/\*.*?\*/', re.S | re.M)
API = re.compile(r'^KS_API [^;]*?\b(ks_\w+)\([^;]*;', re.S | re.M)
# Sections that two handles would share, except relocated constants and the pointer to the compiler's
# unwinder.
MUTABLE = re.compile(r'\.(data|bss|tdata|tbss)(\.(?!rel\.ro|rel\.local\.DW\.ref\.)\S*)?$')


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read_map(path):
    """Returns the release of each function."""
    names = {}
    for release, body in NODE.findall(path.read_text()):
        for name in re.findall(r'\b(ks_\w+);', body):
            names[name] = release
    return names


def read_headers(paths):
    """Returns for each function the release in the comment above it, its group or its file; None if there is
    none."""
    names = {}
    for path in paths:
        text = path.read_text()
        blocks = list(BLOCK.finditer(text))
        for api in API.finditer(text):
            # Only other functions of the same group stand between a function and its comment.
            over = [b for b in blocks if b.end() <= api.start()][-1]
            between = API.sub('', text[over.end():api.start()]).strip()
            comment = over[0] if not between else blocks[1][0]
            since = re.search(r'Since: (\d+\.\d+)', comment)
            names[api[1]] = since[1] if since else None
    return names


def exported(library):
    """Returns the release of each name in a shared library."""
    names = {}
    for line in run('nm', '-D', '--defined-only', library).splitlines():
        name, _, node = line.split()[-1].partition('@@')
        if line.split()[-2] != 'A':
            names[name] = node.removeprefix('KERNELSIGHT_')
    return names


def archive_globals(archive):
    lines = run('nm', '-g', '--defined-only', archive).splitlines()
    return {line.split()[-1] for line in lines if len(line.split()) == 3}


def mutable_sections(archives):
    found = []
    for archive in archives:
        member = ''
        for line in run('objdump', '-h', '-w', archive).splitlines():
            if ':     file format' in line:
                member = line.split(':')[0]
            columns = line.split()
            if len(columns) > 2 and columns[0].isdigit() and MUTABLE.match(columns[1]):
                if int(columns[2], 16):
                    found.append(f'{member}: {columns[1]}, {int(columns[2], 16)} bytes')
    return found


def differences(one, other, what):
    return [f'only in the {what[0]}: {name}' for name in sorted(set(one) - set(other))] + \
           [f'only in the {what[1]}: {name}' for name in sorted(set(other) - set(one))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--shared', required=True)
    parser.add_argument('--static')
    parser.add_argument('--version', required=True)
    parser.add_argument('--libbpf', required=True)
    parser.add_argument('--objects', nargs='*', default=[])
    args = parser.parse_args()

    declared = read_headers(sorted((args.source / 'include/kernelsight').glob('*.h')))
    mapped = read_map(args.source / 'lib/kernelsight.map')
    tap.ok(len(mapped) > 30, 'map/found', f'only {len(mapped)} names were understood')

    lines = differences(mapped, declared, ('map', 'headers'))
    tap.ok(not lines, 'map = headers', lines)
    lines = [f'{name}: Since {since}, map {mapped.get(name)}' for name, since in declared.items()
             if since != mapped.get(name)]
    tap.ok(not lines, 'since = map node', lines)
    newest = max(mapped.values(), key=lambda release: [int(n) for n in release.split('.')])
    tap.ok(args.version.startswith(newest + '.'), 'newest node = version',
           f'{newest}, {args.version}')

    seen = exported(args.shared)
    lines = differences(mapped, seen, ('map', 'shared library'))
    lines += [f'{name}@{seen[name]}' for name in seen if seen[name] != mapped.get(name)]
    tap.ok(not lines, 'map = shared library', lines)
    if args.static:
        lines = differences(mapped, archive_globals(args.static), ('map', 'archive'))
        tap.ok(not lines, 'map = archive', lines)
    soname = re.search(r'SONAME.*\[(.*)\]', run('readelf', '-d', args.shared))
    tap.ok(soname and soname[1] == 'libkernelsight.so.' + args.version.split('.')[0], 'soname')

    if args.libbpf == 'static':
        undefined = run('nm', '-D', '--undefined-only', args.shared)
        lines = re.findall(r'\b(?:bpf|btf|libbpf|ring_buffer|perf_buffer)_\w+', undefined)
        tap.ok(not lines, 'libbpf is inside', lines)
    if args.objects:
        lines = mutable_sections(args.objects)
        tap.ok(not lines, 'no memory between handles', lines)
    else:
        tap.skip('no memory between handles', 'sanitizers bring their own')
    tap.done()


main()
