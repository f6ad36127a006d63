// SPDX-License-Identifier: MIT
/*
 * Property: whatever a partition writes to configuration space, registers of the chipset stay (but for a
 * list), and no function decodes addresses that are not the partition's; and what Linux does to size and
 * move BARs works.
 * Failure looks like: a byte of the host bridge that changed, or a BAR, ROM or window that is decoded
 * where it must not be.
 */
#include "unit.h"

#include "metakernel/entry/pci.c"

#define HOST	0x0000U		/* bus 0, devices 0, 1, 2 .. */
#define ISA	0x0800U
#define PM	0x0b00U
#define SMBUS	0x0c00U
#define NIC	0x1000U
#define BRIDGE	0x1800U
#define FAR	0x10000U	/* bus 1, device 0 */
#define WINDOW	0xe0000000UL
#define WINDOW_END 0xfec00000UL
#define HIGH	0x800000000UL
#define HIGH_END 0x1000000000UL

static struct function {
	uint32_t address;
	uint8_t space[256], writable[256];
} functions[] = {
	{ .address = HOST }, { .address = ISA }, { .address = PM }, { .address = SMBUS }, { .address = NIC },
	{ .address = BRIDGE }, { .address = FAR },
};
static struct manifest_part man;
static struct partition part = { .man = &man };
static struct vcpu vcpu_memory;
static struct vcpu *const v = &vcpu_memory;
static unsigned int nlines, nwrites;
static uint64_t seed = 1;

static struct function *find(uint32_t address)
{
	for (size_t i = 0; i < NELEM(functions); i++)
		if (functions[i].address == (address & FUNCTION_BITS))
			return &functions[i];
	return NULL;
}

uint32_t hal_pci_read(uint32_t address, unsigned int size)
{
	const struct function *f = find(address);
	uint32_t value = 0xffffffff;

	assert_true((address & 3) + size <= 4);
	if (f)
		memcpy(&value, f->space + (address & 0xff), size);
	return size == 4 ? value : value & ((1U << 8 * size) - 1);
}

void hal_pci_write(uint32_t address, unsigned int size, uint32_t value)
{
	struct function *f = find(address);

	assert_true((address & 3) + size <= 4);
	nwrites++;
	for (unsigned int i = 0; f && i < size; i++) {
		unsigned int at = (address & 0xff) + i;
		uint8_t byte = (uint8_t)(value >> 8 * i);

		if (at == 6 || at == 7)		/* status: cleared by ones */
			f->space[at] &= (uint8_t)~(byte & f->writable[at]);
		else
			f->space[at] = (uint8_t)((f->space[at] & ~f->writable[at]) | (byte & f->writable[at]));
	}
}

bool leaf_mmio_window(paddr_t pa, uint64_t bytes)
{
	return (pa >= WINDOW && pa < WINDOW_END && bytes <= WINDOW_END - pa) ||
	       (pa >= HIGH && pa < HIGH_END && bytes <= HIGH_END - pa);
}

bool emul_ports_free(uint64_t base, uint64_t bytes)
{
	return base >= 0x1000 && base < 0x10000 && bytes <= 0x10000 - base && (base > 0xb03f || base + bytes <= 0xb000);
}

bool part_log_ok(struct partition *p)
{
	(void)p;
	return true;
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
	nlines++;
}

static void put(struct function *f, unsigned int at, unsigned int size, uint32_t value, uint32_t mask)
{
	memcpy(f->space + at, &value, size);
	memcpy(f->writable + at, &mask, size);
}

static struct function *make(uint32_t address, uint32_t id, uint16_t class, uint8_t header)
{
	struct function *f = find(address);

	memset(f->writable, 0xff, sizeof(f->writable));
	memset(f->space, 0, sizeof(f->space));
	put(f, PCI_ID, 4, id, 0);
	put(f, PCI_COMMAND, 4, 0xf2100003, 0xf9000547);
	put(f, PCI_CLASS, 4, (uint32_t)class << 16, 0);
	put(f, 0x0c, 4, (uint32_t)header << 16, 0xffff);
	return f;
}

