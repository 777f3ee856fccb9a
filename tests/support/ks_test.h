/* SPDX-License-Identifier: BSD-2-Clause */
/* ks_test.h - additions to GLib's GTest for every test program */
#ifndef KS_TEST_H
#define KS_TEST_H

#include <glib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kernelsight/kernelsight.h>

/*
 * Runs the rest of the program in a child. When the child ends, also by a failed assertion, the
 * parent kills whatever the child left running.
 */
void ks_test_guard(void);

/*
 * Use it in place of g_test_init(). With --require-root a test fails where it would skip for want
 * of root.
 */
static inline void ks_test_init(int *argc, char ***argv)
{
	int i, n = 0;

	for (i = 0; i < *argc; i++) {
		if (i > 0 && !strcmp((*argv)[i], "--require-root"))
			g_setenv("KS_REQUIRE_ROOT", "1", TRUE);
		else
			(*argv)[n++] = (*argv)[i];
	}
	*argc = n;
	(*argv)[n] = NULL;
	ks_test_guard();
	g_test_init(argc, argv, NULL);
}

/* Skips the test for this reason, or fails it if root was promised. */
static inline void ks_test_skip_root(const char *reason)
{
	if (g_strcmp0(g_getenv("KS_REQUIRE_ROOT"), "1") == 0)
		g_error("%s, and root is required", reason);
	g_test_skip(reason);
}

/* Each test that needs root begins with: if (!ks_test_root()) return; */
static inline int ks_test_root(void)
{
	if (geteuid() == 0)
		return 1;
	ks_test_skip_root("not root");
	return 0;
}

/* KS_TEST_SCALE: factor for the volume of a test; 1 if not set. */
static inline double ks_test_scale(void)
{
	const char *scale = g_getenv("KS_TEST_SCALE");

	return scale ? g_ascii_strtod(scale, NULL) : 1;
}

/*
 * Time limit for a loop whose turns may take a thousand times as long on a busy machine: such a
 * loop makes as many turns as fit.
 */
#define KS_TEST_LONG_US (40 * G_USEC_PER_SEC)

/*
 * Returns n, scaled for this machine and build, but at least `least`: fewer would not show the
 * point.
 */
static inline unsigned ks_test_volume(unsigned n, unsigned least)
{
	return MAX((unsigned)(n * ks_test_scale()), least);
}

/*
 * Asserts that a function keeps no memory. The first runs fill the caches of malloc(), which have
 * room for seven pieces of each size; later ones must not add to them.
 */
static inline void ks_test_no_leak(void (*play)(void *user), void *user)
{
#ifdef __GLIBC__
	size_t before = 0, after = 0;

	for (unsigned turn = 0; turn < 12; turn++) {
		before = after;
		play(user);
		after = mallinfo2().uordblks;
	}
	g_assert_cmpuint(after, ==, before);
#else
	play(user);
#endif
}

/*
 * Repeats a test that can fail because the machine took CPUs or memory away. Each round asserts the
 * same: a real fault fails all of them. play() returns what was wrong (g_free()d here), or NULL.
 */
#define KS_TEST_ROUNDS 5

static inline void ks_test_rounds(char *(*play)(void *user), void *user)
{
	for (unsigned round = 1;; round++) {
		char *wrong = play(user);

		if (!wrong)
			return;
		if (round == KS_TEST_ROUNDS)
			g_error("%s, in %u rounds", wrong, round);
		g_test_message("round %u: %s", round, wrong);
		g_free(wrong);
	}
}

/* Returns NULL if the number lies from `least` to `most`, else a text that says what is wrong. */
static inline char *ks_test_outside(const char *name, uint64_t is, uint64_t least, uint64_t most)
{
	if (is >= least && is <= most)
		return NULL;
	return g_strdup_printf("%s is %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT
			       " to %" G_GUINT64_FORMAT,
			       name, is, least, most);
}

/* Asserts a return code. A failure shows both codes by name. */
#define ks_assert_rc(call, want)                                                                   \
	do {                                                                                       \
		int ks_rc_ = (call), ks_want_ = (want);                                            \
		if (ks_rc_ != ks_want_)                                                            \
			g_error("%s:%d: %s gives %d (%s), not %d (%s)", __FILE__, __LINE__, #call, \
				ks_rc_, ks_rc_ < 0 ? ks_error_name(ks_rc_) : "-", ks_want_,        \
				ks_want_ < 0 ? ks_error_name(ks_want_) : "-");                     \
	} while (0)

/* Asserts success of a function of a handle. A failure shows the handle's last error. */
#define ks_assert_ok(ks, call)                                                                    \
	do {                                                                                      \
		int ks_rc_ = (call);                                                              \
		char ks_why_[400] = "";                                                           \
		if (ks_rc_ < 0) {                                                                 \
			ks_last_error(ks, ks_why_, sizeof(ks_why_));                              \
			g_error("%s:%d: %s gives %d (%s): %s", __FILE__, __LINE__, #call, ks_rc_, \
				ks_error_name(ks_rc_), ks_why_);                                  \
		}                                                                                 \
	} while (0)

#endif
