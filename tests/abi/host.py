# SPDX-License-Identifier: BSD-2-Clause
"""Shows that a host in a language without headers needs nothing written by hand: it has every struct, id,
offset and constant from ks_schema(). It opens a handle, sets scope and settings, reads events and rows,
and gets the right values."""
import argparse
import ctypes
import json
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'support'))
import tap

CALLS = 12
OFFSET, LENGTH = -5, 4096  # the kernel takes a negative offset


class Schema:
    def __init__(self, library):
        text = ctypes.create_string_buffer(library.ks_schema(None, 0) + 1)
        library.ks_schema(text, ctypes.c_size_t(len(text)))
        self.document = json.loads(text.value)
        self.structs = {s['name']: s for s in self.document['structs']}
        self.by_id = {s['id']: s for s in self.document['structs']}
        self.probes = {p['name']: p for p in self.document['probes']}
        self.constants = {name: value for e in self.document['enums']
                          for name, value in e['constants'].items()}

    def __getattr__(self, name):
        return self.constants[name]

    def param(self, probe, name):
        return next(p['id'] for p in self.probes[probe]['params'] if p['name'] == name)

    def kind(self, field):
        """Returns the format of one element for Python's struct module, or None."""
        kind = field['kind']
        if kind in (self.KS_KIND_HIST, self.KS_KIND_STRUCT, self.KS_KIND_TEXT):
            return None
        letter = {1: 'B', 2: 'H', 4: 'I', 8: 'Q'}[field['bytes']]
        return '<' + (letter.lower() if field['is_signed'] else letter)

    def get(self, name_or_id, memory, member, at=0):
        """Reads any member of a struct in memory."""
        of = self.structs.get(name_or_id) or self.by_id[name_or_id]
        field = next(f for f in of['fields'] if f['name'] == member)
        at += field['offset']
        if field['kind'] == self.KS_KIND_TEXT:
            return memory[at:at + field['bytes']].split(b'\0')[0].decode()
        if field['kind'] == self.KS_KIND_HIST:
            return {f['name']: self.get('ks_hist', memory, f['name'], at)
                    for f in self.structs['ks_hist']['fields']}
        values = [struct.unpack_from(self.kind(field), memory, at + i * field['bytes'])[0]
                  for i in range(field['count'])]
        return values if field['count'] > 1 else values[0]

    def make(self, name, **members):
        """Makes a struct of the interface with its size set. The caller keeps alive what its pointers refer
        to."""
        memory = ctypes.create_string_buffer(self.structs[name]['bytes'])
        for field in self.structs[name]['fields']:
            value = members.pop(field['name'], len(memory) if field['name'] == 'size' else 0)
            if value:
                struct.pack_into(self.kind(field), memory, field['offset'], value)
        assert not members, members
        return memory


def advise():
    """Makes a known number of calls in a child."""
    pid = os.fork()
    if not pid:
        libc = ctypes.CDLL(None)
        with open('/proc/self/exe', 'rb') as file:
            for _ in range(CALLS):
                libc.posix_fadvise(file.fileno(), ctypes.c_long(OFFSET), ctypes.c_long(LENGTH),
                                   os.POSIX_FADV_RANDOM)
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


