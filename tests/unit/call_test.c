// SPDX-License-Identifier: MIT
/*
 * Property: a call reaches a server that waits, and its answer the caller, the same by the fast way as by the usual one, on
 * one CPU or on two; callers are served in the order in which they came; whoever ends in whatever state of a call, nobody
 * waits for it afterwards and nothing points to it; and the fast way changes nothing when something is unusual.
 * Failure looks like: words or a handle that are another's, a caller that sleeps on, a server that answers one who has
 * ended, or a priority that stays.
 */
#define WITH_CALLS
#include "sched_cpus.h"

static uint64_t selectors_now, bases[2];
static void switched(struct vcpu *from, struct vcpu *to);
#define hal_selectors()		selectors_now
#define hal_rdfsbase()		bases[0]
#define hal_rdgsbase()		bases[1]
#define hal_wrfsbase(v)		(bases[0] = (v))
#define hal_wrgsbase(v)		(bases[1] = (v))
#define hal_xswitch(from, to)	switched(from, to)
#include "metakernel/entry/fast.c"

#define HANDLE	1		/* of both clients; the server's are 3 and 4 */
#define OWN	7U		/* the server's own priority */

enum { FAST, USUAL, TWO_CPUS };

struct chan chans[MAX_CHANS];
unsigned int nchans = 2;
struct lock chan_lock = LOCK_INIT(LOCK_CHAN);
static struct regs frames[NVCPUS];
static struct keel_vcpu_page vps[NVCPUS];
static unsigned int nfast;
static struct vcpu *const server = &vcpus[0], *const server2 = &vcpus[1];
static struct vcpu *const a = &vcpus[2], *const a2 = &vcpus[3], *const b = &vcpus[4];

bool shoot_due(const struct vcpu *v) { return v->part->tickets != v->shootdown.obeyed; }

static void switched(struct vcpu *from, struct vcpu *to)
{
	assert_ptr_equal(here->current, from);
	assert_int_equal(has[from->id]--, 1);
	assert_int_equal(has[to->id]++, 0);
	nfast++;
}

static union cap cap_for(unsigned int index, unsigned int rights)
{
	return (union cap) { .type = KEEL_CAP_CHANNEL, .rights = (uint8_t)rights, .index = (uint8_t)index };
}

/* Two vCPUs serve, of two partitions one and two may call. In FAST and USUAL all are on CPU 0. */
static int begin_as(int how)
{
	start(NULL);
	memset(parts, 0, sizeof(parts));
	memset(chans, 0, sizeof(chans));
	memset(vps, 0, sizeof(vps));
	lock_others = how != FAST;
	selectors_now = 0;
	nfast = 0;
	for (unsigned int i = 0; i < 5; i++) {
		struct vcpu *v = add(i, how == TWO_CPUS && i < 2, true, i < 2 ? OWN : (uint8_t)(i + 3));

		v->priority = v->node.priority;
		v->root_pa = i + 1;
		v->part = &parts[i / 2];
		v->regs = &frames[i];
		v->vp = &vps[i];
		v->xstate = v;
		v->special = how != FAST;
		frames[i] = (struct regs) { .cs = KEEL_CS_RING1, .ss = KEEL_SS_RING1, .rflags = 0x246, .rip = 0x400002 };
	}
	for (unsigned int i = 0; i < 3; i++) {
		parts[i].vcpu = parts[i].receiver = &vcpus[2 * i];
		parts[i].nvcpus = i < 2 ? 2 : 1;
		parts[i].alive = true;
	}
	for (unsigned int i = 0; i < 2; i++) {
		chans[i].side[0] = &parts[0];
		chans[i].side[1] = &parts[1 + i];
		chans[i].handle[0] = chans[i].event[0] = (uint16_t)(3 + i);
		chans[i].handle[1] = chans[i].event[1] = HANDLE;
		chans[i].state = KEEL_CHAN_WINDOW | KEEL_CHAN_SERVER_UP;
		parts[0].caps[3 + i] = cap_for(i, KEEL_RIGHT_SERVE);
		parts[1 + i].caps[HANDLE] = cap_for(i, KEEL_RIGHT_USE);
	}
	return 0;
}

static int one_cpu(void **state) { *state = NULL; return begin_as(FAST); }
static int slowly(void **state) { *state = NULL; return begin_as(USUAL); }
static int two_cpus(void **state) { *state = NULL; return begin_as(TWO_CPUS); }

