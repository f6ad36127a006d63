// SPDX-License-Identifier: MIT
/*
 * smp_registers - a thread that moves to another CPU has all its registers there: general, vector and
 * x87 registers, FS and GS base, and its thread-local data; and the CPU's number, asked for in each
 * way there is (rseq, the vDSO, the kernel, RDTSCP), is that of the CPU it moved to. Threads move
 * themselves every few microseconds, and are moved by another one while they make no call.
 * Failure: a register of another thread, or of the CPU's last one; a number of another CPU.
 */
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "fpu.h"
#include "smp.h"

#define HOPS		3000
#define THREADS_PER_CPU	2
#define HWCAP2_BASES	2		/* HWCAP2_FSGSBASE */
#define SYS_SETAFFINITY	203

static __thread uint64_t own_word;
static int working;
static pid_t tids[SMP_MAX * THREADS_PER_CPU];
static cpu_set_t only[SMP_MAX];

static int has_rdtscp(void)
{
	uint32_t a = 0x80000001, d, c, b;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	return (int)(d >> 27 & 1);
}

static uint32_t cpu_by_rseq(void)
{
	return ((volatile struct rseq *)((uint8_t *)__builtin_thread_pointer() + __rseq_offset))->cpu_id;
}

static uint32_t cpu_by_rdtscp(void)
{
	uint32_t low, high, aux;

	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	return aux & 0xfff;
}

static uint32_t cpu_by_segment(void)
{
	uint32_t limit = 0;

	__asm__ volatile("lsl %1, %0" : "+r"(limit) : "r"(0x7bu));
	return limit & 0xfff;
}

static void numbers_agree(int cpu, int rdtscp)
{
	uint32_t here = (uint32_t)cpu, by_vdso, by_kernel;

	CHECK(getcpu(&by_vdso, NULL) == 0 && by_vdso == here);
	CHECK(syscall(SYS_getcpu, &by_kernel, NULL, NULL) == 0 && by_kernel == here);
	CHECK(sched_getcpu() == cpu);
	CHECK(!__rseq_size || cpu_by_rseq() == here);
	CHECK(!rdtscp || cpu_by_rdtscp() == here);
	CHECK(cpu_by_segment() == here);
}

static void *hop_and_ask(void *arg)
{
	int rdtscp = has_rdtscp();
	uint64_t seed = (uintptr_t)arg + 77;

	for (int i = 0; i < HOPS; i++) {
		int cpu = (int)(stress_random(&seed) % (uint64_t)smp_cpus);

		smp_run_on(cpu);
		numbers_agree(cpu, rdtscp);
	}
	return NULL;
}

/* ---- Registers -------------------------------------------------------------------------------------- */

static uint64_t read_gs(void)
{
	uint64_t base = 0;

	if (getauxval(AT_HWCAP2) & HWCAP2_BASES)
		__asm__ volatile("rdgsbase %0" : "=r"(base));
	else
		syscall(SYS_arch_prctl, 0x1004, &base);
	return base;
}

static void wait_a_little(void)
{
	for (uint64_t i = 0; i < 30000; i++)
		__asm__ volatile("");
}

/* Six registers that calls keep, so that nothing else is in them between the two moments. */
static int general_registers_stay(uint64_t tag)
{
	uint64_t wrong = 0;

	__asm__ volatile(
		"movq %1, %%rbx; leaq 1(%1), %%r12; leaq 2(%1), %%r13; leaq 3(%1), %%r14; leaq 4(%1), %%r15\n"
		"movl $20000, %%ecx\n1: decl %%ecx; jnz 1b\n"
		"subq %1, %%rbx; subq %1, %%r12; subq %1, %%r13; subq %1, %%r14; subq %1, %%r15\n"
		"leaq -10(%%rbx,%%r12), %0; addq %%r13, %0; addq %%r14, %0; addq %%r15, %0"
		: "=&r"(wrong) : "r"(tag) : "rbx", "rcx", "r12", "r13", "r14", "r15", "cc");
	return wrong == 0;
}

static void *hop_with_registers(void *arg)
{
	uint64_t me = (uintptr_t)arg, seed = me + 1, gs = 0x10000000ull * (me + 1), fs = (uint64_t)__builtin_thread_pointer();
	struct fpu_state mine, after;

	tids[me] = (pid_t)syscall(SYS_gettid);
	for (uint64_t i = 0; i < HOPS && !stress_failures; i++) {
		const cpu_set_t *to = &only[stress_random(&seed) % (uint64_t)smp_cpus];

		own_word = me << 32 | i;
		fpu_make(&mine, own_word + 1);
		NEED(syscall(SYS_arch_prctl, 0x1001, gs + i * PAGE) == 0);
		fpu_put(&mine);
		if (i % 2)
			raw_call3(SYS_SETAFFINITY, 0, sizeof(*to), to);
		else
			wait_a_little();
		fpu_get(&after);
		CHECK(memcmp(&mine, &after, sizeof(mine)) == 0);
		CHECK(read_gs() == gs + i * PAGE);
		CHECK(own_word == (me << 32 | i) && (uint64_t)__builtin_thread_pointer() == fs);
		CHECK(general_registers_stay(own_word));
	}
	__atomic_fetch_sub(&working, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Takes the threads from one CPU to another while they compute. */
static void move_others(int n)
{
	uint64_t seed = 4711;

	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE)) {
		pid_t tid = __atomic_load_n(&tids[stress_random(&seed) % (uint64_t)n], __ATOMIC_RELAXED);

		if (tid)	/* one that has ended is none */
			sched_setaffinity(tid, sizeof(*only), &only[stress_random(&seed) % (uint64_t)smp_cpus]);
	}
}

static void registers_move_along(void)
{
	pthread_t threads[SMP_MAX * THREADS_PER_CPU];
	int n = working = smp_cpus * THREADS_PER_CPU;

	for (uintptr_t i = 0; i < (uintptr_t)n; i++)
		NEED(pthread_create(&threads[i], NULL, hop_with_registers, (void *)i) == 0);
	move_others(n);
	for (int i = 0; i < n; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	fpu_begin();
	for (int i = 0; i < smp_cpus; i++)
		CPU_SET((size_t)i, &only[i]);
	smp_on_each_cpu(hop_and_ask);
	registers_move_along();
	return stress_end("smp_registers");
}
