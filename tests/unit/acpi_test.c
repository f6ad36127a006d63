// SPDX-License-Identifier: MIT
/*
 * Property: the ACPI reader finds what sound tables say, ignores and counts unsound ones, and never
 * reads outside the windows it asked for, whatever the bytes are.
 * Failure looks like: a wrong field, a list beyond its bound, or a report of a sanitizer.
 */
#include "unit.h"

#include <hal/acpi.h>
#include <hal/boot.h>

/* Physical memory of the test: 2 MiB. Windows are exact copies, so that an over-read is seen. */
#define MEMORY_BYTES	0x200000
static uint8_t memory[MEMORY_BYTES];
static void *window[4096];
static unsigned int nwindows;

const void *hal_phys_window(paddr_t pa, uint64_t bytes)
{
	if (pa + bytes < pa || pa + bytes > MEMORY_BYTES)
		return NULL;
	assert_true(nwindows < NELEM(window));
	window[nwindows] = malloc(bytes ? bytes : 1);
	memcpy(window[nwindows], memory + pa, bytes);
	return window[nwindows++];
}

static int drop_windows(void **state)
{
	(void)state;
	while (nwindows)
		free(window[--nwindows]);
	return 0;
}

#define RSDP_PA		0xf0000
#define XSDT_PA		0x100000
#define RSDT_PA		0x101000
#define MADT_PA		0x102000
#define MCFG_PA		0x103000
#define HPET_PA		0x104000
#define FADT_PA		0x105000
#define DMAR_PA		0x106000

static void put32(paddr_t pa, uint32_t v) { memcpy(memory + pa, &v, 4); }
static void put64(paddr_t pa, uint64_t v) { memcpy(memory + pa, &v, 8); }

static void fix_sum(paddr_t pa, uint32_t len, unsigned int at)
{
	uint8_t sum = 0;

	memory[pa + at] = 0;
	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + memory[pa + i]);
	memory[pa + at] = (uint8_t)-sum;
}

/* Header and checksum around what already lies behind the header. */
static void seal(paddr_t pa, const char *sig, uint32_t len)
{
	memcpy(memory + pa, sig, 4);
	put32(pa + 4, len);
	fix_sum(pa, len, 9);
}

static uint32_t madt_len;

static void madt_add(const uint8_t *entry, uint8_t len)
{
	memcpy(memory + MADT_PA + madt_len, entry, len);
	memory[MADT_PA + madt_len + 1] = len;
	madt_len += len;
}

static void build_madt(void)
{
	static const uint8_t cpu0[8] = { 0, 0, 0, 0, 1 }, cpu1[8] = { 0, 0, 1, 2, 1 }, off[8] = { 0, 0, 2, 4, 0 };
	static const uint8_t x2[16] = { 9, 0, 0, 0, 0x00, 0x01, 0, 0, 1 };
	static const uint8_t io0[12] = { 1, 0, 7, 0, 0x00, 0x00, 0xc0, 0xfe, 0 };
	static const uint8_t io1[12] = { 1, 0, 8, 0, 0x00, 0x10, 0xc0, 0xfe, 24 };
	static const uint8_t irq0[10] = { 2, 0, 0, 0, 2 }, irq9[10] = { 2, 0, 0, 9, 9, 0, 0, 0, 0x0d };
	static const uint8_t nmi[6] = { 4, 0, 0xff, 0, 0, 1 };

	put32(MADT_PA + 36, 0xfee00000);
	madt_len = 44;
	madt_add(cpu0, 8);
	madt_add(cpu1, 8);
	madt_add(off, 8);
	madt_add(x2, 16);
	madt_add(io0, 12);
	madt_add(io1, 12);
	madt_add(irq0, 10);
	madt_add(irq9, 10);
	madt_add(nmi, 6);
	seal(MADT_PA, "APIC", madt_len);
}

static void build_others(void)
{
	put64(MCFG_PA + 44, 0xb0000000);
	memory[MCFG_PA + 44 + 10] = 0;
	memory[MCFG_PA + 44 + 11] = 255;
	seal(MCFG_PA, "MCFG", 60);
	put64(HPET_PA + 44, 0xfed00000);
	seal(HPET_PA, "HPET", 56);
	put32(FADT_PA + 64, 0x604);
	seal(FADT_PA, "FACP", 116);
	seal(DMAR_PA, "DMAR", 48);
}

