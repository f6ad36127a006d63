// SPDX-License-Identifier: MIT
/*
 * pci.c - a filter before PCI configuration space.
 *
 * Registers there move devices in the address space and steer the machine's own logic: where power
 * management answers, who sees system management memory. The partition with the devices may read
 * everything and write what cannot lead out of it:
 *
 *   chipset   functions that are the machine's own logic (host, ISA and other bridges, memory and
 *             interrupt controllers, IOMMUs, SMBus, SPI), of any vendor: an allow-list of registers
 *   bridges   everything but windows over what the partition may not map
 *   devices   everything but BARs over what the partition may not map
 *
 * A place counts only while the function decodes it, so it is judged when it is written with decoding
 * on and when decoding is turned on. Writing all ones to ask for a BAR's size is answered from here if
 * decoding is on; the BAR stays where it is.
 *
 * Owns:       ports 0xcf8..0xcff and the partition's CONFIG_ADDRESS. One partition holds the devices
 *             (the manifest says so), hence one set of variables.
 * Locks:      LOCK_PORTS (ports_lock), the caller's: all ports, and both calls for configuration space.
 * Invariants: a function whose decoding the partition turned on has each BAR in a window of mm/leaf.h,
 *             in ports nobody else needs, or at 0, where reset leaves it.
 * Trusts:     the functions' own answers. Only mechanism #1: 256 bytes a function; #2 is not passed on.
 */
#include <hal/pci.h>
#include "entry/emul.h"
#include "entry/pci.h"
#include "mm/leaf.h"
#include "part/part.h"
#include "lib/log.h"

#define ADDRESS_ENABLE	0x80000000U
#define FUNCTION_BITS	0x00ffff00U
#define BAR_IO		0x1U
#define BAR_TYPE	0x6U
#define BAR_WIDE	0x4U
#define ROM_ENABLE	0x1U

static uint32_t config_address;		/* as the partition wrote it */
static struct { uint32_t function, bars; } sizing;	/* BARs that hold ones, as far as it knows */

static uint32_t read32(uint32_t function, unsigned int reg)
{
	return hal_pci_read(function | (reg & 0xfc), 4);
}

/* In sizing.bars; BARs and ROMs lie below 0x40. */
static uint32_t size_bit(unsigned int reg)
{
	return reg < 0x40 ? 1U << reg / 4 : 0;
}

static unsigned int header_type(uint32_t function)
{
	return hal_pci_read(function | PCI_HEADER_TYPE, 1) & 0x7f;
}

/* Class codes (PCI Code and ID Assignment 1.11) of what is the machine's own. */
static bool chipset_class(unsigned int base, unsigned int sub)
{
	switch (base) {
	case 0x05:		/* memory controllers */
	case 0x11:		/* signal processing: performance counters, thermal sensors */
		return true;
	case 0x06:		/* bridges, but for those between PCI buses */
		return sub != 0x04;
	case 0x08:		/* PIC, DMA, timers, IOMMU; but for SD hosts */
		return sub != 0x05;
	case 0x0c:		/* SMBus, and "other" serial: SPI flash */
		return sub == 0x05 || sub == 0x80;
	}
	return false;
}

enum pci_kind pci_kind(uint32_t function)
{
	uint32_t class;

	if ((read32(function, PCI_ID) & 0xffff) == 0xffff)
		return PCI_ABSENT;
	class = read32(function, PCI_CLASS) >> 16;
	if (chipset_class(class >> 8, class & 0xff))
		return PCI_CHIPSET;
	switch (header_type(function)) {
	case 0: return PCI_DEVICE;
	case 1: return PCI_BRIDGE;
	default: return PCI_CHIPSET;	/* of the old CardBus kind, or unknown */
	}
}

/* Once for each register, so that a loop cannot fill the log. */
static void refuse(const struct vcpu *v, unsigned int address, const char *what)
{
	static uint64_t named[EMUL_NAMED];

	if (emul_first(named, address) && part_log_ok(v->part))
		log_printf("%s: pci %02x:%02x.%x: %s (register %#x) not passed on\n", v->part->man->name,
			   address >> 16 & 0xff, address >> 11 & 31, address >> 8 & 7, what, address & 0xff);
}

/* ---- BARs ---------------------------------------------------------------------------------------- */

static unsigned int nbars(enum pci_kind kind)
{
	return kind == PCI_BRIDGE ? 2 : 6;
}

