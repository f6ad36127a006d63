// SPDX-License-Identifier: MIT
/*
 * Property: no port write of a partition puts the machine to sleep; without the control right none resets
 * it, powers it or reaches its management mode, wherever the FADT and the chipset have those registers.
 * Failure looks like: SLP_EN at a PM1 control register, or any write at one of the ports kept.
 */
#include "unit.h"

#include <hal/cpu.h>

static uint8_t written[0x10000 + 4];	/* bits ever written to each port */
static unsigned int npci;

static bool locked(void);

static void note(uint16_t port, unsigned int size, uint32_t value)
{
	assert_true(locked());
	for (unsigned int i = 0; i < size; i++)
		written[port + i] |= (uint8_t)(value >> 8 * i | 1);
}

#define hal_inb(p)	((void)(p), assert_true(locked()), 0x12U)
#define hal_inw(p)	((void)(p), assert_true(locked()), 0x1234U)
#define hal_inl(p)	((void)(p), assert_true(locked()), 0x12345678U)
#define hal_outb(p, val) note(p, 1, val)
#define hal_outw(p, val) note(p, 2, val)
#define hal_outl(p, val) note(p, 4, val)
#include "metakernel/entry/emul_io.c"
#include "metakernel/boot/ports.c"

struct lock ports_lock = LOCK_INIT(LOCK_PORTS);

/* Another CPU would have to wait now. */
static bool locked(void)
{
	return ports_lock.next != ports_lock.serving;
}

static struct manifest_part man;
static struct partition part = { .man = &man };
static struct vcpu vcpu_memory;
static struct vcpu *const v = &vcpu_memory;

uint32_t pci_port_in(uint16_t port, unsigned int size)
{
	(void)port, (void)size;
	assert_true(locked());
	npci++;
	return 0;
}

void pci_port_out(struct vcpu *w, uint16_t port, unsigned int size, uint32_t value)
{
	(void)w, (void)port, (void)size, (void)value;
	assert_true(locked());
	npci++;
}
void log_printf(const char *fmt, ...) { (void)fmt; }

#define PM	0x600
#define PM1B	0x9004
#define REDUCED	0x5000
#define RESET	0x7000
#define CHIPSET_PM 0xb000

static int start(void **state)
{
	static struct acpi_info acpi;

	(void)state;
	memset(written, 0, sizeof(written));
	memset(&acpi, 0, sizeof(acpi));
	v->part = &part;
	emul_pm.nclosed = emul_pm.nopen = emul_pm.nsleep = npci = 0;
	memset(emul_pm.sleep_shift, 0, sizeof(emul_pm.sleep_shift));
	acpi.fixed[ACPI_PM1A_EVT] = (struct acpi_range) { PM, 4, true };
	acpi.fixed[ACPI_PM1A_CNT] = (struct acpi_range) { PM + 4, 2, true };
	acpi.fixed[ACPI_PM_TMR] = (struct acpi_range) { PM + 8, 4, true };
	acpi.fixed[ACPI_GPE0] = (struct acpi_range) { PM + 0x20, 16, true };
	acpi.fixed[ACPI_SMI_CMD] = (struct acpi_range) { 0xb8, 1, true };
	acpi.fixed[ACPI_EXTENDED + ACPI_PM1B_CNT] = (struct acpi_range) { PM1B, 2, true };
	acpi.fixed[ACPI_EXTENDED + ACPI_SLEEP_CONTROL] = (struct acpi_range) { REDUCED, 1, true };
	acpi.fixed[ACPI_EXTENDED + ACPI_RESET] = (struct acpi_range) { RESET, 1, true };
	ports_acpi(&acpi);
	ports_power(CHIPSET_PM);
	man.devices = true;
	man.control = false;
	return 0;
}

/* Every port with every size, with these bits. */
static void write_everywhere(uint32_t value)
{
	for (uint32_t port = 0; port < 0x10000; port++)
		for (unsigned int size = 1; size <= 4; size *= 2)
			emul_port_out(v, (uint16_t)port, size, value);
	assert_false(locked());
}

