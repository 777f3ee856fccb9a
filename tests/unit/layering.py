# SPDX-License-Identifier: BSD-2-Clause
"""Shows that includes only go downward, that each file has its licence once and stays short enough to read,
and that each test says what it shows."""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

ROOT = Path(sys.argv[1]).resolve()
LONGEST = 600
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)

# Each folder, and what it may include of our files besides its own and include/kernelsight/. Every folder may
# include lib/base, the tables of functions and data between layers, and the names of the ledger's outcomes.
SEAMS = ['lib/base', 'lib/source/source.h', 'lib/probes/probe.h', 'lib/config.h', 'bpf/shared.h']
# Facts about the machine, for every layer.
FACTS = ['lib/files/cgroups.h', 'lib/files/columns.h', 'lib/files/facts.h']
LAYERS = {
    'lib/api': ['lib/ks.h', 'lib/probes', 'lib/data'] + FACTS,
    'lib/source': ['lib/ks.h', 'lib/bpf', 'lib/files', 'lib/data'],
    'lib/bpf': ['lib/ks.h', 'lib/data'] + FACTS,
    'lib/files': ['lib/ks.h', 'lib/data'],
    'lib/data': [],
    'lib/probes': ['lib/files/scan.h'],
    'lib/base': [],
    'lib': [],
    'bpf': [],
    'include': [],
}
# System headers that a folder may include: a name, or a folder. None: anything except libbpf.
SYSTEM = {
    'include': ['stddef.h', 'stdint.h'],
    'lib/data': ['errno.h', 'inttypes.h', 'limits.h', 'math.h', 'stdarg.h', 'stdatomic.h',
                 'stddef.h', 'stdint.h', 'stdio.h', 'stdlib.h', 'string.h'],
    'bpf': ['stdint.h', 'linux/bpf.h'],
    'lib/bpf': None,
}


def tracked():
    """Returns files under version control, and new files that are not ignored."""
    command = ['git', '-C', str(ROOT), 'ls-files', '-co', '--exclude-standard']
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode == 0:
        paths = [ROOT / line for line in run.stdout.splitlines()]
    else:
        paths = [path for path in ROOT.rglob('*') if '/build' not in str(path)]
    return sorted(path for path in paths if path.is_file())


def relative(path):
    return str(path.relative_to(ROOT))


def layer_of(name):
    folders = [layer for layer in LAYERS if name.startswith(layer + '/')]
    return max(folders, key=len) if folders else None


def resolve(path, include):
    """Returns the file that an #include "…" means if it is below ROOT, else None."""
    for base in [path.parent, ROOT / 'lib', ROOT / 'bpf', ROOT]:
        target = (base / include).resolve()
        if target.is_file() or include == 'config.h':
            target = ROOT / 'lib/config.h' if include == 'config.h' else target
            return relative(target)
    return None


def below(name, allowed):
    return any(name == one or name.startswith(one.rstrip('/') + '/') for one in allowed)


def include_errors(path, layer):
    """Yields the includes of one file that it must not have."""
    for mark, include in INCLUDE.findall(path.read_text()):
        line = f'{relative(path)}: {include}'
        if include.startswith('kernelsight/'):
            if layer == 'bpf' and include != 'kernelsight/events.h':
                yield line + ': kernel programs know events.h only'
        elif mark == '"':
            target = resolve(path, include)
            own = target and layer_of(target) == layer
            if not (own or target and below(target, LAYERS[layer] + SEAMS)):
                yield line + ': not below it'
        elif layer != 'lib/bpf' and layer != 'bpf' and include.startswith('bpf/'):
            yield line + ': only lib/bpf knows libbpf'
        elif SYSTEM.get(layer) is not None:
            if include not in SYSTEM[layer] and not include.startswith('bpf/'):
                yield line + ': not for this layer'


def check_includes(paths):
    errors = []
    seen = 0
    for path in paths:
        layer = layer_of(relative(path))
        if layer and path.suffix in ('.c', '.h'):
            seen += 1
            errors += include_errors(path, layer)
    tap.ok(seen > 20, 'includes/found', f'only {seen} files')
    tap.ok(not errors, 'includes/downward', errors)

    errors = []
    for path in paths:
        name = relative(path)
        if not name.startswith('examples/') or path.suffix not in ('.c', '.h', '.cc'):
            continue
        for mark, include in INCLUDE.findall(path.read_text()):
            if mark == '"' and not (path.parent / include).is_file():
                errors.append(f'{name}: {include}')
    tap.ok(not errors, 'includes/examples know the public headers only', errors)


