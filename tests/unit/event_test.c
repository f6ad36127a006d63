// SPDX-License-Identifier: MIT
/*
 * Property: an event reaches ring 1 by the entry points and the gates it registered, with the interrupted
 * frame in the vCPU page and virtual IF 0; in the return tail RIP moves to the right fix-up, and nothing
 * else; a partition without a way to take an event is ended, once.
 * Failure looks like: a register, a word of the vCPU page or the count of faults that is not as expected.
 */
#include "event.h"

static void waits_for_virtual_if(void **state)
{
	struct regs before = regs;

	(void)state;
	event_deliver(v, &regs);
	assert_int_equal(vp->pending, 0);
	event_vector(v, 0x40);
	assert_int_equal(nwakes, 1);
	event_deliver(v, &regs);
	assert_int_equal(vp->pending, 1);
	assert_memory_equal(&regs, &before, sizeof(regs));
	assert_true(event_waiting(v));
	vp->flags = 0x200;
	event_deliver(v, &regs);
	assert_int_equal(vp->pending, 0);
	assert_int_equal(vp->flags, 0);
	assert_int_equal(regs.rip, ENTRY(KEEL_ENTRY_EVENT_KERNEL));
	assert_int_equal(regs.rsp, KERNEL_RSP & ~15UL);
	assert_int_equal(vp->event.handler, HANDLER(0x40));
	assert_int_equal(vp->event.vector, 0x40);
	assert_int_equal(vp->event.frame.rip, before.rip);
	assert_int_equal(vp->event.frame.rsp, before.rsp);
	assert_int_equal(vp->event.frame.rflags, 0x246);	/* IF as virtual IF was */
	assert_false(event_waiting(v));
	regs.rip = before.rip;
	event_exception(v, &regs, 6, EV_NO_ERROR);
	assert_int_equal(vp->event.frame.rflags & 0x200, 0);	/* and here it is 0 */
}

static void the_highest_vector_goes_first(void **state)
{
	static const unsigned int vectors[] = { 0x3f, 0x40, 0x20, 0xf7, 0x80, 0xef, 0x7f, 0xbf };
	unsigned int last = 256;

	(void)state;
	for (size_t i = 0; i < NELEM(vectors); i++)
		event_vector(v, vectors[i]);
	for (size_t i = 0; i < NELEM(vectors); i++) {
		in_user();
		event_deliver(v, &regs);
		assert_true(vp->event.vector < last);
		last = (unsigned int)vp->event.vector;
		assert_int_equal(vp->pending, i + 1 < NELEM(vectors));
	}
	assert_int_equal(last, 0x20);
}

static void from_ring_3_nothing_masks(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 22; bit++) {
		in_user();
		regs.rflags = 1UL << bit | 2;
		event_vector(v, 0x55);
		event_deliver(v, &regs);
		assert_int_equal(regs.rip, ENTRY(KEEL_ENTRY_EVENT_USER));
		assert_int_equal(regs.cs, KEEL_CS_RING1);
		assert_int_equal(regs.ss, KEEL_SS_RING1);
		assert_int_equal(regs.rsp, KEEL_VCPU_VA + KEEL_VP_SIZE);
		assert_int_equal(regs.rflags & (RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_RF |
						RFLAGS_IOPL | RFLAGS_VM), 0);
		assert_int_equal(regs.rflags & RFLAGS_IF, RFLAGS_IF);
		assert_int_equal(vp->event.frame.rip, 0x401234);
		assert_int_equal(vp->event.frame.cs, KEEL_CS_USER);
		assert_int_equal(vp->event.frame.rsp, 0x7ffffffffff1);
		assert_int_equal(vp->event.frame.ss, KEEL_SS_USER);
		assert_int_equal(vp->event.frame.rflags, (1UL << bit | 2) | RFLAGS_IF);
	}
}

