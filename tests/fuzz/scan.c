/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the scan of /proc ends, makes only whole records and counts each event in its ledger,
 * whatever the files say: parents in a circle, numbers of any size, lines cut off.
 */
#include "files/queue.h"
#include "fuzz.h"
#include "support/fake_proc.h"

#define PIDS 6

static int put(const struct ks_event *ev, void *user)
{
	(void)user;
	must(ev->size >= 72 && ev->size <= KS__QUEUE_RECORD_MAX && ev->size % 8 == 0);
	must(ev->flags & KS_FLAG_FALLBACK && ev->cpu == KS_NO_CPU);
	must(memchr(ev->comm, 0, sizeof(ev->comm)));
	return 0;
}

static void change(struct input *in, struct bed *bed, int *there)
{
	unsigned which = below(in, PIDS);
	int pid = 200 + (int)which;
	char comm[8] = "", *text;

	switch (below(in, 4)) {
	case 0:
		memset(comm, 'a' + (int)below(in, 4), below(in, 8));
		show_as(bed, pid, 198 + (int)below(in, PIDS + 2), comm, below(in, 4), below(in, 3),
			(unsigned)take(in, 4), "SZXR"[below(in, 4)], (int)below(in, 3));
		there[which] = 1;
		break;
	case 1:
		if (there[which])
			vanish(bed, pid);
		there[which] = 0;
		break;
	default:
		if (!there[which])
			show(bed, pid, 100, "a", 60, 11, 0);
		there[which] = 1;
		text = take_text(in, 200);
		bed_write(bed, pid, below(in, 4) ? "stat" : "status", text);
		free(text);
	}
}

static void look(struct bed *bed)
{
	struct ks__sink sink = bed_sink(bed, put, NULL);

	must(bed_look(bed) == 0);
	while (bed->s->ops->drain(bed->s, &sink, 16))
		;
	bed_ledger(bed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t kinds[] = { KS_SCOPE_SYSTEM, KS_SCOPE_PIDS, KS_SCOPE_TREE };
	struct input in = { data, data + size };
	struct bed *bed = bed_on();
	int there[PIDS] = { 0 };

	for (unsigned turn = 0; turn < 8 && in.at < in.end; turn++) {
		struct ks__scope scope = { .kind = kinds[below(&in, 3)] };
		int32_t root = 200 + (int32_t)below(&in, PIDS);

		if (scope.kind != KS_SCOPE_SYSTEM)
			scope.pids = &root, scope.n_pids = 1;
		if (below(&in, 2))
			bed_set_scope(bed, &scope);
		for (unsigned n = below(&in, 8); n; n--)
			change(&in, bed, there);
		look(bed);
	}
	look(bed);
	bed_free(bed);
	return 0;
}
