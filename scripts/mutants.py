# SPDX-License-Identifier: BSD-2-Clause
"""Makes small wrong changes (mutants) to the text of a C file. It knows tokens and braces, but no grammar.
So a mutant may not compile; the caller then does not count it."""
import re
from pathlib import Path

# What each operator does. `scripts/dev mutate --operators bound,drop` uses only these two.
OPERATORS = {
    'bound': '< to <=, >= to >, and back',
    'equal': '== to !=, and back',
    'number': 'a number is one higher, or one lower',
    'arithmetic': '+ to -, << to >>, | to &, ++ to --, and back',
    'assign': '+= to =, and so on',
    'logic': '&& to ||, and back; !x to x',
    'condition': 'if (c) to if (1), if (0) and if (!(c)); the arms of c ? a : b change places',
    'drop': 'a statement is left out',
    'result': 'x = f() to f(); return x to return 0',
    'constant': 'an enumerator, a constant or an error becomes its neighbour',
    'member': 'a member becomes another one of its struct that the file uses',
}

TOKEN = re.compile(r'''
    (?P<blank>(?:[ \t\n]|\\\n|/\*.*?\*/|//[^\n]*)+)
  | (?P<directive>(?<![^\n])\#[ ]*define[ ]+\w+(?:\([^)]*\))?
                 |(?<![^\n])\#(?:[^\n\\]|\\.)*)
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>0[xX][0-9a-fA-F]+\w*|\d[\w.]*)
  | (?P<sign>->|\+\+|--|<<=|>>=|&&|\|\||[-+*/%&|^=!<>]=|<<|>>|\.\.\.|.)
''', re.X | re.S)

BOUND = {'<': '<=', '<=': '<', '>': '>=', '>=': '>'}
EQUAL = {'==': '!=', '!=': '=='}
BINARY = {'+': '-', '-': '+', '*': '/', '/': '*', '%': '/', '|': '&', '&': '|', '<<': '>>',
          '>>': '<<', '^': '|'}
STEP = {'++': '--', '--': '++'}
ASSIGN = ('+=', '-=', '|=', '&=', '*=', '/=', '<<=', '>>=')
LOGIC = {'&&': '||', '||': '&&'}
ERRORS = ['EPERM', 'ENOENT', 'ESRCH', 'EINTR', 'EIO', 'E2BIG', 'EBADF', 'EAGAIN', 'ENOMEM', 'EACCES',
          'EBUSY', 'EEXIST', 'EXDEV', 'ENOTDIR', 'EINVAL', 'EMFILE', 'ENOSPC', 'ERANGE',
          'ENAMETOOLONG', 'ENOSYS', 'EOPNOTSUPP', 'ETIMEDOUT']
TYPES = {'const', 'static', 'struct', 'enum', 'union', 'unsigned', 'signed', 'int', 'char', 'long',
         'short', 'void', 'bool', 'float', 'double', 'typedef', 'extern', 'volatile', '_Bool'}
NOT_DROPPED = {'if', 'for', 'while', 'do', 'switch', 'else', 'return', 'case', 'default',
               '_Static_assert', 'typedef'}
# Functions and macros whose arguments are names of members.
BY_NAME = {'ks_read', 'ks_get', 'BPF_CORE_READ', 'bpf_core_field_offset', 'bpf_core_field_exists',
           'BPF_CORE_READ_BITFIELD', 'offsetof', '__builtin_offsetof'}
# Code that stays as it is: the compiler checks it, or a mutant would end other processes or remove files.
LEFT_ALONE = re.compile(r'\b(_Static_assert|t?g?kill|pidfd_send_signal|syscall|unlink\w*|rmdir)\s*\(')


class Token:
    def __init__(self, kind, text, at):
        self.kind, self.text, self.at = kind, text, at
        self.end = at + len(text)
        self.place = 'file'  # kind of the braces around the token: file, body, type, values
        self.depth = 0       # depth of parentheses and brackets inside these braces
        self.mate = None     # number of the matching bracket, if the token is a bracket


