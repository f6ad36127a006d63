/* SPDX-License-Identifier: MIT */
/*
 * hal/acpi.h - the few facts the metakernel takes from ACPI tables (ACPI 6.4, chapter 5).
 */
#ifndef HAL_ACPI_H
#define HAL_ACPI_H

#include <hal/types.h>

#define ACPI_MAX_CPUS		64
#define ACPI_MAX_IOAPICS	8
#define ACPI_MAX_OVERRIDES	16
#define ACPI_MAX_MCFG		8
#define ACPI_MAX_IOMMUS		16

struct acpi_ioapic {
	uint32_t id;
	uint32_t gsi_base;
	paddr_t pa;
};

struct acpi_override {		/* ISA interrupt irq arrives at gsi */
	uint32_t gsi;
	uint8_t irq;
	uint8_t flags;		/* MPS INTI: bits 0-1 polarity (3 low), 2-3 trigger (3 level) */
};

struct acpi_mcfg {		/* configuration space of PCI buses bus_first..bus_last */
	paddr_t pa;		/* of bus 0, wherever bus_first is */
	uint16_t segment;
	uint8_t bus_first, bus_last;
};

struct acpi_range {
	paddr_t pa;		/* or port */
	uint64_t bytes;		/* 0: absent */
	bool io;		/* ports, not memory */
};

/* Registers of the FADT, from its old fields and, ACPI_EXTENDED further, from its extended ones. */
enum acpi_fixed {
	ACPI_PM1A_EVT, ACPI_PM1B_EVT, ACPI_PM1A_CNT, ACPI_PM1B_CNT, ACPI_PM2_CNT, ACPI_PM_TMR, ACPI_GPE0,
	ACPI_GPE1, ACPI_SMI_CMD, ACPI_RESET, ACPI_SLEEP_CONTROL, ACPI_SLEEP_STATUS, ACPI_NFIXED,
	ACPI_EXTENDED = ACPI_NFIXED,
};

struct acpi_info {
	bool have_rsdp, have_madt;
	paddr_t lapic_pa;
	uint32_t cpu_apic_id[ACPI_MAX_CPUS];	/* enabled ones, each once */
	unsigned int ncpus, ncpus_more;		/* those the array has no place for */
	struct acpi_ioapic ioapic[ACPI_MAX_IOAPICS];	/* in the order of the MADT */
	unsigned int nioapics;
	struct acpi_override override[ACPI_MAX_OVERRIDES];
	unsigned int noverrides;
	struct acpi_mcfg mcfg[ACPI_MAX_MCFG];
	unsigned int nmcfg;
	paddr_t hpet_pa;			/* 0: none */
	struct acpi_range fixed[2 * ACPI_NFIXED];
	struct acpi_range iommu[ACPI_MAX_IOMMUS];	/* register blocks of VT-d, AMD-Vi */
	unsigned int niommus;
	bool have_dmar, have_ivrs;		/* an IOMMU is described */
	unsigned int nbad;			/* tables with a bad length or checksum, ignored */
};

/*
 * Read the tables behind rsdp_pa (0: none) through hal_phys_window(). Bad tables are counted and
 * skipped. Without a usable MADT: one local APIC at 0xfee00000 and one IOAPIC at 0xfec00000.
 */
void acpi_parse(struct acpi_info *info, paddr_t rsdp_pa);

/* Look for the RSDP in the EBDA and at 0xe0000..0xfffff (ACPI 6.4, 5.2.5.1). 0 if there is none. */
paddr_t acpi_scan_rsdp(void);

/* Look for one in [pa, pa + bytes). UEFI puts it into a region of type BOOT_ACPI. */
paddr_t acpi_scan_range(paddr_t pa, uint64_t bytes);

#endif