/* A machine with an XSDT naming all tables and an RSDT naming only the MADT. */
static int build(void **state)
{
	static const paddr_t tables[] = { MADT_PA, MCFG_PA, HPET_PA, FADT_PA, DMAR_PA };

	(void)state;
	memset(memory, 0, sizeof(memory));
	build_madt();
	build_others();
	for (unsigned int i = 0; i < NELEM(tables); i++)
		put64(XSDT_PA + 36 + 8 * i, tables[i]);
	seal(XSDT_PA, "XSDT", 36 + 8 * NELEM(tables));
	put32(RSDT_PA + 36, MADT_PA);
	seal(RSDT_PA, "RSDT", 40);
	memcpy(memory + RSDP_PA, "RSD PTR ", 8);
	memory[RSDP_PA + 15] = 2;
	put32(RSDP_PA + 16, RSDT_PA);
	put32(RSDP_PA + 20, 36);
	put64(RSDP_PA + 24, XSDT_PA);
	fix_sum(RSDP_PA, 20, 8);
	fix_sum(RSDP_PA, 36, 32);
	return 0;
}

static struct acpi_info info;

static void sound_tables_are_read(void **state)
{
	(void)state;
	acpi_parse(&info, RSDP_PA);
	assert_true(info.have_rsdp && info.have_madt && info.have_dmar);
	assert_false(info.have_ivrs);
	assert_int_equal(info.nbad, 0);
	assert_int_equal(info.lapic_pa, 0xfee00000);
	assert_int_equal(info.ncpus, 3);
	assert_int_equal(info.cpu_apic_id[0], 0);
	assert_int_equal(info.cpu_apic_id[1], 2);
	assert_int_equal(info.cpu_apic_id[2], 256);
	assert_int_equal(info.nioapics, 2);
	assert_int_equal(info.ioapic[1].id, 8);
	assert_int_equal(info.ioapic[1].pa, 0xfec01000);
	assert_int_equal(info.ioapic[1].gsi_base, 24);
	assert_int_equal(info.noverrides, 2);
	assert_int_equal(info.override[0].irq, 0);
	assert_int_equal(info.override[0].gsi, 2);
	assert_int_equal(info.override[1].flags, 0xd);
	assert_int_equal(info.nmcfg, 1);
	assert_int_equal(info.mcfg[0].pa, 0xb0000000);
	assert_int_equal(info.mcfg[0].bus_last, 255);
	assert_int_equal(info.hpet_pa, 0xfed00000);
	assert_int_equal(info.fixed[ACPI_PM1A_CNT].pa, 0x604);
	assert_true(info.fixed[ACPI_PM1A_CNT].io);
	assert_int_equal(info.niommus, 0);
}

static void gas(paddr_t pa, uint8_t space, uint8_t bits, uint64_t address)
{
	memory[pa] = space;
	memory[pa + 1] = bits;
	put64(pa + 4, address);
}

static void power_registers_are_found_old_and_extended(void **state)
{
	(void)state;
	put32(FADT_PA + 48, 0xb2);
	put32(FADT_PA + 56, 0x600);
	put32(FADT_PA + 68, 0x704);
	put32(FADT_PA + 80, 0x620);
	memory[FADT_PA + 88] = 4;
	memory[FADT_PA + 89] = 2;
	memory[FADT_PA + 92] = 16;
	gas(FADT_PA + 116, 1, 8, 0xcf9);
	gas(FADT_PA + 184, 1, 16, 0x1804);
	gas(FADT_PA + 244, 0, 8, 0xfea00200);
	gas(FADT_PA + 256, 2, 8, 0x40);		/* configuration space: no range */
	seal(FADT_PA, "FACP", 268);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.fixed[ACPI_SMI_CMD].bytes, 1);
	assert_int_equal(info.fixed[ACPI_PM1A_EVT].bytes, 4);
	assert_int_equal(info.fixed[ACPI_PM1B_CNT].pa, 0x704);
	assert_int_equal(info.fixed[ACPI_PM1B_CNT].bytes, 2);
	assert_int_equal(info.fixed[ACPI_GPE0].bytes, 16);
	assert_int_equal(info.fixed[ACPI_GPE1].bytes, 0);
	assert_int_equal(info.fixed[ACPI_EXTENDED + ACPI_PM1B_CNT].pa, 0x1804);
	assert_int_equal(info.fixed[ACPI_EXTENDED + ACPI_RESET].pa, 0xcf9);
	assert_int_equal(info.fixed[ACPI_EXTENDED + ACPI_SLEEP_CONTROL].pa, 0xfea00200);
	assert_false(info.fixed[ACPI_EXTENDED + ACPI_SLEEP_CONTROL].io);
	assert_int_equal(info.fixed[ACPI_EXTENDED + ACPI_SLEEP_STATUS].bytes, 0);
}

