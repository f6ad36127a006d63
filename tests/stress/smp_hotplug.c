// SPDX-License-Identifier: MIT
/*
 * smp_hotplug - CPUs go off and come back under load, STRESS_ROUNDS times in all. While one is off
 * nobody can run there, and its tenants run elsewhere; when it is back, a thread runs on it, and
 * its timer wakes that thread. All the time other threads compute, map memory, count through pipes
 * and sleep, some of them tied to the CPU that goes. Failure: a CPU that does not go or come, a wrong
 * result of the load, a hang.
 */
#include <fcntl.h>

#include "smp.h"
#include "swap.h"

#define LOAD_PAGES	64u

static int stop;
static uint64_t done[4];		/* rounds of each kind of load */

static int stopping(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE) || stress_failures;
}

static void *load_memory(void *arg)
{
	uint64_t tag = (uintptr_t)arg + 1;

	while (!stopping()) {
		volatile uint64_t *area = mmap(NULL, LOAD_PAGES * PAGE, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		NEED(area != MAP_FAILED);
		for (uint64_t i = 0; i < LOAD_PAGES; i++)
			area[i * 512] = tag << 32 | i;
		NEED(mprotect((void *)(uintptr_t)area, LOAD_PAGES / 2 * PAGE, PROT_READ) == 0);
		for (uint64_t i = 0; i < LOAD_PAGES; i++)
			CHECK(area[i * 512] == (tag << 32 | i));
		NEED(munmap((void *)(uintptr_t)area, LOAD_PAGES * PAGE) == 0);
		__atomic_fetch_add(&done[0], 1, __ATOMIC_RELAXED);
		tag++;
	}
	return NULL;
}

static int channel[2];

static void *load_pipe_writer(void *arg)
{
	uint64_t i = 0;

	while (!stopping()) {
		NEED(write(channel[1], &i, 8) == 8);
		i++;
	}
	close(channel[1]);
	return arg;
}

static void *load_pipe_reader(void *arg)
{
	uint64_t i = 0, got;

	while (read(channel[0], &got, 8) == 8) {
		CHECK(got == i++);
		__atomic_fetch_add(&done[1], 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static void *load_sleep(void *arg)
{
	while (!stopping()) {
		int64_t start = smp_now();

		usleep(700);
		CHECK(smp_now() - start >= 700000);
		__atomic_fetch_add(&done[2], 1, __ATOMIC_RELAXED);
	}
	return arg;
}

/* Tied to one CPU. When that goes, the kernel lets it run elsewhere; it ties itself again when it can. */
static void *load_tied(void *arg)
{
	int cpu = (int)(uintptr_t)arg;

	while (!stopping()) {
		volatile double x = 1.5;

		smp_try_cpu(cpu);
		for (int i = 0; i < 20000; i++)
			x = x * 1.0000001 + 1e-9;
		CHECK(x > 1.5 && x < 1.6);
		__atomic_fetch_add(&done[3], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int switch_cpu(int cpu, int on)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	for (int i = 0; i < 1000; i++) {	/* busy: somebody else holds the lock of this */
		if (write_to(path, on ? "1\n" : "0\n"))
			return 1;
		if (errno != EBUSY)
			return 0;
		usleep(1000);
	}
	return 0;
}

static void off_and_on(int cpu)
{
	NEED(switch_cpu(cpu, 0));
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) < smp_cpus);
	CHECK(smp_try_cpu(cpu) == -1 && errno == EINVAL);
	usleep(1000);
	NEED(switch_cpu(cpu, 1));
	smp_run_on(cpu);
	CHECK(sched_getcpu() == cpu);
	usleep(1000);			/* by this CPU's timer */
	CHECK(sched_getcpu() == cpu);
	smp_run_anywhere();
}

/* All but the first one, down and up again. */
static void all_off_and_on(void)
{
	for (int cpu = 1; cpu < smp_cpus; cpu++)
		NEED(switch_cpu(cpu, 0));
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) == 1);
	for (int cpu = smp_cpus - 1; cpu; cpu--)
		NEED(switch_cpu(cpu, 1));
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) == smp_cpus);
}

int main(void)
{
	static void *(*const loads[])(void *) = { load_memory, load_memory, load_pipe_writer, load_pipe_reader, load_sleep };
	const char *asked = getenv("STRESS_ROUNDS");
	int rounds = asked ? atoi(asked) : 10, nthreads = 0;
	pthread_t threads[5 + SMP_MAX];

	if (smp_begin() == SKIP)
		return SKIP;
	NEED(pipe(channel) == 0);
	for (uintptr_t i = 0; i < 5; i++)
		NEED(pthread_create(&threads[nthreads++], NULL, loads[i], (void *)i) == 0);
	for (int i = 1; i < smp_cpus; i++)
		NEED(pthread_create(&threads[nthreads++], NULL, load_tied, (void *)(uintptr_t)i) == 0);
	for (int i = 0; i < rounds; i++) {
		if (i % 8 == 7)
			all_off_and_on();
		else
			off_and_on(1 + i % (smp_cpus - 1));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < nthreads; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
	printf("%d rounds; load: %lu maps, %lu words, %lu sleeps, %lu sums\n", rounds, done[0], done[1], done[2], done[3]);
	CHECK(done[0] && done[1] && done[2] && done[3]);
	return stress_end("smp_hotplug");
}
