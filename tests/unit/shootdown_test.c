// SPDX-License-Identifier: MIT
/*
 * Property: once shoot_obeyed() says so for a ticket, no vCPU of the set runs on with anything that a note before
 * that ticket named; and nobody has to do anything but leave notes, ring, and look again.
 * Failure looks like: a promise too early, a note that is lost or not widened, a CPU that is not called; or a report
 * of the thread sanitizer, which this test is built with.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>

#include <hal/cpu.h>
#define hal_pause()	sched_yield()	/* on the host who holds a lock may have lost its CPU */
#include "metakernel/mm/shootdown.c"

#define NVCPUS	3
#define ROUNDS	30000

bool lock_others = true;
char *unit_arena;
size_t unit_arena_bytes;
struct cpu *cpus[MAX_CPUS];
unsigned int ncpus = NVCPUS;
static struct cpu cpu_memory[NVCPUS];
static struct vcpu vcpus[NVCPUS];
static struct partition part;
static struct shoot forgotten[SHOOT_RANGES];
static unsigned int nforgotten;
static void (*while_forgetting)(void);
static void (*forget)(struct vcpu *v);		/* threads */

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }

void cpu_work(struct cpu *c, uint32_t what)
{
	__atomic_fetch_or(&c->work, what, __ATOMIC_SEQ_CST);
}

void mmu_forget(struct vcpu *v, const struct shoot *what)
{
	if (forget) {
		forget(v);
		return;
	}
	assert_true(nforgotten < SHOOT_RANGES);
	forgotten[nforgotten++] = *what;
	if (while_forgetting)
		while_forgetting();
}

static int start(void **state)
{
	(void)state;
	memset(vcpus, 0, sizeof(vcpus));
	memset(cpu_memory, 0, sizeof(cpu_memory));
	memset(&part, 0, sizeof(part));
	part.vcpu = vcpus;
	part.nvcpus = NVCPUS;
	for (unsigned int i = 0; i < NVCPUS; i++) {
		cpus[i] = &cpu_memory[i];
		cpus[i]->index = i;
		vcpus[i].part = &part;
		vcpus[i].id = i;
		vcpus[i].cpu = NVCPUS - 1 - i;
		vcpus[i].loaded = true;
		shoot_init(&vcpus[i].shootdown);
	}
	nforgotten = 0;
	while_forgetting = NULL;
	forget = NULL;
	return 0;
}

static void note(unsigned int i, vaddr_t va)
{
	shoot_note(&vcpus[i], &(struct shoot) { .what = SHOOT_RANGE, .va = va, .npages = 1 });
}

static void a_ticket_covers_what_was_noted_before_it(void **state)
{
	uint64_t first, second;

	(void)state;
	note(0, 0x1000);
	first = shoot_ring(&part, 1);
	note(0, 0x2000);
	second = shoot_ring(&part, 1);
	assert_true(second > first);
	assert_false(shoot_obeyed(&part, 1, first));
	assert_true(shoot_noted(&vcpus[0].shootdown));
	shoot_obey(&vcpus[0]);
	assert_int_equal(nforgotten, 2);
	assert_int_equal(forgotten[0].va, 0x1000);
	assert_int_equal(forgotten[1].va, 0x2000);
	assert_true(shoot_obeyed(&part, 1, first));
	assert_true(shoot_obeyed(&part, 1, second));
	assert_false(shoot_noted(&vcpus[0].shootdown));
	shoot_obey(&vcpus[0]);			/* once */
	assert_int_equal(nforgotten, 2);
}

static void to_forget_is_a_note_for_each_and_a_ticket(void **state)
{
	uint64_t ticket;

	(void)state;
	ticket = shoot_forget(&part);
	for (unsigned int i = 0; i < NVCPUS; i++) {
		assert_true(shoot_noted(&vcpus[i].shootdown));
		assert_false(shoot_obeyed(&part, 1UL << i, ticket));
		shoot_obey(&vcpus[i]);
		assert_int_equal(forgotten[i].what, SHOOT_ALL);
		assert_true(shoot_obeyed(&part, 1UL << i, ticket));
	}
	assert_int_equal(nforgotten, NVCPUS);
	part.nvcpus = 0;		/* it is being taken apart */
	assert_int_equal(shoot_forget(&part), 0);
}

static void ring_meanwhile(void)
{
	while_forgetting = NULL;
	note(0, 0x9000);
	shoot_ring(&part, 1);
}

