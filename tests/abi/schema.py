# SPDX-License-Identifier: BSD-2-Clause
"""Shows that the library's schema has each struct, member, enum and number of the headers, with the offset,
size and value that the headers state."""
import argparse
import ast
import ctypes
import json
import operator
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap
from header_text import COMMENT, STRUCT, constants, layout, members

OPERATORS = {ast.LShift: operator.lshift, ast.BitOr: operator.or_, ast.USub: operator.neg}


def read_schema(shared):
    library = ctypes.CDLL(shared)
    text = ctypes.create_string_buffer(library.ks_schema(None, 0) + 1)
    library.ks_schema(text, ctypes.c_size_t(len(text)))
    return json.loads(text.value)


def number(text):
    """Returns the value of a constant expression."""
    def value(node):
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        return OPERATORS[type(node.op)](value(node.operand)) if isinstance(node, ast.UnaryOp) else \
            node.value
    return value(ast.parse(text, mode='eval').body)


def check_structs(text, schema):
    structs = {s['name']: s for s in schema['structs'] if s['id'] >= 0x10000}
    wrong = [f'struct {name} is missing' for name, _, _ in STRUCT.findall(text)
             if name not in structs]
    for name, member in members(text):
        if member not in [f['name'] for f in structs.get(name, {'fields': []})['fields']]:
            wrong.append(f'{name}.{member} is missing')
    for check in layout(text)[0]:
        size = re.fullmatch(r'sizeof\(struct (\w+)\) == (\d+)', check)
        place = re.fullmatch(r'offsetof\(struct (\w+), (\w+)\) == (\d+)', check)
        if size and structs[size[1]]['bytes'] != int(size[2]):
            wrong.append(f'not so: {check}')
        if place and not any(f['name'] == place[2] and f['offset'] == int(place[3])
                             for f in structs[place[1]]['fields']):
            wrong.append(f'not so: {check}')
    return wrong


def check_whole(schema):
    """The members of a struct fill it: none is missing, none is there twice."""
    for struct in schema['structs']:
        at = 0
        for field in struct['fields'] if struct['id'] >= 0x10000 else []:
            if field['offset'] != at:
                yield f"{struct['name']}.{field['name']}: {at} bytes stand before it"
            at = field['offset'] + field['bytes'] * field['count']
        if struct['id'] >= 0x10000 and at != struct['bytes']:
            yield f"{struct['name']}: {struct['bytes']} bytes, {at} of them are members"


def check_enums(text, schema):
    known = {e['name']: e['constants'] for e in schema['enums']}
    wrong = [f'enum {name} is missing'
             for name in re.findall(r'^enum (\w+) \{', COMMENT.sub('', text), re.M)
             if name not in known]
    values = {name: value for enum in known.values() for name, value in enum.items()}
    for line in constants(text):
        name, _, written = line.partition(' = ')
        if values.get(name) != number(written):
            wrong.append(f'{line}, not {values.get(name)}')
    return wrong


def check_codes(schema):
    """The schema's name for a member's values is an enum, and bits belong to enums of flags."""
    enums = {e['name']: e['is_flags'] for e in schema['enums']}
    fields = [(s['name'], f) for s in schema['structs'] for f in s['fields'] if f['codes']]
    wrong = [] if len(fields) > 20 else [f'only {len(fields)} members have codes']
    return wrong + [f"{name}.{f['name']}: {f['codes']}" for name, f in fields
                    if enums.get(f['codes']) is not (f['kind'] == 7)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--shared', required=True)
    args = parser.parse_args()
    schema = read_schema(args.shared)
    for header in sorted((args.source / 'include/kernelsight').glob('*.h')):
        text = header.read_text()
        wrong = check_structs(text, schema)
        tap.ok(not wrong, f'schema/structs/{header.name}', wrong)
        wrong = check_enums(text, schema)
        tap.ok(not wrong, f'schema/constants/{header.name}', wrong)
    for name, check in ('whole', check_whole), ('codes', check_codes):
        wrong = list(check(schema))
        tap.ok(not wrong, f'schema/{name}', wrong)
    tap.done()


if __name__ == '__main__':
    main()
