# SPDX-License-Identifier: BSD-2-Clause
"""Shows that no function of the headers crashes or hangs if one or each of its pointers is NULL. If NULL has
no meaning there, the function returns -EINVAL (or -ENOENT, NULL, NaN); otherwise it works.

A child of its own makes each call. The test finds new functions in the headers by itself."""
import argparse
import ctypes
import errno
import math
import os
import re
import signal
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap
from header_text import COMMENT

API = re.compile(r'^KS_API ([^;]*?)(\w+)\(([^;]*)\);', re.S | re.M)
# NULL has a meaning here, or is never read: (function, parameter).
MAY_BE_NULL = {
    ('ks_open', 'opts'), ('ks_close', 'ks'), ('ks_set_scope', 'scope'), ('ks_prepare', 'probes'),
    ('ks_enable_probe', 'opts'), ('ks_poll', 'user'), ('ks_next_event', 'ev'),
    ('ks_reader_new', 'opts'), ('ks_reader_free', 'reader'), ('ks_selftest', 'opts'),
    ('ks_thread_role', 'role'), ('ks_query_valid', 'why'),
}
SECONDS = 20
NUMBERS = {'int': ctypes.c_int, 'int32_t': ctypes.c_int32, 'uint32_t': ctypes.c_uint32,
           'uint64_t': ctypes.c_uint64, 'size_t': ctypes.c_size_t, 'double': ctypes.c_double}
RESULTS = {'int': ctypes.c_int, 'uint32_t': ctypes.c_uint32, 'double': ctypes.c_double,
           'void': None}


def functions(source):
    """Yields (name, type of the result, [(type, name) of each parameter])."""
    for header in sorted((source / 'include/kernelsight').glob('*.h')):
        text = COMMENT.sub('', header.read_text())
        for result, name, arguments in API.findall(text):
            parameters = [re.fullmatch(r'(.*?)(\w+)', ' '.join(a.split()))
                          for a in arguments.split(',') if a.strip() != 'void']
            yield name, result.strip(), [(p[1].strip(), p[2]) for p in parameters]


def is_pointer(kind):
    return '*' in kind or kind.endswith('_fn')


class Arguments:
    """Valid arguments, made in the child."""
    def __init__(self, library):
        self.library, self.keep = library, []
        self.ks, self.reader = ctypes.c_void_p(), ctypes.c_void_p()
        library.ks_open(None, ctypes.byref(self.ks))
        library.ks_reader_new(self.ks, 0, None, ctypes.byref(self.reader))
        self.switch_on()

    def switch_on(self):
        """Enables the probe, named in calls without a pointer, on files: quickly, and without privileges."""
        variant = ctypes.create_string_buffer(b'procfs')
        opts = struct.pack('<QIIQQ', 32, 0, 0, 0, ctypes.addressof(variant))
        self.library.ks_enable_probe(self.ks, 1, opts)

    def pointer(self, kind, name):
        if kind == 'struct ks *':
            return self.ks
        if kind == 'struct ks_reader *':
            return self.reader
        if kind == 'ks_event_fn':
            function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
                lambda event, user: 0)
            self.keep.append(function)
            return function
        memory = ctypes.create_string_buffer(8192)
        self.keep.append(memory)
        if kind == 'const char *':
            memory.raw = b'proc'.ljust(8192, b'\0')
        elif kind.startswith(('struct', 'const struct')) and 'ks_event' not in kind:
            # every struct begins with its size, except the frozen ones
            if 'ks_hist' not in kind and 'ks_param ' not in kind:
                struct.pack_into('<Q', memory, 0, 24 if name == 'opts' else 8192)
        return memory

    def values(self, parameters, null):
        for index, (kind, name) in enumerate(parameters):
            if not is_pointer(kind):
                wide = name in ('size', 'why_size', 'buf_size')
                yield NUMBERS[kind](8192 if wide else 0 if kind in ('int', 'double') else 1)
            else:
                yield None if index in null else self.pointer(kind, name)


def call(shared, name, result, parameters, null):
    """Makes the call in a child. Returns (exit status, result as text)."""
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(SECONDS)
        library = ctypes.CDLL(shared)
        arguments = list(Arguments(library).values(parameters, null))
        function = getattr(library, name)
        function.restype = RESULTS.get(result, ctypes.c_void_p)
        os.write(into, repr(function(*arguments)).encode())
        os._exit(0)
    os.close(into)
    with open(out, 'rb') as file:
        text = file.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def is_refused(result, text):
    if result == 'int':
        return int(text) in (-errno.EINVAL, -errno.ENOENT)
    return result == 'void' or text == 'None' or (result == 'double' and math.isnan(float(text)))


def check(shared, name, result, parameters):
    pointers = [i for i, (kind, _) in enumerate(parameters) if is_pointer(kind)]
    for null in [[i] for i in pointers] + [pointers]:
        names = [parameters[i][1] for i in null]
        status, text = call(shared, name, result, parameters, null)
        if status:
            yield f'{name}: {", ".join(names)} NULL: status {status}'
        elif any((name, n) not in MAY_BE_NULL for n in names) and not is_refused(result, text):
            yield f'{name}: {", ".join(names)} NULL: {text}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--shared', required=True)
    args = parser.parse_args()
    found = list(functions(args.source))
    tap.ok(len(found) > 40, 'null/functions', f'{len(found)}')
    for name, result, parameters in found:
        if any(is_pointer(kind) for kind, _ in parameters):
            wrong = list(check(args.shared, name, result, parameters))
            tap.ok(not wrong, f'null/{name}', wrong)
    tap.done()


if __name__ == '__main__':
    main()
