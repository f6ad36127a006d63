// SPDX-License-Identifier: MIT
/*
 * smp_shootdown - what one thread does to a mapping, all CPUs obey at once. Threads on all CPUs of two
 * processes map, unmap, protect, move, drop, swap out and fork pieces of one arena while the others
 * touch them. For each piece the program knows what it must hold and allow:
 *
 *   hold   a piece is changed by who has it alone, and written by those who share it, each its own
 *          word of each page; who gets it alone finds every word as written: no write is lost.
 *   peek   without holding it a thread reads, or writes a word nobody needs. If the piece's
 *          generation is the same before and after, the access must have ended as that generation
 *          says: a fault (caught) where it is gone or forbidden, its own value where it is there.
 *
 * Failure: an access that an old translation let through, or somebody else's or an old value.
 */
#include <setjmp.h>

#include "smp.h"
#include "swap.h"

#define PIECES		24u
#define PAGES		16u			/* of a piece: one fault can bring them all */
#define BYTES		(PAGES * PAGE)
#define THREADS_MAX	(SMP_MAX + 1)
#define WILD		511			/* the word that anybody may write at any time */
#define PEEKS		16

enum { GONE, NONE, READ, WRITE, NSTATES };
static const int protection[] = { [NONE] = PROT_NONE, [READ] = PROT_READ, [WRITE] = PROT_READ | PROT_WRITE };

struct piece {
	int32_t holders;			/* -1: one alone; else how many share it */
	uint32_t generation;			/* odd: changes now */
	uint8_t state;
	uint64_t *base;
	uint64_t value[PAGES][THREADS_MAX];	/* what each thread's word holds */
};

static struct piece pieces[PIECES];
static uint8_t *arena;				/* one place more than pieces: moves go there */
static uint64_t *free_place;
static int free_place_taken, nthreads, can_swap, stop;
static uint64_t peeks[NSTATES], changes, children;
static __thread sigjmp_buf back;

static uint32_t draw(uint64_t *seed, uint32_t n)
{
	return (uint32_t)((stress_random(seed) >> 20) % n);
}

static void refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(back, 1);
}

static volatile uint64_t *word(uint64_t *base, uint32_t page, int index)
{
	return base + page * (PAGE / sizeof(uint64_t)) + index;
}

/* ---- Holding a piece -------------------------------------------------------------------------------- */

