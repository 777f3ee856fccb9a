# SPDX-License-Identifier: BSD-2-Clause
"""Prints the Test Anything Protocol, for tests that are scripts."""
import sys

_count = 0
_failed = 0


def ok(condition, name, detail=''):
    """Prints one result. The detail (text or a list of lines) is shown if the test failed."""
    global _count, _failed
    _count += 1
    if not condition:
        _failed += 1
        lines = detail.splitlines() if isinstance(detail, str) else detail
        for line in lines:
            print(f'# {line}')
    print(f'{"ok" if condition else "not ok"} {_count} {name}')
    return condition


def skip(name, reason):
    global _count
    _count += 1
    print(f'ok {_count} {name} # SKIP {reason}')


def done():
    """Prints the plan and ends the program."""
    print(f'1..{_count}')
    sys.exit(1 if _failed else 0)
