# SPDX-License-Identifier: BSD-2-Clause
"""Shows that documents, C sources and headers have at most 100 columns; that no code span of a document is
broken over two lines; and that each link leads to a file of the tree. layering.py checks the files that
their text names."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

ROOT = Path(sys.argv[1]).resolve()
COLUMNS = 100
TAB = 8
FOLDERS = ('bench', 'bpf', 'examples', 'include', 'lib', 'tests')
LINK = re.compile(r'\]\(([^)#:\s]+)(?:#[^)\s]*)?\)')


def documents():
    return sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('bindings/*.md')])


def sources():
    """The C and C++ files of the tree."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob('*')]
    return sorted(path for path in paths if path.suffix in ('.c', '.h', '.cc'))


def relative(path):
    return str(path.relative_to(ROOT))


def prose(text):
    """The numbered lines that wrap: not code, a table, a heading, a comment or a single word."""
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith('```'):
            code = not code
        elif not code and not line.startswith(('|', '#', '<!--')) and ' ' in line.strip():
            yield number, line


def check_columns(paths):
    errors = [f'{relative(path)}:{number}: {len(line)} columns' for path in paths
              for number, line in prose(path.read_text()) if len(line) > COLUMNS]
    tap.ok(not errors, f'documents/at most {COLUMNS} columns', errors)


def check_spans(paths):
    errors = [f'{relative(path)}:{number}' for path in paths
              for number, line in prose(path.read_text()) if line.count('`') % 2]
    tap.ok(not errors, 'documents/code spans end on their line', errors)


def check_sources(paths):
    """clang-format does not break comments, and headers are not formatted."""
    widths = [(path, number, len(line.expandtabs(TAB))) for path in paths
              for number, line in enumerate(path.read_text().splitlines(), 1)]
    errors = [f'{relative(path)}:{number}: {width} columns' for path, number, width in widths
              if width > COLUMNS]
    tap.ok(not errors, f'sources/at most {COLUMNS} columns', errors)


def check_links(paths):
    links = [(path, link) for path in paths for link in LINK.findall(path.read_text())]
    tap.ok(len(links) > 8, 'documents/links found', f'only {len(links)}')
    errors = [f'{relative(path)}: {link}' for path, link in links
              if not (path.parent / link).exists()]
    tap.ok(not errors, 'documents/links lead to files', errors)


def main():
    paths = documents()
    tap.ok(len(paths) > 8, 'documents/found', f'only {len(paths)}')
    check_columns(paths)
    check_spans(paths)
    check_links(paths)
    paths = sources()
    tap.ok(len(paths) > 300, 'sources/found', f'only {len(paths)}')
    check_sources(paths)
    tap.done()


main()
