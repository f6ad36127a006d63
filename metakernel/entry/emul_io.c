// SPDX-License-Identifier: MIT
/*
 * emul_io.c - port I/O of the partition that holds the devices.
 *
 * No port is granted: IN and OUT trap and are judged here by a table of ranges (rule 26). The PICs
 * and the metakernel's serial port are virtual; ports that reset or power the machine, or reach its
 * management mode, need the control right.
 */
#include <hal/cpu.h>
#include <hal/console.h>
#include "entry/emul.h"
#include "part/part.h"
#include "run/vcpu.h"
#include "lib/log.h"

enum port_class { PORT_PASS, PORT_ABSENT, PORT_CONTROL, PORT_RTC };

static const struct {
	uint16_t first, last;
	uint8_t class;
} port_rule[] = {
	{ 0x0020, 0x0021, PORT_ABSENT },	/* master PIC: the metakernel masked it for good */
	{ 0x00a0, 0x00a1, PORT_ABSENT },	/* slave PIC */
	{ 0x0061, 0x0061, PORT_CONTROL },	/* NMI status, speaker gate */
	{ 0x0064, 0x0064, PORT_CONTROL },	/* keyboard controller: can reset */
	{ 0x0070, 0x0070, PORT_RTC },		/* bit 7 masks NMI */
	{ 0x0092, 0x0092, PORT_CONTROL },	/* fast reset, A20 */
	{ 0x00b2, 0x00b3, PORT_CONTROL },	/* APM: raises SMI */
	{ 0x00f4, 0x00f4, PORT_ABSENT },	/* isa-debug-exit: the metakernel's */
	{ 0x03f8, 0x03ff, PORT_ABSENT },	/* COM1: the metakernel's */
	{ 0x0cf9, 0x0cf9, PORT_CONTROL },	/* reset control */
};

static uint16_t power_port;	/* PM1a control: puts the machine to sleep; 0: unknown */

void emul_port_power(uint16_t port)
{
	power_port = port;
}

static enum port_class port_class(uint16_t port, unsigned int size)
{
	unsigned int i;

	if (power_port && port <= power_port + 1 && port + size - 1 >= power_port)
		return PORT_CONTROL;

	for (i = 0; i < ARRAY_SIZE(port_rule); i++)
		if (port <= port_rule[i].last && port + size - 1 >= port_rule[i].first) {
			/* CONFIG_ADDRESS is a dword at 0xcf8 and no access to 0xcf9. */
			if (port == 0xcf8 && size == 4)
				return PORT_PASS;
			return port_rule[i].class;
		}
	return PORT_PASS;
}

static bool port_open(const struct vcpu *v, enum port_class class)
{
	if (!v->part->man->devices || class == PORT_ABSENT)
		return false;
	return class != PORT_CONTROL || v->part->man->control;
}

uint32_t emul_port_in(struct vcpu *v, uint16_t port, unsigned int size)
{
	if (!port_open(v, port_class(port, size)))
		return 0xffffffff;	/* what an empty bus reads */
	switch (size) {
	case 1: return hal_inb(port);
	case 2: return hal_inw(port);
	default: return hal_inl(port);
	}
}

void emul_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value)
{
	enum port_class class = port_class(port, size);

	if (!port_open(v, class))
		return;
	if (class == PORT_RTC)
		value &= 0x7f;
	switch (size) {
	case 1: hal_outb(port, (uint8_t)value); break;
	case 2: hal_outw(port, (uint16_t)value); break;
	default: hal_outl(port, value); break;
	}
}
