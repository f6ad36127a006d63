/* SPDX-License-Identifier: MIT */
/*
 * device.h - parts of the devices that who holds them hands to others: ranges of ports, interrupts.
 *
 * Locks:   LOCK_LIFE, the caller's; device_ports() and device_irq() need none.
 */
#ifndef METAKERNEL_PART_DEVICE_H
#define METAKERNEL_PART_DEVICE_H

#include "part/part.h"

/* KEEL_HC_DEVICE_MAKE, of ports that may be given -> a handle of p's, or -KEEL_E*; -KEEL_EAGAIN: the same call again. */
int device_make(struct partition *p, uint64_t type, uint64_t first, uint64_t n);
/* This handle, which leads to part i, is void: if it is who made that one's, the part is no more. */
void device_end(unsigned int i, const struct partition *p, unsigned int handle);
void device_name(unsigned int i, char name[KEEL_NAME_LEN]);
/* Has p a handle of ports among which these are? */
bool device_ports(const struct partition *p, uint16_t port, unsigned int size);
/* An interrupt has come to this CPU: true, it was others' than the holder's, and they know. */
bool device_irq(unsigned int vector);
int device_irq_done(const struct partition *p, uint64_t handle);	/* KEEL_HC_IRQ_DONE */

#endif