/* What register `reg` holds after all ones were written to it: its size. Decoding is off meanwhile. */
static uint32_t probe(uint32_t function, unsigned int reg)
{
	uint32_t command = hal_pci_read(function | PCI_COMMAND, 2);
	uint32_t off = command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	uint32_t old = read32(function, reg), mask;

	if (off != command)
		hal_pci_write(function | PCI_COMMAND, 2, off);
	hal_pci_write(function | reg, 4, 0xffffffff);
	mask = read32(function, reg);
	hal_pci_write(function | reg, 4, old);
	if (off != command)
		hal_pci_write(function | PCI_COMMAND, 2, command);
	return mask;
}

static bool place_ok(const struct pci_bar *bar)
{
	if (!bar->base || !bar->bytes)	/* at 0, or not there */
		return true;
	return bar->io ? emul_ports_free(bar->base, bar->bytes)
		       : leaf_mmio_window(bar->base, bar->bytes);
}

/* The BAR at `index` if its register held `low` and, where wide, the next one `high`. */
static struct pci_bar bar_if(uint32_t function, unsigned int index, uint32_t low, uint32_t high)
{
	struct pci_bar bar = { .io = low & BAR_IO, .wide = (low & (BAR_IO | BAR_TYPE)) == BAR_WIDE };
	uint32_t flags = bar.io ? 3 : 15;
	uint64_t mask;

	bar.base = (low & ~flags) | (bar.wide ? (uint64_t)high << 32 : 0);
	if (!bar.base)
		return bar;	/* where reset left it, or not there: nothing to ask */
	mask = probe(function, PCI_BAR + 4 * index) & ~flags;
	if (bar.wide)
		mask |= (uint64_t)probe(function, PCI_BAR + 4 * index + 4) << 32;
	bar.base &= mask;
	bar.bytes = mask & -mask;
	return bar;
}

/* May it be where it is? Its size is asked for only if its first byte may. */
static bool bar_if_ok(uint32_t function, unsigned int index, uint32_t low, uint32_t high)
{
	struct pci_bar bar = { .base = low & (low & BAR_IO ? ~3U : ~15U), .bytes = 1, .io = low & BAR_IO };

	if ((low & (BAR_IO | BAR_TYPE)) == BAR_WIDE)
		bar.base |= (uint64_t)high << 32;
	if (!place_ok(&bar))
		return false;
	bar = bar_if(function, index, low, high);
	return place_ok(&bar);
}

struct pci_bar pci_bar(uint32_t function, unsigned int index)
{
	uint32_t low = read32(function, PCI_BAR + 4 * index);
	bool wide = (low & (BAR_IO | BAR_TYPE)) == BAR_WIDE;

	return bar_if(function, index, low, wide ? read32(function, PCI_BAR + 4 * index + 4) : 0);
}

/* Which BAR the register is part of: it may be the upper half of a wide one. */
static unsigned int bar_index(uint32_t function, unsigned int reg)
{
	unsigned int i, half = (reg - PCI_BAR) / 4;

	for (i = 0; i < half; i++) {
		bool wide = (read32(function, PCI_BAR + 4 * i) & (BAR_IO | BAR_TYPE)) == BAR_WIDE;

		if (wide && i + 1 == half)
			return i;
		i += wide;
	}
	return half;
}

/* Would BAR `index` be in order, register `reg` of it being `value`? */
static bool bar_ok(uint32_t function, unsigned int index, unsigned int reg, uint32_t value)
{
	uint32_t low = read32(function, PCI_BAR + 4 * index), high = 0, flags = low & BAR_IO ? 3 : 15;
	bool upper = reg != PCI_BAR + 4 * index;

	if ((low & (BAR_IO | BAR_TYPE)) == BAR_WIDE)
		high = upper ? value : read32(function, PCI_BAR + 4 * index + 4);
	if (!upper)
		low = (value & ~flags) | (low & flags);	/* what kind of BAR it is cannot be written */
	return bar_if_ok(function, index, low, high);
}

static bool rom_ok(uint32_t function, unsigned int reg, uint32_t value)
{
	struct pci_bar rom = { .base = value & 0xfffff800 };
	uint32_t mask;

	if (!(value & ROM_ENABLE) || !rom.base)
		return true;
	rom.bytes = 1;
	if (!place_ok(&rom))
		return false;
	mask = probe(function, reg) & 0xfffff800;
	rom.bytes = mask & -mask;
	return place_ok(&rom);
}

/* ---- Windows of bridges --------------------------------------------------------------------------- */

/* Memory windows by the three dwords; closed, at 0 as reset leaves them, or where the partition may map. */
static bool window_ok(uint32_t low, uint32_t base_high, uint32_t limit_high, bool wide)
{
	uint64_t base = (uint64_t)(low & 0xfff0) << 16, limit = (low & 0xfff00000) | 0xfffff;

	if (wide) {
		base |= (uint64_t)base_high << 32;
		limit |= (uint64_t)limit_high << 32;
	}
	return base > limit || (!base && limit < 0x100000) || leaf_mmio_window(base, limit - base + 1);
}

