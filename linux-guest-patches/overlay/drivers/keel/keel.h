/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keel.h - what the files of drivers/keel share.
 */
#ifndef _DRIVERS_KEEL_KEEL_H
#define _DRIVERS_KEEL_KEEL_H

#include <linux/types.h>
#include <asm/keel.h>

/* Called with a non-empty set of event bits, in hard interrupt context. */
struct keel_listener {
	u64	mask;			/* bits of interest */
	void	(*notify)(u64 events);
};

/* At most once per bit, never undone; before the first event or from initcalls. */
void keel_listen(const struct keel_listener *listener);

#endif /* _DRIVERS_KEEL_KEEL_H */
