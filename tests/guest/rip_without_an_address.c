// SPDX-License-Identifier: MIT
/*
 * rip_without_an_address - a process whose RIP is not canonical gets SIGSEGV, every time, whatever else comes
 * at that moment: a timer of its own, an interrupt for somebody else, another partition's turn.
 * Failure looks like: another signal, or the whole partition is gone.
 */
#include <sys/time.h>
#include <ucontext.h>

#include "guest.h"

#define ROUNDS	200000

static volatile long rounds, alarms;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	static const greg_t odd[] = { 0x0000800000000000, 0x0000800000001000, 0x0000ffffffffffff,
				      (greg_t)0xffff7fffffffffff, (greg_t)0x8000000000000000 };
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

	(void)sig, (void)info;
	if (++rounds == ROUNDS)
		_exit(alarms ? 0 : 2);
	m->gregs[REG_RIP] = odd[rounds % 5];
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

int main(void)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction alarm_action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 900 }, { 0, 900 } };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGALRM, &alarm_action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	raise(SIGSEGV);
	printf("still here after %ld faults\n", rounds);
	return 1;
}
