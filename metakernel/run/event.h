/* SPDX-License-Identifier: MIT */
/*
 * event.h - exceptions and interrupts into ring 1.
 */
#ifndef METAKERNEL_RUN_EVENT_H
#define METAKERNEL_RUN_EVENT_H

#include "run/vcpu.h"

#define EV_NO_ERROR	UINT64_MAX
#define VEC_NMI		2
#define VEC_GP		13
#define EV_HANDLE	64	/* + a handle, where a bit of vcpu_page.events is asked for: its bit in chan_events */

/* What announces something of the channel with this handle. */
static inline uint16_t event_of_handle(unsigned int handle)
{
	return (uint16_t)(handle < KEEL_EV_DIRECT ? handle : EV_HANDLE + handle);
}

void event_exception(struct vcpu *v, struct regs *r, unsigned int vector, uint64_t error);
void event_vector(struct vcpu *v, unsigned int vector);		/* make pending, wake */
void event_raise(struct vcpu *v, unsigned int bit);		/* vcpu_page.events bit or EV_HANDLE + n, wake */
void event_deliver(struct vcpu *v, struct regs *r);		/* on the way out */
void event_iret(struct vcpu *v, struct regs *r);		/* KEEL_HC_IRET */
/* The line behind this vector is held until its EOI; before event_vector(). */
void event_hold(struct vcpu *v, unsigned int vector);
/* End of the newest interrupt. -> the vector whose line may be unmasked now, 0: none */
unsigned int event_eoi(struct vcpu *v);
bool event_waiting(const struct vcpu *v);

#endif