static bool windows_ok(uint32_t function, unsigned int reg, uint32_t value)
{
	uint32_t r[4];	/* 0x20, 0x24, 0x28, 0x2c */
	unsigned int i;

	for (i = 0; i < 4; i++)
		r[i] = reg == PCI_BRIDGE_MEMORY + 4 * i ? value : read32(function, PCI_BRIDGE_MEMORY + 4 * i);
	return window_ok(r[0], 0, 0, false) &&
	       window_ok(r[1], r[2], r[3], (read32(function, PCI_BRIDGE_PREFETCH) & 15) == 1);
}

/* ---- Writes --------------------------------------------------------------------------------------- */

/* May decoding be turned on, with everything where it is? */
static bool decode_ok(uint32_t function, enum pci_kind kind, uint32_t turned_on)
{
	unsigned int rom = kind == PCI_BRIDGE ? PCI_BRIDGE_ROM : PCI_ROM, i;

	for (i = 0; i < nbars(kind); i++) {
		uint32_t low = read32(function, PCI_BAR + 4 * i), high = read32(function, PCI_BAR + 4 * i + 4);

		if (turned_on & (low & BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY) &&
		    !bar_if_ok(function, i, low, high))
			return false;
		i += (low & (BAR_IO | BAR_TYPE)) == BAR_WIDE;
	}
	if (!(turned_on & PCI_COMMAND_MEMORY))
		return true;
	return rom_ok(function, rom, read32(function, rom)) &&
	       (kind != PCI_BRIDGE || windows_ok(function, 0, 0));
}

/* Bits of the dword at `reg` that may be written in a function of the chipset. */
static uint32_t chipset_mask(uint32_t function, unsigned int reg, uint32_t value)
{
	uint32_t id = read32(function, PCI_ID), class = read32(function, PCI_CLASS) >> 16, mask = 0;
	unsigned int i;

	switch (reg) {
	case PCI_COMMAND:	/* errors, INTx; decoding and DMA only where it is no bridge */
		return class >> 8 == 0x06 ? 0xf9000540 : 0xf9000547;
	case PCI_INTERRUPT_LINE:
		return 0xff;
	case 0x60: case 0x68:	/* PIRQ routing of Intel's ISA bridges: to any line but the metakernel's */
		for (i = 0; (id & 0xffff) == 0x8086 && class == 0x0601 && i < 32; i += 8)
			if (value >> i & 0x80 || (0xdee8U >> (value >> i & 15) & 1))
				mask |= 0xffU << i;
		return mask;
	}
	return 0;
}

/* All ones in a BAR: from now on the partition reads its size there, and the BAR stays. */
static void size_asked(uint32_t function, unsigned int reg)
{
	if (sizing.function != function)
		sizing.bars = 0;
	sizing.function = function;
	sizing.bars |= size_bit(reg);
}

static bool is_size_question(uint32_t value)
{
	return value >= 0xfffff800;
}

/* A write to a BAR or a ROM. True: pass it on. */
static bool bar_write(struct vcpu *v, uint32_t function, enum pci_kind kind, unsigned int reg, uint32_t value)
{
	bool is_rom = reg == (kind == PCI_BRIDGE ? PCI_BRIDGE_ROM : PCI_ROM);
	unsigned int index = is_rom ? 0 : bar_index(function, reg);
	bool io = !is_rom && read32(function, PCI_BAR + 4 * index) & BAR_IO;
	uint32_t command = hal_pci_read(function | PCI_COMMAND, 2);

	if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) || value == read32(function, reg))
		return true;
	if (is_size_question(value) && !is_rom) {
		size_asked(function, reg);
		return false;
	}
	if (is_rom ? rom_ok(function, reg, value) : bar_ok(function, index, reg, value))
		return true;
	refuse(v, function | reg, "an address that is not the partition's");
	return false;
}

/* Bits of a new command that must stay off. */
static uint32_t command_refused(uint32_t function, enum pci_kind kind, uint32_t value)
{
	uint32_t on = value & ~hal_pci_read(function | PCI_COMMAND, 2), refused = 0;

	if (on & PCI_COMMAND_IO && !decode_ok(function, kind, PCI_COMMAND_IO))
		refused |= PCI_COMMAND_IO;
	if (on & PCI_COMMAND_MEMORY && !decode_ok(function, kind, PCI_COMMAND_MEMORY))
		refused |= PCI_COMMAND_MEMORY;
	return refused;
}

