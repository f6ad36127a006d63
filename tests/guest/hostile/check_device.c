// SPDX-License-Identifier: MIT
/*
 * check_device.c - attacks of a partition that holds the devices but not the control right: rules 24 to 26.
 */
#include "hostile.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define FUNCTION(dev, fn) ((dev) << 11 | (fn) << 8)

static long do_write32(uint64_t va, uint64_t value, uint64_t c)
{
	(void)c;
	*(volatile uint32_t *)va = (uint32_t)value;
	return 0;
}

static long do_read32(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	return *(volatile uint32_t *)va;
}

/* Registers that are the metakernel's: absent for reads, writes have no effect. */
const char *check_device_windows(void)
{
	static const uint64_t never[] = {
		0xfee00000, 0xfee00300, 0xfee00310, 0xfee0f000, 0xfeeff000, 0xfec00000, 0xfec00010, 0xfed00000,
		0xfed000f0, 0xfffffff0, 0xfffc0000, 0x100000, 0x180000, 0x200000,
	};
	unsigned int i;

	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		uint64_t va = WINDOW_VA + (never[i] & 0xfff);

		map(WINDOW_VA, never[i] & PTE_ADDR, PTE_P | PTE_W | PTE_A | PTE_D | PTE_PCD);
		hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, WINDOW_VA, 1);
		if (!attempt(do_read32, va, 0, 0))
			EXPECT((uint32_t)happened.result == 0xffffffff, "%lx reads %lx", never[i], happened.result);
		/* an INIT to itself, were it the local APIC; dropped, or refused if it is another's memory */
		attempt(do_write32, va, 0x4500, 0);
		if (!attempt(do_read32, va, 0, 0))
			EXPECT((uint32_t)happened.result == 0xffffffff, "%lx was written", never[i]);
	}
	map(WINDOW_VA, 0, 0);
	flush();
	return sanity();
}

static const char *rte_ok(uint64_t index, uint64_t entry)
{
	uint64_t low = (uint64_t)hcall(HC_DEBUG, 14, index, 0x10 + 2 * entry);
	uint64_t high = (uint64_t)hcall(HC_DEBUG, 14, index, 0x11 + 2 * entry);

	if (low & 0x10000)	/* masked */
		return NULL;
	EXPECT((low & 0x700) == 0, "entry %lu: delivery mode in %lx", entry, low);
	EXPECT((low & 0xff) >= 0x20 && ((low & 0xff) <= 0xef || (low & 0xff) == 0xf1), "entry %lu: vector in %lx",
	       entry, low);
	EXPECT(high >> 24 == vcpu_page->apic_id && !(low & 0x800), "entry %lu: destination %lx %lx", entry, high, low);
	return NULL;
}

/* Random writes to all IOAPIC entries: what reaches the hardware is checked, the console's line stays. */
const char *check_ioapic(void)
{
	bool debug = hcall(HC_DEBUG, 0, 0, 0) == 1;
	int64_t before = debug ? hcall(HC_DEBUG, 14, 0, 0x10 + 2 * 4) : 0;
	unsigned int round, i;

	for (round = 0; round < 3000; round++) {
		uint64_t index = random64() % 8 ? 0 : random64() >> (random64() & 63);
		uint64_t reg = random64() % 8 ? 0x10 + random64() % 48 : random64() >> (random64() & 63);
		uint64_t value = random64() & 1 ? random64() : (random64() & 0xf7ff) | (random64() & 1 ? 0 : 0x10000);

		hcall(KEEL_HC_IOAPIC_WRITE, index, reg, value);
		hcall(KEEL_HC_IOAPIC_READ, index, reg, 0);
		if (round % 16 == 0)
			hcall(KEEL_HC_EOI, 0, 0, 0);
		for (i = 0; debug && round % 50 == 0 && i < 24; i++) {
			const char *why = rte_ok(0, i);

			if (why)
				return why;
		}
	}
	EXPECT(!debug || hcall(HC_DEBUG, 14, 0, 0x10 + 2 * 4) == before, "the console's line changed");
	for (i = 0; i < 24; i++)
		hcall(KEEL_HC_IOAPIC_WRITE, 0, 0x10 + 2 * i, 0x10000);
	nap_us(20000);
	return sanity();
}

/* Ports that end, reset or silence the machine, without the control right. */
const char *check_device_ports(void)
{
	attempt(port_out8, 0xf4, 5, 0);
	attempt(port_out8, 0x3f8, 'X', 0);
	attempt(port_out8, 0xcf9, 6, 0);
	attempt(port_out8, 0x64, 0xfe, 0);
	attempt(port_out8, 0x92, 1, 0);
	attempt(port_out8, 0xb2, 1, 0);
	attempt(port_out32, 0xcf9 - 1, 0x0600, 0);
	attempt(port_out32, 0xf3, 0x0500, 0);
	attempt(port_out32, 0x91, 0x0100, 0);
	attempt(port_out32, 0x604, 0x2001, 0);	/* QEMU's PM1a control: sleep */
	attempt(port_out8, 0x20, 0x11, 0);
	attempt(port_out8, 0x21, 0, 0);
	nap_us(5000);
	return sanity();
}

