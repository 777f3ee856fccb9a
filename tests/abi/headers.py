# SPDX-License-Identifier: BSD-2-Clause
"""Shows that each public header compiles alone, pedantic and without padding, as C99, C11 and C++17; that
structs have the layout in their comments, for hosts and for kernel programs; and that no member has a
name that is a keyword in a language with a binding."""
import argparse
import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap
from header_text import layout, members

DIALECTS = [
    ('gcc', 'c99'), ('gcc', 'c11'), ('g++', 'c++17'), ('g++', 'c++20'),
    ('clang', 'c99'), ('clang', 'c11'), ('clang++', 'c++17'),
]
WARN = ['-pedantic', '-Wall', '-Wextra', '-Wshadow', '-Wundef', '-Wpadded', '-Werror', '-fsyntax-only']
# For kernel programs these names come from bpf/ktypes. The attribute only spreads values over cache lines:
# its padding is intended.
BPF = ['clang', '-target', 'bpf', '-O2', '-Wall', '-Wextra', '-Wpadded', '-Werror', '-fsyntax-only',
       '-Daligned(n)=', '-Wno-language-extension-token']
BPF_TYPES = ''.join(f'typedef {kind} {name};\n' for kind, name in [
    ('unsigned char', 'uint8_t'), ('unsigned short', 'uint16_t'), ('unsigned int', 'uint32_t'),
    ('unsigned long long', 'uint64_t'), ('signed char', 'int8_t'), ('short', 'int16_t'),
    ('int', 'int32_t'), ('long long', 'int64_t')])
ASSERT = '''#include <stddef.h>
#ifdef __cplusplus
#define CHECK(c) static_assert(c, #c)
#else
#define CHECK(c) _Static_assert(c, #c)
#endif
'''
BPF_ASSERT = '#define offsetof(t, m) __builtin_offsetof(t, m)\n#define CHECK(c) _Static_assert(c, #c)\n'

C = '''auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while'''
CPP = '''alignas alignof and and_eq asm bitand bitor bool catch char8_t class compl concept consteval
constexpr constinit co_await co_return co_yield decltype delete dynamic_cast explicit export false
friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
reinterpret_cast requires static_assert static_cast template this thread_local throw true try typeid
typename using virtual wchar_t xor xor_eq'''
GO = 'chan defer fallthrough func go import interface map package range select type var'
RUST = '''abstract as async await become box crate dyn final fn gen impl in let loop macro match mod move
mut override priv pub ref self super trait typeof unsafe unsized use where yield'''
KEYWORDS = set(f'{C} {CPP} {GO} {RUST}'.split()) | set(keyword.kwlist)

def compile_text(command, text):
    run = subprocess.run(command + ['-'], input=text, capture_output=True, text=True)
    return run.returncode == 0, run.stderr


def dialect(compiler, standard, includes):
    language = 'c++' if '++' in compiler else 'c'
    return [compiler, f'-std={standard}', '-x', language, *WARN, *includes]


def house_rules(text):
    """Finds constructs that other languages cannot call or lay out."""
    code = re.sub(r'/\*.*?\*/|//[^\n]*', '', text, flags=re.S)
    rules = {
        'inline functions': r'\binline\b', 'bool': r'\bbool\b', 'varargs': r'\.\.\.',
        'members of enum type': r'^\s+enum \w+ \w+;', 'bit-fields': r'^\s+\w+ \w+\s*:\s*\d+;',
        'long': r'\blong\b',
    }
    return [rule for rule, pattern in rules.items() if re.search(pattern, code, re.M)]


def check_alone(headers, includes):
    for compiler, standard in DIALECTS:
        for header in headers:
            name = f'alone/{header.name}/{compiler}/{standard}'
            if not shutil.which(compiler):
                tap.skip(name, f'no {compiler} here')
                continue
            text = f'#include <kernelsight/{header.name}>\n' * 2 + 'extern int not_empty;\n'
            passed, errors = compile_text(dialect(compiler, standard, includes), text)
            tap.ok(passed, name, errors)


def check_layout(headers, shared, includes):
    checks, wrong = [], []
    for header in headers:
        more, bad = layout(header.read_text())
        checks += [f'CHECK({check});' for check in more]
        wrong += [f'{header.name}: {line}' for line in bad]
    tap.ok(not wrong, 'layout/stated', wrong)
    tap.ok(len(checks) > 100, 'layout/found', f'only {len(checks)} statements were understood')
    text = ''.join(f'#include <kernelsight/{h.name}>\n' for h in headers) + ASSERT + '\n'.join(checks)
    for compiler, standard in [('gcc', 'c11'), ('g++', 'c++17'), ('clang', 'c11')]:
        if not shutil.which(compiler):
            tap.skip(f'layout/{compiler}', f'no {compiler} here')
            continue
        passed, errors = compile_text(dialect(compiler, standard, includes), text + '\n')
        tap.ok(passed, f'layout/{compiler}', errors)

    events = next(h for h in headers if h.name == 'events.h')
    for path, include in [(events, '<kernelsight/events.h>'), (shared, '"shared.h"')]:
        checks = [f'CHECK({check});' for check in layout(path.read_text())[0]]
        if not shutil.which('clang'):
            tap.skip(f'layout/bpf/{path.name}', 'no clang here')
            continue
        text = BPF_TYPES + f'#include {include}\n' + BPF_ASSERT + '\n'.join(checks)
        command = [*BPF, *includes, f'-I{shared.parent}', '-x', 'c']
        passed, errors = compile_text(command, text + '\n')
        tap.ok(passed and checks, f'layout/bpf/{path.name}', errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--build', type=Path, required=True)
    args = parser.parse_args()
    headers = sorted((args.source / 'include/kernelsight').glob('*.h'))
    headers.append(args.build / 'include/kernelsight/version.h')
    shared = args.source / 'bpf/shared.h'
    includes = [f'-I{args.source}/include', f'-I{args.build}/include']

    check_alone(headers, includes)
    check_layout(headers, shared, includes)
    for header in headers:
        text = header.read_text()
        bad = [f'struct {name}: {member}' for name, member in members(text) if member in KEYWORDS]
        tap.ok(not bad, f'keywords/{header.name}', bad)
        rules = house_rules(text)
        tap.ok(not rules, f'plain/{header.name}', rules)
    tap.done()


main()