class Mutant:
    def __init__(self, operator, at, end, new):
        self.operator, self.at, self.end, self.new = operator, at, end, new

    def apply(self, text):
        return text[:self.at] + self.new + text[self.end:]

    def line(self, text):
        return text.count('\n', 0, self.at) + 1


def lex(text):
    tokens = [Token(found.lastgroup, found.group(), found.start())
              for found in TOKEN.finditer(text) if found.lastgroup != 'blank']
    place_braces(tokens)
    return tokens


def brace_kind(tokens, i):
    """The kind of the braces that token i opens."""
    before = tokens[i - 1] if i else Token('sign', ';', 0)
    for word in tokens[max(0, i - 2):i]:
        if word.text in ('struct', 'union', 'enum'):
            return 'type'
    if before.text in ('=', ',', '(', '{', 'return'):
        return 'values'
    if before.text == ')' and before.mate is not None:
        head = tokens[before.mate - 1] if before.mate else before
        return 'body' if head.kind == 'word' and head.text != 'return' else 'values'
    return 'body'


def place_braces(tokens):
    opened, places = [], [('file', 0)]
    for i, token in enumerate(tokens):
        place, depth = places[-1]
        if token.text in ('(', '[', '{') and token.kind == 'sign':
            token.place, token.depth = place, depth
            opened.append(i)
            if token.text == '{':
                places.append((brace_kind(tokens, i), 0))
            else:
                places.append((place, depth + 1))
            continue
        if token.text in (')', ']', '}') and token.kind == 'sign' and opened:
            token.mate = opened.pop()
            tokens[token.mate].mate = i
            places.pop()
            place, depth = places[-1]
        token.place, token.depth = place, depth


# ---- names in headers ----------------------------------------------------------------------------


class Names:
    """Enumerators and members of all headers and of the file itself."""

    def __init__(self, texts):
        self.neighbour = {}
        self.structs = []  # for each struct: {name of a member: its type}
        for name, other in zip(ERRORS, ERRORS[1:] + ERRORS[:1]):
            self.neighbour[name] = [other]
        for text in texts:
            self.read(text)

    def read(self, text):
        tokens = lex(text)
        for i, token in enumerate(tokens):
            if token.text == '{' and brace_kind(tokens, i) == 'type' and token.mate:
                inside = tokens[i + 1:token.mate]
                if any(word.text == 'enum' for word in tokens[max(0, i - 2):i]):
                    self.add_family(enumerators(inside, token))
                else:
                    self.structs.append(members(inside))
        family = []
        for line in text.splitlines() + ['']:
            found = re.match(r'#\s*define\s+([A-Z]\w+)\s+\S', line)
            if found and (not family or family[-1].split('_')[:2] == found[1].split('_')[:2]):
                family.append(found[1])
            else:
                self.add_family(family)
                family = [found[1]] if found else []

    def add_family(self, names):
        for i, name in enumerate(names if len(names) > 1 else []):
            self.neighbour.setdefault(name, []).append(names[(i + 1) % len(names)])

    def other_members(self, name, used):
        found = []
        for struct in self.structs:
            if name not in struct:
                continue
            names = list(struct)
            at = names.index(name)
            around = [n for n in names[at + 1:] + names[:at] if n in used and n != name]
            alike = [n for n in around if struct[n] == struct[name]]
            found += (alike or around)[:2]
        return list(dict.fromkeys(found))[:3]


def enumerators(inside, brace):
    names, fresh = [], True
    for token in inside:
        if fresh and token.kind == 'word':
            names.append(token.text)
        fresh = token.text == ',' and token.depth == 0
    return names


def members(inside):
    """The members of a struct, without those of structs inside it."""
    found, declared = {}, []
    for token in inside:
        if token.place != 'type' or token.depth:
            continue
        if token.text in (';', ','):
            words = [t for t in declared if t.kind == 'word']
            if len(words) > 1:
                found[words[-1].text] = ' '.join(t.text for t in declared if t is not words[-1])
            # in `a, b` the type holds for both
            declared = words[:-1] if token.text == ',' else []
        elif token.text not in ('[', ']', '(', ')', '{', '}'):
            declared.append(token)
    return found


