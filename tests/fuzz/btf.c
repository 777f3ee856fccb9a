/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that reading BTF from any file never leaves the file, and gives all answers or a reason;
 * that the part cut out for libbpf is valid; and that libbpf itself reads it and comes to an end.
 */
#include <errno.h>

#include <bpf/btf.h>

#include "bpf/btf_scan.h"
#include "fuzz.h"

static int scan(const char *bytes, size_t size, struct ks__btf_cut *ret_cut)
{
	struct ks__btf_ask asks[] = {
		{ .name = "a", .kind = KS__BTF_EVENT },
		{ .name = "sched_switch", .kind = KS__BTF_EVENT },
		{ .name = "a", .kind = KS__BTF_FUNC },
		{ .name = "a", .kind = KS__BTF_TYPE },
		{ .name = "s", .kind = KS__BTF_TYPE },
	};
	const char *why = NULL;
	int rc = ks__btf_scan(bytes, size, asks, 5, ret_cut, &why);

	must(rc == 0 || ((rc == -EINVAL || rc == -ENOMEM) && why));
	for (unsigned i = 0; i < 5; i++) {
		must(!rc || !asks[i].id);
		must(asks[i].id <= size / 12);
		must(asks[i].args == -1 || (asks[i].id && asks[i].kind == KS__BTF_EVENT));
	}
	return rc;
}

/* libbpf follows typedefs until it finds another type. */
static void give_to_libbpf(const struct ks__btf_cut *cut)
{
	struct btf *btf = btf__new(cut->data, (uint32_t)cut->size);
	uint32_t n;

	must(btf);
	n = btf__type_cnt(btf);
	for (uint32_t id = 1; id < n; id++) {
		btf__resolve_size(btf, id);
		must(btf__resolve_type(btf, id) != -ELOOP);
		must(btf__name_by_offset(btf, btf__type_by_id(btf, id)->name_off));
	}
	btf__free(btf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct ks__btf_cut cut = { 0 };
	char *bytes = take_bytes(&in, 65536, &size);

	if (!scan(bytes, size, &cut) && cut.data) {
		must(!scan(cut.data, cut.size, NULL));
		give_to_libbpf(&cut);
		free(cut.data);
	}
	ks__btf_has_member(bytes, size, "a", "b");
	ks__btf_has_member(bytes, size, "s", "a");
	free(bytes);
	return 0;
}
