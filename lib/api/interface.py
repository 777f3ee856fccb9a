#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes C tables of the structs, enums and numbers that the public headers declare. Offsets, sizes
and values come from the compiler, so the headers stay the only declaration.

    interface.py OUT HEADER...
"""
import pathlib
import re
import sys

COMMENT = re.compile(r'/\*(.*?)\*/', re.S)
STRUCT = re.compile(r'^struct (\w+) \{\n(.*?)^\};', re.S | re.M)
MEMBER = re.compile(r'^\s+(const )?(struct )?(\w+) (\*?)(\w+)((?:\[\w+\])?);(.*)$')
ENUM = re.compile(r'^enum (\w+) \{(.*?)\};', re.S | re.M)
CONSTANT = re.compile(r'(KS_\w+)\s*=\s*([^,/}]+?)\s*(?:,|$|(?=\n)|(?=/\*))[ \t]*(/\*.*?\*/)?', re.S)
DEFINE = re.compile(r'^#define (KS_\w+) (0x[0-9a-f]+|\d+)\s*(/\*.*?\*/)?$', re.M)
UNITS = (('_ns', 'NS'), ('_bytes', 'BYTES'), ('_pages', 'PAGES'))
NUMBERS = re.compile(r'u?int(8|16|32|64)_t|size_t')


def words(comment):
    """Returns a comment as one line, without the offset that may precede it."""
    text = ' '.join((comment or '').replace('/*', ' ').replace('*/', ' ').replace(' * ', ' ').split())
    return re.sub(r'^\d+( |$)', '', text)


def quoted(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def body_lines(body):
    """Returns the members as lines, each with its whole comment."""
    return COMMENT.sub(lambda c: ' '.join(c[0].split()), body).splitlines()


class Headers:
    def __init__(self, paths):
        self.enums, self.structs, self.defines, self.names = {}, {}, [], []
        for path in paths:
            text = path.read_text()
            self.names.append(path.name)
            for name, body in ENUM.findall(text):
                self.enums[name] = self.constants(body)
            for name, body in STRUCT.findall(text):
                self.structs[name] = body
            self.defines += [(name, help) for name, _, help in DEFINE.findall(text)]
            declared = len(re.findall(r'^(?:struct|enum) \w+ \{', text, re.M))
            if declared != len(ENUM.findall(text)) + len(STRUCT.findall(text)):
                sys.exit(f'{path}: interface.py cannot parse a struct or an enum')

    @staticmethod
    def constants(body):
        found = [(name, value, help) for name, value, help in CONSTANT.findall(body)]
        code = COMMENT.sub('', body)
        if len(found) != code.count('='):
            sys.exit(f'interface.py cannot parse this enum:{body}')
        return found

    def is_flags(self, enum):
        return all('<<' in value for _, value, _ in self.enums[enum])

    def members(self, struct):
        """Yields (name, C type, array, kind, unit, enum or None, help)."""
        for line in body_lines(self.structs[struct]):
            if not line.strip() or re.match(r'^\s*/\*.*\*/\s*$', line):
                continue
            member = MEMBER.match(line)
            if not member:
                sys.exit(f'struct {struct}: interface.py cannot parse: {line}')
            const, tag, kind, star, name, array, comment = member.groups()
            c_type = f"{const or ''}{tag or ''}{kind}{' *' if star else ''}"
            help_text = words(comment)
            # A comment that begins with an enum says so of the values; one that names it later refers to it.
            first = re.match(r'\w+', help_text)
            enum = first[0] if first and first[0] in self.enums else None
            yield name, c_type, array, self.kind(c_type, array, enum), self.unit(name), enum, help_text

    def kind(self, c_type, array, enum):
        if c_type == 'char' and array:
            return 'TEXT'
        if c_type == 'struct ks_hist':
            return 'HIST'
        if c_type.startswith('struct ') and '*' not in c_type:
            return 'STRUCT'
        if not NUMBERS.fullmatch(c_type):
            return 'POINTER'
        if enum:
            return 'FLAGS' if self.is_flags(enum) else 'CODE'
        return 'VALUE'

    @staticmethod
    def unit(name):
        return next((unit for end, unit in UNITS if name.endswith(end)), 'NONE')


def write_struct(out, headers, name):
    out.append(f'static const struct ks__field of_{name}[] = {{')
    for member, c_type, array, kind, unit, enum, text in headers.members(name):
        at = f'((struct {name} *)0)->{member}'
        one = f'sizeof({at}[0])' if array and kind != 'TEXT' else f'sizeof({at})'
        signed = f'({c_type})-1 < 1' if kind in ('VALUE', 'CODE', 'FLAGS') else '0'
        out.append(f'\t{{ .name = "{member}", .offset = offsetof(struct {name}, {member}), '
                   f'.bytes = {one},\n\t  .count = sizeof({at}) / {one}, .kind = KS_KIND_{kind}, '
                   f'.unit = KS_UNIT_{unit},\n\t  .is_signed = {signed}, .c_type = "{c_type}", '
                   f'.codes = {quoted(enum) if enum else "NULL"},\n\t  .help = {quoted(text)} }},')
    out.append('\t{ 0 },\n};\n')


def write_enum(out, name, constants):
    out.append(f'static const struct ks__constant of_{name}[] = {{')
    out += [f'\t{{ "{constant}", {constant}, {quoted(words(text))} }},'
            for constant, text in constants]
    out.append('\t{ 0 },\n};\n')


def write_all(headers):
    out = ['/* Made by lib/api/interface.py from the public headers. */',
           '#include "api/interface.h"\n']
    out += [f'#include <kernelsight/{name}>' for name in headers.names] + ['']
    for name in headers.structs:
        write_struct(out, headers, name)
    for name, constants in headers.enums.items():
        write_enum(out, name, [(constant, text) for constant, _, text in constants])
    write_enum(out, 'defines', headers.defines)
    out.append('const struct ks__struct ks__interface_structs[] = {')
    out += [f'\t{{ .name = "{name}", .bytes = sizeof(struct {name}), .fields = of_{name}, .help = '
            f'"struct {name} of the interface" }},' for name in headers.structs]
    out.append('\t{ 0 },\n};\n\nconst struct ks__enum ks__interface_enums[] = {')
    out += [f'\t{{ "{name}", of_{name}, {int(headers.is_flags(name))} }},' for name in headers.enums]
    out.append('\t{ "defines", of_defines, 0 },\n\t{ 0 },\n};')
    return '\n'.join(out) + '\n'


if __name__ == '__main__':
    pathlib.Path(sys.argv[1]).write_text(write_all(Headers(map(pathlib.Path, sys.argv[2:]))))
