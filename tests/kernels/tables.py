# SPDX-License-Identifier: BSD-2-Clause
"""Compares what guests reported about their kernels with the tables of expected values.

expected.tsv: kernel, probe -> the variant chosen, the fields unavailable
fallbacks.tsv: kernel, condition, probe -> the variant chosen, the variants that the condition costs
verifier.tsv: program, kernel -> instructions that the verifier walked, in the costliest variant; its
              first row names the releases: on another release only the set of programs is
              compared, and the counts are only printed
"""
import difflib
import json

EXPECTED = 'expected.tsv'
FALLBACKS = 'fallbacks.tsv'
DOCS = 'docs/kernels.md'  # has the first table for readers, below this line:
BELOW = '<!-- made from tests/kernels/expected.tsv by scripts/dev kernels-accept -->'
VERIFIER = 'verifier.tsv'
NOTHING = '-'
FILES = ['procfs', 'vmstat']  # variants that are no programs
HEADS = {EXPECTED: '# kernel\tprobe\tvariant\tunavailable',
         FALLBACKS: '# kernel\tcondition\tprobe\tvariant\tlost', VERIFIER: 'program'}
NOTE = '# fallback\t'
SPDX = '# SPDX-License-Identifier: BSD-2-Clause'


def probes_of(output):
    """Returns {probe: [variant, unavailable fields]}."""
    found = {}
    for line in output.splitlines():
        try:
            probe = json.loads(line)
        except ValueError:
            continue
        found[probe['probe']] = [probe['variant'] or NOTHING, sorted(probe['unavailable'])]
    return found


def programs_of(output):
    """Returns {program: instructions}, in each program's costliest variant."""
    found = {}
    for line in output.splitlines():
        word, *rest = line.split()
        if word == 'program':
            found[rest[0]] = max(found.get(rest[0], 0), int(rest[1]))
    return found


def fallbacks_of(output):
    return [line[len(NOTE):] for line in output.splitlines() if line.startswith(NOTE)]


def keep(folder, release, files):
    """Returns what a guest sent, in the words of the tables; null: that was not run."""
    said = {name: reader(files[f'{command}.out']) if f'{command}.out' in files else None
            for name, command, reader in (('probes', 'list', probes_of),
                                          ('programs', 'verified', programs_of),
                                          ('fallbacks', 'fault-fallbacks', fallbacks_of))}
    (folder / 'facts.json').write_text(json.dumps({'release': release, **said}))


def facts(names, results):
    """Returns {kernel: facts} of guests that have run. Parts that a run left out are null."""
    found = {}
    for name in names:
        path = results / name / 'facts.json'
        if path.exists():
            found[name] = json.loads(path.read_text())
    return found


def read(path):
    if not path.exists():
        return []
    return [line.split('\t') for line in path.read_text().splitlines() if not line.startswith('#')]


def read_lines(path):
    """Returns {kernel: lines}."""
    table = {}
    for row in read(path):
        table.setdefault(row[0], []).append('\t'.join(row))
    return table


def lines_given(table, name, fact):
    """Returns the lines that a guest gives for this table, None if it was not asked."""
    said = fact['fallbacks' if table == FALLBACKS else 'probes']
    if said is None:
        return None
    if table == FALLBACKS:
        return [f'{name}\t{line}' for line in said]
    return ['\t'.join([name, probe, variant, ' '.join(missing) or NOTHING])
            for probe, (variant, missing) in said.items()]


def read_verifier(here):
    """Returns {kernel: {program: instructions}}; "release" is one of the programs."""
    rows = read(here / VERIFIER)
    if not rows:
        return {}
    return {kernel: {row[0]: row[i] for row in rows[1:] if row[i] != NOTHING}
            for i, kernel in enumerate(rows[0][1:], 1)}


def verifier_column(fact):
    return {'release': fact['release'],
            **{program: str(n) for program, n in fact['programs'].items()}}


def lines_of(column):
    return [f'{program}\t{n}' for program, n in sorted(column.items())]


def differ(table, name, old, new):
    return ''.join(f'{line}\n' for line in difflib.unified_diff(
        old, new, f'{table} {name}', f'guest {name}', lineterm='', n=0))


