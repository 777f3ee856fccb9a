#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Shows that a guest returns output, status and files, keeps limits, and reports when it died; that the
matrix boots a guest that died once more, counts it as flaky and not as passed; and that its tables are
compared.

    runner.py KERNEL    any kernel of kernels.tsv
"""
import contextlib
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest
import unittest.mock

import matrix
import tables

HERE = pathlib.Path(__file__).resolve().parent
KERNEL = ''


class Guest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.room = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.room.name)
        cls.image = cls.folder / 'image'
        cls.kernel = subprocess.check_output([HERE / 'fetch', KERNEL], text=True).strip()
        subprocess.run([HERE / 'image', cls.image, 'x86_64-linux-gnu', '', '/bin/true'], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.room.cleanup()

    def boot(self, command, *options):
        return subprocess.run([HERE / 'guest', *options, self.kernel, self.image, command],
                              capture_output=True, text=True, check=False)

    def test_status_output_and_files(self):
        files, log = self.folder / 'files', self.folder / 'log'
        done = self.boot('echo said; echo "<1>kernel says" >/dev/kmsg; echo kept >/out/a; exit 7',
                         '-o', files, '-l', log)
        self.assertEqual((done.returncode, done.stdout.replace('\r', '')), (7, 'said\n'))
        with tarfile.open(files, ignore_zeros=True) as archive:
            self.assertEqual(archive.extractfile('./a').read(), b'kept\n')
        self.assertIn('kernel says', log.read_text())

    def test_too_late(self):
        done = self.boot('echo begun; while :; do sleep 1; done', '-t', '15')
        self.assertEqual(done.returncode, 124)
        self.assertIn('not done after 15 s', done.stderr)

    def test_died(self):
        done = self.boot('echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 9')
        self.assertEqual(done.returncode, 125)
        self.assertIn('Kernel panic', done.stderr)

    def test_no_kernel(self):
        done = subprocess.run([HERE / 'guest', '/nonexistent', self.image, 'true'],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 126)
        self.assertIn('no kernel in /nonexistent', done.stderr)


    def test_runs_once_more(self):
        script = '\n'.join([
            matrix.RUN,
            'echo "[ ! -e /tmp/was ] || { echo fine; exit; }; touch /tmp/was; echo bad; false" >/tmp/once',
            'run passes 300 true', 'run once 300 sh /tmp/once',
            'run fails 300 sh -c "echo no; false"', 'run late 0 true'])
        files = self.folder / 'files'
        self.assertEqual(self.boot(script, '-o', files).returncode, 0)
        found = matrix.unpack(files)
        self.assertEqual([found[f'{name}.status'] for name in ('passes', 'once', 'fails', 'late')],
                         ['0\n', '0\n', '1\n', f'{matrix.LATE}\n'])
        self.assertEqual([found[f'{name}.first'] for name in ('passes', 'once', 'fails', 'late')],
                         ['', 'exit status 1\nbad\n', 'exit status 1\nno\n', ''])
        self.assertEqual(found['once.out'], 'fine\n')


class Retry(unittest.TestCase):
    """Tests the matrix with guests that do not run: the test gives their output."""

    def run_matrix(self, *said):
        said = list(said)
        runner = matrix.Matrix({}, 600, '')
        runner.commands['amd64'] = [('one', ['true'])]

        def start(boot, _):
            status, *files = said.pop(0)
            (matrix.RESULTS / boot.name / 'progress').write_text('1.5 one\n')
            with tarfile.open(matrix.RESULTS / boot.name / 'out.tar', 'w') as archive:
                for file in files:
                    path = pathlib.Path(self.room) / file[0]
                    path.write_text(file[1])
                    archive.add(path, file[0])
            return status, 'Kernel panic\n'

        runner.start = start
        with tempfile.TemporaryDirectory() as self.room, \
                unittest.mock.patch.object(matrix, 'RESULTS', pathlib.Path(self.room)):
            shown, *counts = runner.run(matrix.Boot('any', KERNEL, 'amd64', '', '', '', '', ''))
        self.assertEqual(said, [])
        return shown, counts

    PASSED = (0, ('one.status', '0\n'), ('one.out', 'ok 1\n1..1\n'), ('one.err', ''), ('dmesg', ''))
    FAILED = (0, ('one.status', '1\n'), ('one.out', 'not ok 1\n1..1\n'), ('one.err', ''), ('dmesg', ''))

    def test_passed(self):
        self.assertEqual(self.run_matrix(self.PASSED), ('', [2, 0, 0, 0]))

    def test_failed(self):
        shown, counts = self.run_matrix(self.FAILED)
        self.assertEqual(counts, [1, 1, 0, 0])
        self.assertIn('not ok 1', shown)

    def test_failed_once(self):
        shown, counts = self.run_matrix((*self.PASSED, ('one.first', 'not ok 1\n')))
        self.assertEqual(counts, [2, 0, 0, 1])
        self.assertEqual(shown, 'any: flaky: one failed once:\n  not ok 1\n')

    def test_flaky_too_often(self):
        with unittest.mock.patch.object(matrix, 'FLAKES', 1):
            shown, counts = self.run_matrix((*self.PASSED, ('one.first', 'not ok 1\n')))
        self.assertEqual(counts, [2, 1, 0, 1])
        self.assertIn('any: 1 are too many', shown)

    def test_failed_and_not_passed_since(self):
        for status in (77, matrix.LATE):
            shown, counts = self.run_matrix(
                (0, ('one.status', f'{status}\n'), ('one.out', ''), ('one.err', ''), ('dmesg', ''),
                 ('one.first', 'not ok 1\n')))
            self.assertEqual(counts, [1, 1, 0, 0])
            self.assertIn('not ok 1', shown)

    def test_runs_nothing(self):
        runner = matrix.Matrix({}, 600, '')
        runner.commands['amd64'] = [('one', ['true'])]
        boot = matrix.Boot('any', KERNEL, 'amd64', '', '', '', 'one|renamed', '')
        self.assertEqual(runner.idle(boot), ['renamed'])

    def test_complaints(self):
        said = 'watchdog: BUG: soft lockup - CPU#1 stuck\n[1.0] BUG: unable to handle page fault\n'
        self.assertEqual(list(matrix.complaints({'dmesg': said}, 9)), [said.splitlines()[1]])

    def test_died_once(self):
        shown, counts = self.run_matrix((125,), self.PASSED)
        self.assertEqual(counts, [2, 0, 0, 1])
        self.assertIn('any: flaky: the guest died', shown)
        self.assertIn('Kernel panic', shown)

    def test_died_twice(self):
        _, counts = self.run_matrix((125,), (125,))
        self.assertEqual((counts[1], counts[3]), (2, 1))

    def test_late(self):
        late = (0, ('one.status', f'{matrix.LATE}\n'), ('one.out', ''), ('one.err', ''), ('dmesg', ''))
        shown, counts = self.run_matrix(late)
        self.assertEqual(counts, [1, 0, 1, 0])
        self.assertIn('no time was left for one', shown)


class Tables(unittest.TestCase):
    """Results of guests are compared, and missing results as well."""
    ANY = '6.1'

    def compare(self, release, files):
        with tempfile.TemporaryDirectory() as room:
            folder = pathlib.Path(room) / self.ANY
            folder.mkdir()
            tables.keep(folder, release, files)
            return dict(tables.compare([self.ANY], pathlib.Path(room), HERE))

    def test_not_asked(self):
        self.assertEqual(set(self.compare('any', {}).values()), {None})

    def test_silent(self):
        release = tables.read_verifier(HERE)[self.ANY]['release']
        found = self.compare(release, {'list.out': '', 'verified.out': ''})
        self.assertIn('-6.1\tproc\ttp_btf', found[tables.EXPECTED])
        self.assertIn('-proc_exit_tp_btf', found[tables.VERIFIER])

    def test_other_release(self):
        column = tables.read_verifier(HERE)[self.ANY]
        said = ''.join(f'program {program} 1\n' for program in column if program != 'release')
        with contextlib.redirect_stdout(io.StringIO()) as given:
            self.assertEqual(self.compare('another', {'verified.out': said})[tables.VERIFIER], '')
        self.assertIn('+proc_exit_tp_btf\t1', given.getvalue())

    def test_docs(self):
        page = HERE.parent.parent / tables.DOCS
        before = page.read_text()
        given = tables.docs_table(tables.read_lines(HERE / tables.EXPECTED), tables.read_verifier(HERE))
        self.assertEqual(before.partition(tables.BELOW)[2].split('\n'), ['', '', *given, ''])


if __name__ == '__main__':
    KERNEL = sys.argv.pop(1)
    unittest.main()