/* ---- Stores that are dropped -------------------------------------------------------------------------- */

void *map_device(uint64_t pa)
{
	map(WINDOW_VA, pa & PTE_ADDR, PTE_P | PTE_W | PTE_A | PTE_D | PTE_PCD);
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, WINDOW_VA, 1);
	return (void *)(WINDOW_VA + (pa & 0xfff));
}

/* Each kind of plain store; registers that count come back as after a store that was done. */
static const char *stores(uint64_t va)
{
	uint64_t rdi = va, rsi = (uint64_t)start_info, rcx = 8, old = 5, zf;

	asm volatile("movb $1, (%0); movw $2, (%0); movl $3, 4(%0); movq $4, 8(%0)\n"
		     "movb %%cl, 1(%0); movw %%cx, 2(%0); movl %%ecx, 0x10(%0,%%rcx,2); movq %%rcx, (%0)\n"
		     "movntil %%ecx, (%0); movntiq %%rcx, (%0)" : : "r" (va), "c" (0UL) : "memory");
	asm volatile("rep stosl" : "+D" (rdi), "+c" (rcx) : "a" (0) : "memory");
	EXPECT(rdi == va + 32 && !rcx, "REP STOS: RDI + %lx, RCX %lx", rdi - va, rcx);
	rdi = va;
	rcx = 3;
	asm volatile("rep movsb; movsq" : "+D" (rdi), "+S" (rsi), "+c" (rcx) : : "memory");
	EXPECT(rdi == va + 11 && rsi == (uint64_t)start_info + 11 && !rcx, "REP MOVS: RDI + %lx", rdi - va);
	asm volatile("lock cmpxchgl %%ecx, (%2); setz %b1" : "+a" (old), "=&d" (zf) : "r" (va), "c" (7) : "memory", "cc");
	EXPECT(zf & 1, "CMPXCHG was not taken");
	return NULL;
}

static long other_store(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	asm volatile("addl $1, (%0)" : : "r" (va) : "memory");
	return 0;
}

/* What iTCO_wdt does to the chipset's registers on q35: the next instruction follows, nothing has changed. */
const char *check_device_stores(void)
{
	static const uint64_t devices[] = { 0xfed1c000 + 0x3410, 0xfec00000, 0xfee00300, 0xfed00010, 0xfffc0000 };
	const volatile uint32_t *at;
	const char *why;
	unsigned int i;

	for (i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		at = map_device(devices[i] & ~0xfffUL);
		why = stores((uint64_t)at + (devices[i] & 0xff0));
		if (why)
			return why;
		EXPECT(at[(devices[i] & 0xff0) / 4] == 0xffffffff, "%lx reads %x", devices[i],
		       at[(devices[i] & 0xff0) / 4]);
		/* what is no plain store is a fault that names itself, not one that would be retried */
		EXPECT(attempt(other_store, (uint64_t)at, 0, 0) && vector() == VEC_GP, "ADD to %lx: vector %u",
		       devices[i], vector());
	}
	return sanity();
}

/* The first table behind the RSDP, whose address BIOS leaves below 1 MiB; the FACS lies beside it. */
static uint64_t find_tables(void)
{
	uint64_t pa, off;

	for (pa = 0xe0000; pa < 0x100000; pa += PAGE) {
		const uint8_t *at = map_device(pa);

		for (off = 0; off < PAGE; off += 16)
			if (!memcmp(at + off, "RSD PTR ", 8))
				return *(const uint32_t *)(at + off + 16);
	}
	return 0;
}

/* Firmware tables, EBDA and ROMs can be read, and stay as they are. */
const char *check_firmware_tables(void)
{
	uint64_t tables = find_tables(), pa;
	unsigned int i;

	EXPECT(tables, "no RSDP");
	for (pa = tables & ~0xffffUL, i = 0; i < 18; i++, pa += PAGE) {
		uint64_t at = i == 16 ? 0x9f000 : i == 17 ? 0xf0000 : pa;
		volatile uint32_t *p = map_device(at);
		uint32_t before[16];
		unsigned int n;

		if (attempt(do_read32, (uint64_t)p, 0, 0) || p[0] == 0xffffffff)
			continue;
		for (n = 0; n < 16; n++)
			before[n] = p[n];
		for (n = 0; n < 16; n++)
			p[n] = 0x00080000;	/* a waking vector below 1 MiB */
		for (n = 0; n < 16; n++)
			EXPECT(p[n] == before[n], "%lx + %u was written", at, n * 4);
	}
	EXPECT(*(volatile uint32_t *)map_device(tables) == 0x54445352 /* RSDT */, "the RSDT reads %x",
	       *(volatile uint32_t *)map_device(tables));
	return sanity();
}

/* ---- Configuration space -------------------------------------------------------------------------------- */

