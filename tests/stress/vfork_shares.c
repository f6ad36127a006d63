// SPDX-License-Identifier: MIT
/*
 * vfork_shares - a vfork child runs in its parent's memory while the parent waits; afterwards the
 * parent sees what it wrote, and nothing of the image it started. Failure: a lost write, or a parent
 * that went on too early.
 */
#include "stress.h"

#define ROUNDS	500

static volatile unsigned int shared;
static volatile unsigned int child_done;

/* Of its own, since what a vfork child may clobber must not be in the caller's registers. */
static __attribute__((noinline)) pid_t run_child(unsigned int round, const char *name)
{
	pid_t pid = vfork();

	if (pid == 0) {
		shared = round;
		for (volatile int spin = 0; spin < 100; spin++)
			;
		child_done = 1;
		if (round % 5)
			_exit(3);
		execl("/proc/self/exe", name, "new image", (char *)NULL);
		_exit(4);
	}
	return pid;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return 17;
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		pid_t pid;

		child_done = 0;
		pid = run_child(i, argv[0]);
		NEED(pid > 0);
		CHECK(child_done == 1);
		CHECK(shared == i);
		CHECK(stress_wait(pid) == (i % 5 ? 3 : 17));
	}
	return stress_end("vfork_shares");
}
