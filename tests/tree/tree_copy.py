# SPDX-License-Identifier: BSD-2-Clause
"""A copy of the tree as a newcomer has it: files under version control and new ones, in a repository of its
own, with an empty home and nothing built or cached."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap


class Copy:
    def __init__(self, source):
        """Not below /tmp, which may be a memory file system without a page cache."""
        self.folder = Path(tempfile.mkdtemp(prefix='ks-tree-', dir='/var/tmp'))
        self.tree = self.folder / 'kernelsight'
        listed = subprocess.run(['git', '-C', source, 'ls-files', '-co', '--exclude-standard', '-z'],
                                capture_output=True)
        names = listed.stdout.decode().split('\0')[:-1] if listed.returncode == 0 else [
            str(path.relative_to(source)) for path in Path(source).rglob('*')
            if path.is_file() and path.relative_to(source).parts[0] not in ('build', '.git')]
        for name in names:
            if (Path(source) / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(source) / name, self.tree / name)
        self.namespace = []
        (self.folder / 'home').mkdir()
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(('KS_', 'XDG_', 'MESON', 'PKG_CONFIG', 'G_TEST'))}
        self.environment = {**kept, 'HOME': str(self.folder / 'home'), 'GIT_CONFIG_NOSYSTEM': '1'}
        for command in ('git init -q', 'git add -A',
                        'git -c user.name=newcomer -c user.email=newcomer@localhost commit -q -m tree'):
            self.run(command)

    def install_in(self, folder):
        """From now on this folder is /usr/local, for these commands only."""
        folder.mkdir()
        self.namespace = ['unshare', '-m', 'bash', '-c',
                          f'mount --bind "{folder}" /usr/local && exec "$@"', 'bash']

    def run(self, command, *, within='.', seconds=600, endless=0, **environment):
        """Runs a line in a shell. Returns (exit status, output). endless: interrupts it after this many
        seconds."""
        shell = [*self.namespace, 'bash', '-c', command]
        if endless:
            shell = ['timeout', '-k', '60', '-s', 'INT', str(endless)] + shell
        run = subprocess.run(shell, cwd=self.tree / within, env={**self.environment, **environment},
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors='replace', timeout=seconds)
        return run.returncode, run.stdout

    def check(self, command, name=None, *, good=(0,), **how):
        """One result of the test: the line of a shell exits with a good status."""
        status, said = self.run(command, **how)
        return tap.ok(status in good, name or command,
                      [f'exit status {status}', *said.splitlines()[-40:]])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)