/* What is on its way out of a CPU: who runs there then, 0 if nobody. */
static unsigned int way_out(unsigned int cpu)
{
	here = cpus[cpu];
	here->idle = false;
	if (!here->current)
		cpu_work_here(WORK_RESCHED);
	if (setjmp(idled))
		return 0;
	return (unsigned int)sched_exit();
}

/* Let this one run: others of its CPU sleep, or are below it. */
static void runs(struct vcpu *v)
{
	if (v->state == VCPU_OFF) {
		here = cpus[v->cpu];
		sched_begin(v);
	}
	way_out(v->cpu);
	assert_ptr_equal(cpus[v->cpu]->current, v);
}

/* It makes a call with words that say whose it is and which. */
static void enters(struct vcpu *v, uint64_t nr, uint64_t rdi, uint64_t words)
{
	struct regs *r = v->regs;
	uint64_t root;

	here = cpus[v->cpu];
	assert_ptr_equal(here->current, v);
	*r = (struct regs) { .rax = nr, .rdi = rdi, .rsi = words, .rdx = words + 1, .r10 = words + 2, .r8 = words + 3,
			     .r15 = 15, .cs = r->cs, .ss = r->ss, .rflags = r->rflags, .rip = r->rip };
	root = nr == KEEL_HC_CALL ? fast_call(rdi) : fast_reply_wait(rdi);
	if (root) {
		assert_int_equal(root, here->current->root_pa);
		return;
	}
	call_enter(v, r);
	way_out(v->cpu);
}

static void calls(struct vcpu *v, uint64_t words) { enters(v, KEEL_HC_CALL, HANDLE, words); }
static void answers(struct vcpu *v, uint64_t words) { enters(v, KEEL_HC_REPLY_WAIT, 0, words); }
static void waits_for_calls(struct vcpu *v) { enters(v, KEEL_HC_REPLY_WAIT, KEEL_REPLY_NONE, 0); }

static void got(const struct vcpu *v, int64_t rax, uint64_t words)
{
	const struct regs *r = v->regs;

	assert_int_equal((int64_t)r->rax, rax);
	assert_int_equal(r->rsi, words);
	assert_int_equal(r->rdx, words + 1);
	assert_int_equal(r->r10, words + 2);
	assert_int_equal(r->r8, words + 3);
	assert_int_equal(r->r15, 15);
}

static void end_of(struct vcpu *v)
{
	here = cpus[v->cpu];
	sched_remove(v);
	way_out(v->cpu);
}

static void channel_down(unsigned int i)
{
	lock_take(&chan_lock);
	chans[i].state &= ~(uint32_t)KEEL_CHAN_SERVER_UP;
	call_end(&chans[i], NULL);
	lock_release(&chan_lock);
}

/* The server waits, and this one runs. */
static void ready_to_call(struct vcpu *v)
{
	runs(server);
	waits_for_calls(server);
	assert_int_equal(server->state, VCPU_WAITING);
	runs(v);
}

static void there_and_back(void **state)
{
	(void)state;
	ready_to_call(a);
	for (uint64_t i = 1; i < 4; i++) {
		calls(a, 100 * i);
		assert_int_equal(a->state, VCPU_CALLING);
		way_out(server->cpu);
		assert_ptr_equal(cpus[server->cpu]->current, server);
		got(server, 3, 100 * i);
		assert_int_equal(server->node.priority, a->node.priority);	/* it is a's turn */
		answers(server, 100 * i + 50);
		assert_int_equal(server->state, VCPU_WAITING);
		assert_int_equal(server->node.priority, OWN);
		assert_null(server->caller);
		way_out(a->cpu);
		assert_ptr_equal(cpus[a->cpu]->current, a);
		got(a, 0, 100 * i + 50);
	}
	assert_int_equal(nfast, lock_others ? 0 : 6);
}

static void callers_are_served_in_order(void **state)
{
	(void)state;
	ready_to_call(b);
	calls(b, 300);
	way_out(server->cpu);
	/* The others find it busy: they are above it, on one CPU too. */
	a->node.priority = a2->node.priority = 12;
	runs(a2);
	calls(a2, 200);
	runs(a);
	calls(a, 100);
	way_out(server->cpu);
	got(server, 4, 300);
	answers(server, 350);
	got(server, 3, 200);
	assert_int_equal(server->node.priority, 12);
	got(b, 0, 350);
	answers(server, 250);
	way_out(server->cpu);
	if (cpus[server->cpu]->current != server) {	/* a2 has its priority, and its turn */
		here = cpus[a2->cpu];
		sched_block(a2);
		way_out(server->cpu);
	}
	got(server, 3, 100);
	got(a2, 0, 250);
	answers(server, 150);
	got(a, 0, 150);
	assert_int_equal(server->state, VCPU_WAITING);
}

