// SPDX-License-Identifier: MIT
/*
 * Property: when the last partition with the control right has ended, the manifest's word says what
 * follows; by default the others run on for as long as one of them can still wake.
 * Failure looks like: a machine that waits for ever, or one that ends while somebody works.
 */
#include "unit.h"

#include <setjmp.h>
#include "metakernel/part/ending.c"

char *unit_arena;
size_t unit_arena_bytes;
void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }

enum { GOES_ON = -1, RESETS = -2 };

struct partition parts[MAX_PARTS];
static struct vcpu vcpus[3][2];
unsigned int nparts;
struct manifest manifest;
static jmp_buf end;
static int ended;
static bool listens;

void log_printf(const char *fmt, ...) { (void)fmt; }
bool console_listens(void) { return listens; }

static uint64_t nwakes, wakes_meanwhile;

struct lock life_lock = LOCK_INIT(LOCK_LIFE);
bool lock_others;
static struct partition *ending;	/* another CPU holds the lock, and is in the middle of ending this one */

void lock_taking(const struct lock *l)
{
	assert_ptr_equal(l, &life_lock);
	if (ending)
		ending->state = KEEL_PART_EXITED;
	ending = NULL;
}

void lock_released(const struct lock *l) { assert_ptr_equal(l, &life_lock); }

/* As if others woke somebody between two calls. */
uint64_t cpus_wakes(void)
{
	uint64_t n = nwakes;

	nwakes += wakes_meanwhile;
	return n;
}

void hal_exit(uint8_t status)
{
	ended = status;
	longjmp(end, 1);
}

void hal_reset(void)
{
	ended = RESETS;
	longjmp(end, 1);
}

static int idle(void)
{
	ended = GOES_ON;
	if (!setjmp(end))
		ending_idle();
	return ended;
}

static int ends(unsigned int i, uint32_t state)
{
	ended = GOES_ON;
	parts[i].alive = false;
	parts[i].vcpu[0].state = parts[i].vcpu[1].state = VCPU_OFF;
	parts[i].state = state;
	if (!setjmp(end))
		ending_of(&parts[i]);
	return ended;
}

/* 0 has control and devices, 1 and 2 have not; all wait. Of each the second vCPU was never started. */
static int start(void **state)
{
	(void)state;
	memset(parts, 0, sizeof(parts));
	memset(vcpus, 0, sizeof(vcpus));
	memset(&manifest, 0, sizeof(manifest));
	nparts = manifest.nparts = 3;
	for (unsigned int i = 0; i < nparts; i++) {
		parts[i].man = &manifest.parts[i];
		parts[i].nvcpus = 2;
		parts[i].vcpu = vcpus[i];
		parts[i].vcpu->state = VCPU_BLOCKED;
		parts[i].alive = true;
		parts[i].state = KEEL_PART_RUNNING;
	}
	manifest.parts[0].control = manifest.parts[0].devices = true;
	listens = false;
	return 0;
}

static void peers_outlive_control_while_one_can_wake(void **state)
{
	(void)state;
	assert_int_equal(idle(), GOES_ON);
	parts[1].vcpu->wake_tsc = 5;
	assert_int_equal(ends(0, KEEL_PART_CRASHED), GOES_ON);
	assert_int_equal(idle(), GOES_ON);
	parts[1].vcpu->wake_tsc = 0;
	parts[2].vcpu->timer_tsc = 7;
	assert_int_equal(idle(), GOES_ON);
	parts[2].vcpu->timer_tsc = 0;
	listens = true;
	assert_int_equal(idle(), GOES_ON);
	listens = false;
	manifest.parts[2].devices = true;
	assert_int_equal(idle(), GOES_ON);
	manifest.parts[2].devices = false;
	assert_int_equal(idle(), 119);
}

