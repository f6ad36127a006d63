/* SPDX-License-Identifier: MIT */
/*
 * revoke.pml - spin model of a doorbell by a handle that is being revoked (part/cap.h, part/chan.c, part/made.c): who rings
 * never touches what has gone back, nor rings who has come in its place.
 *
 * Machine:   a CPU rings: in the metakernel, with interrupts off, it looks the handle up without a lock, then the channel,
 *            then the vCPU behind it. Another CPU ends the partition there, takes its handle and channel away, asks all CPUs
 *            to have left the metakernel once (WORK_FORGET), and gives its memory back; then the slot of the channel
 *            is used for another, by another handle.
 *
 * Failure looks like an assertion. Each of these options takes a step away or puts it elsewhere, and must make it fail:
 *   -DNO_ASK     memory goes back at once                 -DLATE_VOID  the handle is void only after all were asked
 *   -DNO_WAIT    all are asked, and not waited for         -DIN_THE_MIDDLE  a CPU answers while it is in the metakernel
 */
#define RINGS	3

byte handle = 1;	/* of the channel: 1 leads to the first one that was there, 2 to the next, 0 nowhere */
byte there = 1;		/* which one the slot is */
bool alive = true;	/* the partition behind it */
bool gone[3];		/* memory of the first, of the next */
bool work;
byte rung[3];

active proctype rings()
{
	byte n = 0, h, c;

	do
	:: atomic { work -> work = false }	/* an interrupt: what it was at in the metakernel is over */
	:: n < RINGS ->
		n++;
		h = handle;			/* one word */
		if
		:: h != 0 ->
			c = there;		/* the channel, and through it the partition */
			assert(c == h);
			if
			:: alive || c == 2 ->
				assert(!gone[c]);	/* its vCPUs: which is on? */
#ifdef IN_THE_MIDDLE
				work = false;
#endif
				assert(!gone[c]);	/* the bit of its event, its state */
				rung[c]++
			:: else
			fi
		:: else
		fi;
		work = false			/* the way out does what was asked */
	:: n == RINGS && !work -> break
	od;
end:	do
	:: atomic { work -> work = false }
	od
}

active proctype revokes()
{
	alive = false;
#ifndef LATE_VOID
	handle = 0;
#endif
#ifndef NO_ASK
	work = true;
#ifndef NO_WAIT
	!work;
#endif
#endif
#ifdef LATE_VOID
	handle = 0;
#endif
	gone[1] = true;
	there = 2;
	handle = 2
}