/* The ticket of a note that comes while others are being obeyed is not promised with them. */
static void a_note_that_comes_too_late_is_not_promised(void **state)
{
	(void)state;
	note(0, 0x1000);
	shoot_ring(&part, 1);
	while_forgetting = ring_meanwhile;
	shoot_obey(&vcpus[0]);
	assert_true(shoot_obeyed(&part, 1, part.tickets - 1));
	assert_false(shoot_obeyed(&part, 1, part.tickets));
	assert_true(shoot_noted(&vcpus[0].shootdown));
	nforgotten = 0;
	shoot_obey(&vcpus[0]);
	assert_int_equal(forgotten[0].va, 0x9000);
	assert_true(shoot_obeyed(&part, 1, part.tickets));
}

static void too_many_notes_become_all(void **state)
{
	(void)state;
	for (unsigned int extra = 0; extra < 3; extra++) {
		for (unsigned int i = 0; i < SHOOT_RANGES + extra; i++)
			note(0, i * 0x1000);
		nforgotten = 0;
		shoot_obey(&vcpus[0]);
		assert_int_equal(nforgotten, extra ? 1 : SHOOT_RANGES);
		assert_int_equal(forgotten[0].what, extra ? SHOOT_ALL : SHOOT_RANGE);
	}
	note(0, 0);
	shoot_note(&vcpus[0], &(struct shoot) { .what = SHOOT_ALL });
	note(0, 0x1000);			/* is in it */
	nforgotten = 0;
	shoot_obey(&vcpus[0]);
	assert_int_equal(nforgotten, 1);
	assert_int_equal(forgotten[0].what, SHOOT_ALL);
	note(0, 0x1000);			/* and the next is its own again */
	nforgotten = 0;
	shoot_obey(&vcpus[0]);
	assert_int_equal(forgotten[0].what, SHOOT_RANGE);
}

/* Of a note obeyed before its ticket was drawn nothing is left to see, but the ticket is: or its asker waits on and on. */
static void who_was_not_loaded_owes_the_ticket_and_not_the_note(void **state)
{
	uint64_t ticket;

	(void)state;
	note(0, 0x1000);
	shoot_obey(&vcpus[0]);			/* another asker's call */
	vcpus[0].loaded = false;
	ticket = shoot_ring(&part, 1);		/* nobody is called */
	vcpus[0].loaded = true;
	assert_false(shoot_noted(&vcpus[0].shootdown));
	assert_true(shoot_due(&vcpus[0]));
	assert_false(shoot_obeyed(&part, 1, ticket));
	shoot_loaded(&vcpus[0]);
	assert_int_equal(nforgotten, 1);
	assert_true(shoot_obeyed(&part, 1, ticket));
	assert_false(shoot_due(&vcpus[0]));
}

/* What one obeys with interrupts off is bounded, however much others note. */
static void a_note_says_each_thing_once_and_not_too_much(void **state)
{
	const struct shoot user = { .what = SHOOT_USER, .pgd = 0x5000 }, half = { .npages = SHOOT_PAGES / 2 };

	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		shoot_note(&vcpus[0], &user);
	assert_true(shoot_obey(&vcpus[0]));
	assert_int_equal(nforgotten, 1);
	assert_int_equal(forgotten[0].what, SHOOT_USER);
	for (unsigned int extra = 0; extra < 2; extra++) {
		for (unsigned int i = 0; i < 2 + extra; i++)
			shoot_note(&vcpus[0], &half);
		nforgotten = 0;
		shoot_obey(&vcpus[0]);
		assert_int_equal(nforgotten, extra ? 1 : 2);
		assert_int_equal(forgotten[0].what, extra ? SHOOT_ALL : SHOOT_RANGE);
	}
}

static void only_who_a_cpu_has_is_called_and_waited_for(void **state)
{
	uint64_t ticket;

	(void)state;
	vcpus[1].loaded = false;
	for (unsigned int i = 0; i < NVCPUS; i++)
		note(i, 0x1000);
	ticket = shoot_ring(&part, 3);
	assert_int_equal(cpus[2]->work, WORK_NOTE);	/* vCPU 0's */
	assert_int_equal(cpus[1]->work, 0);		/* not loaded: reads its notes before it runs */
	assert_int_equal(cpus[0]->work, 0);		/* not of the set */
	assert_false(shoot_obeyed(&part, 3, ticket));
	assert_true(shoot_obeyed(&part, 2, ticket));
	shoot_obey(&vcpus[0]);
	assert_true(shoot_obeyed(&part, 3, ticket));
	assert_true(shoot_noted(&vcpus[1].shootdown));
	vcpus[1].loaded = true;				/* about to run */
	assert_false(shoot_obeyed(&part, 3, ticket));
	shoot_obey(&vcpus[1]);
	assert_true(shoot_obeyed(&part, 3, ticket));
	assert_false(shoot_obeyed(&part, 4, ticket));
}

