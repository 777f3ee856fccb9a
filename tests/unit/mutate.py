# SPDX-License-Identifier: BSD-2-Clause
"""Shows that `scripts/dev mutate` makes exactly the wrong changes that it lists; that it tells mutants which
are caught from those that survive, hang, do not compile or change no code; that it restores the file; and
that its table names tests for every file of lib/ and bpf/."""
import contextlib
import io
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT, BUILD = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
sys.path.insert(0, str(ROOT / 'tests/support'))
sys.path.insert(0, str(ROOT / 'scripts'))
sys.dont_write_bytecode = True
import mutants
import mutate
import tap

TOY = '''\
#include "toy.h"
#define LIMIT 10 /* < 11 */
int toy(struct toy *t, int n)
{
	int *p = &n; // n < 3
	if (n < LIMIT)
		return -EINVAL;
	t->low += *p;
	t->kind = KIND_A;
	return take(t, "a < b", (uint32_t *)p) ? t->low : t->high;
}
'''
TOY_H = '''\
enum kind { KIND_A, KIND_B = 7, KIND_C };
struct toy { int low, high; enum kind kind; char text[16]; };
'''
# All mutants: line, operator, old text, new text.
WANTED = {
    (2, 'number', '10', '11'), (2, 'number', '10', '9'),
    (6, 'condition', 'n < LIMIT', '!(n < LIMIT)'), (6, 'condition', 'n < LIMIT', '0'),
    (6, 'condition', 'n < LIMIT', '1'), (6, 'bound', '<', '<='),
    (7, 'result', '-EINVAL', '0'), (7, 'constant', 'EINVAL', 'EMFILE'),
    (8, 'drop', 't->low += *p', ''), (8, 'member', 'low', 'high'), (8, 'assign', '+=', '='),
    (9, 'drop', 't->kind = KIND_A', ''), (9, 'member', 'kind', 'low'), (9, 'member', 'kind', 'high'),
    (9, 'constant', 'KIND_A', 'KIND_B'),
    (10, 'result', 'take(t, "a < b", (uint32_t *)p) ? t->low : t->high', '0'),
    (10, 'condition', 'take(t, "a < b", (uint32_t *)p)', '!(take(t, "a < b", (uint32_t *)p))'),
    (10, 'member', 'low', 'high'), (10, 'member', 'high', 'low'),
}


def show_operators():
    made = {(m.line(TOY), m.operator, TOY[m.at:m.end], m.new)
            for m in mutants.make(TOY, [TOY_H])}
    tap.ok(made == WANTED, 'operators/a toy file',
           [f'missing: {x}' for x in WANTED - made] + [f'not wanted: {x}' for x in made - WANTED])

    made = mutants.make(TOY, [TOY_H], ['bound', 'drop'])
    tap.ok([m.operator for m in made] == ['bound', 'drop', 'drop'], 'operators/only those asked for')

    text = 'int f(int a)\n{\n\tif (a)\n\t\tkill(a, 9);\n\treturn a;\n}\n'
    lines = {m.line(text) for m in mutants.make(text)}
    tap.ok(lines == {3, 5}, 'operators/not what would end strangers', str(lines))

    every = mutants.make((ROOT / 'lib/data/rows.c').read_text(), mutants.headers_of(ROOT))
    kinds = {m.operator for m in every}
    tap.ok(len(every) > 200 and kinds >= set(mutants.OPERATORS) - {'constant'},
           'operators/all of them find something in a real file', str(kinds))


def show_choice():
    every = mutants.make(TOY, [TOY_H])

    def chosen(seed, count):
        return [(m.at, m.new) for m in mutants.choose(every, count, random.Random(seed))]
    tap.ok(chosen(1, 9) == chosen(1, 9), 'choice/the same by the same seed')
    tap.ok(chosen(1, 9) != chosen(2, 9), 'choice/others by another')
    tap.ok(chosen(1, 9) == chosen(1, 0)[:9] and len(chosen(1, 0)) == len(set(chosen(1, 0))) ==
           len(every), 'choice/each once, and more of them go on where fewer ended')
    first = [m.operator for m in mutants.choose(every, 8, random.Random(1))]
    tap.ok(len(set(first)) == 8, 'choice/each operator in its turn', str(first))


# A mutant each that is caught, survives, hangs, does not compile, has no effect.
SUM = '''\
int sum(int n)
{
	int all = 0;
	while (n > 0)
		all += n--;
	return all;
}
int spare(int n)
{
	return n < 7;
}
'''
CHECK = 'int sum(int); int spare(int); int main(void) { return !(sum(3) == 6 && spare(1)); }\n'
TRIED = [  # operator, old, new
    ('number', '0', '1'),           # caught
    ('drop', 'all += n--', ''),     # hangs
    ('bound', '<', '<='),           # survives
    ('member', 'all', 'nothing'),   # does not compile
    ('bound', '> 0', '>= 1'),       # the same code
]


