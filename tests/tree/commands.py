# SPDX-License-Identifier: BSD-2-Clause
"""Finds the command lines in documents: the lines of ```sh blocks, and `scripts/...` and `kernelsight ...`
in the text."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

BLOCK = re.compile(r'^```sh\n(.*?)^```', re.S | re.M)
SPAN = re.compile(r'`((?:\./)?scripts/\w+(?![\w.])[^`]*|kernelsight [a-z-][^`]*)`')

# Commands that are replaced, and why. None: nothing is run.
INSTEAD = {
    './scripts/test': (None, 'that is what runs this test'),
    'scripts/test': (None, 'that is what runs this test'),
    'scripts/test NAME…': ('scripts/test unit-hist', 'a name'),
    'scripts/dev test NAME…': ('scripts/dev test unit-hist', 'a name'),
    'scripts/test probes-sched': ('scripts/test unit-rows', 'a minute of root; the suite runs it'),
    'scripts/test kernels': (None, 'a whole run does it'),
    'scripts/test tsan': (None, 'a whole run does it'),
    'scripts/test kernels-all': (None, 'more than an hour; a whole run has a part of it'),
    'scripts/deps build': (None, 'whatever is built here needs it: it is there'),
    'scripts/deps static': (None, 'the build static does it'),
    'scripts/dev fuzz TARGET': (None, 'builds all anew with clang; the suite fuzz runs the targets'),
    'scripts/dev kernels-accept': (None, 'accepts what guests have given, and none has run'),
    'scripts/dev new-probe NAME': (None, 'newcomer.py does it'),
    'scripts/dev mutate FILE': ('scripts/dev mutate lib/data/rows.c --list', 'hours'),
    'scripts/bench': (None, 'the suite bench runs each; `scripts/bench record` runs the script'),
    'scripts/bench --markdown': ('scripts/bench --markdown record', 'the suite bench runs the others'),
    'kernelsight stat': ('kernelsight stat proc -d 0.2', 'a probe'),
    'kernelsight --json': ('kernelsight list --json', 'a command'),
}
# For a line that begins so: the rest that is run in its place, and why.
LONG = {'scripts/dev mutate ': (' --list', 'runs the tests once for each of the changes')}
# These go on until they are stopped.
ENDLESS = ('kernelsight watch sched', 'kernelsight stat pagecache')


def bare(line):
    return re.sub(r'\s+#.*$', '', line).strip()


def lines_of(text):
    """Returns all commands in order, each once."""
    found = [bare(line) for block in BLOCK.findall(text) for line in block.splitlines()]
    found += SPAN.findall(BLOCK.sub('', text))
    return list(dict.fromkeys(line for line in found if line))


def documents(tree, name):
    """Returns the path of a document, or of all documents in a folder."""
    path = Path(tree) / name
    return sorted(path.glob('*.md')) if path.is_dir() else [path]


def check_document(copy, name, **environment):
    for path in documents(copy.tree, name):
        for line in lines_of(path.read_text()):
            check_line(copy, line, f'{path.name}: {line}', **environment)


def check_line(copy, line, title, **environment):
    instead, why = INSTEAD.get(line, (line, ''))
    for begin, (rest, reason) in LONG.items():
        if instead and instead.startswith(begin) and not instead.endswith(rest):
            instead, why = instead + rest, reason
    if instead is None:
        tap.skip(title, why)
    elif instead.startswith(ENDLESS):
        copy.check(instead, title, endless=2, good=(0, 124, 130), **environment)
    else:
        copy.check(instead, title, seconds=900, **environment)
