#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""new_probe.py NAME [NUMBER]: adds a probe made of stubs. It builds, loads and passes its test at once."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / 'scripts/stubs'
SUMMARY = 'Say in one sentence what the probe observes.'
EVENTS_H = ROOT / 'include/kernelsight/events.h'


def die(text):
    sys.exit(f'new-probe: {text}')


def choose_number(text, asked):
    used = {int(n) for n in re.findall(r'^\tKS_PROBE_\w+ = (\d+)', text, re.M)}
    number = int(asked) if asked else max(used) + 1
    if number in used or not 0 < number < 15:
        die(f'the number {number} is taken or not from 1 to 14; give another: new-probe NAME NUMBER')
    return number


def insert(path, pattern, addition, after=False):
    """Inserts a text before or after the only place that matches the pattern."""
    text = path.read_text()
    found = re.search(pattern, text, re.M | re.S)
    if not found:
        die(f'{path.relative_to(ROOT)} has no place for the stub: nothing matches {pattern!r}')
    at = found.end() if after else found.start()
    path.write_text(text[:at] + addition + text[at:])


def main():
    if not 2 <= len(sys.argv) <= 3 or not re.fullmatch(r'[a-z][a-z0-9]{1,15}', sys.argv[1]):
        die('usage: new-probe NAME [NUMBER]; NAME is 2 to 16 lower-case letters and digits')
    name = sys.argv[1]
    number = choose_number(EVENTS_H.read_text(), sys.argv[2] if len(sys.argv) > 2 else None)
    files = {'NAME.bpf.c.in': f'bpf/{name}.bpf.c', 'NAME.c.in': f'lib/probes/{name}.c',
             'NAME.test.c.in': f'tests/probes/{name}.c'}
    if any((ROOT / path).exists() for path in files.values()):
        die(f'the probe {name} exists already')

    def stub(file):
        text = (STUBS / file).read_text()
        for mark, word in [('@name@', name), ('@NAME@', name.upper()), ('@summary@', SUMMARY)]:
            text = text.replace(mark, word)
        return text

    def block(file):
        return stub(file).split('\n', 1)[1]

    for file, path in files.items():
        (ROOT / path).write_text(stub(file))
    upper, first = name.upper(), f'0x{number:02x}0'
    insert(EVENTS_H, r'^\};\n\n/\*\n \* A struct\'s number', f'\tKS_PROBE_{upper} = {number},\n')
    insert(EVENTS_H, r'^\};\n\n/\* ---- head of every event',
           f'\n\tKS_STATS_{upper} = {first}0,\n\tKS_EVENT_{upper}_SEEN = {first}1,\n')
    insert(EVENTS_H, r'^#ifdef __cplusplus\n\}', block('events.h.in') + '\n')
    insert(ROOT / 'bpf/shared.h', r'\n#endif\n\Z', '\n' + block('shared.h.in'))
    insert(ROOT / 'docs/probes.md', r'^\| `self`', f'| `{name}` | {SUMMARY} | `tp_btf` | unavailable |\n')
    insert(ROOT / 'meson.build', r"^probes = \[[^]]*", f", '{name}'", after=True)
    insert(ROOT / 'tests/probes/meson.build', r'^probe_tests = \{\n', f"  '{name}': [],\n", after=True)
    print(f'{name} is probe {number}. Now replace the stubs; git status and git diff show them')


main()