/* On one CPU the second vCPU of the server must wait, too; on two the first may be in the middle of something. */
static void another_vcpu_takes_a_call(void **state)
{
	(void)state;
	ready_to_call(a);
	runs(server2);
	waits_for_calls(server2);
	runs(a);
	end_of(server);
	calls(a, 100);
	way_out(server2->cpu);
	got(server2, 3, 100);
	answers(server2, 200);
	got(a, 0, 200);
}

static void events_end_a_wait_and_not_a_call(void **state)
{
	(void)state;
	a->node.priority = OWN;			/* it goes on when the server wakes */
	ready_to_call(a);
	sched_wake(server);
	assert_int_equal(vcpu_sleeps(server), false);
	way_out(server->cpu);
	assert_int_equal((int64_t)server->regs->rax, -KEEL_EAGAIN);
	calls(a, 100);
	assert_int_equal(a->state, VCPU_CALLING);
	sched_wake(a);
	sched_interrupt(a);
	assert_int_equal(a->state, VCPU_CALLING);
	way_out(server->cpu);
	waits[server->id] = true;
	waits_for_calls(server);		/* the call is there already, it comes first */
	got(server, 3, 100);
	vps[server->id].events = 1;
	answers(server, 200);			/* and then the event */
	assert_int_equal((int64_t)server->regs->rax, -KEEL_EAGAIN);
	assert_int_equal(server->state == VCPU_WAITING, false);
	assert_null(server->caller);
	way_out(a->cpu);
	got(a, 0, 200);
}

/* ---- Ends --------------------------------------------------------------------------------------------- */

static void a_caller_ends_while_it_is_served(void **state)
{
	(void)state;
	ready_to_call(a);
	calls(a, 100);
	way_out(server->cpu);
	end_of(a);
	assert_null(server->caller);
	assert_int_equal(server->node.priority, OWN);
	answers(server, 150);			/* goes nowhere */
	assert_int_equal(server->state, VCPU_WAITING);
	assert_int_equal(a->state, VCPU_OFF);
	runs(b);
	calls(b, 300);
	way_out(server->cpu);
	got(server, 4, 300);
}

static void a_caller_ends_in_the_queue(void **state)
{
	(void)state;
	a->node.priority = a2->node.priority = 12;
	runs(a);
	calls(a, 100);
	runs(a2);
	calls(a2, 200);
	runs(b);
	calls(b, 300);
	end_of(a2);			/* in the middle */
	assert_ptr_equal(parts[0].callers, a);
	assert_ptr_equal(a->behind, b);
	end_of(b);
	end_of(a);
	assert_null(parts[0].callers);
	runs(server);
	waits_for_calls(server);
	assert_int_equal(server->state, VCPU_WAITING);
}

static void a_server_ends_with_a_call_and_others_wait(void **state)
{
	(void)state;
	ready_to_call(b);
	calls(b, 300);
	way_out(server->cpu);
	a->node.priority = 12;
	runs(a);
	calls(a, 100);
	end_of(server);
	assert_int_equal((int64_t)b->regs->rax, -KEEL_EPIPE);
	assert_int_equal(a->state, VCPU_CALLING);	/* another vCPU may still take it */
	channel_down(0);
	channel_down(1);
	assert_int_equal((int64_t)a->regs->rax, -KEEL_EPIPE);
	way_out(a->cpu);
	assert_int_equal(vcpu_sleeps(a) || vcpu_sleeps(b), false);
	assert_null(parts[0].callers);
}

/* On another CPU, while this one is at its call: what it enters after its end must not leave it in a queue or with a caller. */
static void one_that_has_ended_enters_once_more(void **state)
{
	(void)state;
	runs(a);
	here = cpus[a->cpu];
	sched_remove(a);
	a->regs->rax = KEEL_HC_CALL;
	a->regs->rdi = HANDLE;
	call_enter(a, a->regs);
	assert_null(parts[0].callers);
	assert_int_equal(a->state, VCPU_OFF);
	way_out(a->cpu);
	runs(b);
	calls(b, 300);
	assert_int_equal(b->state, VCPU_CALLING);
	runs(server);
	here = cpus[server->cpu];
	sched_remove(server);
	server->regs->rax = KEEL_HC_REPLY_WAIT;
	server->regs->rdi = 0;
	call_enter(server, server->regs);
	assert_null(server->caller);
	assert_ptr_equal(parts[0].callers, b);
}

