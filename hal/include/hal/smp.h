/* SPDX-License-Identifier: MIT */
/*
 * hal/smp.h - starting further CPUs at boot, one at a time, by the boot CPU.
 *
 * hal_smp_begin(), then for each CPU hal_apic_init_ipi(), 10 ms, hal_smp_start(); at last hal_smp_end().
 * The CPU comes to keel_cpu_start() (hal/hooks.h) at MK_STACK_TOP under the tables it was given.
 */
#ifndef HAL_SMP_H
#define HAL_SMP_H

#include <hal/boot.h>

/* Take four pages of RAM below 1 MiB for the start of CPUs. False: there are none. */
bool hal_smp_begin(const struct boot_info *bi);

/* Start a CPU that had its INIT. It may come at once, late or never: who waits must give up some day. */
void hal_smp_start(uint32_t apic_id, paddr_t cr3);

/* No CPU is on its way any more: zero the four pages. */
void hal_smp_end(void);

/* A top-level table and the one below it for one more CPU: as the boot CPU's but for the last GiB's last entry. */
void hal_smp_tables(uint64_t *l4, uint64_t *l3);

#endif