def compare(names, results, here):
    """Returns [(table, difference)]: "" if there is no difference, None if no guest reported anything."""
    kept = {table: read_lines(here / table) for table in (EXPECTED, FALLBACKS)}
    verifier = read_verifier(here)
    differs = {EXPECTED: None, FALLBACKS: None, VERIFIER: None}
    for name, fact in facts(names, results).items():
        for table, lines in kept.items():
            given = lines_given(table, name, fact)
            if given is not None:
                text = differ(table, name, lines.get(name, []), given)
                differs[table] = (differs[table] or '') + text
        if fact['programs'] is None:
            continue
        old, new = verifier.get(name, {}), verifier_column(fact)
        text = differ(VERIFIER, name, lines_of(old), lines_of(new))
        if text and old.get('release', new['release']) != new['release']:
            print(f'{VERIFIER} was made on {old["release"]}, this is {new["release"]}:\n{text}',
                  end='')
            text = differ(VERIFIER, name, sorted(old), sorted(new))  # which there are is compared
        differs[VERIFIER] = (differs[VERIFIER] or '') + text
    for table, text in differs.items():
        if text:
            differs[table] += 'if that is as it should be: scripts/dev kernels-accept\n'
    return list(differs.items())


def preempts(release, variant):
    """True if programs of the variant are preempted there; see harness.h."""
    number = release.split('.')[0]
    return number.isdigit() and int(number) >= 7 or '-rt-' in release and 'fentry' in variant


def fidelity(release, variant, missing):
    """Describes for readers what a probe gives with a variant."""
    if variant == NOTHING:
        return 'none'
    exact = 'exact with `missed`' if preempts(release, variant) else 'exact'
    without = ', '.join(f'`{field}`' for field in missing.split() if field != NOTHING)
    return (f'`{variant}`: ' + ('what a look finds' if variant in FILES else exact) +
            (f', without {without}' if without else ''))


def docs_table(expected, verifier):
    """Returns a row for each kernel, with a column for each probe."""
    rows = [[line.split('\t') for line in lines] for lines in expected.values()]
    probes = [row[1] for row in rows[0]] if rows else []
    yield '| kernel | release | ' + ' | '.join(f'`{probe}`' for probe in probes) + ' |'
    yield '|---' * (len(probes) + 2) + '|'
    for lines in rows:
        name = lines[0][0]
        release = verifier.get(name, {}).get('release', NOTHING)
        cells = [fidelity(release, variant, missing) for _, _, variant, missing in lines]
        yield f'| {name} | {release} | ' + ' | '.join(cells) + ' |'


def write_docs(expected, verifier, here):
    page = here.parent.parent / DOCS
    head = page.read_text().partition(BELOW)[0]
    page.write_text('\n'.join([head + BELOW, '', *docs_table(expected, verifier)]) + '\n')


def accept_lines(table, guests, found, here):
    """Writes one of the tables of lines from {kernel: lines}, in order."""
    lines = read_lines(here / table)
    lines |= {name: lines_given(table, name, fact) for name, fact in found.items()
              if lines_given(table, name, fact)}
    order = [name for name in guests if name in lines]
    order += [name for name in lines if name not in order]
    (here / table).write_text('\n'.join(
        [SPDX, HEADS[table], *(line for name in order for line in lines[name])]) + '\n')
    return {name: lines[name] for name in order}


def accept(names, guests, results, here):
    """Writes the results of these guests into the tables and the documents."""
    found = facts(names, results)
    expected = accept_lines(EXPECTED, guests, found, here)
    accept_lines(FALLBACKS, guests, found, here)
    verifier = read_verifier(here)
    verifier |= {name: verifier_column(fact) for name, fact in found.items() if fact['programs']}
    write_docs(expected, verifier, here)
    programs = sorted({p for column in verifier.values() for p in column} - {'release'})
    columns = [name for name in expected if name in verifier]
    rows = [[HEADS[VERIFIER], *columns]]
    rows += [[p, *(verifier[name].get(p, NOTHING) for name in columns)]
             for p in ['release', *programs]]
    (here / VERIFIER).write_text('\n'.join([SPDX, *('\t'.join(row) for row in rows)]) + '\n')
