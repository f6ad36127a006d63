/* SPDX-License-Identifier: MIT */
/*
 * give.pml - spin model of memory that changes hands at run time (part/made.c, part/chan.c, mm/shootdown.c): when the new
 * owner has it, nothing of the giver can reach it any more.
 *
 * Machine:   the giver has a vCPU whose shadow tables may have a leaf to the frame. A CPU has it now and then: between, the
 *            leaf stays. In a partition it stores by its leaf; in the metakernel it looks at the owner, then fills.
 *            Another CPU gives the frame away: owner, note, ticket, call; then asks, from piece to piece, whether all
 *            have obeyed; then the frame is used (zeroed, or run in). A few times over, there and back.
 * Words:     sequentially consistent, as the metakernel's own are here: a note is under a lock, `loaded`, `tickets` and `work`
 *            are changed by locked instructions.
 *
 * Failure looks like an assertion: a store of the giver's into what is in use. Each of these options takes a step away or
 * puts it elsewhere, and must make it fail:
 *   -DNO_NOTE      a ticket without a note              -DNO_WAIT       in use before it was obeyed
 *   -DLATE_NOTE    the ticket drawn before the note     -DNO_LOOK       loaded without a look at tickets
 *   -DLATE_LOADED  the look before it counts as loaded  -DLATE_OWNER    note and ticket before the owner changes
 */
#define ROUNDS	2

bool owner_is_giver = true;
bool in_use;		/* by the new owner */
bool leaf;		/* in the giver's tables */
bool loaded, noted, work;
byte tickets, obeyed;

/* shoot_obey(): a note that was left before the ticket was drawn is seen by who reads that ticket. */
inline obey()
{
	seen = tickets;
	atomic {
		mine = noted;
		noted = false
	};
	if
	:: mine -> leaf = false
	:: else
	fi;
	obeyed = seen
}

/* The CPU that has the giver's vCPU now and then. */
active proctype giver()
{
	byte seen;
	bool mine;

end:	do
	:: /* vcpu_load() */
#ifdef LATE_LOADED
		if
		:: tickets != obeyed -> obey()
		:: else
		fi;
		loaded = true;
#else
		loaded = true;
#ifndef NO_LOOK
		if
		:: tickets != obeyed -> obey()
		:: else
		fi;
#endif
#endif
		do
		:: leaf -> assert(!in_use)	/* a store, in the partition */
		:: atomic { work -> work = false };	/* called, or on the way out */
			obey()
		:: owner_is_giver ->		/* a fault: the owner was looked at ... */
			leaf = true;		/* ... and only later is the leaf there; then, on the way out: */
			if
			:: atomic { work -> work = false }; obey()
			:: else
			fi
		:: break
		od;
		loaded = false			/* vcpu_save() */
	od
}

active proctype other()
{
	byte ticket, n;

	for (n : 1 .. ROUNDS) {
#ifndef LATE_OWNER
		owner_is_giver = false;
#endif
#if !defined(NO_NOTE) && !defined(LATE_NOTE)
		noted = true;
#endif
		atomic { tickets++; ticket = tickets };
#ifdef LATE_NOTE
		if
		:: loaded -> work = true
		:: else
		fi;
		noted = true;
#else
		if
		:: loaded -> work = true
		:: else
		fi;
#endif
#ifdef LATE_OWNER
		owner_is_giver = false;
#endif
		/* shoot_obeyed(), in pieces: until then nothing of the new owner's is there */
#ifndef NO_WAIT
		do
		:: !loaded -> break
		:: loaded -> 
			if
			:: obeyed >= ticket -> break
			:: else
			fi
		od;
#endif
		in_use = true;
		in_use = false;			/* taken back: zeroed first */
		owner_is_giver = true
	}
}
