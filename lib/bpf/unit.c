/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "config.h"
#include "answer.h"
#include "machine.h"
#include "unit.h"

/* ---- libbpf's process-wide state ------------------------------------------------------------- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

/*
 * Silences libbpf. A static libbpf stays silent. A shared one (-Dlibbpf=shared) may be the host's,
 * too: then a load replaces the host's print callback and restores it afterwards. Two handles that
 * load at once never take quiet() for the host's callback. But messages of the later load may be
 * printed, or messages of the host may be lost during a load.
 */
static libbpf_print_fn_t silence(void)
{
	libbpf_print_fn_t old = libbpf_set_print(quiet);

	return old == quiet || KS_LIBBPF_STATIC ? NULL : old;
}

static void unsilence(libbpf_print_fn_t old)
{
	if (old)
		libbpf_set_print(old);
}

/* A shared libbpf exports it only since 1.2, though older headers declare it; libbpf.a has it. */
extern int libbpf_set_memlock_rlim(size_t bytes) __attribute__((weak));

/*
 * Raises RLIMIT_MEMLOCK if the host allows it, and keeps libbpf from raising it otherwise. Before
 * 5.11 memory of maps and programs counts against that limit, and libbpf raises it unasked, once in
 * a process. Returns 1 if libbpf cannot be kept from that: the caller restores *limit after the
 * load.
 */
static int memlock(struct ks__features *f, struct rlimit *limit)
{
	if (!ks__feature(f, KS__FEATURE_MEMCG) || getrlimit(RLIMIT_MEMLOCK, limit))
		return 0;
	if (f->ks->opts.flags & KS_OPEN_RAISE_MEMLOCK) {
		ks__machine_raise_memlock(f->ks, limit);
		return 0;
	}
	if (!libbpf_set_memlock_rlim)
		return 1;
	libbpf_set_memlock_rlim(0);
	return 0;
}

/* ---- the unit -------------------------------------------------------------------------------- */

/*
 * Maps libbpf's own error codes, from 4000 up, to -ENOMEM. For the embedded object, which is valid,
 * they mean that libelf ran out of memory.
 */
static int as_errno(int code)
{
	return code <= -4000 ? -ENOMEM : code;
}

static struct bpf_object *open_object(const char *types)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ks", .btf_custom_path = types);

	return bpf_object__open_mem(ks__bpf_object, ks__bpf_object_size, &opts);
}

static void say(const struct ks__unit *unit, int error, char *why, size_t size)
{
	if (error == -EPERM || ks__answer(error) != KS__ANSWER_FINAL)
		ks__machine_bpf(unit->features->ks, "loading programs", error, why, size);
	else
		snprintf(why, size, "loading programs failed (%s)", ks_error_name(error));
}

static void say_types(const struct ks__unit *unit, int error, char *why, size_t size)
{
	if (ks__answer(error) != KS__ANSWER_FINAL)
		say(unit, error, why, size);
	else
		snprintf(why, size,
			 "BTF: libbpf reads BTF that is not the kernel's from a memfd by its path "
			 "in /proc/self/fd, and this process cannot open one (%s)",
			 ks_error_name(error));
}

static int load(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
		void *scratch)
{
	int rc = ks__maps_prepare(unit, obj);

	if (!rc)
		rc = ks__programs_prepare(unit, obj, typed, scratch);
	if (rc)
		return rc;
	rc = bpf_object__load(obj);
	if (rc) {
		if (!ks__answer_ends(rc))
			rc = ks__programs_name_refused(unit, obj, scratch, rc);
		return rc;
	}
	rc = ks__programs_keep(unit, obj, typed, scratch);
	if (!rc)
		rc = ks__maps_keep(unit, obj);
	if (rc) {
		ks__maps_drop(unit->maps);
		for (unsigned i = 0; i < unit->n_progs; i++)
			ks__program_close(unit->progs[i], unit->maps->fds);
	}
	return rc;
}

/* Upper bound of the maps that the load creates, with the map of constants. */
static unsigned count_wanted(const struct ks__unit *unit)
{
	unsigned n = 1;

	for (const char *const *const *list = unit->wanted; list && *list; list++)
		for (const char *const *m = *list; *m; m++)
			n++;
	return n;
}

/*
 * Checks that enough descriptors are free for a load. libbpf caches for the life of the process
 * which features the kernel has, and takes a trial that found no free descriptor for a missing
 * feature. A load needs two descriptors for each map and program, since they are duplicated before
 * the object is closed, and some for the trials.
 */
