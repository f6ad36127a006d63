// SPDX-License-Identifier: MIT
/*
 * smp_patching - Linux patches its own code while other CPUs run it: the jump of a static key, switched
 * by opening and closing software events, where another CPU takes page faults and switches threads. An
 * open event counts what happens, a fault a page. Failure: a wrong count, or Linux dies ("Oops: int3").
 */
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "smp.h"

#define PAGES	16ul

static int done;

static int open_event(uint64_t which)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = which };

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void touch_fresh_pages(void)
{
	uint8_t *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(p != MAP_FAILED && madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
	for (uint64_t i = 0; i < PAGES; i++)
		*(volatile uint8_t *)(p + i * PAGE) = 1;
	NEED(munmap(p, PAGES * PAGE) == 0);
}

static void switch_keys(void)
{
	int faults = open_event(PERF_COUNT_SW_PAGE_FAULTS), switches = open_event(PERF_COUNT_SW_CONTEXT_SWITCHES);
	uint64_t before = 0, after = 0;

	NEED(faults >= 0 && switches >= 0);
	NEED(read(faults, &before, sizeof(before)) == sizeof(before));
	touch_fresh_pages();
	NEED(read(faults, &after, sizeof(after)) == sizeof(after));
	CHECK(after - before >= PAGES);
	NEED(close(faults) == 0 && close(switches) == 0);
}

static void *work(void *arg)
{
	int64_t end = smp_now() + smp_seconds(5) * 1000000000;
	uint64_t rounds = 0;

	if (arg) {
		while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) {
			touch_fresh_pages();
			sched_yield();
		}
		return NULL;
	}
	for (; smp_now() < end; rounds++)
		switch_keys();
	__atomic_store_n(&done, 1, __ATOMIC_RELAXED);
	printf("%llu rounds\n", (unsigned long long)rounds);
	return NULL;
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	smp_on_each_cpu(work);
	return stress_end("smp_patching");
}
