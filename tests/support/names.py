#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""names.py BUILD NAME: prints "SUITE TEST" for each test of the build with this name, alone ("sched") or
with its suite ("probes-sched"). If there is none, prints the closest names."""
import difflib
import json
import sys
from pathlib import Path


def tests(build):
    """Yields (suite, name) of all tests."""
    for test in json.loads((Path(build) / 'meson-info/intro-tests.json').read_text()):
        yield test['suite'][0].split(':')[-1], test['name']


def called(known, name):
    return [(suite, test) for suite, test in known if name in (test, f'{suite}-{test}')]


def near(known, name):
    words = {test: f'{suite}-{test}' for suite, test in known}
    words.update({f'{suite}-{test}': f'{suite}-{test}' for suite, test in known})
    found = [full for full in words.values() if name in full]
    found += [words[word] for word in difflib.get_close_matches(name, words, n=6)]
    return sorted(set(found))


def main():
    known = sorted(set(tests(sys.argv[1])))
    found = called(known, sys.argv[2])
    for suite, test in found:
        print(suite, test)
    if not found:
        others = near(known, sys.argv[2]) or sorted({suite for suite, _ in known})
        sys.exit(f'no suite, build or test is called {sys.argv[2]}; there are {" ".join(others)}')


if __name__ == '__main__':
    main()