/* Each address in and around the tail. */
static void the_tail_only_moves_rip(void **state)
{
	(void)state;
	for (uint64_t rip = TAIL - 4; rip < TAIL + 30; rip++) {
		struct regs want;

		regs.rip = rip;
		want = regs;
		if (rip >= TAIL && rip < TAIL + 20)
			want.rip = TAIL;
		else if (rip == TAIL + 20)
			want.rip = ENTRY(KEEL_ENTRY_FIX_POP);
		else if (rip >= TAIL + 21 && rip < TAIL + 25)
			want.rip = ENTRY(KEEL_ENTRY_FIX_SKIP);
		else if (rip == TAIL + 25)
			want.rip = ENTRY(KEEL_ENTRY_FIX_IRET);
		event_vector(v, 0x55);
		event_deliver(v, &regs);
		assert_memory_equal(&regs, &want, sizeof(regs));
		assert_int_equal(vp->pending, 1);
	}
	v->entry[KEEL_ENTRY_TAIL_IRET] = 0;
	regs.rip = TAIL + 5;
	event_deliver(v, &regs);
	assert_int_equal(regs.rip, TAIL + 5);
	/* in ring 3 the same addresses mean nothing */
	v->entry[KEEL_ENTRY_TAIL_IRET] = TAIL + 25;
	in_user();
	regs.rip = TAIL + 5;
	event_deliver(v, &regs);
	assert_int_equal(vp->event.frame.rip, TAIL + 5);
	assert_int_equal(nfaults, 0);
}

static void a_fault_of_the_iretq_is_the_users(void **state)
{
	struct regs before;

	(void)state;
	regs.rip = TAIL + 25;
	before = regs;
	event_exception(v, &regs, 13, 0x30);
	before.rip = ENTRY(KEEL_ENTRY_BAD_IRET);
	assert_memory_equal(&regs, &before, sizeof(regs));
	assert_int_equal(vp->event.handler, HANDLER(13));
	assert_int_equal(vp->event.vector, 13 | KEEL_EV_HAS_ERROR);
	assert_int_equal(vp->event.error, 0x30);
	in_user();		/* not from ring 3 */
	regs.rip = TAIL + 25;
	event_exception(v, &regs, 13, 0x30);
	assert_int_equal(regs.rip, ENTRY(KEEL_ENTRY_EVENT_USER));
	v->entry[KEEL_ENTRY_BAD_IRET] = 0;
	regs.cs = KEEL_CS_RING1;
	regs.rip = TAIL + 25;
	event_exception(v, &regs, 13, 0x30);
	assert_int_equal(nfaults, 1);
}

static void error_codes_are_marked(void **state)
{
	(void)state;
	event_exception(v, &regs, 14, 0);
	assert_int_equal(vp->event.vector, 14 | KEEL_EV_HAS_ERROR);
	assert_int_equal(vp->event.error, 0);
	vp->event.error = 7;
	in_user();
	event_exception(v, &regs, 6, EV_NO_ERROR);
	assert_int_equal(vp->event.vector, 6);
	assert_int_equal(vp->event.error, 0);
	assert_int_equal(v->stats[KEEL_STAT_PF_GUEST], 1);
	assert_int_equal(v->stats[KEEL_STAT_EXC], 1);
}

static void without_a_usable_gate_the_partition_ends(void **state)
{
	static const uint64_t odd[] = { 0x0000800000000000, 0xffff7fffffffffff, 0x8000000000000000, 0 };
	struct regs before;

	(void)state;
	for (unsigned int how = 0; how < 8; how++) {
		stop(NULL);
		start(NULL);
		before = regs;
		switch (how) {
		case 0: gate(6, HANDLER(6), false); break;
		case 1: v->idt_limit = 6 * 16 + 14; break;
		case 2: v->idt_pa = 0; break;
		case 3: assert_int_equal(frames_claim(IDT_PA >> 12, 1, FRAMES_PARTITION, FRAMES_PARTITION + 1), 0); break;
		default: gate(6, odd[how - 4], true); break;
		}
		event_exception(v, &regs, 6, EV_NO_ERROR);
		assert_int_equal(nfaults, 1);
		assert_memory_equal(&regs, &before, sizeof(regs));
	}
	stop(NULL);
	start(NULL);
	v->idt_limit = 6 * 16 + 15;	/* just enough */
	event_exception(v, &regs, 6, EV_NO_ERROR);
	assert_int_equal(nfaults, 0);
	v->entry[KEEL_ENTRY_EVENT_KERNEL] = 0;
	regs.rip = 0xffffffff81234567;
	event_exception(v, &regs, 6, EV_NO_ERROR);
	assert_int_equal(nfaults, 1);
}

static void a_stub_that_faults_has_no_stack_left(void **state)
{
	(void)state;
	for (uint64_t off = 0; off < 80; off++) {
		nfaults = 0;
		regs.rip = ENTRY(KEEL_ENTRY_EVENT_KERNEL) + off;
		event_exception(v, &regs, 14, 2);
		assert_int_equal(nfaults, off < 64);
	}
	in_user();
	nfaults = 0;
	regs.rip = ENTRY(KEEL_ENTRY_EVENT_USER);	/* an address of ring 3 that is equal by chance */
	event_exception(v, &regs, 14, 2);
	assert_int_equal(nfaults, 0);
}

