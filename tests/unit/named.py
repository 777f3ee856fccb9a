# SPDX-License-Identifier: BSD-2-Clause
"""Shows that a test names each member, constant and function of the public headers: without being named,
none can be asserted. A member counts as named only if the same file of tests/ also names its struct."""
import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(ROOT / 'tests/support'))
sys.path.insert(0, str(ROOT / 'scripts'))
sys.dont_write_bytecode = True
import mutants
import tap

# Names that are for later releases or for compilers only. (Other tests check reserved* members as bytes.)
ALLOWED = {
    'KS_CAUSE_OTHER': 'for causes that a later release has and this one does not',
    'KS_CAUSE_OVERHEAD': 'pinned for the governor; nothing says it yet',
    'KS_CAUSE_ERRORS': 'pinned for the governor; nothing says it yet',
}
MEMBERS_ALLOWED = {
    'ks_event_sched_block.sleep_state',
}
GUARD = re.compile(r'KERNELSIGHT_(\w+_)?H')


def headers():
    return sorted((ROOT / 'include/kernelsight').glob('*.h*'))


def structs_of(text):
    """Returns the members of each struct by its name."""
    tokens = mutants.lex(text)
    found = {}
    for i, token in enumerate(tokens):
        if token.text == '{' and i > 1 and tokens[i - 2].text == 'struct' and token.mate:
            found[tokens[i - 1].text] = list(mutants.members(tokens[i + 1:token.mate]))
    return found


def constants_of(text):
    """Returns the names of enumerators and macros."""
    tokens = mutants.lex(text)
    found = re.findall(r'^#[ ]*define[ ]+(\w+)', text, re.M)
    for i, token in enumerate(tokens):
        if token.text == '{' and i > 1 and tokens[i - 2].text == 'enum' and token.mate:
            found += mutants.enumerators(tokens[i + 1:token.mate], token)
    return [name for name in found if not GUARD.fullmatch(name)]


def functions_of(text):
    return re.findall(r'^KS_API[^;(]*?(\w+)\(', text, re.M)


def words_of(path):
    """Returns the words of a file, and its members: words behind a dot or an arrow, or in quotes. Skips
    comments."""
    text = path.read_text()
    if path.suffix in ('.c', '.h'):
        text = re.sub(r'/\*.*?\*/|//[^\n]*', ' ', text, flags=re.S)
    else:
        text = re.sub(r'^\s*#[^\n]*', ' ', text, flags=re.M)
    members = set(re.findall(r'(?:\.|->)\s*(\w+)', text)) | set(re.findall(r'["\'](\w+)["\']', text))
    return set(re.findall(r'\w+', text)), members


def main():
    # The fuzzers walk all members but assert nothing. This file names members, too.
    files = [words_of(path) for path in sorted((ROOT / 'tests').rglob('*'))
             if path.suffix in ('.c', '.h', '.py') and path.name != 'named.py' and
             path.parent.name != 'fuzz']
    every = set().union(*(words for words, _ in files))
    structs, constants, functions = {}, [], []
    for path in headers():
        text = path.read_text()
        structs.update(structs_of(text))
        constants += constants_of(text)
        functions += functions_of(text)
    tap.ok(len(structs) > 20 and len(constants) > 150 and len(functions) > 30, 'headers/found',
           f'{len(structs)} structs, {len(constants)} constants, {len(functions)} functions')

    errors = [name for name in constants + functions if name not in every and name not in ALLOWED]
    tap.ok(not errors, 'constants and functions/named', errors)
    errors = []
    for struct, members in structs.items():
        # The number of a record's kind, such as KS_EVENT_PROC_FORK, names the record, too.
        names = {struct, struct.upper()}
        inside = [found for words, found in files if words & names]
        errors += [f'{struct}.{member}' for member in members
                   if not member.startswith('reserved') and
                   f'{struct}.{member}' not in MEMBERS_ALLOWED and
                   not any(member in found for found in inside)]
    tap.ok(not errors, 'members/named', errors)
    errors = [name for name in ALLOWED if name in every or name not in constants]
    tap.ok(not errors, 'allowed/still needed', errors)
    tap.done()


main()
