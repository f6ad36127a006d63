// SPDX-License-Identifier: MIT
/*
 * acpi.c - read MADT, MCFG, HPET, FADT, and where DMAR and IVRS say IOMMUs are.
 *
 * Tables are firmware's, so they are not hostile, but they are often wrong: every length is
 * checked against what hal_phys_window() grants, every checksum is verified, every list is bounded.
 * Fields are unaligned in places, hence get16..get64.
 *
 * Context: boot; also built on the host for unit tests and fuzzing.
 */
#include <hal/acpi.h>
#include <hal/boot.h>

#define HEAD_BYTES	36		/* every table's header (5.2.6) */
#define TABLE_MAX	0x1000000	/* a longer table is a broken one */
#define MAX_TABLES	256

/* MADT entries (5.2.12). */
#define MADT_LAPIC	0
#define MADT_IOAPIC	1
#define MADT_OVERRIDE	2
#define MADT_LAPIC_PA	5
#define MADT_X2APIC	9

/* No CPU's id: the address of all of them. */
#define XAPIC_ALL	0xff
#define X2APIC_ALL	0xffffffff

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static bool same(const uint8_t *p, const char *sig, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)sig[i])
			return false;
	return true;
}

static bool sum_ok(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum == 0;
}

static bool is_rsdp(const uint8_t *p)
{
	return same(p, "RSD PTR ", 8) && sum_ok(p, 20);
}

/* RSDPs lie on 16-byte boundaries. */
paddr_t acpi_scan_range(paddr_t pa, uint64_t bytes)
{
	const uint8_t *p = hal_phys_window(pa, bytes);

	for (uint64_t off = 0; p && off + 20 <= bytes; off += 16)
		if (is_rsdp(p + off))
			return pa + off;
	return 0;
}

paddr_t acpi_scan_rsdp(void)
{
	const uint8_t *bda = hal_phys_window(0x400, 0x100);
	paddr_t ebda = bda ? (paddr_t)get16(bda + 0x0e) << 4 : 0;
	paddr_t pa = 0;

	if (ebda >= 0x80000 && ebda < 0xa0000)
		pa = acpi_scan_range(ebda, 1024);
	return pa ? pa : acpi_scan_range(0xe0000, 0x20000);
}

/* The whole table at pa, its length in *len; NULL (and counted) if it is not sound. */
static const uint8_t *table_at(struct acpi_info *info, paddr_t pa, uint32_t *len)
{
	const uint8_t *p = hal_phys_window(pa, HEAD_BYTES);

	if (p) {
		*len = get32(p + 4);
		if (*len >= HEAD_BYTES && *len <= TABLE_MAX) {
			p = hal_phys_window(pa, *len);
			if (p && sum_ok(p, *len))
				return p;
		}
	}
	info->nbad++;
	return NULL;
}

/* Both kinds of entries may name the same CPU. */
static void add_cpu(struct acpi_info *info, uint32_t apic_id, uint32_t flags)
{
	if (!(flags & 1))		/* enabled */
		return;
	for (unsigned int i = 0; i < info->ncpus; i++)
		if (info->cpu_apic_id[i] == apic_id)
			return;
	if (info->ncpus < ACPI_MAX_CPUS)
		info->cpu_apic_id[info->ncpus++] = apic_id;
	else
		info->ncpus_more++;
}

static void add_ioapic(struct acpi_info *info, uint32_t id, paddr_t pa, uint32_t gsi_base)
{
	struct acpi_ioapic *io;

	if (info->nioapics == ACPI_MAX_IOAPICS || !pa)
		return;
	io = &info->ioapic[info->nioapics++];
	io->id = id;
	io->pa = pa;
	io->gsi_base = gsi_base;
}

static void add_override(struct acpi_info *info, const uint8_t *e)
{
	struct acpi_override *o;

	if (info->noverrides == ACPI_MAX_OVERRIDES || e[3] >= 16)
		return;
	o = &info->override[info->noverrides++];
	o->irq = e[3];
	o->gsi = get32(e + 4);
	o->flags = e[8] & 0xf;
}