def check_pure(paths):
    """lib/data formats text, and uses nothing else of stdio."""
    calls = re.compile(r'\b(f?open|f?read|f?write|printf|fprintf|puts|getenv|exit|abort)\s*\(')
    errors = [f'{relative(path)}: {found[0]}' for path in paths
              if relative(path).startswith('lib/data/') and path.suffix == '.c'
              for found in calls.finditer(path.read_text())]
    tap.ok(not errors, 'lib/data does no I/O', errors)


def check_opened(paths):
    """Only lib/base/file.c opens paths that a host or the machine names, since they may be FIFOs."""
    calls = re.compile(r'(?<![\w>.])(open|openat|openat2|creat|fopen|freopen|fdopen|opendir|fdopendir|'
                       r'scandir|nftw|ftw|glob|popen)(64)?\s*\(')
    errors = []
    for path in paths:
        name = relative(path)
        if not name.startswith('lib/') or path.suffix not in ('.c', '.h'):
            continue
        if name == 'lib/base/file.c':
            continue
        text = re.sub(r'/\*.*?\*/', '', path.read_text(), flags=re.S)
        errors += [f'{name}: {found[0]}' for found in calls.finditer(text)]
    tap.ok(not errors, 'lib/base/file.c alone opens files', errors)


def is_source(path):
    if path.suffix in ('.c', '.h', '.cc', '.S', '.py', '.sh', '.in') or path.name == 'meson.build':
        return path.name != 'kernelsight.pc.in'
    with path.open('rb') as file:
        return file.read(2) == b'#!'


def licence_error(path):
    name = relative(path)
    kernel = '.bpf.c' in name or name.startswith('bpf/') and path.suffix in ('.c', '.h')
    wanted = 'GPL-2.0-only OR BSD-2-Clause' if kernel else 'BSD-2-Clause'
    tag = 'SPDX-' + 'License-Identifier:'
    lines = path.read_text().splitlines()
    found = [number for number, line in enumerate(lines) if tag in line]
    if not found or found[0] > 1:
        return f'{name}: no licence in its first two lines'
    licence = lines[found[0]].split(tag)[1].replace('*/', '').strip()
    if licence != wanted:
        return f'{name}: {licence} instead of {wanted}'
    if path.suffix in ('.c', '.h') and len(found) > 1:
        return f'{name}: {len(found)} licence lines'
    return None


def check_files(paths):
    sources = [path for path in paths if is_source(path)]
    errors = [error for error in map(licence_error, sources) if error]
    tap.ok(not errors, 'files/licence', errors)
    lengths = {relative(path): len(path.read_text().splitlines()) for path in sources}
    errors = [f'{name}: {length} lines' for name, length in lengths.items() if length > LONGEST]
    tap.ok(not errors, f'files/at most {LONGEST} lines', errors)

    errors = []
    for path in sources:
        name, text = relative(path), path.read_text()
        runs = re.search(r'g_test_run\(|kt_main\(|^main\(\)|^if __name__|^#!.*sh$', text, re.M)
        helps = name.startswith(('tests/support/', 'tests/kernels/'))
        if name.startswith('tests/') and runs and not helps and 'Shows ' not in text[:400]:
            errors.append(name)
    tap.ok(not errors, 'files/tests say what they show', errors)


def check_mentions(paths):
    """A file that a comment, a text or a document names is there: it was not moved away."""
    mention = re.compile(r'(?<![\w/])(?:lib|bpf|tests|docs|include/kernelsight|examples|scripts|bench)/'
                         r'[\w./-]+\.(?:c|h|py|md|tsv|S|json)\b')
    made = ('lib/config.h', 'include/kernelsight/version.h')
    errors = []
    for path in paths:
        if path.name == 'meson.build' or not (is_source(path) or path.suffix == '.md'):
            continue
        text = re.sub(r'#[ ]*include .*', '', path.read_text())
        errors += [f'{relative(path)}: {name}' for name in mention.findall(text)
                   if not (ROOT / name).exists() and name not in made
                   and not re.search(r'NAME|TARGET', name)]
    tap.ok(not errors, 'files/each that is named is there', errors)


def main():
    paths = tracked()
    check_includes(paths)
    check_pure(paths)
    check_opened(paths)
    check_files(paths)
    check_mentions(paths)
    tap.done()


main()
