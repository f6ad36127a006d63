/* SPDX-License-Identifier: MIT */
/*
 * smp.h - for programs that need several CPUs: how many there are, where to run, a thread on each,
 * and how long. STRESS_SECONDS in the environment (a word of Linux's command line) makes them longer.
 */
#ifndef TESTS_STRESS_SMP_H
#define TESTS_STRESS_SMP_H

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "stress.h"

#define SMP_MAX	64

static int smp_cpus;

/* 0, or SKIP where there is only one CPU. */
static inline int smp_begin(void)
{
	smp_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	NEED(smp_cpus >= 1 && smp_cpus <= SMP_MAX);
	if (smp_cpus == 1)
		printf("there is one CPU\n");
	else
		printf("on %d CPUs\n", smp_cpus);
	return smp_cpus == 1 ? SKIP : 0;
}

static inline int smp_try_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* The calling thread runs here from now on. */
static inline void smp_run_on(int cpu)
{
	NEED(smp_try_cpu(cpu) == 0);
}

static inline void smp_run_anywhere(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static inline int64_t smp_now(void)
{
	struct timespec t;

	NEED(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static inline int64_t smp_seconds(int64_t usual)
{
	const char *asked = getenv("STRESS_SECONDS");

	return asked ? atoll(asked) : usual;
}

/* Start fn(i) on CPU i, for each CPU, and wait for all. */
static inline void smp_on_each_cpu(void *(*fn)(void *))
{
	pthread_t threads[SMP_MAX];

	for (uintptr_t i = 0; i < (uintptr_t)smp_cpus; i++) {
		pthread_attr_t attr;
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(i, &set);
		NEED(pthread_attr_init(&attr) == 0 && pthread_attr_setaffinity_np(&attr, sizeof(set), &set) == 0);
		NEED(pthread_create(&threads[i], &attr, fn, (void *)i) == 0);
	}
	for (int i = 0; i < smp_cpus; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
}

#endif /* TESTS_STRESS_SMP_H */