static void only_level_triggered_ones_need_an_eoi(void **state)
{
	(void)state;
	event_hold(v, 0x50);
	event_vector(v, 0x51);
	event_vector(v, 0x50);
	in_user();
	event_deliver(v, &regs);
	assert_int_equal(vp->level_isr, 0);
	in_user();
	event_deliver(v, &regs);
	assert_int_equal(vp->level_isr, 1);
	assert_int_equal(event_eoi(v), 0x50);
	assert_int_equal(vp->level_isr, 0);
	assert_int_equal(event_eoi(v), 0);
}

/* Virtual IF does not hold it back; in code that Linux named it does not come, but is looked for again. */
static void an_nmi_comes_where_linux_can_take_it(void **state)
{
	struct regs before = regs;

	(void)state;
	v->entry[KEEL_ENTRY_TEXT_BEGIN] = before.rip - 8;
	v->entry[KEEL_ENTRY_TEXT_END] = before.rip + 1;
	event_vector(v, VEC_NMI);
	event_deliver(v, &regs);
	assert_memory_equal(&regs, &before, sizeof(regs));
	assert_int_equal(nlooks, 1);
	v->entry[KEEL_ENTRY_TEXT_END]--;		/* just behind it */
	event_vector(v, 0xf7);
	event_deliver(v, &regs);			/* before a higher vector, which waits for IF */
	assert_int_equal(regs.rip, ENTRY(KEEL_ENTRY_EVENT_KERNEL));
	assert_int_equal(vp->event.vector, VEC_NMI);
	assert_int_equal(vp->event.frame.rflags & RFLAGS_IF, 0);
	assert_int_equal(vp->pending, 1);
	assert_int_equal(vp->level_isr, 0);
	assert_int_equal(v->stats[KEEL_STAT_NMI], 1);
	assert_int_equal(nlooks, 1);
	/* with virtual IF, and from ring 3, everywhere */
	for (unsigned int user = 0; user < 2; user++) {
		event_vector(v, VEC_NMI);
		regs = before;
		v->entry[KEEL_ENTRY_TEXT_END] = before.rip + 1;
		vp->flags = 0x200;
		if (user)
			in_user();
		event_deliver(v, &regs);
		assert_int_equal(vp->event.vector, VEC_NMI);
	}
	assert_int_equal(nlooks, 1);
}

/* While an NMI has to wait, an interrupt that need not does not wait for it; and alone it is no other vector. */
static void an_nmi_that_waits_is_kept(void **state)
{
	struct regs before = regs;

	(void)state;
	v->entry[KEEL_ENTRY_TEXT_END] = 0;	/* nobody said where it may come: nowhere with IF off */
	event_vector(v, VEC_NMI);
	event_deliver(v, &regs);
	event_deliver(v, &regs);
	assert_memory_equal(&regs, &before, sizeof(regs));
	assert_true(event_waiting(v));
	vp->flags = 0x200;
	event_vector(v, 0x40);
	event_deliver(v, &regs);
	assert_int_equal(vp->event.vector, VEC_NMI);
	regs = before;
	vp->flags = 0x200;
	event_deliver(v, &regs);
	assert_int_equal(vp->event.vector, 0x40);
	assert_false(event_waiting(v));
}

/*
 * The model: lines that may be raised while they are not held, each with a vector of its own, edge vectors
 * that come at any time, and a guest that nests handlers and ends them newest first, as Linux does. What must
 * hold: each line that was raised is delivered and unmasked again, whatever the order.
 */
#define NVECTORS	28
static const uint8_t model_vectors[NVECTORS] = {
	0x21, 0x22, 0x23, 0x30, 0x31, 0x3e, 0x3f, 0x40, 0x41, 0x50, 0x51, 0x5f, 0x60, 0x6e, 0x7e, 0x7f, 0x80,
	0x81, 0x90, 0xa0, 0xa1, 0xb0, 0xbe, 0xbf, 0xc0, 0xc1, 0xe0, 0xef,
};

struct model {
	bool level[NVECTORS], masked[NVECTORS], waiting[NVECTORS];
	unsigned int stack[NVECTORS * 4], depth;	/* handlers that run, the newest last */
	unsigned int raised, delivered, unmasked;
};

static unsigned int model_index(unsigned int vector)
{
	for (unsigned int i = 0; i < NVECTORS; i++)
		if (model_vectors[i] == vector)
			return i;
	fail_msg("vector %#x was never raised", vector);
	return 0;
}