static void iommus_are_found(void **state)
{
	static const uint8_t drhd[16] = { 0, 0, 16, 0, 0, 1 }, rmrr[24] = { 1, 0, 24 };

	(void)state;
	memcpy(memory + DMAR_PA + 48, rmrr, sizeof(rmrr));
	memcpy(memory + DMAR_PA + 72, drhd, sizeof(drhd));
	put64(DMAR_PA + 80, 0xd0090000);
	seal(DMAR_PA, "DMAR", 88);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.niommus, 1);
	assert_int_equal(info.iommu[0].pa, 0xd0090000);
	assert_int_equal(info.iommu[0].bytes, 0x2000);
	memory[DMAR_PA + 48] = 0x10;		/* the same as AMD's: type, flags, length, .., address */
	put64(DMAR_PA + 56, 0xd0180000);
	memory[DMAR_PA + 72] = 0x20;
	seal(DMAR_PA, "IVRS", 88);
	acpi_parse(&info, RSDP_PA);
	assert_true(info.have_ivrs);
	assert_int_equal(info.niommus, 1);
	assert_int_equal(info.iommu[0].pa, 0xd0180000);
}

static void a_bad_xsdt_falls_back_to_the_rsdt(void **state)
{
	(void)state;
	memory[XSDT_PA + 36] ^= 1;
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.nbad, 1);
	assert_true(info.have_madt);
	assert_int_equal(info.hpet_pa, 0);
}

static void revision_0_uses_the_rsdt(void **state)
{
	(void)state;
	memory[RSDP_PA + 15] = 0;
	fix_sum(RSDP_PA, 20, 8);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.nbad, 0);
	assert_int_equal(info.ncpus, 3);
	assert_int_equal(info.nmcfg, 0);
}

static void expect_defaults(void)
{
	assert_false(info.have_madt);
	assert_int_equal(info.lapic_pa, 0xfee00000);
	assert_int_equal(info.nioapics, 1);
	assert_int_equal(info.ioapic[0].pa, 0xfec00000);
	assert_int_equal(info.ioapic[0].gsi_base, 0);
	assert_int_equal(info.ncpus, 0);
}

static void without_a_madt_there_are_defaults(void **state)
{
	(void)state;
	acpi_parse(&info, 0);
	expect_defaults();
	assert_false(info.have_rsdp);
	memory[MADT_PA + 40] ^= 1;	/* checksum */
	acpi_parse(&info, RSDP_PA);
	expect_defaults();
	assert_int_equal(info.nbad, 1);
	memory[RSDP_PA + 8] ^= 1;
	acpi_parse(&info, RSDP_PA);
	expect_defaults();
	assert_false(info.have_rsdp);
}

static void tables_outside_memory_are_bad(void **state)
{
	static const uint64_t where[] = { MEMORY_BYTES - 8, MEMORY_BYTES, UINT64_MAX - 4, 1ull << 52 };

	(void)state;
	for (unsigned int i = 0; i < NELEM(where); i++) {
		put64(XSDT_PA + 36, where[i]);
		fix_sum(XSDT_PA, 36 + 5 * 8, 9);
		acpi_parse(&info, RSDP_PA);
		assert_int_equal(info.nbad, 1);
		expect_defaults();
		assert_int_equal(info.hpet_pa, 0xfed00000);
	}
}

static void a_length_beyond_memory_is_bad(void **state)
{
	static const uint32_t len[] = { 0, 35, MEMORY_BYTES, UINT32_MAX };

	(void)state;
	for (unsigned int i = 0; i < NELEM(len); i++) {
		put32(MADT_PA + 4, len[i]);
		acpi_parse(&info, RSDP_PA);
		assert_int_equal(info.nbad, 1);
		expect_defaults();
	}
}

/* xAPIC and x2APIC entries for the same CPUs; the addresses of all are nobody's. */
static void a_cpu_named_twice_is_one(void **state)
{
	static const uint8_t one[8] = { 0, 0, 1, 2, 1 }, all[8] = { 0, 0, 9, 0xff, 1 };
	static const uint8_t same[16] = { 9, 0, 0, 0, 2, 0, 0, 0, 1 }, beyond[16] = { 9, 0, 0, 0, 0xff, 0, 0, 0, 1 };
	static const uint8_t off[16] = { 9, 0, 0, 0, 3, 0, 0, 0, 2 };
	static const uint8_t x2_all[16] = { 9, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1 };

	(void)state;
	madt_len = 44;
	madt_add(one, 8);
	madt_add(all, 8);
	madt_add(same, 16);
	madt_add(off, 16);
	madt_add(beyond, 16);
	madt_add(x2_all, 16);
	seal(MADT_PA, "APIC", madt_len);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.ncpus, 2);
	assert_int_equal(info.ncpus_more, 0);
	assert_int_equal(info.cpu_apic_id[0], 2);
	assert_int_equal(info.cpu_apic_id[1], 255);
}

