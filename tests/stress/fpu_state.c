// SPDX-License-Identifier: MIT
/*
 * fpu_state - SSE and AVX registers, MXCSR, the x87 stack and control word belong to their process:
 * several processes fill them with their own patterns, then yield, take page faults, signals whose
 * handler overwrites everything, and timer interrupts, and look again. A fork's child has a copy.
 * Failure: a register with another's pattern.
 */
#include <sched.h>
#include <sys/time.h>

#include "stress.h"

#define WORKERS	4
#define ROUNDS	1500

struct vectors { uint64_t word[16][4]; } __attribute__((aligned(32)));

struct state {
	struct vectors v;
	uint32_t mxcsr;
	uint16_t control;
	double x87[4];
};

static int has_avx;
static volatile sig_atomic_t handled;

#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_Y(n)	"vmovups " #n "*32(%0), %%ymm" #n "\n"
#define SAVE_Y(n)	"vmovups %%ymm" #n ", " #n "*32(%0)\n"
#define LOAD_X(n)	"movups " #n "*32(%0), %%xmm" #n "\n"
#define SAVE_X(n)	"movups %%xmm" #n ", " #n "*32(%0)\n"
#define VECTORS		"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
			"xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static void make(struct state *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	for (int r = 0; r < 16; r++)
		for (int w = 0; w < (has_avx ? 4 : 2); w++)
			s->v.word[r][w] = stress_random(&seed);
	s->mxcsr = 0x1f80 | (uint32_t)(seed & 3) << 13;		/* rounding mode; all exceptions masked */
	s->control = (uint16_t)(0x037f | (seed >> 2 & 3) << 10);
	for (int i = 0; i < 4; i++)
		s->x87[i] = (double)(stress_random(&seed) >> 40);
}

static void put(const struct state *s)
{
	__asm__ volatile("fninit; fldcw %0; fldl %1; fldl %2; fldl %3; fldl %4; ldmxcsr %5"
			 :: "m"(s->control), "m"(s->x87[0]), "m"(s->x87[1]), "m"(s->x87[2]), "m"(s->x87[3]), "m"(s->mxcsr));
	if (has_avx)
		__asm__ volatile(EACH(LOAD_Y) :: "r"(&s->v) : VECTORS, "memory");
	else
		__asm__ volatile(EACH(LOAD_X) :: "r"(&s->v) : VECTORS, "memory");
}

static void get(struct state *s)
{
	memset(s, 0, sizeof(*s));
	if (has_avx)
		__asm__ volatile(EACH(SAVE_Y) :: "r"(&s->v) : "memory");
	else
		__asm__ volatile(EACH(SAVE_X) :: "r"(&s->v) : "memory");
	__asm__ volatile("fnstcw %0; stmxcsr %1; fstpl %2; fstpl %3; fstpl %4; fstpl %5"
			 : "=m"(s->control), "=m"(s->mxcsr), "=m"(s->x87[3]), "=m"(s->x87[2]), "=m"(s->x87[1]), "=m"(s->x87[0]));
}

static void overwrite(int sig, siginfo_t *info, void *context)
{
	struct state other;

	(void)sig;
	(void)info;
	(void)context;
	make(&other, 0x1111111111111111u);
	put(&other);
	handled++;
}

/* System calls without libc around them: it may use vector registers. */
static long call0(long number)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}

static long call2(long number, long a, long b)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return result;
}

#define SYS_yield	24
#define SYS_getpid_	39
#define SYS_kill_	62
#define SYS_fork_	57
#define SYS_exit_	60

/* One event between putting and getting; everything inlined, so that no register is touched else. */
static int round_keeps_state(const struct state *mine, unsigned int kind, volatile uint8_t *fresh, long pid)
{
	struct state after;
	long child;

	put(mine);
	switch (kind) {
	case 0:
		call0(SYS_yield);
		break;
	case 1:
		*fresh = 1;
		break;
	case 2:
		call2(SYS_kill_, pid, SIGUSR1);
		break;
	case 3:
		child = call0(SYS_fork_);
		if (child == 0) {
			get(&after);
			call2(SYS_exit_, memcmp(&after, mine, sizeof(after)) != 0, 0);
		}
		break;
	default:
		for (uint64_t i = 0; i < 200000; i++)
			__asm__ volatile("");
	}
	get(&after);
	if (kind == 3 && (child <= 0 || stress_wait((pid_t)child) != 0))
		return 0;
	return memcmp(&after, mine, sizeof(after)) == 0;
}

static int work(unsigned int number)
{
	struct itimerval often = { { .tv_usec = 5000 }, { .tv_usec = 5000 } };
	volatile uint8_t *area = mmap(NULL, ROUNDS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct state mine;

	NEED(area != MAP_FAILED);
	stress_handle(SIGUSR1, overwrite, 0);
	stress_handle(SIGALRM, overwrite, SA_RESTART);
	NEED(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int kind = i % 37 == 0 ? 3 : i % 3 == 2 ? 4 : i % 4 == 3 ? 2 : i % 3;

		make(&mine, number * 1000000u + i + 1);
		CHECK(round_keeps_state(&mine, kind, area + i * PAGE, getpid()));
		if (stress_failures) {
			printf("worker %u, round %u, kind %u\n", number, i, kind);
			return 1;
		}
	}
	CHECK(handled > ROUNDS / 20);
	return stress_failures != 0;
}

int main(void)
{
	pid_t pids[WORKERS];

	has_avx = __builtin_cpu_supports("avx") != 0;
	printf("with %s registers\n", has_avx ? "AVX" : "SSE");
	for (unsigned int i = 0; i < WORKERS; i++) {
		pids[i] = stress_fork();
		if (pids[i] == 0)
			exit(work(i));
	}
	for (int i = 0; i < WORKERS; i++)
		CHECK(stress_wait(pids[i]) == 0);
	return stress_end("fpu_state");
}
