/* SPDX-License-Identifier: BSD-2-Clause */
/* api.h - what the files of lib/api share */
#ifndef KS_API_PRIVATE_H
#define KS_API_PRIVATE_H

#include <errno.h>

#include "../ks.h"

/* handle.c */
void ks__core_unref(struct ks__core *core);
void ks__close_now(struct ks *ks);

/* probe.c */
void ks__settings_defaults(const struct ks__probe *probe, struct ks__settings *ret);
/* The slot of a probe, or NULL after a ks__fail(). */
struct ks__slot *ks__slot(struct ks *ks, uint32_t probe);
/* What a slot can know: in use, or expected. Cheap. */
uint64_t ks__slot_valid(struct ks *ks, struct ks__slot *slot);

/* stats.c */
/* Books of all sources that ever served the probe. idle: as in source.h. */
void ks__book(struct ks *ks, uint32_t probe, int idle, struct ks__book *ret);

/* event.c: be the consumer, without waiting: 1, or 0 if somebody else is. */
int ks__consumer_try(struct ks *ks);
void ks__consumer_done(struct ks *ks);

static inline void ks__restore_errno(const int *saved)
{
	errno = *saved;
}

/* First line of a public function: keeps errno, checks the argument, knows a forked child. */
#define KS__ENTER(ks)                                                                              \
	__attribute__((cleanup(ks__restore_errno))) int saved_errno = errno;                       \
	if (!(ks))                                                                                 \
		return -EINVAL;                                                                    \
	if (ks__forked((ks)->core))                                                                \
	return -KS_EFORKED

#endif