static void a_channel_goes_down(void **state)
{
	(void)state;
	ready_to_call(b);
	calls(b, 300);
	way_out(server->cpu);
	a->node.priority = 12;
	runs(a);
	calls(a, 100);
	channel_down(1);
	assert_int_equal((int64_t)b->regs->rax, -KEEL_EPIPE);
	assert_null(server->caller);
	assert_int_equal(server->node.priority, OWN);	/* it may be in a queue */
	assert_int_equal(a->state, VCPU_CALLING);	/* by the other channel */
	channel_down(0);
	assert_int_equal((int64_t)a->regs->rax, -KEEL_EPIPE);
	runs(a);
	calls(a, 100);
	assert_int_equal((int64_t)a->regs->rax, -KEEL_EPIPE);
	assert_int_equal(a->state, VCPU_RUNNING);
}

static void what_is_no_call_is_refused(void **state)
{
	(void)state;
	ready_to_call(a);
	for (uint64_t handle = 0; handle < 70; handle++) {
		if (handle == HANDLE)
			continue;
		enters(a, KEEL_HC_CALL, handle, 5);
		got(a, -KEEL_EBADF, 5);
	}
	enters(a, KEEL_HC_CALL, UINT64_MAX, 5);
	got(a, -KEEL_EBADF, 5);
	calls(a, 100);
	way_out(server->cpu);
	enters(server, KEEL_HC_CALL, 3, 5);		/* its own side */
	got(server, -KEEL_EPERM, 5);
	enters(server, KEEL_HC_REPLY_WAIT, 2, 5);
	got(server, -KEEL_EINVAL, 5);
	waits_for_calls(server);
	got(server, -KEEL_EBUSY, 0);
	assert_ptr_equal(server->caller, a);
	answers(server, 200);
	got(a, 0, 200);
}

/* ---- The fast way -------------------------------------------------------------------------------------- */

static struct vcpu vcpus_before[NVCPUS];
static struct regs frames_before[NVCPUS];
static struct cpu cpu_before;

static void declines(uint64_t (*way)(uint64_t), uint64_t rdi)
{
	memcpy(vcpus_before, vcpus, sizeof(vcpus));
	memcpy(frames_before, frames, sizeof(frames));
	memcpy(&cpu_before, here, sizeof(cpu_before));
	assert_int_equal(way(rdi), 0);
	assert_memory_equal(vcpus_before, vcpus, sizeof(vcpus));
	assert_memory_equal(frames_before, frames, sizeof(frames));
	assert_memory_equal(&cpu_before, here, sizeof(cpu_before));
}

#define UNLESS(lvalue, value)	do {			\
		__typeof__(lvalue) was = (lvalue);	\
		(lvalue) = (value);			\
		declines(way, rdi);			\
		(lvalue) = was;				\
	} while (0)

static void declines_what_is_unusual(uint64_t (*way)(uint64_t), uint64_t rdi, struct vcpu *v, struct vcpu *to)
{
	UNLESS(here->work, WORK_NOTE);
	UNLESS(selectors_now, KEEL_SS_USER);
	UNLESS(v->special, 1);
	UNLESS(to->special, 1);
	UNLESS(to->fs, KEEL_SS_USER);
	UNLESS(to->part->tickets, 1);
	UNLESS(v->regs->cs, KEEL_CS_USER);
	UNLESS(v->regs->ss, 1);
	UNLESS(v->regs->rflags, 0x246 | RFLAGS_VM);
	UNLESS(v->regs->rflags, 0x246 | 0x4000);	/* NT */
	UNLESS(v->regs->rip, 1UL << 47);
}

