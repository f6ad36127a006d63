/* SPDX-License-Identifier: MIT */
/*
 * emul.h - trap-and-emulate of privileged instructions in ring 1.
 */
#ifndef METAKERNEL_ENTRY_EMUL_H
#define METAKERNEL_ENTRY_EMUL_H

#include <hal/acpi.h>
#include "run/vcpu.h"

bool emul_gp(struct vcpu *v, struct regs *r);	/* true: done, false: deliver #GP */
/* A store of ring 1 to what it may not write: true: dropped, false: deliver #GP. */
bool emul_drop_store(struct vcpu *v, struct regs *r, vaddr_t va);
uint32_t emul_port_in(struct vcpu *v, uint16_t port, unsigned int size);
void emul_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value);

/* What ACPI and the chipset add (boot/ports.c). Open: event, timer and GPE registers within power management. */
struct port_range { uint32_t first, last; };
extern struct emul_pm {
	struct port_range closed[16], open[16], sleep[6];
	unsigned int nclosed, nopen, nsleep;
	uint8_t sleep_shift[6];		/* where its SLP_EN is */
} emul_pm;
/* Are all of them what anybody may do anything with? first <= last */
bool emul_ports_pass(uint32_t first, uint32_t last);
/* May a device's ports be there? Nothing of the main board, power management or the metakernel is. */
bool emul_ports_free(uint64_t base, uint64_t bytes);

bool emul_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool emul_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

/* Is this the first time that `key` comes by (as far as a hash tells)? For what is logged once. */
#define EMUL_NAMED	16
static inline bool emul_first(uint64_t named[EMUL_NAMED], uint64_t key)
{
	uint64_t h = (key * 0x9e3779b97f4a7c15) >> 54, bit = 1UL << (h % 64);
	bool first = !(named[h / 64] & bit);

	named[h / 64] |= bit;
	return first;
}

#endif
