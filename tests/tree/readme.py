# SPDX-License-Identifier: BSD-2-Clause
"""readme.py SOURCE BUILD. Shows that each command of README.md does what it says on a machine with no more
than `scripts/deps build` installs, without GLib, with an empty home and no cache. The host in C builds
and links with the installed library, the command runs, the demonstration shows events. The build is
reproducible: the same sources in another folder, with other options for tests, give the same bytes."""
import filecmp
import os
import subprocess
import sys
from pathlib import Path

import commands
import tap
from tree_copy import Copy


def paths_of_pkg_config():
    return subprocess.run(['pkg-config', '--variable', 'pc_path', 'pkg-config'], check=True,
                          capture_output=True, text=True).stdout.strip().split(':')


def without_glib(folder):
    """Makes a folder for pkg-config: all that it knows here except GLib, and what is installed below
    /usr/local."""
    folder.mkdir()
    paths = paths_of_pkg_config()
    for path in reversed([path for path in paths if not path.startswith('/usr/local')]):
        for file in Path(path).glob('*.pc'):
            if not file.name.startswith(('glib', 'gobject', 'gio', 'gmodule', 'gthread')):
                (folder / file.name).unlink(missing_ok=True)
                (folder / file.name).symlink_to(file)
    return ':'.join([path for path in paths if path.startswith('/usr/local')] + [str(folder)])


def prepare(copy):
    """Writes the files that README's lines use. Returns the environment for them."""
    readme = (copy.tree / 'README.md').read_text()
    (copy.tree / 'host.c').write_text(readme.split('```c\n')[1].split('```')[0])
    (copy.tree / 'Makefile').write_text('all:\n\t@true\n')
    copy.install_in(copy.folder / 'local')
    return {'PKG_CONFIG_LIBDIR': without_glib(copy.folder / 'pc'),
            'PATH': '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'}


def check_same_bytes(copy, build):
    if not (Path(build) / 'meson-info/intro-buildoptions.json').exists():
        return
    for name in ('libkernelsight.so.0.1.0', 'libkernelsight.a'):
        mine, other = copy.tree / 'build/lib' / name, Path(build) / 'lib' / name
        if not other.exists():
            tap.skip(f'same bytes/{name}', 'the build has none')
            continue
        tap.ok(filecmp.cmp(mine, other, shallow=False), f'same bytes/{name}', f'cmp {mine} {other}')
        text = mine.read_bytes()
        tap.ok(str(copy.folder).encode() not in text, f'no path of the build/{name}')


def main():
    source, build = sys.argv[1:]
    if os.geteuid():
        tap.skip('readme', 'needs root: it installs, in a folder that is /usr/local for it alone')
        tap.done()
    with Copy(source) as copy:
        environment = prepare(copy)
        tap.ok(copy.run('pkg-config --exists glib-2.0', **environment)[0], 'GLib is not to be seen')
        commands.check_document(copy, 'README.md', **environment)
        copy.check('timeout -s INT 2 ./a.out', 'the host in README.md runs', good=(124, 130), **environment,
                   LD_LIBRARY_PATH=':'.join(str(path) for path in (copy.folder / 'local/lib').glob('*')))
        check_same_bytes(copy, build)
    tap.done()


main()
