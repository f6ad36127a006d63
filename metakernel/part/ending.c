// SPDX-License-Identifier: MIT
/*
 * ending.c - what becomes of the machine when partitions end.
 *
 * Peers outlive who controls them, but a machine that nobody can switch off must not wait for ever. The
 * manifest's on-control-lost says what follows when the last partition with the control right has ended:
 * power off, restart, or go on, and then only as long as one of the others can still wake.
 *
 * Locks:   LOCK_LIFE, the caller's, for what ends here; a CPU that goes idle takes it before it stops the machine.
 */
#include <hal/power.h>
#include "part/console.h"
#include "part/ending.h"
#include "part/part.h"
#include "run/cpu.h"
#include "lib/log.h"

#define GUEST_STATUS_MAX 119UL	/* 120 and above mean something else */

/* With nobody left: the first status in the manifest's order that is not 0; a crash is one too. */
static uint8_t final_status(void)
{
	unsigned int i;

	for (i = 0; i < nparts; i++) {
		if (parts[i].state == KEEL_PART_FAULTED || parts[i].state == KEEL_PART_CRASHED)
			return GUEST_STATUS_MAX;
		if (parts[i].state == KEEL_PART_EXITED && parts[i].status)
			return (uint8_t)min_u64((uint64_t)parts[i].status, GUEST_STATUS_MAX);
	}
	return 0;
}

/* Somebody had the control right, and nobody has it now. */
static bool control_lost(void)
{
	bool had = false;
	unsigned int i;

	for (i = 0; i < nparts; i++) {
		if (parts[i].man->control && parts[i].alive)
			return false;
		had |= parts[i].man->control;
	}
	return had;
}

static void act(void)
{
	switch (manifest.control_lost) {
	case MANIFEST_POWEROFF:
		log_printf("nobody with control is left: power off\n");
		hal_exit(final_status());
	case MANIFEST_RESTART:
		log_printf("nobody with control is left: restart\n");
		hal_reset();
	}
}

void ending_of(const struct partition *p)
{
	/* Destroyed by who has control; if it was itself, it may be about to restart. */
	if (p->man->control && p->state != KEEL_PART_DESTROYED && control_lost())
		act();
}

/* All wait: is there a deadline, an interrupt or a key that could wake one? */
static bool anyone_wakes(void)
{
	unsigned int i, n;

	for (i = 0; i < nparts; i++) {
		if (!parts[i].alive)
			continue;
		if (parts[i].man->devices)
			return true;
		for (n = 0; n < parts[i].nvcpus; n++) {
			const struct vcpu *v = &parts[i].vcpu[n];

			/* on another CPU one may be running: that CPU comes here later */
			if (vcpu_on(v) && (!vcpu_sleeps(v) || v->timer_tsc || v->wake_tsc))
				return true;
		}
	}
	return console_listens();
}

static bool any_alive(void)
{
	unsigned int i;

	for (i = 0; i < nparts && !parts[i].alive; i++)
		;
	return i < nparts;
}

static void stop_unless_one_wakes(void)
{
	uint64_t wakes;

	if (!any_alive()) {
		log_printf("no partition is left, stopping\n");
		hal_exit(final_status());
	}
	if (!control_lost())
		return;
	act();
	/* One that another CPU has just woken, or blocked, may have been looked at too early or too late. */
	wakes = cpus_wakes();
	if (anyone_wakes() || cpus_wakes() != wakes)
		return;
	log_printf("nobody with control is left, and who is left waits for ever: stopping\n");
	hal_exit(final_status());
}

void ending_idle(void)
{
	if (any_alive() && !control_lost())
		return;
	/* Who ends the last one may be in the middle of it: not alive any more, and its status not there yet. */
	lock_take(&life_lock);
	stop_unless_one_wakes();
	lock_release(&life_lock);
}
