// SPDX-License-Identifier: MIT
/*
 * device.c - parts of the devices that who holds them hands to others: ranges of ports, interrupts.
 *
 * Ports are executed by trap, as the holder's (entry/emul_io.c), so that a handle that is void lets nothing through when every
 * CPU has left the metakernel.
 * An interrupt is its vector on one of the holder's CPUs; it rings all who were given it, and goes on to
 * the holder if none of them is alive. Its line, if it is level-triggered, stays masked until one of them says that it is done.
 *
 * Owns:    the parts, of which MAX_DEVICES exist.
 * Locks:   LOCK_LIFE, the caller's, for changes. Who executes ports looks without, and so does an interrupt, which may still
 *          ring who has just lost it.
 */
#include "part/device.h"
#include "run/cpu.h"
#include "run/irq.h"
#include "lib/printf.h"

#define MAX_DEVICES	32

static struct device {
	uint8_t type;		/* KEEL_CAP_PORTS, KEEL_CAP_IRQ, KEEL_CAP_NONE; written last */
	uint8_t handle;		/* its maker's */
	uint16_t first, last;	/* ports; or vector, and which of cpus[] */
} devices[MAX_DEVICES];
static unsigned int nirqs;	/* an interrupt need not look if there is none */

int device_make(struct partition *p, uint64_t type, uint64_t first, uint64_t n)
{
	struct device *d = devices;
	int handle;

	if (!p->man->devices || !p->man->control)
		return -KEEL_EPERM;
	if (type != KEEL_CAP_PORTS && (type != KEEL_CAP_IRQ || !irq_vector_ok(first) || n >= p->nvcpus))
		return -KEEL_EINVAL;
	if (!cpus_asked(WORK_FORGET))
		return -KEEL_EAGAIN;	/* somebody may still look at the part that was here before */
	while (d < devices + MAX_DEVICES && d->type)
		d++;
	handle = d < devices + MAX_DEVICES ? cap_add(p, (unsigned int)type, KEEL_RIGHT_USE, (unsigned int)(d - devices)) : -KEEL_ENOSPC;
	if (handle < 0)
		return handle;
	d->handle = (uint8_t)handle;
	d->first = (uint16_t)first;
	d->last = (uint16_t)(type == KEEL_CAP_PORTS ? first + n - 1 : p->vcpu[frames_clamp(n, p->nvcpus)].cpu);
	__atomic_store_n(&d->type, (uint8_t)type, __ATOMIC_RELEASE);
	__atomic_fetch_add(&nirqs, type == KEEL_CAP_IRQ, __ATOMIC_RELEASE);
	return handle;
}

void device_end(unsigned int i, const struct partition *p, unsigned int handle)
{
	if (!p->man->devices || devices[i].handle != handle)
		return;
	__atomic_fetch_sub(&nirqs, devices[i].type == KEEL_CAP_IRQ, __ATOMIC_RELAXED);
	__atomic_store_n(&devices[i].type, KEEL_CAP_NONE, __ATOMIC_RELAXED);
}

void device_name(unsigned int i, char name[KEEL_NAME_LEN])
{
	const struct device *d = &devices[i];

	snprintf(name, KEEL_NAME_LEN, d->type == KEEL_CAP_PORTS ? "%#x-%#x" : "vector %#x of CPU %u", d->first, d->last);
}

bool device_ports(const struct partition *p, uint16_t port, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < KEEL_MAX_HANDLES; i++) {
		union cap c = cap_at(p, i);

		if (c.type == KEEL_CAP_PORTS && port >= devices[c.index].first && port + size - 1 <= devices[c.index].last)
			return true;
	}
	return false;
}

bool device_irq(unsigned int vector)
{
	unsigned int i;

	if (!__atomic_load_n(&nirqs, __ATOMIC_ACQUIRE))
		return false;
	for (i = 0; i < MAX_DEVICES; i++)
		if (__atomic_load_n(&devices[i].type, __ATOMIC_ACQUIRE) == KEEL_CAP_IRQ && devices[i].first == vector && devices[i].last == this_cpu->index)
			return cap_ring(KEEL_CAP_IRQ, i);
	return false;
}

int device_irq_done(const struct partition *p, uint64_t handle)
{
	union cap c = part_cap(p, handle, KEEL_CAP_IRQ);

	if (!c.word)
		return -KEEL_EBADF;
	irq_release(devices[c.index].first, cpus[devices[c.index].last]->apic_id);
	return 0;
}
