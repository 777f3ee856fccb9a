# SPDX-License-Identifier: BSD-2-Clause
"""Shows that documents wrap at 100 columns, and that each link leads to a file of the tree. layering.py
checks the files that their text names."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

ROOT = Path(sys.argv[1]).resolve()
COLUMNS = 100
LINK = re.compile(r'\]\(([^)#:\s]+)(?:#[^)\s]*)?\)')


def documents():
    return sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('bindings/*.md')])


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
    check_links(paths)
    tap.done()


main()