# ---- the operators -------------------------------------------------------------------------------


def is_operand(token):
    return token.kind in ('word', 'number', 'text') and token.text != 'return' or \
        token.text in (')', ']')


def is_binary(tokens, i):
    """Is the operator binary? Not a sign, an address operator, or a pointer in a declaration."""
    if i == 0 or not is_operand(tokens[i - 1]) or tokens[i - 1].text in TYPES or \
            tokens[i + 1].text == ')':
        return False
    if tokens[i].text in ('*', '&') and tokens[i - 1].text == ')':
        opener = tokens[i - 1].mate
        return opener is None or tokens[opener + 1].text not in TYPES
    return not (tokens[i].text == '*' and declares(tokens, i - 1))


def declares(tokens, i):
    """Is the statement or parameter that begins with word i a declaration?"""
    before = tokens[i - 1].text if i else ';'
    return before in ('struct', 'enum', 'union', 'const', ';', '{', '}', '(', ',') and \
        tokens[i].kind == 'word' and tokens[i + 1].text == '*' and \
        tokens[i + 2].kind == 'word' and tokens[i + 3].text in ('=', ';', ',', ')')


def change_number(text):
    found = re.fullmatch(r'(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)', text)
    if not found:
        return []
    value = int(found[1], 0) if found[1] == '0' or not re.match(r'0\d', found[1]) else int(found[1], 8)
    values = [value + 1] + ([value - 1] if value > 0 else [])
    form = hex if found[1][:2] in ('0x', '0X') else str
    return [form(n) + found[2] for n in values]


def is_room(tokens, i):
    """Is the number the bound of a declared array, or a single 0 in braces? Those stay as they are."""
    if tokens[i - 1].text == '[' and tokens[i + 1].text == ']':
        return tokens[i].place == 'type' or tokens[i - 2].kind == 'word' and \
            (tokens[i - 3].kind == 'word' or tokens[i - 3].text in ('*', ','))
    return tokens[i - 1].text == '{' and tokens[i + 1].text == '}'


def token_mutants(tokens, i, names, used):
    token = tokens[i]
    text = token.text
    if token.kind == 'sign':
        for operator, table in (('bound', BOUND), ('equal', EQUAL), ('logic', LOGIC)):
            if text in table:
                yield operator, table[text]
        if text in STEP or text in BINARY and is_binary(tokens, i):
            yield 'arithmetic', {**STEP, **BINARY}[text]
        if text in ASSIGN:
            yield 'assign', '='
        if text == '!':
            yield 'logic', ''
    elif token.kind == 'number':
        if not is_room(tokens, i):
            for new in change_number(text):
                yield 'number', new
    elif token.kind == 'word':
        for new in names.neighbour.get(text, []):
            yield 'constant', new
        if text in ('true', 'false'):
            yield 'constant', 'false' if text == 'true' else 'true'
        if names_member(tokens, i):
            for new in names.other_members(text, used):
                yield 'member', new


def names_member(tokens, i):
    before = tokens[i - 1].text if i else ''
    if before in ('.', '->'):
        return True
    if before != ',' or tokens[i + 1].text == '(':
        return False
    depth = tokens[i].depth
    while i > 0 and not (tokens[i].text == '(' and tokens[i].depth < depth):
        i -= 1
    return i > 0 and tokens[i - 1].text in BY_NAME


def condition_mutants(tokens, i, text):
    """Mutants of the conditions of if (…), while (…) and … ? … : …"""
    token = tokens[i]
    if token.text in ('if', 'while') and tokens[i + 1].text == '(' and tokens[i + 1].mate:
        at, end = tokens[i + 1].end, tokens[tokens[i + 1].mate].at
        for new in ['!(%s)' % text[at:end], '0'] + (['1'] if token.text == 'if' else []):
            if text[at:end] != new:
                yield Mutant('condition', at, end, new)
    elif token.text == '?' and token.kind == 'sign':
        first = i
        while first > 0 and not (tokens[first - 1].depth < token.depth or tokens[first - 1].text in (
                '=', '(', ',', ';', '{', '}', '[', '?', ':', 'return') and
                tokens[first - 1].depth == token.depth):
            first -= 1
            if tokens[first].text in (')', ']') and tokens[first].mate is not None:
                first = tokens[first].mate
        at, end = tokens[first].at, tokens[i - 1].end
        yield Mutant('condition', at, end, '!(%s)' % text[at:end])


