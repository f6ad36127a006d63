/* SPDX-License-Identifier: MIT */
/* event.h - metakernel/run/event.c with one vCPU that is made up: the harness of event_test.c and raise_test.c. */
#ifndef TESTS_UNIT_EVENT_H
#define TESTS_UNIT_EVENT_H

#include "unit.h"

#include <hal/cpu.h>

static uint64_t gs_loaded;

#define hal_wrgsbase(v)	(gs_loaded = (v))
#define hal_read_cr2()	0xc2UL
#include "metakernel/run/event.c"

#define IDT_PA		0x3000UL
#define HANDLER(n)	(0xffffffff81000000UL + (n) * 16)
#define ENTRY(n)	(0xffffffff82000000UL + (n) * 0x1000)
#define TAIL		0xffffffff83000000UL
#define KERNEL_RSP	0xffffc90000003fe8UL

char *unit_arena;
size_t unit_arena_bytes;
static struct partition part;
static struct vcpu vcpu_memory;
static struct vcpu *const v = &vcpu_memory;
static struct keel_vcpu_page *vp;
static struct regs regs;
static unsigned int nfaults, nwakes, nlooks;
static bool frame_ok;
static void *table;

void *unit_pa_to_va(paddr_t pa)
{
	fail_msg("%#lx is no memory", pa);
	abort();
}

paddr_t unit_va_to_pa(const void *va)
{
	return (paddr_t)((const char *)va - unit_arena);
}

void part_fault(struct vcpu *w, const struct regs *r, uint64_t cr2, const char *why)
{
	(void)r, (void)cr2, (void)why;
	assert_ptr_equal(w, v);
	nfaults++;
}

void sched_wake(struct vcpu *w)
{
	assert_ptr_equal(w, v);
	nwakes++;
}

void sched_interrupt(struct vcpu *w)
{
	sched_wake(w);
}

void sched_look_again(void)
{
	nlooks++;
}

bool vcpu_user_frame_ok(const struct vcpu *w, const struct keel_frame *f)
{
	(void)w, (void)f;
	return frame_ok;
}

static void gate(unsigned int vector, uint64_t handler, bool present)
{
	uint64_t *g = (uint64_t *)(unit_arena + IDT_PA) + 2 * vector;

	g[0] = (handler & 0xffff) | 0x110000 | (present ? 0x8eUL << 40 : 0) | (handler >> 16 & 0xffff) << 48;
	g[1] = handler >> 32;
}

static int start(void **state)
{
	(void)state;
	unit_arena_bytes = 2 << 20;
	unit_arena = calloc(1, unit_arena_bytes);
	table = calloc(1, frames_bytes(512));
	vp = unit_copy(&(struct keel_vcpu_page) { 0 }, sizeof(*vp));
	frames_init(table, 512);
	frames_add_ram(0, 512);
	assert_int_equal(frames_claim(IDT_PA >> 12, 1, FRAMES_FREE, FRAMES_PARTITION), 0);
	memset(&part, 0, sizeof(part));
	memset(v, 0, sizeof(*v));
	part.owner = FRAMES_PARTITION;
	v->part = &part;
	v->vp = vp;
	v->idt_pa = IDT_PA;
	v->idt_limit = 4095;
	for (unsigned int n = 0; n < 256; n++)
		gate(n, HANDLER(n), true);
	for (unsigned int n = 0; n < KEEL_ENTRY_NR; n++)
		v->entry[n] = ENTRY(n);
	v->entry[KEEL_ENTRY_TAIL_TEST] = TAIL;
	v->entry[KEEL_ENTRY_TAIL_POP] = TAIL + 20;
	v->entry[KEEL_ENTRY_TAIL_SKIP] = TAIL + 21;
	v->entry[KEEL_ENTRY_TAIL_IRET] = TAIL + 25;
	for (size_t i = 0; i < sizeof(regs) / 8; i++)
		((uint64_t *)&regs)[i] = 0x1111111111111111UL * (i % 15 + 1);
	regs.cs = KEEL_CS_RING1;
	regs.ss = KEEL_SS_RING1;
	regs.rip = 0xffffffff81234567;
	regs.rsp = KERNEL_RSP;
	regs.rflags = 0x246;
	nfaults = nwakes = nlooks = 0;
	frame_ok = true;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(unit_arena);
	free(table);
	unit_free(vp, sizeof(*vp));
	return 0;
}

static void in_user(void)
{
	regs.cs = KEEL_CS_USER;
	regs.ss = KEEL_SS_USER;
	regs.rip = 0x401234;
	regs.rsp = 0x7ffffffffff1;
}

#endif