static int start(void **state)
{
	struct function *f;

	(void)state;
	v->part = &part;
	make(HOST, 0x12378086, 0x0600, 0);
	make(ISA, 0x70008086, 0x0601, 0x80);
	make(PM, 0x71138086, 0x0680, 0);
	f = make(SMBUS, 0x29308086, 0x0c05, 0);
	put(f, 0x20, 4, 0x701, 0xffe0);
	f = make(NIC, 0x10001af4, 0x0200, 0);
	put(f, 0x10, 4, 0xc001, 0xffffffe0);
	put(f, 0x14, 4, 0xfe000000, 0xfffff000);
	put(f, 0x18, 4, 0, 0);
	put(f, 0x1c, 4, 0, 0);
	put(f, 0x20, 4, 0xfe01000c, 0xffffc000);
	put(f, 0x24, 4, 0, 0xffffffff);
	put(f, PCI_ROM, 4, 0, 0xffff0001);
	f = make(BRIDGE, 0x00011b36, 0x0604, 1);
	put(f, 0x10, 4, 0, 0);
	put(f, 0x14, 4, 0xfd000000, 0xfff00000);
	put(f, PCI_BRIDGE_MEMORY, 4, 0xe1f0e100, 0xfff0fff0);
	put(f, PCI_BRIDGE_PREFETCH, 4, 0x0001fff1, 0xfff0fff0);
	put(f, PCI_BRIDGE_ROM, 4, 0, 0xfffff801);
	f = make(FAR, 0x100e8086, 0x0200, 0);
	put(f, 0x10, 4, 0xe1000000, 0xfffe0000);
	for (unsigned int at = 0x14; at < 0x28; at += 4)
		put(f, at, 4, 0, 0);
	put(f, PCI_ROM, 4, 0, 0xffff0001);
	config_address = 0;
	sizing.function = sizing.bars = 0;
	return 0;
}

/* As Linux does it: the address, then the data. */
static uint32_t in(uint32_t address, unsigned int size)
{
	pci_port_out(v, 0xcf8, 4, 0x80000000 | (address & ~3U));
	return pci_port_in((uint16_t)(0xcfc + (address & 3)), size);
}

static void out(uint32_t address, unsigned int size, uint32_t value)
{
	pci_port_out(v, 0xcf8, 4, 0x80000000 | (address & ~3U));
	pci_port_out(v, (uint16_t)(0xcfc + (address & 3)), size, value);
}

/* ---- What must hold ----------------------------------------------------------------------------------- */

static void require_place(const struct function *f, unsigned int at, bool io, uint64_t base, uint64_t bytes)
{
	if (base && !(io ? emul_ports_free(base, bytes) : leaf_mmio_window(base, bytes)))
		fail_msg("%05x register %#x decodes %#lx, %#lx bytes", f->address, at, base, bytes);
}

static void require_bars(const struct function *f, unsigned int n)
{
	uint32_t command = f->space[PCI_COMMAND];

	for (unsigned int i = 0; i < n; i++) {
		uint32_t low, low_mask, high = 0, high_mask = 0;
		bool io, wide;

		memcpy(&low, f->space + 0x10 + 4 * i, 4);
		memcpy(&low_mask, f->writable + 0x10 + 4 * i, 4);
		io = low & 1;
		wide = (low & 7) == 4;
		if (wide) {
			memcpy(&high, f->space + 0x14 + 4 * i, 4);
			memcpy(&high_mask, f->writable + 0x14 + 4 * i, 4);
		}
		if (low_mask && command & (io ? 1 : 2))
			require_place(f, 0x10 + 4 * i, io, (uint64_t)high << 32 | (low & low_mask),
				      low_mask & -low_mask);
		i += wide;
	}
}

static void require_rom(const struct function *f, unsigned int at)
{
	uint32_t rom;

	memcpy(&rom, f->space + at, 4);
	if (rom & 1 && f->space[PCI_COMMAND] & 2)
		require_place(f, at, false, rom & 0xfffff800, 0x10000);
}

static void require_windows(const struct function *f)
{
	uint32_t w[4];

	memcpy(w, f->space + PCI_BRIDGE_MEMORY, sizeof(w));
	for (unsigned int i = 0; i < 2 && f->space[PCI_COMMAND] & 2; i++) {
		uint64_t base = (uint64_t)(w[i] & 0xfff0) << 16, end = ((uint64_t)(w[i] >> 20) + 1) << 20;

		if (i) {
			base |= (uint64_t)w[2] << 32;
			end = ((uint64_t)w[3] << 32 | (w[i] & 0xfff00000)) + 0x100000;
		}
		if (end > base)
			require_place(f, 0x20 + 4 * i, false, base, end - base);
	}
}

static void require_all(void)
{
	require_bars(find(NIC), 6);
	require_rom(find(NIC), PCI_ROM);
	require_bars(find(FAR), 6);
	require_bars(find(BRIDGE), 2);
	require_windows(find(BRIDGE));
}

/* ---- Tests ---------------------------------------------------------------------------------------------- */