static void no_write_sets_slp_en(void **state)
{
	(void)state;
	for (int control = 0; control < 2; control++) {
		man.control = control;
		write_everywhere(0xffffffff);
		write_everywhere(0x20202020);
		assert_false(written[PM + 5] & 0x20);
		assert_false(written[PM1B + 1] & 0x20);
		assert_false(written[CHIPSET_PM + 5] & 0x20);
		assert_false(written[REDUCED] & 0x20);
	}
	assert_true(written[PM + 4] & 0x80);	/* with control the rest of it is */
}

static void what_resets_or_powers_needs_control(void **state)
{
	static const uint16_t kept[] = { 0x22, 0x2e, 0x40, 0x43, 0x4e, 0x61, 0x62, 0x64, 0x66, 0x92, 0xb2, 0xb3, 0xb8, 0xcd6, 0xcd7,
					 0xcf9, 0x501, 0x8900, PM + 4, PM + 0x10, PM + 0x30, PM + 0x60, PM + 0x7f,
					 PM1B, PM1B + 1, REDUCED, RESET, CHIPSET_PM, CHIPSET_PM + 0x28 };
	static const uint16_t never[] = { 0x20, 0x21, 0xa0, 0xa1, 0xf4, 0xf7, 0x3f8, 0x3ff, 0xcf8, 0xcfc, 0xcff };
	static const uint16_t free_ports[] = { 0x60, 0x71, 0x1f0, 0x3d4, PM, PM + 2, PM + 8, PM + 0x20, PM + 0x2f, 0xc000, 0xffff };

	(void)state;
	write_everywhere(0xffffffff);
	for (size_t i = 0; i < NELEM(kept); i++)
		if (written[kept[i]])
			fail_msg("port %#x was written without control", kept[i]);
	for (size_t i = 0; i < NELEM(free_ports); i++)
		if (!written[free_ports[i]])
			fail_msg("port %#x was not written", free_ports[i]);
	assert_false(written[0x70] & 0x80);
	man.control = true;
	write_everywhere(0xffffffff);
	for (size_t i = 0; i < NELEM(kept); i++)
		assert_true(written[kept[i]]);
	for (size_t i = 0; i < NELEM(never); i++)
		assert_false(written[never[i]]);
	man.devices = false;
	memset(written, 0, sizeof(written));
	npci = 0;
	write_everywhere(0xffffffff);
	for (size_t i = 0; i < sizeof(written); i++)
		assert_false(written[i]);
	assert_int_equal(npci, 0);
}

static void ports_kept_read_as_ones(void **state)
{
	(void)state;
	assert_int_equal(emul_port_in(v, PM + 4, 2), 0xffffffff);
	assert_int_equal(emul_port_in(v, 0x3f8, 1), 0xffffffff);
	assert_int_equal(emul_port_in(v, 0xcf7, 4), 0xffffffff);
	assert_int_equal(emul_port_in(v, 0xffff, 4), 0xffffffff);
	assert_int_equal(emul_port_in(v, PM + 8, 4), 0x12345678);
	assert_int_equal(npci, 0);
	emul_port_in(v, 0xcfc, 4);
	assert_int_equal(npci, 1);
}

static void a_device_may_have_ports_that_nobody_needs(void **state)
{
	static const struct { uint64_t base, bytes; bool ok; } ranges[] = {
		{ 0xc000, 0x20, true }, { 0x1000, 0x1000, true }, { 0x1f0, 8, true }, { 0xff00, 0x100, true },
		{ 0, 0x20, false }, { 0x40, 4, false }, { 0x3f0, 0x10, false }, { 0xc00, 0x100, false },
		{ PM, 0x20, false }, { PM - 0x20, 0x40, false }, { PM + 0x60, 0x20, false }, { PM1B, 4, false },
		{ CHIPSET_PM, 0x40, false }, { 0xff80, 0x100, false }, { 0x10000, 0x20, false }, { RESET, 1, false },
		{ 0x5000, 0x100, false }, { 0xfffffffffffff000, 0x2000, false }, { 0x400, ~0UL, false },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(ranges); i++)
		if (emul_ports_free(ranges[i].base, ranges[i].bytes) != ranges[i].ok)
			fail_msg("%#lx, %#lx bytes: not %d", ranges[i].base, ranges[i].bytes, ranges[i].ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_write_sets_slp_en, start),
		cmocka_unit_test_setup(what_resets_or_powers_needs_control, start),
		cmocka_unit_test_setup(ports_kept_read_as_ones, start),
		cmocka_unit_test_setup(a_device_may_have_ports_that_nobody_needs, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