uint32_t config_read(uint32_t address)
{
	port_out32(CONFIG_ADDRESS, 0x80000000 | address, 0);
	return (uint32_t)port_in32(CONFIG_DATA, 0, 0);
}

void config_write(uint32_t address, uint32_t value)
{
	port_out32(CONFIG_ADDRESS, 0x80000000 | address, 0);
	port_out32(CONFIG_DATA, value, 0);
}

/*
 * Where power management is, who sees SMRAM, what lies in the BIOS area, where configuration space is in
 * memory: the registers of QEMU's two chipsets, each function asked for its own.
 */
const char *check_chipset_registers(void)
{
	static const struct { uint32_t id, reg; } registers[] = {
		{ 0x12378086, 0x58 }, { 0x12378086, 0x5c }, { 0x12378086, 0x70 },	/* i440FX: PAM, SMRAM */
		{ 0x70008086, 0x4c }, { 0x70008086, 0x80 },				/* PIIX3: decoding, APIC base */
		{ 0x71138086, 0x40 }, { 0x71138086, 0x58 }, { 0x71138086, 0x80 }, { 0x71138086, 0x90 },	/* PIIX4: PM */
		{ 0x29c08086, 0x40 }, { 0x29c08086, 0x48 }, { 0x29c08086, 0x60 }, { 0x29c08086, 0x64 },	/* Q35: bars */
		{ 0x29c08086, 0x90 }, { 0x29c08086, 0x94 }, { 0x29c08086, 0x9c }, { 0x29c08086, 0xac },	/* PAM, SMRAM */
		{ 0x29188086, 0x40 }, { 0x29188086, 0x44 }, { 0x29188086, 0x80 }, { 0x29188086, 0xa0 },	/* ICH9: PM */
		{ 0x29188086, 0xd0 }, { 0x29188086, 0xdc }, { 0x29188086, 0xf0 },			/* flash, RCBA */
	};
	unsigned int dev, fn, i, seen = 0;

	for (dev = 0; dev < 32; dev++)
		for (fn = 0; fn < 8; fn++) {
			uint32_t id = config_read(FUNCTION(dev, fn));

			for (i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
				uint32_t at = FUNCTION(dev, fn) | registers[i].reg, before;

				if (registers[i].id != id)
					continue;
				seen++;
				before = config_read(at);
				config_write(at, before ^ 0x0000b0b9);
				config_write(at, ~before);
				port_out8(CONFIG_DATA + 1, ~before >> 8, 0);
				EXPECT(config_read(at) == before, "%x of %x was %x, is %x", registers[i].reg, id, before,
				       config_read(at));
			}
		}
	EXPECT(seen >= 9, "%u registers", seen);
	return sanity();
}

/* The first ordinary device: its BARs cannot go where the partition may not. */
const char *check_bars(void)
{
	static const uint32_t bad[] = { 0x100000, 0x400000, 0xfec00000, 0xfee00000, 0xfed00000, 0xfffc0000, 0x8000000 };
	unsigned int dev, i, tried = 0;

	for (dev = 1; dev < 32; dev++) {
		uint32_t at = FUNCTION(dev, 0), bar, command;

		if ((config_read(at) & 0xffff) != 0x1af4)
			continue;
		bar = config_read(at | 0x14);
		command = config_read(at | 4) & 0xffff;
		if (!bar || bar & 1)
			continue;
		/* its size, as Linux asks for it */
		config_write(at | 0x14, 0xffffffff);
		EXPECT(config_read(at | 0x14) == 0xfffff000, "size %x", config_read(at | 0x14));
		config_write(at | 0x14, bar);
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			config_write(at | 4, command | 2);
			config_write(at | 0x14, bad[i]);
			EXPECT(config_read(at | 0x14) == bar, "BAR at %x", config_read(at | 0x14));
			config_write(at | 4, command & ~3U);
			config_write(at | 0x14, bad[i]);
			config_write(at | 4, command | 2);
			EXPECT(!(config_read(at | 4) & 2), "decodes %x", config_read(at | 0x14));
			config_write(at | 0x14, bar);
			tried++;
		}
		config_write(at | 4, command);
	}
	EXPECT(tried, "no device");
	return sanity();
}

/* SLP_EN with every type, in every way to write it, where QEMU's chipsets have PM1 control. */
const char *check_sleep(void)
{
	static const uint16_t pm1[] = { 0x604, 0xb004, 0x404, 0x1804 };
	unsigned int i, type;

	for (i = 0; i < sizeof(pm1) / sizeof(pm1[0]); i++)
		for (type = 0; type < 8; type++) {
			uint64_t value = 0x2001 | type << 10;

			attempt(port_out16, pm1[i], value, 0);
			attempt(port_out32, pm1[i], value, 0);
			attempt(port_out8, pm1[i] + 1U, value >> 8, 0);
			attempt(port_out32, pm1[i] - 2U, value << 16, 0);
			attempt(port_out32, pm1[i] - 1U, value << 8, 0);
			attempt(port_out16, pm1[i] + 1U, value >> 8, 0);
		}
	nap_us(5000);
	return sanity();
}
