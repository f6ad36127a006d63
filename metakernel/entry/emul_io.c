// SPDX-License-Identifier: MIT
/*
 * emul_io.c - port I/O of the partition that holds the devices, and of those that it gave some ports.
 *
 * No port is reached directly: IN and OUT trap and are judged here by tables of ranges (rule 26). The PICs and the
 * metakernel's serial port are virtual. Ports that reset or power the machine, or reach its management
 * mode, need the control right: the fixed ones of PCs, and those that the FADT and the chipset name.
 * Even then no write puts the machine to sleep: it would wake in real mode, in ring 0.
 * KEEL_HC_SHUTDOWN is the way to switch it off.
 *
 * Locks:   LOCK_PORTS (ports_lock), taken here; the tables of ranges are filled at boot.
 */
#include <hal/cpu.h>
#include <hal/acpi.h>
#include <hal/console.h>
#include <hal/pci.h>
#include "entry/emul.h"
#include "entry/pci.h"
#include "part/device.h"
#include "part/part.h"
#include "run/vcpu.h"
#include "lib/log.h"

#define SLP_EN		(1U << 13)	/* of PM1 control (ACPI 4.8.3.2.1) */
#define SLP_EN_REDUCED	(1U << 5)	/* of sleep control (ACPI 4.8.3.7) */

enum port_class { PORT_PASS, PORT_RTC, PORT_CONTROL, PORT_ABSENT };	/* later ones win */

static const struct {
	uint16_t first, last;
	uint8_t class;
} port_rule[] = {
	{ 0x0020, 0x0021, PORT_ABSENT },	/* master PIC: the metakernel masked it for good */
	{ 0x00a0, 0x00a1, PORT_ABSENT },	/* slave PIC */
	{ 0x0022, 0x0023, PORT_CONTROL },	/* chipset index: IMCR */
	{ 0x002e, 0x002f, PORT_CONTROL },	/* super I/O: watchdog, power */
	{ 0x004e, 0x004f, PORT_CONTROL },
	{ 0x0040, 0x0043, PORT_CONTROL },	/* PIT: an emulator asked for a tick each 838 ns does nothing else */
	{ 0x0061, 0x0061, PORT_CONTROL },	/* NMI status, speaker gate */
	{ 0x0062, 0x0062, PORT_CONTROL },	/* embedded controller: power */
	{ 0x0064, 0x0064, PORT_CONTROL },	/* keyboard controller: can reset */
	{ 0x0066, 0x0066, PORT_CONTROL },
	{ 0x0070, 0x0070, PORT_RTC },		/* bit 7 masks NMI */
	{ 0x0092, 0x0092, PORT_CONTROL },	/* fast reset, A20 */
	{ 0x00b2, 0x00b3, PORT_CONTROL },	/* APM: raises SMI */
	{ 0x00f4, 0x00f7, PORT_ABSENT },	/* isa-debug-exit: the metakernel's */
	{ 0x03f8, 0x03ff, PORT_ABSENT },	/* COM1: the metakernel's */
	{ 0x0501, 0x0504, PORT_CONTROL },	/* isa-debug-exit where it is by default */
	{ 0x0c50, 0x0c52, PORT_CONTROL },	/* AMD: general purpose pins */
	{ 0x0cd0, 0x0cdf, PORT_CONTROL },	/* AMD: power management by index */
	{ 0x0cf9, 0x0cf9, PORT_CONTROL },	/* reset control */
	{ 0x8900, 0x8900, PORT_CONTROL },	/* Bochs and old QEMU: the way off */
};

struct emul_pm emul_pm;

static bool overlaps(const struct port_range *r, uint32_t first, uint32_t last)
{
	return first <= r->last && last >= r->first;
}

static bool any_overlaps(const struct port_range *r, unsigned int n, uint32_t first, uint32_t last)
{
	while (n--)
		if (overlaps(&r[n], first, last))
			return true;
	return false;
}

static enum port_class port_class(uint32_t first, uint32_t last)
{
	enum port_class class = PORT_PASS;
	unsigned int i;

