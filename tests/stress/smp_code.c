// SPDX-License-Identifier: MIT
/*
 * smp_code - code that one CPU writes another runs as written: rewritten by a thread, made known by
 * membarrier, run by a thread on another CPU; and membarrier orders a store before a load on all CPUs
 * without a fence on the other side. Failure: a value of code that is no more, or two threads that
 * both saw nothing. (The kernel patching its own code: smp_patching.)
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include "smp.h"

#define VERSIONS	1500u
#define LITMUS		4000u

static int membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

static void start_on(pthread_t *thread, int cpu, void *(*fn)(void *))
{
	pthread_attr_t attr;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	NEED(pthread_attr_init(&attr) == 0 && pthread_attr_setaffinity_np(&attr, sizeof(set), &set) == 0);
	NEED(pthread_create(thread, &attr, fn, NULL) == 0);
}

/* ---- Code ------------------------------------------------------------------------------------------- */

static uint8_t *code;
static uint32_t written, ran;

/* mov $value, %eax; ret */
static void write_code(uint8_t *at, uint32_t value)
{
	at[0] = 0xb8;
	memcpy(at + 1, &value, 4);
	at[5] = 0xc3;
}

static void *run_code(void *arg)
{
	for (uint32_t i = 1; i <= VERSIONS; i++) {
		while (__atomic_load_n(&written, __ATOMIC_ACQUIRE) != i)
			;
		CHECK(((uint32_t (*)(void))(uintptr_t)code)() == i * 3);
		__atomic_store_n(&ran, i, __ATOMIC_RELEASE);
	}
	return arg;
}

static void code_is_seen(int writer, int runner)
{
	pthread_t thread;

	written = ran = 0;
	smp_run_on(writer);
	start_on(&thread, runner, run_code);
	for (uint32_t i = 1; i <= VERSIONS; i++) {
		write_code(code, i * 3);
		NEED(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0);
		__atomic_store_n(&written, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&ran, __ATOMIC_ACQUIRE) != i)
			;
	}
	NEED(pthread_join(thread, NULL) == 0);
}

/* ---- Store, then load ------------------------------------------------------------------------------- */

static struct {
	volatile uint32_t value __attribute__((aligned(64)));
} x, y, begun, ended;
static volatile uint32_t saw_y;

static void *store_without_fence(void *arg)
{
	for (uint32_t i = 1; i <= LITMUS; i++) {
		while (__atomic_load_n(&begun.value, __ATOMIC_ACQUIRE) != i)
			;
		x.value = i;
		__asm__ volatile("" ::: "memory");
		saw_y = y.value;
		__atomic_store_n(&ended.value, i, __ATOMIC_RELEASE);
	}
	return arg;
}

static void membarrier_orders(int one, int other)
{
	pthread_t thread;

	x.value = y.value = begun.value = ended.value = 0;
	smp_run_on(one);
	start_on(&thread, other, store_without_fence);
	for (uint32_t i = 1; i <= LITMUS; i++) {
		uint32_t saw_x;

		__atomic_store_n(&begun.value, i, __ATOMIC_RELEASE);
		y.value = i;
		NEED(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0);
		saw_x = x.value;
		while (__atomic_load_n(&ended.value, __ATOMIC_ACQUIRE) != i)
			;
		CHECK(saw_x == i || saw_y == i);
	}
	NEED(pthread_join(thread, NULL) == 0);
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	NEED(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0);
	NEED(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) == 0);
	code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(code != MAP_FAILED);
	for (int i = 0; i < smp_cpus; i++) {
		code_is_seen(i, (i + 1) % smp_cpus);
		membarrier_orders(i, (i + 1) % smp_cpus);
	}
	return stress_end("smp_code");
}
