// SPDX-License-Identifier: MIT
/*
 * smp_io_uring - a ring between CPUs: one thread puts requests in, another one on the next CPU takes
 * completions out, first with the submitter's calls, then with a thread of the kernel that polls the
 * ring on a third one. Each request comes back once, and what went through the pipe is what was sent.
 * Failure: a lost or doubled completion, other bytes, a hang.
 */
#include <linux/time_types.h>
#include <fcntl.h>

#include "smp.h"
#include "uring.h"

#define ENTRIES		32u
#define REQUESTS	6000u

static struct uring ring;
static int channel[2], reaper_cpu;
static uint64_t words[ENTRIES];
static uint32_t completed;
static uint8_t seen[REQUESTS];

static void *take_completions(void *arg)
{
	struct uring_result result;

	smp_run_on(reaper_cpu);
	while (completed < REQUESTS && stress_failures < 20) {
		/* Waits without submitting: that is the other thread's. */
		if (!uring_try_completion(&ring, &result)) {
			syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
			continue;
		}
		NEED(result.user_data < REQUESTS);
		CHECK(!seen[result.user_data]++);
		CHECK(result.res == (result.user_data % 2 ? 8 : 0));
		__atomic_fetch_add(&completed, 1, __ATOMIC_RELEASE);
	}
	return arg;
}

static void read_words(uint32_t from, uint32_t to)
{
	uint64_t word, sum = 0, want = 0;

	for (uint32_t i = from + 1; i < to; i += 2) {
		NEED(read(channel[0], &word, 8) == 8);
		sum += word;
		want += i * 1000003ul;
	}
	CHECK(sum == want);
}

/* Every second one is a write to the pipe; the words are read when all of a batch are there. */
static void put_requests(void)
{
	for (uint32_t i = 0; i < REQUESTS; i += ENTRIES / 2) {
		for (uint32_t k = i; k < i + ENTRIES / 2; k++) {
			words[k % ENTRIES] = k * 1000003ul;
			if (k % 2)
				uring_request(&ring, IORING_OP_WRITE, channel[1], &words[k % ENTRIES], 8, k);
			else
				uring_request(&ring, IORING_OP_NOP, -1, NULL, 0, k);
		}
		uring_submit(&ring, 0);
		while (__atomic_load_n(&completed, __ATOMIC_ACQUIRE) < i + ENTRIES / 2 && stress_failures < 20)
			sched_yield();
		read_words(i, i + ENTRIES / 2);
	}
}

static void across(int submitter, int reaper, uint32_t flags)
{
	pthread_t thread;

	memset(seen, 0, sizeof(seen));
	completed = 0;
	reaper_cpu = reaper;
	smp_run_on(submitter);
	NEED(pipe(channel) == 0);
	NEED(uring_begin(&ring, ENTRIES, flags) == 0);
	NEED(pthread_create(&thread, NULL, take_completions, NULL) == 0);
	put_requests();
	NEED(pthread_join(thread, NULL) == 0);
	CHECK(completed == REQUESTS);
	for (uint32_t i = 0; i < REQUESTS; i++)
		CHECK(seen[i] == 1);
	close(ring.fd);
	close(channel[0]);
	close(channel[1]);
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	across(0, 1, 0);
	across(1, 0, 0);
	across(0, 1, IORING_SETUP_SQPOLL);
	across(1, 0, IORING_SETUP_SQPOLL);
	return stress_end("smp_io_uring");
}
