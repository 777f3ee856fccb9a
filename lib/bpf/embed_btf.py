#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes a C file with BTF of some kernels, cut down to the types that programs use; see types.h.

    embed_btf.py OUT BPFTOOL OBJECT [RELEASE.btf...]
"""
import pathlib
import subprocess
import sys
import tempfile


def least(bpftool, program_object, btf):
    """Returns BTF with only the types that the programs' relocations name."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / 'out'
        subprocess.run([bpftool, 'gen', 'min_core_btf', btf, out, program_object], check=True)
        return out.read_bytes()


def main():
    out, bpftool, program_object, *files = sys.argv[1:]
    arrays, rows = [], []
    for i, file in enumerate(map(pathlib.Path, files)):
        data = ', '.join(map(str, least(bpftool, program_object, file)))
        arrays.append(f'static const unsigned char btf_{i}[] __attribute__((aligned(8))) = {{ {data} }};')
        rows.append(f'\t{{ "{file.name.removesuffix(".btf")}", btf_{i}, sizeof(btf_{i}) }},')
    pathlib.Path(out).write_text('\n'.join([
        '#include "bpf/types.h"', *arrays, 'const struct ks__types_builtin ks__types_builtin[] = {',
        *rows, '\t{ 0 },', '};', '']))


main()