/* One idle CPU asks; what the others run, or are about to, it must not take for waiting. */
static void any_vcpu_of_a_peer_counts(void **state)
{
	struct vcpu *second = &parts[2].vcpu[1];

	(void)state;
	ends(0, KEEL_PART_CRASHED);
	second->state = VCPU_RUNNING;
	assert_int_equal(idle(), GOES_ON);
	second->state = VCPU_READY;
	assert_int_equal(idle(), GOES_ON);
	second->state = VCPU_BLOCKED;
	second->timer_tsc = 7;
	assert_int_equal(idle(), GOES_ON);
	second->state = VCPU_OFF;	/* its deadlines mean nothing now */
	assert_int_equal(idle(), 119);
}

/* Two that wake each other on two CPUs may both be seen asleep. */
static void one_that_is_woken_meanwhile_counts(void **state)
{
	(void)state;
	ends(0, KEEL_PART_CRASHED);
	wakes_meanwhile = 1;
	assert_int_equal(idle(), GOES_ON);
	wakes_meanwhile = 0;
	assert_int_equal(idle(), 119);
}

static void who_can_still_switch_off_is_waited_for(void **state)
{
	(void)state;
	manifest.control_lost = MANIFEST_POWEROFF;
	manifest.parts[1].control = true;
	assert_int_equal(ends(0, KEEL_PART_CRASHED), GOES_ON);
	assert_int_equal(idle(), GOES_ON);
	assert_int_equal(ends(2, KEEL_PART_FAULTED), GOES_ON);
	assert_int_equal(ends(1, KEEL_PART_EXITED), 119);
}

static void nobody_had_control_and_nothing_changes(void **state)
{
	(void)state;
	manifest.control_lost = MANIFEST_RESTART;
	manifest.parts[0].control = manifest.parts[0].devices = false;
	assert_int_equal(ends(0, KEEL_PART_EXITED), GOES_ON);
	assert_int_equal(idle(), GOES_ON);
}

static void the_manifest_says_what_follows(void **state)
{
	(void)state;
	parts[1].vcpu->timer_tsc = 7;
	manifest.control_lost = MANIFEST_POWEROFF;
	assert_int_equal(ends(0, KEEL_PART_CRASHED), 119);
	manifest.control_lost = MANIFEST_RESTART;
	assert_int_equal(ends(0, KEEL_PART_FAULTED), RESETS);
	assert_int_equal(ends(0, KEEL_PART_EXITED), RESETS);
	/* who restarts itself is destroyed first; if it does not come back, idleness ends it */
	assert_int_equal(ends(0, KEEL_PART_DESTROYED), GOES_ON);
	assert_int_equal(idle(), RESETS);
}

static void the_last_status_comes_out(void **state)
{
	(void)state;
	ends(0, KEEL_PART_EXITED);
	ends(1, KEEL_PART_EXITED);
	parts[2].status = 5;
	ends(2, KEEL_PART_EXITED);
	assert_int_equal(idle(), 5);
	parts[1].state = KEEL_PART_CRASHED;
	assert_int_equal(idle(), 119);
}

/* The CPU that ends the last partition has said that it is not alive, and nothing more yet. */
static void who_is_being_ended_is_waited_for(void **state)
{
	(void)state;
	ends(0, KEEL_PART_EXITED);
	ends(1, KEEL_PART_EXITED);
	parts[2].status = 5;
	ends(2, KEEL_PART_RUNNING);
	ending = &parts[2];
	assert_int_equal(idle(), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(peers_outlive_control_while_one_can_wake, start),
		cmocka_unit_test_setup(any_vcpu_of_a_peer_counts, start),
		cmocka_unit_test_setup(one_that_is_woken_meanwhile_counts, start),
		cmocka_unit_test_setup(who_can_still_switch_off_is_waited_for, start),
		cmocka_unit_test_setup(nobody_had_control_and_nothing_changes, start),
		cmocka_unit_test_setup(the_manifest_says_what_follows, start),
		cmocka_unit_test_setup(the_last_status_comes_out, start),
		cmocka_unit_test_setup(who_is_being_ended_is_waited_for, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