static int spare_descriptors(const struct ks__unit *unit)
{
	unsigned need = 2 * (count_wanted(unit) + unit->n_progs) + 8, n = 0;
	int *fds = malloc(need * sizeof(*fds)), rc = fds ? 0 : -ENOMEM;

	for (; n < need && !rc; n++) {
		fds[n] = ks__fd_copy(unit->features->ks->epoll_fd);
		if (fds[n] < 0) {
			rc = fds[n];
			break;
		}
	}
	while (n)
		close(fds[--n]);
	free(fds);
	return rc;
}

static int has_typed(const struct ks__unit *unit)
{
	uint32_t attach, id;

	for (unsigned i = 0; i < unit->n_progs; i++)
		if (ks__hook_typed(&unit->progs[i]->hook, &unit->features->types, &attach, &id))
			return 1;
	return 0;
}

/*
 * If this library cannot load the typed programs, libbpf tries it. If that fails, too, the
 * verifier's log says why.
 */
static int load_object(const struct ks__unit *unit, const char *types, void *scratch)
{
	int rc, typed = has_typed(unit) ? KS__TYPED_BY_US : KS__TYPED_BY_LIBBPF;
	unsigned tries = 0;

	for (;;) {
		struct bpf_object *obj = open_object(types);

		for (unsigned i = 0; i < unit->n_progs; i++)
			unit->progs[i]->error = 0;
		rc = as_errno(obj ? load(unit, obj, typed, scratch) : -errno);
		bpf_object__close(obj);
		if (ks__answer_again(rc, &tries, KS__TRIES_LOAD))
			continue;
		if (!rc || ks__answer_ends(rc) || typed++ == KS__TYPED_BY_LIBBPF)
			return rc;
	}
}

int ks__unit_load(const struct ks__unit *unit, char *why, size_t size)
{
	KS__SIGNALS_HELD;
	size_t scratch_size = ks__programs_scratch_size(unit);
	int rc = spare_descriptors(unit), types_fd, put_back;
	libbpf_print_fn_t old;
	struct rlimit limit;
	char path[4096];
	void *scratch;

	if (rc) {
		say(unit, rc, why, size);
		return rc;
	}
	scratch = mmap(NULL, scratch_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (scratch == MAP_FAILED)
		return -ENOMEM;
	rc = ks__types_path(&unit->features->types, path, sizeof(path), &types_fd);
	if (rc) {
		say_types(unit, rc, why, size);
		munmap(scratch, scratch_size);
		return rc;
	}
	put_back = memlock(unit->features, &limit);
	old = silence();
	rc = load_object(unit, path, scratch);
	unsilence(old);
	if (put_back)
		setrlimit(RLIMIT_MEMLOCK, &limit);
	if (types_fd >= 0)
		close(types_fd);
	munmap(scratch, scratch_size);
	if (rc)
		say(unit, rc, why, size);
	return rc;
}

/* Announces the kernel types that programs use, without the suffix ___ of a type's version. */
static int announce_types(const struct bpf_object *obj, struct ks__types *types)
{
	const struct btf *btf = bpf_object__btf(obj);
	uint32_t n = btf ? btf__type_cnt(btf) : 0;
	int rc = 0;

	for (uint32_t id = 1; id < n && !rc; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, t->name_off), *flavour;
		char plain[sizeof(((struct ks__btf_ask *)0)->name)];

		if (!btf_is_composite(t) && !btf_is_any_enum(t) && !btf_is_typedef(t))
			continue;
		if (!name || !name[0] || !strncmp(name, "ks_", 3))
			continue;
		flavour = strstr(name, "___");
		snprintf(plain, sizeof(plain), "%.*s",
			 flavour ? (int)(flavour - name) : (int)strlen(name), name);
		rc = ks__types_expect(types, KS__BTF_TYPE, plain);
	}
	return rc;
}

int ks__unit_hooks(struct ks__program *const *progs, unsigned n, struct ks__types *types)
{
	libbpf_print_fn_t old = silence();
	struct bpf_object *obj = open_object(NULL);
	int rc = obj ? 0 : as_errno(-errno);

	for (unsigned i = 0; obj && i < n; i++) {
		const struct bpf_program *prog =
			bpf_object__find_program_by_name(obj, progs[i]->name);

		progs[i]->hook.kind = KS__HOOK_NONE;
		if (prog && ks__hook_parse(bpf_program__section_name(prog), &progs[i]->hook))
			progs[i]->hook.kind = KS__HOOK_NONE;
	}
	if (obj)
		rc = announce_types(obj, types);
	if (!rc)
		rc = ks__programs_expect(types);
	bpf_object__close(obj);
	unsilence(old);
	return rc;
}
