// SPDX-License-Identifier: MIT
/*
 * breakpoints_stop - a debugger's watchpoints and hardware breakpoints (gdb's `watch` and `hbreak`) stop its
 * child exactly there, each child at its own, and a kernel address is refused.
 * Failure looks like: a child that runs through, stops elsewhere, or stops for another's watchpoint.
 */
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "guest.h"

#define ON(n)		(1UL << 2 * (n))
#define KIND(n, kind, bytes)	(((kind) | ((bytes) == 8 ? 2UL : (bytes) - 1UL) << 2) << (16 + 4 * (n)))
enum { EXECUTE = 0, WRITE = 1, ACCESS = 3 };

static volatile uint64_t watched, other, sum;
static int feed[2];

/* The store is followed by a label: where a trap stops. */
#define STORE(name, target)							\
	void name(void);							\
	extern const char name##_after[];					\
	__asm__(".text\n.globl " #name ", " #name "_after\n" #name ":\n"	\
		"	incq	" #target "(%rip)\n" #name "_after:\n	nop\n	ret\n")
STORE(store_watched, watched);
STORE(store_other, other);

__attribute__((noinline)) static void visited(void)
{
	sum++;
	__asm__ volatile("");
}

static pid_t start(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		fn();
		_exit(42);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	return pid;
}

static long set_dr(pid_t pid, unsigned int n, uint64_t value)
{
	return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg) + 8 * n, value);
}

static uint64_t dr6(pid_t pid)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg) + 8 * 6, 0);
}

static void watch(pid_t pid, volatile void *address, unsigned long kind, unsigned int bytes)
{
	CHECK(set_dr(pid, 0, (uint64_t)address) == 0);
	CHECK(set_dr(pid, 7, ON(0) | KIND(0, kind, bytes)) == 0);
}

/* Go on -> where it stopped by SIGTRAP, 0 if it ended with status 42, else 1. */
static uint64_t go_on(pid_t pid)
{
	struct user_regs_struct regs;
	int status;

	CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status) != 42;
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		return 1;
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
	return regs.rip;
}

static void store_three_times(void)
{
	for (int i = 0; i < 3; i++) {
		store_other();
		store_watched();
	}
}

static void watchpoints_stop_behind_the_store(void)
{
	pid_t pid = start(store_three_times);

	watch(pid, &watched, WRITE, 8);
	for (int i = 0; i < 3; i++) {
		CHECK(go_on(pid) == (uint64_t)store_watched_after);
		CHECK((dr6(pid) & 0xf) == 1);
		CHECK(set_dr(pid, 6, 0) == 0);
	}
	CHECK(go_on(pid) == 0);
}

static void visit_three_times(void)
{
	for (int i = 0; i < 3; i++)
		visited();
}

static void breakpoints_stop_before_the_instruction(void)
{
	pid_t pid = start(visit_three_times);

	CHECK(set_dr(pid, 2, (uint64_t)visited) == 0);
	CHECK(set_dr(pid, 7, ON(2) | KIND(2, EXECUTE, 1)) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(go_on(pid) == (uint64_t)visited);
		CHECK((dr6(pid) & 0xf) == 4);
		CHECK(set_dr(pid, 6, 0) == 0);
	}
	CHECK(go_on(pid) == 0);
}

static void read_it(void)
{
	sum += other;
	sum += watched;
}

static void reads_stop_only_if_asked_for(void)
{
	pid_t pid = start(read_it);

	watch(pid, &watched, WRITE, 8);
	CHECK(go_on(pid) == 0);
	pid = start(read_it);
	watch(pid, &watched, ACCESS, 4);
	CHECK(go_on(pid) > 1);
	CHECK((dr6(pid) & 0xf) == 1);
	CHECK(go_on(pid) == 0);
}

/* The kernel's own access to a watched buffer neither stops anybody nor hurts. */
static void receive(void)
{
	uint64_t got = 0;

	if (read(feed[0], (void *)&watched, 8) != 8)
		_exit(1);
	got = watched;
	store_other();
	_exit(got == 0x1122334455667788 ? 42 : 2);
}