/* A write to a bridge or device that makes `value` of the dword at `reg`. True: pass it on. */
static bool place_write(struct vcpu *v, uint32_t function, enum pci_kind kind, unsigned int reg,
			uint32_t value)
{
	if ((reg >= PCI_BAR && reg < PCI_BAR + 4 * nbars(kind)) ||
	    reg == (kind == PCI_BRIDGE ? PCI_BRIDGE_ROM : PCI_ROM))
		return bar_write(v, function, kind, reg, value);
	if (kind == PCI_BRIDGE && reg >= PCI_BRIDGE_MEMORY && reg <= PCI_BRIDGE_LIMIT_HIGH) {
		if (!(hal_pci_read(function | PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) ||
		    windows_ok(function, reg, value))
			return true;
		refuse(v, function | reg, "a window that is not the partition's");
		return false;
	}
	return true;
}

/* Bytes at..at + size - 1 of a dword. */
static uint32_t byte_mask(unsigned int at, unsigned int size)
{
	return (size == 4 ? 0xffffffffU : (1U << 8 * size) - 1) << 8 * at;
}

static void chipset_write(struct vcpu *v, uint32_t address, unsigned int size, uint32_t old, uint32_t new)
{
	uint32_t function = address & FUNCTION_BITS, bytes = byte_mask(address & 3, size), allowed;
	unsigned int reg = address & 0xfc;

	if (((reg >= PCI_BAR && reg < PCI_BAR + 24) || reg == PCI_ROM) && is_size_question(new) &&
	    bytes == 0xffffffff && !header_type(function) &&
	    hal_pci_read(function | (PCI_CLASS + 3), 1) != 0x06) {
		size_asked(function, reg);
		return;
	}
	allowed = chipset_mask(function, reg, new);
	if ((new ^ old) & bytes & ~allowed)
		refuse(v, address, "a register of the chipset");
	if (!(allowed & bytes))
		return;
	/* Status bits are cleared by ones: what must not be written is 0 there. */
	new = (new & allowed) | (old & ~allowed & (reg == PCI_COMMAND ? 0xffff : 0xffffffff));
	hal_pci_write(address, size, new >> 8 * (address & 3));
}

void pci_write(struct vcpu *v, uint32_t address, unsigned int size, uint32_t value)
{
	uint32_t function = address & FUNCTION_BITS, bytes = byte_mask(address & 3, size), old, new, refused;
	unsigned int reg = address & 0xfc;
	enum pci_kind kind = pci_kind(function);

	if (kind == PCI_ABSENT)
		return;
	if (sizing.function == function)
		sizing.bars &= ~size_bit(reg);
	old = read32(function, reg);
	new = (old & ~bytes) | (value << 8 * (address & 3) & bytes);
	if (kind == PCI_CHIPSET) {
		chipset_write(v, address, size, old, new);
		return;
	}
	if (reg == PCI_COMMAND && !(address & 2)) {
		refused = command_refused(function, kind, new);
		if (refused)
			refuse(v, address, "decoding of addresses that are not the partition's");
		value &= ~(refused >> 8 * (address & 3));
	} else if (!place_write(v, function, kind, reg, new)) {
		return;
	}
	hal_pci_write(address, size, value);
}

uint32_t pci_read(uint32_t address, unsigned int size)
{
	uint32_t function = address & FUNCTION_BITS;
	unsigned int reg = address & 0xfc;

	if (sizing.function == function && sizing.bars & size_bit(reg))
		return probe(function, reg) >> 8 * (address & 3);
	return hal_pci_read(address, size);
}

bool pci_access_ok(uint64_t address, uint64_t size)
{
	return address <= (HAL_PCI_ADDRESS_BITS | 3) && size - 1 < 4 && size != 3 && (address & 3) + size <= 4;
}

uint32_t pci_port_in(uint16_t port, unsigned int size)
{
	if (port == HAL_PCI_ADDRESS_PORT && size == 4)
		return config_address;
	if (port < HAL_PCI_DATA_PORT || !(config_address & ADDRESS_ENABLE) ||
	    (port & 3) + size > 4)
		return 0xffffffff;
	return pci_read((config_address & HAL_PCI_ADDRESS_BITS) | (port & 3), size);
}

void pci_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value)
{
	if (port == HAL_PCI_ADDRESS_PORT && size == 4)
		config_address = value & (ADDRESS_ENABLE | HAL_PCI_ADDRESS_BITS);
	if (port < HAL_PCI_DATA_PORT || !(config_address & ADDRESS_ENABLE) ||
	    (port & 3) + size > 4)
		return;
	pci_write(v, (config_address & HAL_PCI_ADDRESS_BITS) | (port & 3), size, value);
}
