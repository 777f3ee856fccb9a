# SPDX-License-Identifier: BSD-2-Clause
"""Reads the statements in a header's text: sizes, offsets, members, pinned numbers."""
import re

STRUCT = re.compile(r'^struct (\w+) \{(.*?)^\}[^;]*;(?:\s*/\* +(\d+) \*/)?', re.S | re.M)
MEMBER = re.compile(r'\s+(?:const )?(?:struct )?\w+ \*?(\w+)((?:\[\w+\])*);\s*/\* +(\d+)')
COMMENT = re.compile(r'/\*.*?\*/', re.S)


def layout(text):
    """Returns the statements of comments as C expressions, and what they leave out."""
    checks, wrong = [], []
    for name, body, size in STRUCT.findall(text):
        if not size:
            wrong.append(f'struct {name}: no size after its end')
            continue
        checks.append(f'sizeof(struct {name}) == {size}')
        for line in body.splitlines():
            member = MEMBER.match(line)
            if member:
                checks.append(f'offsetof(struct {name}, {member[1]}) == {member[3]}')
            elif ';' in line.split('/*')[0]:
                wrong.append(f'struct {name}: no offset: {line.strip()}')
    return checks, wrong


def members(text):
    for name, body, _ in STRUCT.findall(text):
        for line in body.splitlines():
            found = re.match(r'\s[^/]*?(\w+)(?:\[\w+\])*;', line)
            if found:
                yield name, found[1]


def constants(text):
    """Returns enumerators and numbers as they are written."""
    code = COMMENT.sub('', text)
    found = re.findall(r'^\s*(KS_\w+) = ([^,}]+?)\s*[,}\n]', code, re.M)
    found += re.findall(r'[{,]\s*(KS_\w+) = ([^,}]+?)\s*(?=[,}])', code)
    found += re.findall(r'^#define (KS_\w+) ([^\s(]+)\s*$', code, re.M)
    return sorted(f'{name} = {value}' for name, value in set(found))
