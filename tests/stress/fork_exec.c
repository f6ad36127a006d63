// SPDX-License-Identifier: MIT
/*
 * fork_exec - 2,000 processes are forked, run a new image and end with the status they were asked
 * for; each new image starts with clean data and the arguments it was given. Failure: a wrong
 * status, an image with a predecessor's memory, or a process that never ends.
 */
#include "stress.h"

#define PROCESSES	2000
#define AT_ONCE		8

static uint64_t clean[4096];			/* .bss: zero in every new image */
static uint64_t initial[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static int answer(unsigned long number)
{
	return (int)(number * 7 % 120);
}

static int child(const char *number, const char *again)
{
	for (size_t i = 0; i < sizeof(clean) / sizeof(*clean); i++)
		if (clean[i])
			return 121;
	for (size_t i = 0; i < 8; i++)
		if (initial[i] != i + 1)
			return 122;
	if (strcmp(number, again))
		return 123;
	memset(clean, 0xa5, sizeof(clean));	/* what the next image must not see */
	initial[3] = 0;
	return answer(strtoul(number, NULL, 10));
}

int main(int argc, char **argv)
{
	pid_t pids[AT_ONCE] = { 0 };
	char number[24], again[32];

	if (argc == 2)
		return child(argv[1], getenv("AGAIN") ? getenv("AGAIN") : "");
	for (unsigned long i = 0; i < PROCESSES + AT_ONCE; i++) {
		pid_t *pid = &pids[i % AT_ONCE];

		if (*pid) {
			int status = stress_wait(*pid);

			if (status != answer(i - AT_ONCE))
				printf("process %lu: status %d\n", i - AT_ONCE, status);
			CHECK(status == answer(i - AT_ONCE));
		}
		if (i >= PROCESSES)
			continue;
		*pid = stress_fork();
		if (*pid == 0) {
			snprintf(number, sizeof(number), "%lu", i);
			snprintf(again, sizeof(again), "AGAIN=%lu", i);
			execle("/proc/self/exe", argv[0], number, NULL, (char *[]){ again, NULL });
			_exit(124);
		}
	}
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	return stress_end("fork_exec");
}
