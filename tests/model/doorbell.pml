/* SPDX-License-Identifier: MIT */
/*
 * doorbell.pml - spin model of keel/ring.h's doorbells: no wake-up is lost, nothing is read twice,
 * overwritten, or read before it was written.
 *
 * Machine:   x86-TSO. Each side's stores go through a store buffer (a FIFO of SB entries) that drains at any
 *            time; a load sees the own buffer first. FENCE waits until it is empty. Acquire and release cost
 *            nothing here, as on x86: order among stores and among loads is kept.
 * Doorbell:  the event bit that the metakernel sets (KEEL_HC_CHAN_KICK): a hypercall, it drains the
 *            kicker's buffer. Sleeping (KEEL_HC_BLOCK) waits until the bit is set. The consumer clears the bit
 *            before it looks at the ring.
 * Sizes:     a ring of 2 entries, indices modulo 8 instead of 2^32, so that they wrap.
 *
 * Death:     -DDEATH: the producer may end at any moment, with stores of its own still on their way. The metakernel
 *            (chan_part_died) sets the state of its side down, then rings, as for a kick. The consumer looks at the state
 *            when it was woken, before it looks at the ring: then it sees all that was sent, and need not wait again.
 *
 * Failure looks like an invalid end state (both wait: a lost wake-up) or an assertion.
 * -DNO_PROD_FENCE and -DNO_CONS_FENCE take one fence away and -DNO_RECHECK the look after arming; with -DDEATH,
 * -DNO_DEATH_BELL does not ring and -DBELL_FIRST rings before the state is down:
 * each must make it fail, which shows that the model can see the bug.
 */
#define ENTRIES	2
#define MOD	8
#define TOTAL	7	/* entries sent: tail goes nearly once around */
#define SB	3

#define TAIL	0
#define HEAD	1
#define EVENT	2
#define SLOT0	3
#define SLOT1	4
#define WORDS	5

#define SUB(a, b)	(((a) + MOD - (b)) % MOD)

byte mem[WORDS];
bool bell;		/* event bit of the consumer's vCPU page */
bool over;		/* the producer does nothing any more */
bool ended, down;	/* the producer has ended; the state of its side, which the consumer asks for */

/* Store buffers: word and value, oldest first. */
chan sb_prod = [SB] of { byte, byte };
chan sb_cons = [SB] of { byte, byte };

/* The drains: any time, one store. */
active proctype drain_prod()
{
	byte w, v;
end:	do
	:: atomic { sb_prod ? w, v -> mem[w] = v }
	od
}

active proctype drain_cons()
{
	byte w, v;
end:	do
	:: atomic { sb_cons ? w, v -> mem[w] = v }
	od
}

/*
 * A side loads only words the other side writes, and slots: the consumer reads slots that the
 * producer wrote. So no load has to look into its own buffer.
 */

#ifdef DEATH
/* Its CPU has let go of it, and so has drained its stores, before anything else is done about it. */
active proctype death()
{
	if
	:: ended = true;
		atomic { over && empty(sb_prod) };
#ifdef BELL_FIRST
		bell = true;
		down = true
#else
		down = true;
#ifndef NO_DEATH_BELL
		bell = true
#endif
#endif
	:: true
	fi
}
#endif

active proctype producer()
{
	byte own = 0, peer = 0, kicked = 0, event, sent = 0, head;
	do
	:: ended -> break
	:: sent == TOTAL -> break
	:: sent < TOTAL ->
		/* keel_ring_room: wait for a free entry (a client waits for completions) */
		do
		:: SUB(own, peer) < ENTRIES -> break
		:: else ->
			atomic { mem[HEAD] != peer || ended -> head = mem[HEAD] }
			assert(SUB(head, peer) <= SUB(own, peer));
			if
			:: ended && head == peer -> goto out
			:: else
			fi;
			peer = head
		od;
		/* the entry, then the index */
		sb_prod ! SLOT0 + own % ENTRIES, sent + 1;
		own = (own + 1) % MOD;
		sb_prod ! TAIL, own;
		sent++;
		/* keel_ring_need_kick, after one entry or after a batch */
		if
		:: sent < TOTAL && SUB(own, peer) < ENTRIES -> skip	/* later */
		:: true ->
#ifndef NO_PROD_FENCE
			empty(sb_prod);
#endif
			event = mem[EVENT];
			if
			:: SUB(SUB(own, event), 1) < SUB(own, kicked) ->
				atomic { empty(sb_prod) -> bell = true }
			:: else
			fi;
			kicked = own
		fi
	od;
out:	over = true
}

active proctype consumer()
{
	byte own = 0, got = 0, tail, peer = 0;
	bool last = false;
	do
	:: got == TOTAL || last -> break
	:: got < TOTAL && !last ->
		bell = false;
		last = down;	/* all of it is in memory, then */
again:		tail = mem[TAIL];
		assert(SUB(tail, own) <= ENTRIES && SUB(tail, own) >= SUB(peer, own));
		peer = tail;
		do
		:: own == peer -> break
		:: own != peer ->
			assert(mem[SLOT0 + own % ENTRIES] == got + 1);
			got++;
			own = (own + 1) % MOD;
			sb_cons ! HEAD, own
		od;
		if
		:: got == TOTAL || last -> break
		:: got < TOTAL && !last ->
			/* keel_ring_arm */
			sb_cons ! EVENT, own;
#ifndef NO_CONS_FENCE
			empty(sb_cons);
#endif
#ifndef NO_RECHECK
			if
			:: mem[TAIL] != own -> goto again
			:: else
			fi;
#endif
			bell	/* sleep until rung */
		fi
	od
}
