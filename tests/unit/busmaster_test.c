// SPDX-License-Identifier: MIT
/*
 * Property: after the partition with the devices has ended, every function on every bus loses the bus, in bounded
 * pieces that begin when no CPU has the partition any more; and nothing counts as done while one has requests open,
 * but for the one that never ends them.
 * Failure looks like: a function of the made-up machine here that still masters the bus, too many accesses in
 * one piece, or a last piece that comes too early.
 */
#include "unit.h"

#include <hal/cpu.h>
#include "run/cpu.h"

static struct cpu cpu;
static uint64_t ticks = 1;

#undef this_cpu
#define this_cpu	(&cpu)
#define hal_rdtsc()	(ticks)
#include "metakernel/part/busmaster.c"

#define NFUNCTIONS	300U
#define ACCESSES_MAX	2500U	/* of some 10 instructions each */

struct function {
	uint32_t address;
	uint16_t command;
	uint8_t header, express;	/* where the capability is; 0: none */
	bool fixed;			/* its bus mastering cannot be turned off */
	unsigned int busy;		/* looks that find requests open */
};

char *unit_arena;
size_t unit_arena_bytes;
bool lock_others;
unsigned int ncpus = 1;
struct cpu *cpus[MAX_CPUS] = { &cpu };
static struct function machine[NFUNCTIONS];
static struct partition part;
static struct manifest_part man = { .name = "linux", .devices = true };
static struct vcpu vcpu;
static unsigned int naccesses, ndone, on_cpus;
static char line[200];
static uint64_t seed = 1;

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }
uint64_t hal_tsc_khz(void) { return 1000000; }
void cpu_work(struct cpu *c, uint32_t what) { c->work |= what; }
bool part_gone(const struct partition *p) { (void)p; return !on_cpus; }

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	ndone++;
}

static struct function *at_address(uint32_t address)
{
	for (unsigned int i = 0; i < NFUNCTIONS; i++)
		if (machine[i].address == (address & 0xffff00))
			return &machine[i];
	return NULL;
}

uint32_t hal_pci_read(uint32_t address, unsigned int size)
{
	struct function *f = at_address(address);
	unsigned int reg = address & 0xff;

	naccesses++;
	if (!f)
		return size == 4 ? 0xffffffff : (1U << 8 * size) - 1;
	if (reg == 0)
		return 0x12348086;
	if (reg == 0x04)
		return f->command;
	if (reg == 0x06)
		return f->express ? 0x10 : 0;
	if (reg == 0x0e)
		return f->header;
	if (reg == 0x34)
		return 0x40;
	if (reg == 0x40)
		return 1;		/* power management, and on */
	if (reg == 0x41)
		return f->express;
	if (f->express && reg == f->express)
		return 0x10;
	if (f->express && reg == f->express + 0x0aU) {
		assert_false(f->command & 4 && !f->fixed);	/* waited for when it can begin nothing new */
		f->busy -= f->busy > 0 && f->busy != UINT32_MAX;
		return f->busy ? 0x20 : 0;
	}
	return 0;
}

void hal_pci_write(uint32_t address, unsigned int size, uint32_t value)
{
	struct function *f = at_address(address);

	naccesses++;
	assert_non_null(f);
	assert_int_equal(address & 0xff, 4);
	assert_int_equal(size, 2);
	assert_int_equal((f->command ^ value) & ~4U, 0);	/* nothing else is changed */
	f->command = (uint16_t)(f->fixed ? value | 4 : value);
}

static int start(void **state)
{
	(void)state;
	memset(machine, 0, sizeof(machine));
	for (unsigned int i = 0; i < NFUNCTIONS; i++) {
		struct function *f = &machine[i];

		do {
			f->address = UINT32_MAX;
			f->address = (uint32_t)unit_below(&seed, 8192) << 11;
			if (at_address(f->address) != f)
				f->address = 0xffffff;	/* a place for two: none */
		} while (f->address == 0xffffff);
		f->command = (uint16_t)(unit_random(&seed) & 0x507);
		f->express = unit_below(&seed, 2) ? 0x80 : 0;
	}
	machine[0].address = 0;
	machine[1].address = 255U << 16 | 31 << 11;
	machine[1].header = 0x80;
	machine[2].address = 255U << 16 | 31 << 11 | 7 << 8;	/* the very last */
	machine[0].command = machine[1].command = machine[2].command = 0x507;
	part = (struct partition) { .man = &man, .nvcpus = 1, .vcpu = &vcpu };
	on_cpus = ndone = 0;
	cpu.work = 0;
	busmaster_off(&part);
	assert_true(cpu.work & WORK_TIMER);
	return 0;
}

/* -> pieces until there is no more to do */
static unsigned int run(void)
{
	unsigned int n = 0;

	while (busmaster_tsc() && n++ < 100000) {
		ticks = busmaster_tsc() > ticks ? busmaster_tsc() : ticks + 1;
		naccesses = 0;
		busmaster_piece();
		assert_true(naccesses <= ACCESSES_MAX);
	}
	assert_int_equal(busmaster_tsc(), 0);
	assert_int_equal(ndone, 1);
	return n;
}

static unsigned int masters(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NFUNCTIONS; i++)
		n += machine[i].command >> 2 & 1;
	return n;
}

static void all_functions_lose_the_bus(void **state)
{
	char want[80];

	(void)state;
	snprintf(want, sizeof(want), "linux: bus mastering of %u functions is off, 0 still busy\n", masters());
	assert_in_range(run(), 2, 200);
	assert_int_equal(masters(), 0);
	assert_string_equal(line, want);
}

static void who_has_requests_open_is_waited_for(void **state)
{
	unsigned int plain = run(), n;

	start(state);
	machine[0].express = 0x80;
	machine[0].busy = 50;
	n = run();
	assert_in_range(n, plain + 45, plain + 60);
	assert_int_equal(machine[0].busy, 0);
}

static void and_who_never_ends_is_named(void **state)
{
	(void)state;
	machine[2].express = 0x80;
	machine[2].busy = UINT32_MAX;
	assert_in_range(run(), DRAIN_TRIES, 400);
	assert_non_null(strstr(line, "1 still busy"));
	assert_int_equal(masters(), 0);
}

static void what_cannot_be_turned_off_stays(void **state)
{
	(void)state;
	machine[0].fixed = true;
	run();
	assert_int_equal(masters(), 1);
}

static void nothing_begins_while_a_cpu_has_the_partition(void **state)
{
	unsigned int before = masters();

	(void)state;
	on_cpus = 1;
	for (unsigned int i = 0; i < 10; i++)
		busmaster_piece();
	assert_int_equal(masters(), before);
	assert_true(busmaster_tsc());
	on_cpus = 0;
	run();
	assert_int_equal(masters(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_functions_lose_the_bus, start),
		cmocka_unit_test_setup(who_has_requests_open_is_waited_for, start),
		cmocka_unit_test_setup(and_who_never_ends_is_named, start),
		cmocka_unit_test_setup(what_cannot_be_turned_off_stays, start),
		cmocka_unit_test_setup(nothing_begins_while_a_cpu_has_the_partition, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