static int hold_alone(struct piece *p)
{
	int32_t nobody = 0;

	return __atomic_compare_exchange_n(&p->holders, &nobody, -1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static int hold_shared(struct piece *p)
{
	int32_t now = __atomic_load_n(&p->holders, __ATOMIC_RELAXED);

	while (now >= 0)
		if (__atomic_compare_exchange_n(&p->holders, &now, now + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return 1;
	return 0;
}

static void let_go(struct piece *p)
{
	if (__atomic_load_n(&p->holders, __ATOMIC_RELAXED) < 0)
		__atomic_store_n(&p->holders, 0, __ATOMIC_RELEASE);
	else
		__atomic_fetch_sub(&p->holders, 1, __ATOMIC_RELEASE);
}

static void begin_change(struct piece *p)
{
	__atomic_store_n(&p->generation, p->generation + 1, __ATOMIC_SEQ_CST);
}

static void end_change(struct piece *p)
{
	__atomic_store_n(&p->generation, p->generation + 1, __ATOMIC_SEQ_CST);
}

static int holds_values(struct piece *p)
{
	for (uint32_t i = 0; i < PAGES; i++)
		for (int t = 0; t < nthreads; t++)
			if (*word(p->base, i, t) != p->value[i][t])
				return 0;
	return 1;
}

static void write_all(struct piece *p, uint64_t tag)
{
	for (uint32_t i = 0; i < PAGES; i++)
		for (int t = 0; t < nthreads; t++)
			*word(p->base, i, t) = p->value[i][t] = tag + i * 100 + (uint64_t)t;
}

/* ---- Changes, by who has the piece alone ------------------------------------------------------------- */

static void map(struct piece *p)
{
	NEED(mmap(p->base, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p->base);
	memset(p->value, 0, sizeof(p->value));
	p->state = WRITE;
}

static void unmap(struct piece *p)
{
	NEED(munmap(p->base, BYTES) == 0);
	p->state = GONE;
}

static void protect(struct piece *p, uint8_t to)
{
	NEED(mprotect(p->base, BYTES, protection[to]) == 0);
	p->state = to;
}

static void drop(struct piece *p)
{
	NEED(madvise(p->base, BYTES, MADV_DONTNEED) == 0);
	memset(p->value, 0, sizeof(p->value));
}

/* To the free place, which its old place becomes. Peeks at the old place belong to the old generation. */
static void move(struct piece *p)
{
	uint64_t *to;

	if (__atomic_exchange_n(&free_place_taken, 1, __ATOMIC_ACQUIRE))
		return;
	to = free_place;
	NEED(mremap(p->base, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	free_place = p->base;
	p->base = to;
	__atomic_store_n(&free_place_taken, 0, __ATOMIC_RELEASE);
}

/* Both write after the fork, each for itself; the child looks twice. -> the child */
static pid_t split(struct piece *p, uint64_t tag)
{
	pid_t pid = fork();
	int good;

	NEED(pid >= 0);
	if (pid == 0) {
		good = holds_values(p);
		if (p->state == WRITE) {
			write_all(p, ~tag);
			sched_yield();
			good = good && holds_values(p);
		}
		_exit(!good);
	}
	if (p->state == WRITE)
		write_all(p, tag);
	__atomic_fetch_add(&children, 1, __ATOMIC_RELAXED);
	return pid;
}

/* -> a child to wait for, or 0 */
static pid_t change_mapped(struct piece *p, uint64_t *seed)
{
	switch (draw(seed, 16)) {
	case 0:
		return p->state != NONE ? split(p, stress_random(seed) >> 8) : 0;
	case 1:
	case 2:
		move(p);
		break;
	case 3:
	case 4:
	case 5:
		unmap(p);
		break;
	case 6:
	case 7:
		drop(p);
		break;
	case 8:
		if (can_swap)
			NEED(madvise(p->base, BYTES, MADV_PAGEOUT) == 0);
		break;
	default:
		protect(p, (uint8_t)(NONE + draw(seed, 3)));
	}
	return 0;
}

static void change(struct piece *p, uint64_t *seed)
{
	pid_t child = 0;

	if (!hold_alone(p))
		return;
	if (p->state == READ || p->state == WRITE)
		CHECK(holds_values(p));
	begin_change(p);
	if (p->state == GONE)
		map(p);
	else
		child = change_mapped(p, seed);
	end_change(p);
	let_go(p);
	__atomic_fetch_add(&changes, 1, __ATOMIC_RELAXED);
	if (child)
		CHECK(stress_wait(child) == 0);
}

/* ---- Touching ---------------------------------------------------------------------------------------- */

static void write_own(struct piece *p, int me, uint64_t *seed)
{
	if (!hold_shared(p))
		return;
	for (uint32_t i = 0; i < PAGES && p->state != NONE && p->state != GONE; i++) {
		CHECK(*word(p->base, i, me) == p->value[i][me]);
		if (p->state == WRITE && draw(seed, 2))
			*word(p->base, i, me) = p->value[i][me] = stress_random(seed);
	}
	let_go(p);
}

/* -> 1 and the value, or 0: refused */
static int try_access(volatile uint64_t *at, int write, uint64_t *value)
{
	if (sigsetjmp(back, 0))
		return 0;
	if (write)
		*at = *value;
	else
		*value = *at;
	return 1;
}

static void peek(struct piece *p, int me, uint64_t *seed)
{
	uint32_t before = __atomic_load_n(&p->generation, __ATOMIC_SEQ_CST), page = draw(seed, PAGES);
	int write = draw(seed, 2) == 0, done;
	uint64_t value = 0, want = p->value[page][me];
	uint8_t state = p->state;

	if (before & 1)
		return;
	done = try_access(word(p->base, page, write ? WILD : me), write, &value);
	if (__atomic_load_n(&p->generation, __ATOMIC_SEQ_CST) != before)
		return;
	CHECK(done == (state == WRITE || (state == READ && !write)));
	if (done && !write)
		CHECK(value == want);
	__atomic_fetch_add(&peeks[state], 1, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	int me = (int)(uintptr_t)arg;
	uint64_t seed = (uint64_t)me * 7919 + (uint64_t)getpid() + 1;

	if (me < smp_cpus)
		smp_run_on(me);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && stress_failures < 20) {
		struct piece *p = &pieces[draw(&seed, PIECES)];

		change(p, &seed);
		for (int i = 0; i < PEEKS; i++)
			peek(&pieces[draw(&seed, PIECES)], me, &seed);
		write_own(&pieces[draw(&seed, PIECES)], me, &seed);
		if (me >= smp_cpus)		/* the one that is nowhere at home */
			NEED(smp_try_cpu((int)draw(&seed, (uint32_t)smp_cpus)) == 0);
	}
	return NULL;
}

/* Of everything some, however slow the machine is. */
static int enough(void)
{
	return __atomic_load_n(&changes, __ATOMIC_RELAXED) > 100 && __atomic_load_n(&children, __ATOMIC_RELAXED) > 5 &&
	       __atomic_load_n(&peeks[GONE], __ATOMIC_RELAXED) && __atomic_load_n(&peeks[NONE], __ATOMIC_RELAXED) &&
	       __atomic_load_n(&peeks[READ], __ATOMIC_RELAXED) && __atomic_load_n(&peeks[WRITE], __ATOMIC_RELAXED);
}

static int process(int64_t seconds)
{
	pthread_t threads[THREADS_MAX];
	int64_t end = smp_now() + seconds * 1000000000;

	arena = mmap(NULL, (PIECES + 2) * BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(arena != MAP_FAILED);
	arena += BYTES - (uintptr_t)arena % BYTES;
	for (uint32_t i = 0; i <= PIECES; i++)
		NEED(munmap(arena + i * BYTES, BYTES) == 0);
	for (uint32_t i = 0; i < PIECES; i++)
		pieces[i].base = (uint64_t *)(void *)(arena + i * BYTES);
	free_place = (uint64_t *)(void *)(arena + PIECES * BYTES);
	for (uintptr_t i = 0; i < (uintptr_t)nthreads; i++)
		NEED(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	while ((smp_now() < end || !enough()) && stress_failures < 20)
		usleep(20000);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < nthreads; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
	printf("%lu changes, %lu children; peeks: %lu gone, %lu none, %lu read, %lu write\n", changes, children,
	       peeks[GONE], peeks[NONE], peeks[READ], peeks[WRITE]);
	return stress_failures != 0;
}

int main(void)
{
	int64_t seconds = smp_seconds(5);
	pid_t other;

	if (smp_begin() == SKIP)
		return SKIP;
	nthreads = smp_cpus + 1;
	can_swap = swap_on_zram(64) == 0;
	CHECK(can_swap);
	stress_handle(SIGSEGV, refused, SA_NODEFER);
	other = stress_fork();			/* frames of one become frames of the other */
	if (other == 0)
		exit(process(seconds));
	CHECK(process(seconds) == 0);
	CHECK(stress_wait(other) == 0);
	if (can_swap)
		swap_off_zram();
	return stress_end("smp_shootdown");
}