static void everybody_is_every_vcpu_and_no_more(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= 64; n++) {
		part.nvcpus = n;
		assert_int_equal(__builtin_popcountll(shoot_everybody(&part)), n);
		assert_true(shoot_everybody(&part) & 1);
		assert_int_equal(shoot_everybody(&part) & (shoot_everybody(&part) + 1), 0);
	}
}

/* ---- Threads ------------------------------------------------------------------------------------------ */

static struct lock lock = LOCK_INIT(LOCK_CHAN);
static uint64_t counted;		/* under the lock */
static unsigned int inside;

static void *count(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		lock_take(&lock);
		if (inside++)
			abort();
		counted++;
		inside--;
		lock_release(&lock);
	}
	return NULL;
}

/* Beyond 65536, where the tickets wrap. */
static void a_lock_lets_in_one_at_a_time(void **state)
{
	pthread_t t[3];

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, count, NULL);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(counted, 3 * ROUNDS);
	assert_int_equal(lock.next, lock.serving);
}

static uint64_t newest;			/* what the tables say now */
static uint64_t promised;		/* no vCPU runs with anything older */
static uint64_t cached[NVCPUS];		/* what the CPU that has it has cached of it: that CPU's own */
static bool over;

static void fill(struct vcpu *v)
{
	cached[v->id] = __atomic_load_n(&newest, __ATOMIC_RELAXED);
}

/* A CPU: takes its vCPU, lets it run, now and then lets it go, obeys on the way out (sched.c, vcpu.c). */
static void *cpu_thread(void *arg)
{
	struct vcpu *v = arg;
	struct cpu *c = cpus[v->cpu];
	uint64_t seed = 1 + v->id;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		__atomic_store_n(&v->loaded, true, __ATOMIC_SEQ_CST);
		shoot_loaded(v);
		for (uint64_t n = unit_below(&seed, 20); n; n--) {
			uint64_t least = __atomic_load_n(&promised, __ATOMIC_SEQ_CST);

			if (cached[v->id] < least)
				abort();
			if (__atomic_exchange_n(&c->work, 0, __ATOMIC_SEQ_CST) & WORK_NOTE)
				shoot_obey(v);
		}
		__atomic_store_n(&v->loaded, false, __ATOMIC_RELEASE);
		if (!unit_below(&seed, 4))
			sched_yield();
	}
	return NULL;
}

static void no_cpu_runs_with_what_was_promised_gone(void **state)
{
	pthread_t t[NVCPUS];

	(void)state;
	forget = fill;
	for (unsigned int i = 0; i < NVCPUS - 1; i++)
		pthread_create(&t[i], NULL, cpu_thread, &vcpus[i]);
	for (uint64_t n = 1; n <= ROUNDS; n++) {
		uint64_t ticket;

		__atomic_store_n(&newest, n, __ATOMIC_RELAXED);
		for (unsigned int i = 0; i < NVCPUS - 1; i++)
			note(i, n);
		ticket = shoot_ring(&part, 3);
		while (!shoot_obeyed(&part, 3, ticket))
			sched_yield();
		__atomic_store_n(&promised, n, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < NVCPUS - 1; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, start)
	const struct CMUnitTest tests[] = {
		T(a_ticket_covers_what_was_noted_before_it),
		T(a_note_that_comes_too_late_is_not_promised),
		T(too_many_notes_become_all),
		T(only_who_a_cpu_has_is_called_and_waited_for),
		T(a_note_says_each_thing_once_and_not_too_much),
		T(who_was_not_loaded_owes_the_ticket_and_not_the_note),
		T(everybody_is_every_vcpu_and_no_more),
		T(to_forget_is_a_note_for_each_and_a_ticket),
		T(a_lock_lets_in_one_at_a_time),
		T(no_cpu_runs_with_what_was_promised_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