static void model_raise(struct model *m, unsigned int i)
{
	if (m->level[i] && m->masked[i])
		return;
	if (m->level[i]) {
		m->masked[i] = true;
		m->raised++;
		event_hold(v, model_vectors[i]);
	}
	m->waiting[i] = true;
	event_vector(v, model_vectors[i]);
}

static void model_deliver(struct model *m)
{
	unsigned int i;

	if (!any(v->irr) || m->depth == NVECTORS * 4)
		return;
	in_user();
	event_deliver(v, &regs);
	i = model_index(vp->event.vector & 0xff);
	assert_true(m->waiting[i]);
	m->waiting[i] = false;
	m->stack[m->depth++] = i;
	if (m->level[i])
		m->delivered++;
}

static void model_end(struct model *m)
{
	unsigned int i, vector;

	if (!m->depth)
		return;
	i = m->stack[--m->depth];
	assert_true(!m->level[i] || vp->level_isr);
	if (!vp->level_isr)
		return;
	vector = event_eoi(v);
	assert_int_equal(vector, m->level[i] && m->masked[i] ? model_vectors[i] : 0);
	if (vector) {
		m->masked[i] = false;
		m->unmasked++;
	}
}

static void every_line_is_unmasked_whatever_the_order(void **state)
{
	uint64_t seed = 13;

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		struct model m = { 0 };
		unsigned int steps = 300;

		for (unsigned int i = 0; i < NVECTORS; i++)
			m.level[i] = unit_below(&seed, 2);
		while (steps || m.depth || any(v->irr)) {
			uint64_t what = unit_below(&seed, 4);

			if (steps && what == 0)
				model_raise(&m, (unsigned int)unit_below(&seed, NVECTORS));
			else if (any(v->irr) && what < 3 &&
				 (!m.depth || highest(v->irr) > model_vectors[m.stack[m.depth - 1]]))
				model_deliver(&m);	/* a handler is interrupted by higher vectors only */
			else
				model_end(&m);
			steps -= steps ? 1 : 0;
		}
		assert_int_equal(m.delivered, m.raised);
		assert_int_equal(m.unmasked, m.raised);
		assert_int_equal(vp->level_isr, 0);
	}
}

static void iret_takes_the_frame_or_says_whose_fault_it_is(void **state)
{
	struct regs before = regs;

	(void)state;
	vp->iret = (struct keel_frame) { 0x401000, KEEL_CS_USER, 0x3202, 0x7fffffff0000, KEEL_SS_USER };
	vp->ret1 = 77;
	vp->user_gs = 0x7f0000001000;
	vp->flags = 0x200;
	event_iret(v, &regs);
	before.rip = 0x401000;
	before.cs = KEEL_CS_USER;
	before.rflags = 0x3202;		/* vcpu_sanitize() takes care of IOPL */
	before.rsp = 0x7fffffff0000;
	before.ss = KEEL_SS_USER;
	before.rax = 77;
	assert_memory_equal(&regs, &before, sizeof(regs));
	assert_int_equal(vp->flags, 0);
	assert_int_equal(gs_loaded, 0x7f0000001000);
	vp->user_gs = 0x8000000000001000;	/* not canonical: WRGSBASE would fault */
	event_iret(v, &regs);
	assert_int_equal(gs_loaded, 0);
	frame_ok = false;
	regs.cs = KEEL_CS_RING1;
	regs.rsp = KERNEL_RSP;
	event_iret(v, &regs);
	assert_int_equal(regs.rip, ENTRY(KEEL_ENTRY_BAD_IRET));
	assert_int_equal(regs.rsp, KERNEL_RSP);
	assert_int_equal(vp->event.vector, 13 | KEEL_EV_HAS_ERROR);
	assert_int_equal(vp->event.error, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(waits_for_virtual_if),
		T(the_highest_vector_goes_first),
		T(from_ring_3_nothing_masks),
		T(the_tail_only_moves_rip),
		T(a_fault_of_the_iretq_is_the_users),
		T(error_codes_are_marked),
		T(without_a_usable_gate_the_partition_ends),
		T(a_stub_that_faults_has_no_stack_left),
		T(only_level_triggered_ones_need_an_eoi),
		T(an_nmi_comes_where_linux_can_take_it),
		T(an_nmi_that_waits_is_kept),
		T(every_line_is_unmasked_whatever_the_order),
		T(iret_takes_the_frame_or_says_whose_fault_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