static void a_broken_entry_ends_the_list(void **state)
{
	(void)state;
	memory[MADT_PA + 44 + 8 + 1] = 0;	/* the second entry's length */
	fix_sum(MADT_PA, madt_len, 9);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.ncpus, 1);
	memory[MADT_PA + 44 + 8 + 1] = 255;
	fix_sum(MADT_PA, madt_len, 9);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.ncpus, 1);
}

static void lists_are_bounded(void **state)
{
	static const uint8_t io[12] = { 1, 0, 1, 0, 0, 0, 0xc0, 0xfe };
	static const uint8_t irq[10] = { 2, 0, 0, 5, 5 };

	(void)state;
	madt_len = 44;
	for (unsigned int i = 0; i < 100; i++) {
		const uint8_t cpu[8] = { 0, 0, 0, (uint8_t)i, 1 };

		madt_add(cpu, 8);
		madt_add(io, 12);
		madt_add(irq, 10);
	}
	seal(MADT_PA, "APIC", madt_len);
	seal(MCFG_PA, "MCFG", 44 + 16 * 40);
	acpi_parse(&info, RSDP_PA);
	assert_int_equal(info.ncpus, ACPI_MAX_CPUS);
	assert_int_equal(info.ncpus_more, 100 - ACPI_MAX_CPUS);
	assert_int_equal(info.nioapics, ACPI_MAX_IOAPICS);
	assert_int_equal(info.noverrides, ACPI_MAX_OVERRIDES);
	assert_int_equal(info.nmcfg, ACPI_MAX_MCFG);
}

static void the_rsdp_is_found_where_it_may_be(void **state)
{
	(void)state;
	assert_int_equal(acpi_scan_rsdp(), RSDP_PA);
	/* in the EBDA, which comes first */
	memcpy(memory + 0x9fc10, memory + RSDP_PA, 36);
	memory[0x40e] = 0xc0;
	memory[0x40f] = 0x9f;
	assert_int_equal(acpi_scan_rsdp(), 0x9fc10);
	/* not at odd addresses, not with a bad checksum */
	memset(memory + 0x9fc10, 0, 36);
	memcpy(memory + 0x9fc28, memory + RSDP_PA, 36);
	memory[RSDP_PA + 12] ^= 1;
	assert_int_equal(acpi_scan_rsdp(), 0);
}

/* Wrong bytes under right checksums: nothing to compare, the sanitizers and asserts are the judge. */
static void mutated_tables_do_no_harm(void **state)
{
	static const paddr_t table[] = { XSDT_PA, RSDT_PA, MADT_PA, MCFG_PA, HPET_PA, FADT_PA };
	uint64_t seed = 1;

	for (unsigned int round = 0; round < 3000; round++) {
		paddr_t pa;
		uint32_t len;

		build(state);
		for (unsigned int n = 1 + unit_below(&seed, 4); n > 0; n--) {
			pa = table[unit_below(&seed, NELEM(table))];
			memory[pa + unit_below(&seed, 160)] = (uint8_t)unit_random(&seed);
		}
		for (unsigned int i = 0; i < NELEM(table); i++) {
			memcpy(&len, memory + table[i] + 4, 4);
			if (len >= 36 && len < MEMORY_BYTES - table[i])
				fix_sum(table[i], len, 9);
		}
		acpi_parse(&info, RSDP_PA);
		assert_true(info.ncpus <= ACPI_MAX_CPUS && info.nioapics <= ACPI_MAX_IOAPICS);
		assert_true(info.nioapics >= 1);
		drop_windows(state);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, build, drop_windows)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sound_tables_are_read),
		TEST(power_registers_are_found_old_and_extended),
		TEST(iommus_are_found),
		TEST(a_bad_xsdt_falls_back_to_the_rsdt),
		TEST(revision_0_uses_the_rsdt),
		TEST(without_a_madt_there_are_defaults),
		TEST(tables_outside_memory_are_bad),
		TEST(a_length_beyond_memory_is_bad),
		TEST(a_cpu_named_twice_is_one),
		TEST(a_broken_entry_ends_the_list),
		TEST(lists_are_bounded),
		TEST(the_rsdp_is_found_where_it_may_be),
		TEST(mutated_tables_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