def ends_statement(tokens, i):
    """The number of the token ; that ends the statement beginning with token i, or None."""
    for n in range(i, len(tokens)):
        if tokens[n].text == ';' and tokens[n].depth == tokens[i].depth and \
                tokens[n].place == tokens[i].place:
            return n
        if tokens[n].place == 'file' or tokens[n].text == '}' and tokens[n].place == 'body':
            if tokens[n].mate is not None and tokens[tokens[n].mate + 1].place == 'values':
                continue
            return None
    return None


def begins_statement(tokens, i):
    if tokens[i].place != 'body' or tokens[i].depth or tokens[i].kind == 'directive':
        return False
    before = tokens[i - 1]
    if before.text in (';', '{', '}', 'else', 'do') or before.kind == 'directive':
        return True
    if before.text == ':':
        return tokens[i - 2].kind in ('word', 'number') and tokens[i - 3].text in (
            ';', '{', '}', 'case', ')', ':')
    return before.text == ')' and before.mate and \
        tokens[before.mate - 1].text in ('if', 'for', 'while')


def statement_mutants(tokens, i, text):
    token = tokens[i]
    if not begins_statement(tokens, i):
        return
    end = ends_statement(tokens, i)
    if end is None or end == i:
        return
    if token.text == 'return':
        if text[tokens[i + 1].at:tokens[end].at] != '0' and end > i + 1:
            yield Mutant('result', tokens[i + 1].at, tokens[end].at, '0')
    elif token.text not in NOT_DROPPED and token.text not in TYPES and \
            not (token.kind == 'word' and tokens[i + 1].kind == 'word' and token.text != 'goto') and \
            not declares(tokens, i):
        yield Mutant('drop', token.at, tokens[end].at, '')
        for n in range(i, end):
            if tokens[n].text == '=' and tokens[n].depth == token.depth:
                if tokens[end - 1].text == ')' and tokens[n + 1].kind == 'word':
                    yield Mutant('result', token.at, tokens[n + 1].at, '')
                break


def make(text, headers=(), operators=None):
    """All mutants of a file, in the order of their positions."""
    names = Names([text, *headers])
    tokens = lex(text)
    used = {tokens[i].text for i in range(1, len(tokens)) if names_member(tokens, i)} if \
        len(tokens) > 1 else set()
    found = []
    # The text behind the last token needs no mutants.
    for i in range(len(tokens) - 1):
        token = tokens[i]
        if token.kind in ('directive', 'text'):
            continue
        if token.place in ('file', 'body', 'values'):
            found += [Mutant(operator, token.at, token.end, new)
                      for operator, new in token_mutants(tokens, i, names, used)]
        found += condition_mutants(tokens, i, text)
        found += statement_mutants(tokens, i, text)
    lines = text.splitlines()
    return [m for m in found if (not operators or m.operator in operators) and
            not LEFT_ALONE.search(lines[m.line(text) - 1])]


def choose(mutants, count, random):
    """Chooses mutants, from each operator in turn, so that frequent operators do not displace others."""
    piles = {}
    for mutant in mutants:
        piles.setdefault(mutant.operator, []).append(mutant)
    for pile in piles.values():
        random.shuffle(pile)
    order = list(piles.values())
    random.shuffle(order)
    while order:
        order = [pile for pile in order if pile]
        for pile in order:
            yield pile.pop()
            count -= 1
            if count == 0:
                return


def headers_of(root):
    """The headers of a tree, which name its members and constants."""
    return [path.read_text() for folder in ('include', 'lib', 'bpf')
            for path in sorted((Path(root) / folder).rglob('*.h'))]
