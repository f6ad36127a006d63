/* SPDX-License-Identifier: MIT */
/*
 * call.pml - spin model of call and reply between partitions: who waits is answered once and with what is its own, and what
 * was lent goes back, whoever ends at whatever moment.
 *
 * Parts:     two callers on CPUs of their own, of different priority; a server that has one call at most, and whose turn and
 *            priority are the caller's while it has one; callers who find it at work wait in a queue. An event ends
 *            the server's wait, too. One caller may end at any moment, and be started again when its CPU has let it go; the
 *            server may end.
 * Locks:     `lock` for queue and `had` (LOCK_CHAN). A state changes in one step (LOCK_RUNQ), by whoever: who ends is OFF
 *            before the lock is asked for.
 *
 * Failure looks like an assertion: another's answer, an answer to who is not waiting, a dead one in the queue, a priority
 * that was not given back, or at the end somebody who waits. Each of these options takes a step away, and must make it fail:
 *   -DNO_ON_LOOK       a call does not look whether its caller has ended meanwhile
 *   -DNO_FORGET_CALLER who ends as a caller stays in the queue and with the server
 *   -DNO_FORGET_SERVER who ends as a server does not answer whom it has
 *   -DNO_DOWN          nor those in the queue
 *   -DNO_TAKE_BACK     with its answer the server does not lose what was lent
 *   -DNO_CLAIM         an answer does not look whether the caller still waits
 *   -DNO_EVENT_LOOK    who begins to wait does not look for events after that
 */
#define NCALLERS	2
#define NONE		NCALLERS
#define CALLS		1	/* of each; who is started again has so many more */
#define OWN		9		/* the server's own priority; callers have their numbers */
#define EPIPE		99

mtype = { RUN, CALLING, WAITING, READY, OFF };

mtype caller[NCALLERS] = RUN, server = RUN;
byte number[NCALLERS], result[NCALLERS];	/* registers: what was asked, what was answered */
bool on_cpu[NCALLERS] = true, forgetting[NCALLERS];
chan queue = [NCALLERS] of { byte };
byte had = NONE, lent = OWN, asked;		/* whose call the server has, its priority, its register */
bool up = true, event, locked;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { d_step { assert(lent == (had == NONE -> OWN : had)); locked = false } }

inline have(who)
{
	had = who;
	lent = (who == NONE -> OWN : who)
}

/* Under the lock. The caller's state may change at any moment: one step. */
inline answer(who, what)
{
	if
	:: who != NONE ->
		atomic {
			if
#ifdef NO_CLAIM
			:: true ->
#else
			:: caller[who] == CALLING ->
#endif
				assert(caller[who] == CALLING);
				result[who] = what;
				caller[who] = READY
			:: else
			fi
		}
	:: else
	fi
}

proctype calls(byte me)
{
	byte n = 0;

	do
	:: n == CALLS -> break
	:: n < CALLS ->
		number[me] = number[me] + 1 + 10 * me;
		n++;
		lock();
		if
#ifndef NO_ON_LOOK
		:: caller[me] == OFF -> unlock(); goto off
#endif
		:: !up -> unlock(); goto next
		:: else
		fi;
		atomic {
			if
			:: caller[me] == RUN -> caller[me] = CALLING
			:: else			/* has just ended: who ended it waits for the lock */
			fi
		};
		if
		:: atomic { server == WAITING -> server = READY };
			have(me);
			asked = number[me]
		:: else -> queue ! me
		fi;
		unlock();
		caller[me] != CALLING;
		if
		:: caller[me] == OFF -> goto off
		:: atomic { caller[me] == READY -> caller[me] = RUN }
		fi;
		assert(result[me] == EPIPE || result[me] == number[me]);
next:		if
		:: caller[me] == OFF -> goto off
		:: else
		fi
	od;
	goto out;
off:	on_cpu[me] = false;
out:	skip
}

active proctype serves()
{
	byte whom, who;

	do
	:: lock();
		if
		:: server == OFF -> unlock(); break
		:: else
		fi;
		/* KEEL_HC_REPLY_WAIT: the answer, */
		whom = had;
#ifndef NO_TAKE_BACK
		have(NONE);
#else
		had = NONE;
#endif
		answer(whom, asked);
		/* and the next call, if there is one. One that has just ended is about to be forgotten. */
		if
		:: queue ? who ->
			assert(caller[who] == CALLING || (caller[who] == OFF && forgetting[who]));
			have(who);
			asked = number[who];
			unlock()
		:: empty(queue) ->
			atomic {
				if
				:: server == RUN -> server = WAITING
				:: else
				fi
			};
#ifndef NO_EVENT_LOOK
			atomic {
				if
				:: server == WAITING && event -> server = RUN
				:: else
				fi
			};
#endif
			unlock();
end:			server != WAITING;
			atomic {
				if
				:: server == READY -> server = RUN
				:: else
				fi
			};
			event = false
		fi
	od
}

/* From anywhere, without the lock. */
active proctype raises()
{
	event = true;
	atomic {
		if
		:: server == WAITING -> server = READY
		:: else
		fi
	}
}

/* Out of the queue, wherever it is. */
inline forget_caller(who)
{
	d_step {
		if
		:: queue ?? [eval(who)] -> queue ?? eval(who)
		:: else
		fi
	};
	if
	:: had == who -> have(NONE)
	:: else
	fi
}

/* Caller 0 ends, and begins again; then, perhaps, the server ends. */
active proctype ends()
{
	byte who;

	if
	:: true ->
		forgetting[0] = true;
		caller[0] = OFF;
		lock();
#ifndef NO_FORGET_CALLER
		forget_caller(0);
#endif
		forgetting[0] = false;
		unlock();
		if
		:: !on_cpu[0] ->
			d_step { caller[0] = RUN; on_cpu[0] = true };
			run calls(0)
		:: timeout
		fi
	:: true
	fi;
	if
	:: true ->
		server = OFF;
		lock();
		who = had;
		have(NONE);
#ifndef NO_FORGET_SERVER
		answer(who, EPIPE);
#endif
		unlock();
		lock();
		up = false;
#ifndef NO_DOWN
		do
		:: queue ? who -> answer(who, EPIPE)
		:: empty(queue) -> break
		od;
#endif
		unlock()
	:: true
	fi
}

init
{
	byte i;

	atomic {
		for (i : 0 .. NCALLERS - 1) {
			run calls(i)
		}
	};
	/* Nothing goes on any more. */
end:	timeout;
	assert(!(server == WAITING && event));
	for (i : 0 .. NCALLERS - 1) {
		assert(caller[i] != CALLING)
	}
}
