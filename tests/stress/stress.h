/* SPDX-License-Identifier: MIT */
/*
 * stress.h - what the stress programs share: checks that say what was expected, a repeatable
 * random number, waiting for children, and the last line `STRESS name ok`.
 */
#ifndef TESTS_STRESS_H
#define TESTS_STRESS_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096ul
#define SKIP	77

static int stress_failures;

/* Something is wrong, but the program can go on. At most a screenful is printed. */
#define CHECK(x) do {									\
	if (!(x) && stress_failures++ < 20)						\
		printf("%s:%d: not true: %s (errno %d)\n", __FILE__, __LINE__, #x, errno);	\
} while (0)

/* Something is wrong, and going on makes no sense. */
#define NEED(x) do {									\
	if (!(x)) {									\
		printf("%s:%d: needed: %s (errno %d)\n", __FILE__, __LINE__, #x, errno);	\
		fflush(stdout);								\
		_exit(1);								\
	}										\
} while (0)

/* xorshift64*: the same numbers in every run. */
static inline uint64_t stress_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

/* FNV-1a, 64 bits; start with STRESS_HASH. */
#define STRESS_HASH 0xcbf29ce484222325u
static inline uint64_t stress_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3u;
	return hash;
}

/* fork, or end the program. What stdio holds is written first, so that it appears once. */
static inline pid_t stress_fork(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	NEED(pid >= 0);
	return pid;
}

/* Wait for a child -> its exit status, or 1000 + the signal that ended it. */
static inline int stress_wait(pid_t pid)
{
	int status;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	NEED(got == pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void stress_handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	NEED(sigaction(sig, &action, NULL) == 0);
}

/* For `return stress_end("name")` in main. */
static inline int stress_end(const char *name)
{
	if (stress_failures)
		printf("STRESS %s: %d checks failed\n", name, stress_failures);
	else
		printf("STRESS %s ok\n", name);
	return stress_failures ? 1 : 0;
}

#endif /* TESTS_STRESS_H */