static void chipset_registers_stay(void **state)
{
	static const uint32_t chipset[] = { HOST, ISA, PM, SMBUS };

	(void)state;
	for (size_t c = 0; c < NELEM(chipset); c++) {
		struct function *f = find(chipset[c]), before = *f;

		for (unsigned int at = 0; at < 256; at++)
			for (unsigned int size = 1; size <= 4; size *= 2)
				if ((at & 3) + size <= 4)
					out(chipset[c] | at, size, 0x8a8a8a8a);
		for (unsigned int at = 0; at < 256; at++) {
			bool listed = (at >= 4 && at < 8) || at == PCI_INTERRUPT_LINE ||
				      (chipset[c] == ISA && ((at >= 0x60 && at < 0x64) || (at >= 0x68 && at < 0x6c)));

			if (!listed && f->space[at] != before.space[at])
				fail_msg("%05x register %#x was written", f->address, at);
		}
		if (chipset[c] != SMBUS)	/* decoding and bus mastering of a bridge */
			assert_int_equal(f->space[PCI_COMMAND] & 7, before.space[PCI_COMMAND] & 7);
	}
}

static void pirq_goes_where_it_may(void **state)
{
	(void)state;
	out(ISA | 0x60, 1, 11);
	assert_int_equal(find(ISA)->space[0x60], 11);
	out(ISA | 0x60, 1, 4);		/* the console's */
	assert_int_equal(find(ISA)->space[0x60], 11);
	out(ISA | 0x60, 4, 0x0a0b800a);
	assert_int_equal(in(ISA | 0x60, 4), 0x0a0b800a);
	out(HOST | 0x60, 1, 11);
	assert_int_equal(find(HOST)->space[0x60], 0);
}

static void bars_are_sized_with_decoding_off(void **state)
{
	(void)state;
	out(NIC | PCI_COMMAND, 2, 0);
	out(NIC | 0x14, 4, 0xffffffff);
	assert_int_equal(in(NIC | 0x14, 4), 0xfffff000);
	out(NIC | 0x14, 4, 0xfe000000);
	out(NIC | 0x20, 4, 0xffffffff);
	out(NIC | 0x24, 4, 0xffffffff);
	assert_int_equal(in(NIC | 0x20, 4), 0xffffc00c);
	assert_int_equal(in(NIC | 0x24, 4), 0xffffffff);
	out(NIC | 0x20, 4, 0xfe01000c);
	out(NIC | 0x24, 4, 0);
	out(NIC | PCI_COMMAND, 2, 3);
	assert_int_equal(in(NIC | PCI_COMMAND, 2), 3);
	assert_int_equal(in(NIC | 0x14, 4), 0xfe000000);
}

static void bars_are_sized_with_decoding_on(void **state)
{
	static const struct { unsigned int reg; uint32_t size; } bars[] = {
		{ 0x10, 0xffffffe1 }, { 0x14, 0xfffff000 }, { 0x20, 0xffffc00c }, { 0x24, 0xffffffff },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(bars); i++) {
		uint32_t old = in(NIC | bars[i].reg, 4);

		out(NIC | bars[i].reg, 4, 0xffffffff);
		require_all();		/* it has not moved */
		assert_int_equal(hal_pci_read(NIC | bars[i].reg, 4), old);
		assert_int_equal(in(NIC | bars[i].reg, 4), bars[i].size);
		out(NIC | bars[i].reg, 4, old);
		assert_int_equal(in(NIC | bars[i].reg, 4), old);
	}
	/* also of the chipset's functions that are no bridges */
	out(SMBUS | 0x20, 4, 0xffffffff);
	assert_int_equal(in(SMBUS | 0x20, 4) & 0xffff, 0xffe1);
	out(SMBUS | 0x20, 4, 0x701);
	assert_int_equal(in(SMBUS | 0x20, 4), 0x701);
}