/* One MADT entry of len bytes. */
static void madt_entry(struct acpi_info *info, const uint8_t *e, size_t len)
{
	if (e[0] == MADT_LAPIC && len >= 8 && e[3] != XAPIC_ALL)
		add_cpu(info, e[3], get32(e + 4));
	else if (e[0] == MADT_X2APIC && len >= 16 && get32(e + 4) != X2APIC_ALL)
		add_cpu(info, get32(e + 4), get32(e + 8));
	else if (e[0] == MADT_IOAPIC && len >= 12)
		add_ioapic(info, e[2], get32(e + 4), get32(e + 8));
	else if (e[0] == MADT_OVERRIDE && len >= 10)
		add_override(info, e);
	else if (e[0] == MADT_LAPIC_PA && len >= 12)
		info->lapic_pa = get64(e + 4);
}

static void parse_madt(struct acpi_info *info, const uint8_t *t, uint32_t len)
{
	if (len < 44 || info->have_madt)
		return;
	info->have_madt = true;
	info->lapic_pa = get32(t + 36);
	for (uint32_t off = 44; off + 2 <= len;) {
		uint32_t entry_len = t[off + 1];

		if (entry_len < 2 || off + entry_len > len)
			break;
		madt_entry(info, t + off, entry_len);
		off += entry_len;
	}
}

static void parse_mcfg(struct acpi_info *info, const uint8_t *t, uint32_t len)
{
	for (uint32_t off = 44; off + 16 <= len && info->nmcfg < ACPI_MAX_MCFG; off += 16) {
		struct acpi_mcfg *m = &info->mcfg[info->nmcfg++];

		m->pa = get64(t + off);
		m->segment = get16(t + off + 8);
		m->bus_first = t[off + 10];
		m->bus_last = t[off + 11];
	}
}

/* Where the FADT (5.2.9) names each register: old address, byte with the length, extended address. */
static const struct {
	uint8_t old, len, ext;
} fadt_field[ACPI_NFIXED] = {
	[ACPI_PM1A_EVT] = { 56, 88, 148 }, [ACPI_PM1B_EVT] = { 60, 88, 160 },
	[ACPI_PM1A_CNT] = { 64, 89, 172 }, [ACPI_PM1B_CNT] = { 68, 89, 184 },
	[ACPI_PM2_CNT] = { 72, 90, 196 }, [ACPI_PM_TMR] = { 76, 91, 208 },
	[ACPI_GPE0] = { 80, 92, 220 }, [ACPI_GPE1] = { 84, 93, 232 },
	[ACPI_SMI_CMD] = { 48, 0, 0 }, [ACPI_RESET] = { 0, 0, 116 },
	[ACPI_SLEEP_CONTROL] = { 0, 0, 244 },
	/* 256, beyond a byte: 12 behind the control register */
	[ACPI_SLEEP_STATUS] = { 0, 0, 244 },
};

/* A generic address (5.2.3.2): space, bits, offset, access size, address. */
static struct acpi_range generic_address(const uint8_t *gas)
{
	struct acpi_range r = { .pa = get64(gas + 4), .bytes = gas[1] / 8U, .io = gas[0] == 1 };

	if (gas[0] > 1 || !r.pa)
		r.bytes = 0;
	else if (!r.bytes)
		r.bytes = 1;
	return r;
}

static void parse_fadt(struct acpi_info *info, const uint8_t *t, uint32_t len)
{
	for (unsigned int i = 0; i < ACPI_NFIXED; i++) {
		uint32_t old = fadt_field[i].old, n = fadt_field[i].len, ext = fadt_field[i].ext;

		if (i == ACPI_SLEEP_STATUS)
			ext += 12;
		if (old && old + 4 <= len && get32(t + old)) {
			uint64_t bytes = n && n < len ? t[n] : 1;

			info->fixed[i] = (struct acpi_range) { get32(t + old), bytes ? bytes : 1, true };
		}
		if (ext && ext + 12 <= len)
			info->fixed[ACPI_EXTENDED + i] = generic_address(t + ext);
	}
}

