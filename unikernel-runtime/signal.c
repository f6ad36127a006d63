// SPDX-License-Identifier: MIT
/*
 * signal.c - signals of the one process, all of them its own: raise() and abort(), and SIGINT when
 * byte 3 (^C) comes in on the console.
 *
 * Nothing interrupts the code that runs: a handler is called where the program waits, makes a system
 * call that sends a signal or takes its mask away, or (Lua) jumps back in a loop, see rt/poll.h. So a
 * handler may do what an ordinary function may. Stopping a process makes no sense here and is ignored.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <rt/calls.h>
#include <rt/poll.h>
#include <rt/rt.h>

#define SIGNALS	64
#define BIT(sig) (1ULL << ((sig) - 1))	/* as in Linux's sets */
#define CORE_DUMPED (BIT(SIGABRT) | BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGQUIT) | \
		     BIT(SIGTRAP) | BIT(SIGSYS) | BIT(SIGXCPU) | BIT(SIGXFSZ))
#define HARMLESS (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGSTOP) | BIT(SIGTSTP) | \
		  BIT(SIGTTIN) | BIT(SIGTTOU))
#define UNCATCHABLE (BIT(SIGKILL) | BIT(SIGSTOP))

/* As the kernel has it. */
struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct action actions[SIGNALS + 1];
static uint64_t blocked, pending;
int rt_poll_left = RT_POLL_EVERY;
static bool handled;		/* a handler ran */
static bool restart;		/* and each that did wants calls restarted */

static void run_handler(int sig)
{
	struct action act = actions[sig];
	uint64_t old = blocked;
	bool others = restart;

	if (act.flags & SA_RESETHAND)
		actions[sig].handler = SIG_DFL;
	blocked |= (act.mask | (act.flags & SA_NODEFER ? 0 : BIT(sig))) & ~UNCATCHABLE;
	if (act.flags & SA_SIGINFO) {
		siginfo_t info = { .si_signo = sig, .si_code = SI_TKILL };
		ucontext_t context = { 0 };

		((void (*)(int, siginfo_t *, void *))(void *)act.handler)(sig, &info, &context);
	} else {
		act.handler(sig);
	}
	blocked = old;
	/* Now: it may have waited itself. */
	handled = true;
	restart = others && act.flags & SA_RESTART;
}

/* Do what the action of each signal that is pending and not blocked says. */
static void deliver(void)
{
	uint64_t ready;

	while ((ready = pending & ~blocked)) {
		int sig = __builtin_ctzll(ready) + 1;

		pending &= ~BIT(sig);
		if (actions[sig].handler == SIG_IGN)
			continue;
		if (actions[sig].handler != SIG_DFL)
			run_handler(sig);
		else if (!(BIT(sig) & HARMLESS))
			rt_shutdown(BIT(sig) & CORE_DUMPED ? KEEL_SHUTDOWN_CRASH : KEEL_SHUTDOWN_EXIT, 128 + sig);
	}
}

void signal_raise(int sig)
{
	pending |= BIT(sig);
	deliver();
}

int signal_wait(uint64_t events, uint64_t deadline_tsc)
{
	bool woken = event_sleep(events | 1ULL << KEEL_EV_CONSOLE, deadline_tsc);

	handled = false;
	restart = true;
	if (event_take(1ULL << KEEL_EV_CONSOLE))
		console_pump();
	return handled ? -EINTR : woken;
}

bool signal_restarts(void)
{
	return restart;
}

void rt_poll(void)
{
	rt_poll_left = RT_POLL_EVERY;
	if (event_take(1ULL << KEEL_EV_CONSOLE))
		console_pump();
	if (event_take(1ULL << KEEL_EV_MEMORY))
		memory_look();
}

/* ---- system calls --------------------------------------------------------------------------------- */

long sys_rt_sigaction(const long *a)
{
	const struct action *new = (const struct action *)a[1];
	struct action *old = (struct action *)a[2];
	long sig = a[0];

	if (sig < 1 || sig > SIGNALS || a[3] != 8 || (new && BIT(sig) & UNCATCHABLE))
		return -EINVAL;
	if (old)
		*old = actions[sig];
	if (new)
		actions[sig] = *new;
	return 0;
}

long sys_rt_sigprocmask(const long *a)
{
	const uint64_t *set = (const uint64_t *)a[1];
	uint64_t *old = (uint64_t *)a[2], now = blocked;

	if (a[3] != 8 || (set && (a[0] < SIG_BLOCK || a[0] > SIG_SETMASK)))
		return -EINVAL;
	if (set) {
		uint64_t bits = *set;

		blocked = a[0] == SIG_BLOCK ? blocked | bits : a[0] == SIG_UNBLOCK ? blocked & ~bits : bits;
		blocked &= ~UNCATCHABLE;
	}
	if (old)
		*old = now;
	deliver();
	return 0;
}

long sys_rt_sigpending(const long *a)
{
	*(uint64_t *)a[0] = pending & blocked;
	return 0;
}

static long send(long sig)
{
	if (sig < 0 || sig > SIGNALS)
		return -EINVAL;
	if (sig)
		signal_raise((int)sig);
	return 0;
}

/* The process itself: by number, as its group (0, -1 is "all"), or as the group of its number. */
long sys_kill(const long *a)
{
	return a[0] >= -RT_PID && a[0] <= RT_PID ? send(a[1]) : -ESRCH;
}

long sys_tkill(const long *a)
{
	return a[0] == RT_PID ? send(a[1]) : -ESRCH;
}

long sys_tgkill(const long *a)
{
	return a[0] == RT_PID ? sys_tkill(a + 1) : -ESRCH;
}