static void bars_move_only_to_what_is_the_partitions(void **state)
{
	static const struct { uint32_t low, high; bool ok; } places[] = {
		{ 0xe8000000, 0, true }, { 0xfebfc000, 0, true }, { 0, 8, true }, { 0x12340000, 9, true },
		{ 0x00100000, 0, false }, { 0xfec00000, 0, false }, { 0xfee00000, 0, false }, { 0xdfffc000, 0, false },
		{ 0, 0x10, false }, { 0xe0000000, 1, false }, { 0xfffc0000, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(places); i++) {
		start(NULL);
		out(NIC | PCI_COMMAND, 2, 1);	/* memory decoding off, as Linux does for wide BARs */
		out(NIC | 0x20, 4, places[i].low);
		out(NIC | 0x24, 4, places[i].high);
		out(NIC | PCI_COMMAND, 2, 7);
		require_all();
		assert_int_equal(in(NIC | PCI_COMMAND, 2), places[i].ok ? 7 : 5);
	}
	start(NULL);
	nlines = 0;
	out(NIC | 0x14, 4, 0x00200000);		/* in place, decoding on: over RAM */
	assert_int_equal(in(NIC | 0x14, 4), 0xfe000000);
	assert_int_equal(nlines, 1);
	out(NIC | 0x14, 4, 0x00300000);
	assert_int_equal(nlines, 1);		/* named once */
	out(NIC | 0x14, 4, 0xe2000000);
	assert_int_equal(in(NIC | 0x14, 4), 0xe2000000);
	out(NIC | 0x10, 4, 0xb001);		/* ports of power management */
	assert_int_equal(in(NIC | 0x10, 4), 0xc001);
	out(NIC | PCI_ROM, 4, 0x00100001);
	assert_int_equal(in(NIC | PCI_ROM, 4), 0);
	out(NIC | PCI_ROM, 4, 0xe3000001);
	assert_int_equal(in(NIC | PCI_ROM, 4), 0xe3000001);
}

static void one_bad_bar_turns_off_its_own_kind_only(void **state)
{
	(void)state;
	out(NIC | PCI_COMMAND, 2, 0);
	out(NIC | 0x10, 4, 0xb001);
	out(NIC | PCI_COMMAND, 2, 7);
	assert_int_equal(in(NIC | PCI_COMMAND, 2), 6);
}

static void bridge_windows_stay_in_the_partitions(void **state)
{
	(void)state;
	/* as Linux probes: closed windows */
	out(BRIDGE | PCI_BRIDGE_PREFETCH, 4, 0xffe0fff0);
	assert_int_equal(in(BRIDGE | PCI_BRIDGE_PREFETCH, 4) & 0xfff0fff0, 0xffe0fff0);
	out(BRIDGE | PCI_BRIDGE_PREFETCH, 4, 0x0000fff0);
	out(BRIDGE | PCI_BRIDGE_MEMORY, 4, 0xe2f0e200);
	assert_int_equal(in(BRIDGE | PCI_BRIDGE_MEMORY, 4), 0xe2f0e200);
	out(BRIDGE | PCI_BRIDGE_MEMORY, 4, 0xfff0e200);		/* up to 4 GiB: over the APICs */
	out(BRIDGE | PCI_BRIDGE_MEMORY, 4, 0x3ff00010);		/* over RAM */
	assert_int_equal(in(BRIDGE | PCI_BRIDGE_MEMORY, 4), 0xe2f0e200);
	/* a wide window above 4 GiB, in Linux's order */
	out(BRIDGE | PCI_BRIDGE_LIMIT_HIGH, 4, 0);
	out(BRIDGE | PCI_BRIDGE_PREFETCH, 4, 0x0ff00000);
	out(BRIDGE | 0x28, 4, 8);
	out(BRIDGE | PCI_BRIDGE_LIMIT_HIGH, 4, 8);
	assert_int_equal(in(BRIDGE | PCI_BRIDGE_LIMIT_HIGH, 4), 8);
	out(BRIDGE | PCI_BRIDGE_LIMIT_HIGH, 4, 0x1000);
	assert_int_equal(in(BRIDGE | PCI_BRIDGE_LIMIT_HIGH, 4), 8);
	require_all();
}

static void only_mechanism_one_in_whole_dwords(void **state)
{
	(void)state;
	nwrites = 0;
	pci_port_out(v, 0xcf8, 4, 0x80000000 | NIC | 0x40);
	pci_port_out(v, 0xcf8, 1, 0xf1);	/* mechanism #2 */
	pci_port_out(v, 0xcfa, 1, 2);
	pci_port_out(v, 0xcfb, 1, 1);
	pci_port_out(v, 0xcf9, 2, 6);
	pci_port_out(v, 0xcfd, 4, ~0U);		/* across the dword */
	pci_port_out(v, 0xcff, 2, ~0U);
	assert_int_equal(nwrites, 0);
	assert_int_equal(pci_port_in(0xcf8, 4), 0x80000000 | NIC | 0x40);
	assert_int_equal(pci_port_in(0xcf8, 1), 0xffffffff);
	pci_port_out(v, 0xcf8, 4, NIC | 0x40);	/* not enabled */
	pci_port_out(v, 0xcfc, 4, ~0U);
	assert_int_equal(nwrites, 0);
	assert_int_equal(pci_port_in(0xcfc, 4), 0xffffffff);
	pci_port_out(v, 0xcf8, 4, 0xff000000 | NIC | 0x43);
	assert_int_equal(pci_port_in(0xcf8, 4), 0x80000000 | NIC | 0x40);
	pci_port_out(v, 0xcfd, 2, 0x1234);
	assert_int_equal(hal_pci_read(NIC | 0x41, 2) | hal_pci_read(NIC | 0x42, 1) << 8, 0x1234 | 0x12 << 8);
}

/* The hypercalls' way: the same function, the same filter. */
static void by_address_and_by_ports_are_the_same(void **state)
{
	static const struct { uint64_t address, size; bool ok; } accesses[] = {
		{ NIC, 4, true }, { NIC | 0xff, 1, true }, { NIC | 0xfe, 2, true }, { 0xffff3e, 2, true }, { NIC | 1, 2, true },
		{ NIC | 1, 4, false }, { NIC | 3, 2, false }, { NIC, 0, false }, { NIC, 3, false }, { NIC, 8, false },
		{ NIC, 1UL << 32 | 4, false }, { 0x01000000 | NIC, 4, false }, { 0x80000000 | NIC, 4, false },
		{ 1UL << 32 | NIC, 4, false }, { ~0UL, 1, false }, { NIC, ~0UL, false },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(accesses); i++)
		if (pci_access_ok(accesses[i].address, accesses[i].size) != accesses[i].ok)
			fail_msg("address %#lx, %lu bytes: not %d", accesses[i].address, accesses[i].size, accesses[i].ok);
	for (uint32_t at = 0; at < 256; at += 2)
		assert_int_equal(pci_read(NIC | at, 2), in(NIC | at, 2));
	pci_write(v, HOST | 0x40, 4, ~0U);		/* a register of the chipset */
	assert_int_equal(in(HOST | 0x40, 4), 0);
	pci_write(v, NIC | PCI_INTERRUPT_LINE, 1, 11);
	assert_int_equal(in(NIC | PCI_INTERRUPT_LINE, 1), 11);
	/* in the middle of an access by ports */
	pci_port_out(v, 0xcf8, 4, 0x80000000 | NIC);
	pci_read(ISA, 4);
	assert_int_equal(pci_port_in(0xcfc, 4), 0x10001af4);
	require_all();
}

static void random_writes_move_nothing_over_what_is_not_theirs(void **state)
{
	static const uint32_t addresses[] = { HOST, ISA, PM, SMBUS, NIC, NIC, NIC, BRIDGE, BRIDGE, FAR, 0x2000 };
	static const uint32_t values[] = { 0, 0xffffffff, 0xfee00000, 0xe1000000, 0xe0001, 0xc001, 0xb001, 8, 3, 7 };
	uint8_t host[256];

	(void)state;
	memcpy(host, find(HOST)->space, 256);
	for (unsigned int n = 0; n < 300000; n++) {
		uint32_t at = unit_below(&seed, 4) ? unit_below(&seed, 0x40) : unit_below(&seed, 0x100);
		unsigned int size = 1U << unit_below(&seed, 3);
		uint32_t value = unit_below(&seed, 2) ? values[unit_below(&seed, NELEM(values))]
						      : (uint32_t)unit_random(&seed);

		if ((at & 3) + size > 4)
			at &= ~3U;
		out(addresses[unit_below(&seed, NELEM(addresses))] | at, size, value);
		require_all();
		if (unit_below(&seed, 64) == 0)
			in(addresses[unit_below(&seed, NELEM(addresses))] | (at & ~3U), 4);
	}
	for (unsigned int at = 0x10; at < 256; at++)
		if (at != PCI_INTERRUPT_LINE)
			assert_int_equal(find(HOST)->space[at], host[at]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(chipset_registers_stay, start),
		cmocka_unit_test_setup(pirq_goes_where_it_may, start),
		cmocka_unit_test_setup(bars_are_sized_with_decoding_off, start),
		cmocka_unit_test_setup(bars_are_sized_with_decoding_on, start),
		cmocka_unit_test_setup(bars_move_only_to_what_is_the_partitions, start),
		cmocka_unit_test_setup(one_bad_bar_turns_off_its_own_kind_only, start),
		cmocka_unit_test_setup(bridge_windows_stay_in_the_partitions, start),
		cmocka_unit_test_setup(only_mechanism_one_in_whole_dwords, start),
		cmocka_unit_test_setup(by_address_and_by_ports_are_the_same, start),
		cmocka_unit_test_setup(random_writes_move_nothing_over_what_is_not_theirs, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