	for (i = 0; i < emul_pm.nopen; i++)
		if (first >= emul_pm.open[i].first && last <= emul_pm.open[i].last)
			return PORT_PASS;
	if (any_overlaps(emul_pm.closed, emul_pm.nclosed, first, last) || any_overlaps(emul_pm.sleep, emul_pm.nsleep, first, last))
		class = PORT_CONTROL;
	for (i = 0; i < ARRAY_SIZE(port_rule); i++)
		if (first <= port_rule[i].last && last >= port_rule[i].first && port_rule[i].class > class)
			class = port_rule[i].class;
	/* Configuration space has its own way; whoever reaches into it from outside does not. */
	if (first != 0xcf9 && last >= HAL_PCI_ADDRESS_PORT && first < HAL_PCI_DATA_PORT + 4)
		class = PORT_ABSENT;
	return last > 0xffff ? PORT_ABSENT : class;
}

bool emul_ports_pass(uint32_t first, uint32_t last)
{
	return port_class(first, last) == PORT_PASS;
}

bool emul_ports_free(uint64_t base, uint64_t bytes)
{
	uint32_t first = (uint32_t)base, last = (uint32_t)(base + bytes - 1);
	unsigned int i;

	/* Below 0x100 is the main board's. */
	if (base < 0x100 || base > 0xffff || bytes > 0x10000 - base ||
	    any_overlaps(emul_pm.closed, emul_pm.nclosed, first, last) || any_overlaps(emul_pm.sleep, emul_pm.nsleep, first, last) ||
	    any_overlaps(emul_pm.open, emul_pm.nopen, first, last) || (first <= 0xcff && last >= 0xcf8))
		return false;
	for (i = 0; i < ARRAY_SIZE(port_rule); i++)
		if (first <= port_rule[i].last && last >= port_rule[i].first)
			return false;
	return true;
}

/* Bits of a write that would put the machine to sleep. */
static uint32_t sleep_bits(uint32_t port, unsigned int size)
{
	uint32_t bits = 0, bit, at;
	unsigned int i;

	for (i = 0; i < emul_pm.nsleep; i++) {
		bit = emul_pm.sleep_shift[i] ? SLP_EN_REDUCED : SLP_EN;
		at = emul_pm.sleep[i].first;
		if (at >= port && at - port < size)
			bits |= bit << 8 * (at - port);
		else if (port > at && port - at < 4)
			bits |= bit >> 8 * (port - at);
	}
	return bits;
}

static bool port_open(const struct vcpu *v, enum port_class class)
{
	return class != PORT_ABSENT && (class != PORT_CONTROL || v->part->man->control);
}

static bool is_config(uint16_t port, unsigned int size)
{
	return port >= HAL_PCI_ADDRESS_PORT && port + size <= HAL_PCI_DATA_PORT + 4U &&
	       !(port == 0xcf9 && size == 1);
}

static uint32_t port_in(const struct vcpu *v, uint16_t port, unsigned int size)
{
	if (is_config(port, size))
		return pci_port_in(port, size);
	if (!port_open(v, port_class(port, port + size - 1)))
		return 0xffffffff;
	switch (size) {
	case 1: return hal_inb(port);
	case 2: return hal_inw(port);
	default: return hal_inl(port);
	}
}

/* By the manifest, or by a handle: CAP_REVOKE waits for who has just found one. */
static bool has_ports(const struct vcpu *v, uint16_t port, unsigned int size)
{
	return v->part->man->devices || device_ports(v->part, port, size);
}

uint32_t emul_port_in(struct vcpu *v, uint16_t port, unsigned int size)
{
	uint32_t value;

	if (!has_ports(v, port, size))
		return 0xffffffff;	/* what an empty bus reads */
	lock_take(&ports_lock);
	value = port_in(v, port, size);
	lock_release(&ports_lock);
	return value;
}

static void port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value)
{
	static bool said;
	enum port_class class = port_class(port, port + size - 1);
	uint32_t asleep = sleep_bits(port, size);

	if (is_config(port, size)) {
		pci_port_out(v, port, size, value);
		return;
	}
	if (value & asleep && !said) {
		said = true;
		log_printf("%s: a write to port %#x would put the machine to sleep: not passed on\n",
			   v->part->man->name, port);
	}
	if (!port_open(v, class))
		return;
	value &= ~asleep;
	if (class == PORT_RTC && port <= 0x70)
		value &= ~(0x80U << 8 * (0x70 - port));
	switch (size) {
	case 1: hal_outb(port, (uint8_t)value); break;
	case 2: hal_outw(port, (uint16_t)value); break;
	default: hal_outl(port, value); break;
	}
}

void emul_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value)
{
	if (!has_ports(v, port, size))
		return;
	lock_take(&ports_lock);
	port_out(v, port, size, value);
	lock_release(&ports_lock);
}