static void add_iommu(struct acpi_info *info, paddr_t pa, uint64_t bytes)
{
	if (pa && info->niommus < ACPI_MAX_IOMMUS)
		info->iommu[info->niommus++] = (struct acpi_range) { pa, bytes, false };
}

/* Remapping units (VT-d 8.3): type 0, a size of 2^n pages, the address at 8. */
static void parse_dmar(struct acpi_info *info, const uint8_t *t, uint32_t len)
{
	info->have_dmar = true;
	for (uint32_t off = 48; off + 16 <= len;) {
		uint32_t n = get16(t + off + 2);

		if (n < 4 || off + n > len)
			break;
		if (get16(t + off) == 0 && n >= 16)
			add_iommu(info, get64(t + off + 8), 0x1000UL << (t[off + 5] & 15));
		off += n;
	}
}

/* Blocks of type 10h, 11h, 40h (AMD IOMMU 5.2.2): the address at 8; registers are 512 KiB at most. */
static void parse_ivrs(struct acpi_info *info, const uint8_t *t, uint32_t len)
{
	info->have_ivrs = true;
	for (uint32_t off = 48; off + 24 <= len;) {
		uint32_t n = get16(t + off + 2);

		if (n < 4 || off + n > len)
			break;
		if (t[off] == 0x10 || t[off] == 0x11 || t[off] == 0x40)
			add_iommu(info, get64(t + off + 8), 0x80000);
		off += n;
	}
}

static void parse_table(struct acpi_info *info, paddr_t pa)
{
	uint32_t len;
	const uint8_t *t = table_at(info, pa, &len);

	if (!t)
		return;
	if (same(t, "APIC", 4))
		parse_madt(info, t, len);
	else if (same(t, "MCFG", 4))
		parse_mcfg(info, t, len);
	else if (same(t, "HPET", 4) && len >= 56 && t[40] == 0)	/* address space 0: memory */
		info->hpet_pa = get64(t + 44);
	else if (same(t, "FACP", 4))
		parse_fadt(info, t, len);
	else if (same(t, "DMAR", 4))
		parse_dmar(info, t, len);
	else if (same(t, "IVRS", 4))
		parse_ivrs(info, t, len);
}

static void parse_root(struct acpi_info *info, const uint8_t *root, uint32_t len, size_t entry_bytes)
{
	uint32_t off = HEAD_BYTES;

	for (unsigned int i = 0; i < MAX_TABLES && off + entry_bytes <= len; i++) {
		paddr_t pa = entry_bytes == 8 ? get64(root + off) : get32(root + off);

		if (pa)
			parse_table(info, pa);
		off += (uint32_t)entry_bytes;
	}
}

/* The XSDT if the RSDP has a sound one, else the RSDT (5.2.5.3). */
static void parse_rsdp(struct acpi_info *info, paddr_t rsdp_pa)
{
	const uint8_t *rsdp = hal_phys_window(rsdp_pa, 20);
	const uint8_t *root;
	uint32_t len;

	if (!rsdp || !is_rsdp(rsdp))
		return;
	info->have_rsdp = true;
	if (rsdp[15] >= 2) {
		const uint8_t *v2 = hal_phys_window(rsdp_pa, 36);

		if (v2 && sum_ok(v2, 36) && get64(v2 + 24)) {
			root = table_at(info, get64(v2 + 24), &len);
			if (root && same(root, "XSDT", 4)) {
				parse_root(info, root, len, 8);
				return;
			}
		}
	}
	root = table_at(info, get32(rsdp + 16), &len);
	if (root && same(root, "RSDT", 4))
		parse_root(info, root, len, 4);
}

void acpi_parse(struct acpi_info *info, paddr_t rsdp_pa)
{
	__builtin_memset(info, 0, sizeof(*info));
	if (rsdp_pa)
		parse_rsdp(info, rsdp_pa);
	if (!info->have_madt)
		info->lapic_pa = 0xfee00000;
	if (!info->nioapics)
		add_ioapic(info, 0, 0xfec00000, 0);
}