static void the_kernel_may_write_there(void)
{
	static const uint64_t value = 0x1122334455667788;
	uint64_t at;
	pid_t pid;

	CHECK(pipe(feed) == 0);
	CHECK(write(feed[1], &value, 8) == 8);
	pid = start(receive);
	watch(pid, &watched, WRITE, 8);
	CHECK(set_dr(pid, 1, (uint64_t)&other) == 0);
	CHECK(set_dr(pid, 7, ON(0) | KIND(0, WRITE, 8) | ON(1) | KIND(1, WRITE, 8)) == 0);
	at = go_on(pid);
	CHECK(at == (uint64_t)store_other_after);
	CHECK(go_on(pid) == 0);
}

/* The first touch of a page is a page fault, and then the watchpoint. */
static volatile uint64_t *fresh;
static void touch_fresh(void)
{
	*fresh = 1;
}

static void a_page_that_is_not_there_yet(void)
{
	pid_t pid;

	fresh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fresh != MAP_FAILED);
	pid = start(touch_fresh);
	watch(pid, fresh, WRITE, 4);
	CHECK(go_on(pid) > 1);
	CHECK((dr6(pid) & 0xf) == 1);
	CHECK(go_on(pid) == 0);
}

/* Two at once, which the scheduler switches between: each stops for its own. */
static void store_both_often(void)
{
	for (int i = 0; i < 100; i++) {
		store_watched();
		store_other();
	}
}

static void each_has_its_own(void)
{
	pid_t a = start(store_both_often), b = start(store_both_often), c = fork();
	int status;

	if (c == 0) {		/* and one that is not watched */
		for (int i = 0; i < 300; i++) {
			store_both_often();
			usleep(100);
		}
		_exit(42);
	}
	watch(a, &watched, WRITE, 8);
	watch(b, &other, WRITE, 8);
	for (int i = 0; i < 100; i++) {
		CHECK(go_on(a) == (uint64_t)store_watched_after);
		CHECK(go_on(b) == (uint64_t)store_other_after);
	}
	CHECK(go_on(a) == 0);
	CHECK(go_on(b) == 0);
	CHECK(waitpid(c, &status, 0) == c && WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void kernel_addresses_are_refused(void)
{
	static const uint64_t addresses[] = { 0xffffffffffe00000, 0xffffffff81000000, 0xffff800000000000 };
	pid_t pid = start(visit_three_times);

	for (int i = 0; i < 3; i++)
		if (set_dr(pid, 0, addresses[i]) == 0)
			CHECK(set_dr(pid, 7, ON(0) | KIND(0, WRITE, 8)) != 0);
	set_dr(pid, 7, 0);
	CHECK(go_on(pid) == 0);
}

/* The way into the kernel right behind MOV SS, whose operand is watched: the trap comes in there. */
static volatile uint16_t stack_selector;
static void mov_ss_and_call(void)
{
	long id = 39;

	__asm__ volatile("movw %%ss, %1; movw %1, %%ss; syscall"
			 : "+a" (id), "+m" (stack_selector) : : "rcx", "r11", "memory");
	if (id != getpid())
		_exit(1);
	store_watched();
}

static void a_trap_put_off_by_mov_ss(void)
{
	pid_t pid = start(mov_ss_and_call);
	unsigned int stops = 0;

	CHECK(set_dr(pid, 0, (uint64_t)&stack_selector) == 0);
	CHECK(set_dr(pid, 1, (uint64_t)&watched) == 0);
	CHECK(set_dr(pid, 7, ON(0) | KIND(0, ACCESS, 2) | ON(1) | KIND(1, WRITE, 8)) == 0);
	/* the stores to both stop; the load of SS may, or is lost in the kernel */
	while (go_on(pid) > 1)
		stops++;
	CHECK(stops == 2 || stops == 3);
}

int main(void)
{
	watchpoints_stop_behind_the_store();
	breakpoints_stop_before_the_instruction();
	reads_stop_only_if_asked_for();
	the_kernel_may_write_there();
	a_page_that_is_not_there_yet();
	each_has_its_own();
	kernel_addresses_are_refused();
	a_trap_put_off_by_mov_ss();
	return guest_result();
}
