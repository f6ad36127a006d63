// SPDX-License-Identifier: MIT
/*
 * many_processes - 300 processes live at once and hand a token round a ring of pipes, each adding to
 * it and checking its own memory when it comes by: more address spaces than hardware or shadow
 * contexts. Failure: a token with a wrong sum, foreign memory, or a ring that stands still.
 */
#include "stress.h"

#define PROCESSES	300
#define LAPS		10

static uint64_t own[2048];

static int member(uint64_t number, int from, int to)
{
	uint64_t token;

	for (size_t i = 0; i < 2048; i += 256)
		own[i] = number;
	for (int lap = 0; lap < LAPS; lap++) {
		NEED(read(from, &token, sizeof(token)) == sizeof(token));
		for (size_t i = 0; i < 2048; i += 256)
			CHECK(own[i] == number + (uint64_t)lap);
		for (size_t i = 0; i < 2048; i += 256)
			own[i]++;
		token += number;
		NEED(write(to, &token, sizeof(token)) == sizeof(token));
	}
	return stress_failures != 0;
}

int main(void)
{
	static pid_t pids[PROCESSES];
	int first[2], from, fd[2];
	uint64_t token, want = 0;

	NEED(pipe(first) == 0);
	from = first[0];
	for (uint64_t i = 0; i < PROCESSES; i++) {
		NEED(pipe(fd) == 0);
		pids[i] = stress_fork();
		if (pids[i] == 0) {
			close(first[1]);
			_exit(member(i, from, fd[1]));
		}
		close(from);
		close(fd[1]);
		from = fd[0];
		want += i;
	}
	for (uint64_t lap = 1; lap <= LAPS; lap++) {
		token = lap;
		NEED(write(first[1], &token, sizeof(token)) == sizeof(token));
		NEED(read(from, &token, sizeof(token)) == sizeof(token));
		CHECK(token == lap + want);
	}
	for (int i = 0; i < PROCESSES; i++)
		CHECK(stress_wait(pids[i]) == 0);
	return stress_end("many_processes");
}
