/* SPDX-License-Identifier: MIT */
/*
 * guest.h - what every guest program needs: a check that says what it expected, and running a
 * piece of code that should die in a child process.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int guest_failures;

#define CHECK(x) do {									\
	if (!(x)) {									\
		printf("%s:%d: not true: %s (errno %d)\n", __FILE__, __LINE__, #x, errno);	\
		guest_failures++;							\
	}										\
} while (0)

/* Run fn in a child; returns the signal that ended it, or 0 if it lived. */
static inline int guest_signal_of(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fork or wait");
		exit(1);
	}
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static inline int guest_result(void)
{
	return guest_failures ? 1 : 0;
}

#endif /* TESTS_GUEST_H */