class Toy:
    """Stands in for mutate.Tree."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / 'log'
        (folder / 'check.c').write_text(CHECK)
        (folder / 'sum.c').write_text(SUM)
        self.test = mutate.Test('check', [str(folder / 'check')], targets=['tests/unit/check'])

    def build(self, tests):
        for command in (['-O1', '-g', '-c', 'sum.c', '-o', 'sum.o'], ['check.c', 'sum.o', '-o', 'check']):
            if subprocess.run(['cc', *command], cwd=self.folder, stderr=subprocess.DEVNULL).returncode:
                return False
        return True

    def remember(self):
        self.objects = mutate.Objects([self.folder])


def show_outcomes(folder):
    toy = Toy(folder)
    chosen = [mutants.Mutant(operator, SUM.index(old), SUM.index(old) + len(old), new)
              for operator, old, new in TRIED]
    printed, shown = io.StringIO(), []
    mutate.baseline(toy, [toy.test])
    toy.test.seconds = -3.8  # patience: a second
    with contextlib.redirect_stdout(printed):
        outcome = mutate.mutate(toy, folder / 'sum.c', 'sum.c', [toy.test], chosen, 0, shown.append)
    tap.ok(outcome.caught == chosen[:2], 'outcomes/wrong, and endless, are caught', shown)
    tap.ok(outcome.survivors == chosen[2:3], 'outcomes/what no test asks for survives')
    tap.ok((outcome.broken, outcome.same) == (1, 1), 'outcomes/neither broken nor equal ones count',
           str((outcome.broken, outcome.same)))
    tap.ok(printed.getvalue() == 'SURVIVED sum.c:10: bound\n-\treturn n < 7;\n+\treturn n <= 7;\n'
           'sum.c: 3 mutants, 2 caught, 1 survived (1 more did not compile, 1 changed no code)\n',
           'outcomes/printed', printed.getvalue())
    tap.ok((folder / 'sum.c').read_text() == SUM, 'outcomes/the file is as it was')

    (folder / 'wide').write_text('#!/bin/sh\n! grep -q "<= 7" sum.c\n')
    (folder / 'wide').chmod(0o755)
    wide = [mutate.Test('red', ['false']), mutate.Test('wide', [str(folder / 'wide')], folder=folder)]
    with contextlib.redirect_stdout(printed):
        outcome = mutate.mutate(toy, folder / 'sum.c', 'sum.c', [toy.test], chosen, 0, shown.append, wide)
    tap.ok(outcome.caught == chosen[:3] and shown[-1] == 'caught by wide: sum.c:10: bound' and
           [test.name for test in wide] == ['wide'], 'outcomes/other tests try the survivors', shown)

    with contextlib.redirect_stdout(printed):
        outcome = mutate.mutate(toy, folder / 'sum.c', 'sum.c', [toy.test], chosen, 1, shown.append)
    tap.ok(outcome.counted() == 1, 'outcomes/no more than asked for')

    (folder / 'sum.c').write_text(SUM.replace('all += n--', 'all = n--'))
    try:
        with contextlib.redirect_stderr(printed):
            toy.test.seconds = None
            mutate.baseline(toy, [toy.test])
        status = 0
    except SystemExit as end:
        status = end.code
    tap.ok(status == 2, 'outcomes/a test that is red without a mutant ends it', str(status))


def show_table():
    rows = mutate.read_table(mutate.TABLE.read_text())
    files = [str(path.relative_to(ROOT)) for folder in ('lib', 'bpf')
             for path in sorted((ROOT / folder).rglob('*')) if path.suffix in ('.c', '.h')]
    tap.ok(len(files) > 60, 'table/files', f'only {len(files)} files')
    errors = [name for name in files if not mutate.tests_for(rows, name)]
    tap.ok(not errors, 'table/every file has tests', errors)
    errors = [name for name, tests in rows if name != '*' and not (ROOT / name).exists()]
    tap.ok(not errors, 'table/every file of it exists', errors)

    known = set()
    for test in json.loads((BUILD / 'meson-info/intro-tests.json').read_text()):
        known |= {suite.split(':')[-1] + '/' + test['name'] for suite in test['suite']}
    errors = [f'{name}: {test}' for name, tests in rows for test in tests
              if not any(test == one or test.endswith('/') and one.startswith(test) for one in known)]
    # Builds without BPF, with sanitizers (no shim) or without the command lack some tests.
    if {'unit/object', 'fault/shortage', 'cli/cli-usage'} <= known:
        tap.ok(not errors, 'table/every test of it exists', errors)
    else:
        tap.skip('table/every test of it exists', 'this build has not all of them')
    tap.ok(mutate.tests_for([('a/', ['x/1']), ('a/b.c', ['x/2', 'unit/3'])], 'a/b.c') ==
           ['unit/3', 'x/2'] and mutate.tests_for([('a/', ['x/1'])], 'ab.c') == [],
           'table/the longest row, unit tests first')
    tap.ok(mutate.wide_for([('*', ['x/', 'y/1', 'unit/']), ('a/', ['x/1'])],
                           ['x/2', 'x/1', 'y/1', 'y/2', 'unit/prose', 'unit/api']) ==
           ['x/1', 'x/2', 'y/1', 'unit/api'], 'table/what tries the survivors')


def main():
    show_operators()
    show_choice()
    with tempfile.TemporaryDirectory() as folder:
        show_outcomes(Path(folder))
    show_table()
    tap.done()


main()