class Host:
    def __init__(self, library):
        self.library, self.schema = library, Schema(library)
        self.ks = ctypes.c_void_p()
        opts = self.schema.make('ks_open_opts', flags=self.schema.KS_OPEN_ORDERED)
        self.must(library.ks_open(opts, ctypes.byref(self.ks)))

    def must(self, code):
        text = ctypes.create_string_buffer(400)
        if code < 0 and self.ks:
            self.library.ks_last_error(self.ks, text, ctypes.c_size_t(len(text)))
        assert code >= 0, f'{code} {text.value}'
        return code

    def enable(self):
        """Enables fadvise with a record for each call, for us and our children. Returns why if it cannot."""
        s, kept = self.schema, ctypes.c_int32(os.getpid())
        pids = ctypes.addressof(kept)
        scope = s.make('ks_scope', kind=s.KS_SCOPE_TREE, n_pids=1, pids=pids)
        code = self.library.ks_set_scope(self.ks, scope)
        if code == -s.KS_EUNAVAIL:
            return code
        self.must(code)
        param = s.make('ks_param', id=s.param('fadvise', 'slow_ns'))
        opts = s.make('ks_enable_opts', flags=s.KS_ENABLE_NO_FALLBACK, n_params=1,
                      params=ctypes.addressof(param))
        return self.library.ks_enable_probe(self.ks, s.probes['fadvise']['probe'], opts)

    def events(self):
        """Reads all events that wait."""
        buf = ctypes.create_string_buffer(1 << 16)
        size = ctypes.c_size_t()
        while self.must(self.library.ks_read_events(self.ks, buf, ctypes.c_size_t(len(buf)), 100,
                                                    ctypes.byref(size))):
            at = 0
            while at < size.value:
                yield buf.raw[at:at + self.schema.get('ks_event', buf.raw, 'size', at)]
                at += self.schema.get('ks_event', buf.raw, 'size', at)

    def rows(self, probe):
        """Reads rows by process and the total, as bytes."""
        s, reader = self.schema, ctypes.c_void_p()
        opts = s.make('ks_reader_opts', by=s.KS_BY_TOTAL | s.KS_BY_PROCESS)
        self.must(self.library.ks_reader_new(self.ks, s.probes[probe]['probe'], opts,
                                             ctypes.byref(reader)))
        stats = s.make('ks_stats')
        self.must(self.library.ks_read_stats(reader, stats))
        base, n, step = (s.get('ks_stats', stats.raw, name) for name in ('rows', 'n_rows', 'row_size'))
        found = [ctypes.string_at(base + i * step, step) for i in range(n)]
        self.library.ks_reader_free(reader)
        return found


def check_events(host, pid, events):
    s = host.schema
    call = s.structs['fadvise_call']['id']
    events = [e for e in events
              if s.get('ks_event', e, 'id') == call and s.get('ks_event', e, 'pid') == pid]
    tap.ok(len(events) == CALLS, 'host/events', f'{len(events)}')
    seen = {tuple(s.get(call, e, name) for name in ('offset', 'length', 'advice', 'fd', 'result'))
            for e in events}
    tap.ok(len(seen) == 1 and list(seen)[0][:3] == (OFFSET, LENGTH, s.KS_ADVICE_RANDOM) and
           list(seen)[0][4] == 0, 'host/event', f'{seen}')
    advice = next(f for f in s.by_id[call]['fields'] if f['name'] == 'advice')
    tap.ok(advice['values'][str(s.KS_ADVICE_RANDOM)] == 'random', 'host/value', f'{advice}')
    tap.ok({s.get('ks_event', e, 'comm') for e in events} == {Path('/proc/self/comm').read_text()
                                                              .strip()}, 'host/comm')


def check_rows(host, pid):
    s = host.schema
    rows = host.rows('fadvise')
    by = {key: [r for r in rows if s.get('ks_row', r, 'by') == getattr(s, key)]
          for key in ('KS_BY_TOTAL', 'KS_BY_PROCESS')}
    tap.ok(len(by['KS_BY_TOTAL']) == 1 and
           s.get('fadvise', by['KS_BY_TOTAL'][0], 'calls')[s.KS_ADVICE_RANDOM] == CALLS,
           'host/total', f'{by}')
    own = [r for r in by['KS_BY_PROCESS'] if s.get('ks_row', r, 'key') == pid or
           s.get('ks_row', r, 'flags') & s.KS_ROW_REST]
    tap.ok(sum(s.get('fadvise', r, 'calls')[s.KS_ADVICE_RANDOM] for r in own) == CALLS,
           'host/rows', f'{own}')


def check_info(host):
    """Checks a struct that the library fills, a text in it, and the name of a state."""
    s = host.schema
    info = s.make('ks_probe_info')
    host.must(host.library.ks_query_probe(host.ks, s.probes['proc']['probe'], info))
    tap.ok((s.get('ks_probe_info', info.raw, 'name'), s.get('ks_probe_info', info.raw, 'state')) ==
           ('proc', s.KS_STATE_OFF), 'host/info')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--shared', required=True)
    library = ctypes.CDLL(parser.parse_args().shared)
    host = Host(library)
    check_info(host)
    code = host.enable()
    if code in (-host.schema.KS_EUNAVAIL, -1):
        tap.skip('host/events', 'no kernel programs here')
    else:
        host.must(code)
        pid = advise()
        host.must(library.ks_disable_probe(host.ks, host.schema.probes['fadvise']['probe']))
        check_events(host, pid, list(host.events()))
        check_rows(host, pid)
    library.ks_close(host.ks)
    tap.done()


if __name__ == '__main__':
    main()
