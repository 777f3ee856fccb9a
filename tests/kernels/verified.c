/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that this kernel's verifier accepts each program of each variant, except where the kernel
 * lacks what the variant needs. Prints for each program, best variant first, how many instructions
 * the verifier walked: "program NAME INSTRUCTIONS". Prints the reason of a refusal on standard
 * error.
 *
 * bpf_prog_info has the number only from 5.16 on, but the verifier's log has it everywhere. So each
 * load asks for that log without libbpf's knowledge. Programs that follow trees and threads are
 * loaded by themselves, in the best form that works. To see each form, better ones are refused
 * here.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <unistd.h>

#include <glib.h>

#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>

#include "support/harness.h"
#include "support/on_load.h"

#define LOG_ALL 1   /* in bpf_attr.log_level */
#define LOG_STATS 4 /* totals only */
#define LOG_SIZE ((1u << 24) - 1)
#define LOG_SHOWN 3000
#define PROGRAMS_MAX 4096

static struct {
	__u32 id;
	unsigned instructions;
} verified[PROGRAMS_MAX];
static unsigned n_verified;

#define TYPED (1u << BPF_PROG_TYPE_TRACING)
#define RAW (1u << BPF_PROG_TYPE_RAW_TRACEPOINT)

/* Programs that belong to no probe. */
static const struct follower {
	const char *prefix, *program;
	unsigned refused; /* types of programs to refuse */
} followers[] = {
	{ "tree_", "tree_fork_tp_btf", 0 },
	{ "tree_", "tree_fork_raw_tp", TYPED },
	{ "tree_", "tree_fork_tracepoint", TYPED | RAW },
	{ "thread_", "thread_new_tp_btf", 0 },
	{ "", "thread_new_raw_tp", TYPED }, /* sched uses it with raw_tp only */
};

static void remember(int fd, const char *log)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);
	const char *processed = strstr(log, "processed ");

	if (!processed || bpf_obj_get_info_by_fd(fd, &info, &size))
		return;
	g_assert_cmpuint(n_verified, <, PROGRAMS_MAX);
	verified[n_verified].id = info.id;
	verified[n_verified++].instructions = (unsigned)atoi(processed + strlen("processed "));
}

static long load_logged(union bpf_attr *attr, unsigned attr_size, unsigned level, char *log,
			unsigned size)
{
	__u32 old_level = attr->log_level, old_size = attr->log_size;
	__u64 old_log = attr->log_buf;
	int error;
	long fd;

	log[0] = 0;
	attr->log_level = level;
	attr->log_buf = (uintptr_t)log;
	attr->log_size = size;
	fd = on_load_pass(attr, attr_size);
	error = errno;
	attr->log_level = old_level;
	attr->log_buf = old_log;
	attr->log_size = old_size;
	errno = error;
	return fd;
}

/* Prints the end of the whole log: that is where the reason for a refusal is. */
static void print_refusal(union bpf_attr *attr, unsigned size)
{
	char *log = g_malloc(LOG_SIZE);
	size_t n;

	if (load_logged(attr, size, LOG_ALL, log, LOG_SIZE) < 0) {
		n = strlen(log);
		fprintf(stderr, "---- %s: %s\n%s\n", attr->prog_name, g_strerror(errno),
			n > LOG_SHOWN ? log + n - LOG_SHOWN : log);
	}
	g_free(log);
}

static long load(union bpf_attr *attr, unsigned size)
{
	char log[4096];
	long fd = load_logged(attr, size, LOG_STATS, log, sizeof(log));

	if (fd >= 0) {
		remember((int)fd, log);
		return fd;
	}
	print_refusal(attr, size);
	/* once more for the library, which finds in the log what is missing */
	return on_load_pass(attr, size);
}

static unsigned instructions_of(__u32 id)
{
	for (unsigned i = 0; i < n_verified; i++)
		if (verified[i].id == id)
			return verified[i].instructions;
	g_error("program %u was loaded without a log", id);
}

/*
 * Prints names from ks_explain(), since the kernel cuts them to 15 characters. Returns 1 if
 * `expected` is among them or NULL.
 */
static int print_programs(struct ks *ks, const char *expected)
{
	char *text = kt_explain(ks), *at = text, name[64];
	int is_there = !expected;
	unsigned id;

	while ((at = strstr(at, "{\"name\":\""))) {
		char *end = strchr(at, '}'), *found = strstr(at, "\"id\":");

		if (found && found < end && sscanf(at, "{\"name\":\"%63[^\"]", name) == 1 &&
		    sscanf(found, "\"id\":%u", &id) == 1) {
			printf("program %s %u\n", name, instructions_of(id));
			is_there |= !g_strcmp0(name, expected);
		}
		at = end;
	}
	g_free(text);
	return is_there;
}

/* Returns 1 if the variant loads, or is refused for a right reason. */
static int load_variant(uint32_t probe, const char *variant)
{
	struct ks_open_opts open_opts = { .size = sizeof(open_opts) };
	struct ks_enable_opts opts = { .size = sizeof(opts),
				       .flags = KS_ENABLE_NO_FALLBACK,
				       .variant = variant };
	char why[400] = "";
	struct ks *ks;
	int rc;

	g_assert_cmpint(ks_open(&open_opts, &ks), ==, 0);
	rc = ks_enable_probe(ks, probe, &opts);
	if (rc >= 0) /* 1: some fields are unknown */
		print_programs(ks, NULL);
	else
		ks_last_error(ks, why, sizeof(why));
	ks_close(ks);
	if (rc >= 0 || (rc == -KS_EUNAVAIL && !kt_must_work(variant, why)))
		return 1;
	fprintf(stderr, "probe %u by %s: %s: %s\n", probe, variant, ks_error_name(rc), why);
	return 0;
}

static int load_follower(const struct follower *follower)
{
	struct ks_open_opts opts = { .size = sizeof(opts) };
	int32_t self = getpid();
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_TREE, .pids = &self, .n_pids = 1
	};
	struct ks *ks;
	int is_there;

	on_load_refuse(follower->prefix, follower->refused);
	g_assert_cmpint(ks_open(&opts, &ks), ==, 0);
	g_assert_cmpint(ks_set_scope(ks, &scope), ==, 0);
	g_assert_cmpint(ks_enable_probe(ks, KS_PROBE_SCHED, NULL), >=, 0);
	is_there = print_programs(ks, follower->program);
	ks_close(ks);
	if (!is_there)
		fprintf(stderr, "%s was not loaded\n", follower->program);
	return is_there;
}

int main(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts) };
	struct ks_probe_desc desc = { .size = sizeof(desc) };
	struct ks_variant_info info = { .size = sizeof(info) };
	unsigned wrong = 0;
	struct ks *ks;

	on_load = load;
	g_assert_cmpint(ks_open(&opts, &ks), ==, 0);
	for (uint32_t i = 0; ks_describe_probe(i, &desc) == 0; i++)
		for (uint32_t v = 0; ks_query_variant(ks, desc.probe, v, &info) == 0; v++)
			if (info.source == KS_SOURCE_BPF)
				wrong += !load_variant(desc.probe, info.name);
	ks_close(ks);
	for (unsigned i = 0; i < G_N_ELEMENTS(followers); i++)
		wrong += !load_follower(&followers[i]);
	if (!n_verified)
		fprintf(stderr, "nothing was verified\n");
	return wrong || !n_verified;
}