static void the_fast_way_declines_what_is_unusual(void **state)
{
	uint64_t (*way)(uint64_t) = fast_call, rdi = HANDLE;

	(void)state;
	ready_to_call(a);
	a->regs->rdi = HANDLE;
	declines_what_is_unusual(way, rdi, a, server);
	UNLESS(server->state, VCPU_BLOCKED);
	UNLESS(server->state, VCPU_OFF);
	UNLESS(chans[0].state, KEEL_CHAN_WINDOW | KEEL_CHAN_CLIENT_UP);
	UNLESS(parts[1].caps[HANDLE].rights, KEEL_RIGHT_SERVE);
	UNLESS(parts[1].caps[HANDLE].type, KEEL_CAP_PARTITION);
	declines(way, KEEL_MAX_HANDLES);
	declines(way, UINT64_MAX);
	assert_int_not_equal(fast_call(HANDLE), 0);

	way = fast_reply_wait, rdi = 0;
	declines_what_is_unusual(way, rdi, server, a);
	UNLESS(a->irr[3], 1);
	UNLESS(vps[server->id].events, 1);
	UNLESS(vps[server->id].pending, 1);
	UNLESS(parts[0].callers, b);
	declines(way, KEEL_REPLY_NONE);
	declines(way, 2);
	UNLESS(server->caller, NULL);
	assert_int_not_equal(fast_reply_wait(0), 0);
}

static void a_doorbell_switches_to_who_is_above(void **state)
{
	uint64_t (*way)(uint64_t) = fast_kick, rdi = HANDLE;

	(void)state;
	runs(server);
	sched_block(server);
	way_out(0);
	runs(a);
	sched_begin(b);				/* of b's priority 7: no more than the server's */
	way_out(0);
	assert_ptr_equal(here->current, b);
	sched_block(b);
	way_out(0);
	declines_what_is_unusual(way, rdi, a, server);
	UNLESS(server->state, VCPU_WAITING);
	UNLESS(server->state, VCPU_READY);
	UNLESS(server->node.priority, a->node.priority);
	UNLESS(server->entry[KEEL_ENTRY_EVENT_KERNEL], 0x400000);
	UNLESS(server->irr[0], 1);
	UNLESS(server->regs->rflags, 0x246 | 0x4000);
	UNLESS(server->regs->cs, KEEL_CS_USER);
	UNLESS(here->runq.ready, 1U << OWN);
	UNLESS(parts[1].caps[HANDLE].type, KEEL_CAP_NONE);
	assert_int_equal(vps[server->id].events, 0);
	tsc += 5;
	assert_int_equal(fast_kick(HANDLE), server->root_pa);
	assert_int_equal(vps[server->id].events, 1UL << 3);
	assert_int_equal(a->regs->rax, 0);
	assert_int_equal(a->state, VCPU_READY);
	assert_true(runq_queued(&a->node));
	assert_int_equal(a->ready_since, tsc);
	sched_block(server);
	way_out(0);
	assert_ptr_equal(here->current, a);
}

/* Each tick is somebody's, once. */
static void time_is_counted_for_who_runs(void **state)
{
	(void)state;
	ready_to_call(a);
	a->run_since = tsc;
	a->run_tsc = server->run_tsc = 0;
	tsc += 10;
	calls(a, 1);
	assert_int_equal(a->run_tsc, 10);
	tsc += 100;
	answers(server, 1);
	assert_int_equal(server->run_tsc, 100);
	tsc += 1000;
	calls(a, 1);
	assert_int_equal(a->run_tsc, 1010);
	assert_int_equal(nfast, 3);
}

static void bases_go_along(void **state)
{
	(void)state;
	ready_to_call(a);
	server->fs_base = 0x1111;
	server->gs_base = 0x2222;
	bases[0] = 0x3333;
	bases[1] = 0x4444;
	calls(a, 1);
	assert_int_equal(bases[0], 0x1111);
	assert_int_equal(bases[1], 0x2222);
	answers(server, 1);
	assert_int_equal(bases[0], 0x3333);
	assert_int_equal(bases[1], 0x4444);
	assert_int_equal(nfast, 2);
}

int main(void)
{
#define T(f, how)	{ #f "/" #how, f, how, NULL, NULL }
#define ALL(f)		T(f, one_cpu), T(f, slowly), T(f, two_cpus)
	const struct CMUnitTest tests[] = {
		ALL(there_and_back),
		ALL(callers_are_served_in_order),
		ALL(another_vcpu_takes_a_call),
		ALL(events_end_a_wait_and_not_a_call),
		ALL(a_caller_ends_while_it_is_served),
		ALL(a_caller_ends_in_the_queue),
		ALL(a_server_ends_with_a_call_and_others_wait),
		ALL(one_that_has_ended_enters_once_more),
		ALL(a_channel_goes_down),
		ALL(what_is_no_call_is_refused),
		T(the_fast_way_declines_what_is_unusual, one_cpu),
		T(a_doorbell_switches_to_who_is_above, one_cpu),
		T(time_is_counted_for_who_runs, one_cpu),
		T(bases_go_along, one_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
