// SPDX-License-Identifier: MIT
/*
 * busmaster.c - when the partition with the devices ends, its devices lose the bus (rule 23).
 *
 * Twice over all of configuration space, whatever the partition knew of it: first each function's bus mastering is
 * turned off and its command read back, which brings what it had posted to memory before it; then each
 * PCI Express function is waited for until none of its requests is open, DRAIN_TRIES pieces at most. A piece is
 * PIECE devices, one a tick of the boot CPU (I5); the first begins when no CPU has the partition any more.
 * Until the last is done the partition is not restarted, and so none of its frames is used anew.
 *
 * Locks:   LOCK_PORTS; `at` and what is beside it are the boot CPU's, `due` anybody's to begin.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include <hal/pci.h>
#include "part/busmaster.h"
#include "run/cpu.h"
#include "lib/log.h"

#define PIECE		128U
#define DEVICES		8192U		/* 256 buses of 32 */
#define TICK_US		1000
#define DRAIN_TRIES	100U
#define MULTI_FUNCTION	0x80
#define MAX_CAPS	48

struct lock ports_lock = LOCK_INIT(LOCK_PORTS);
static const struct partition *ended;
static uint64_t due;
static unsigned int at;			/* device, DEVICES more the second time */
static unsigned int tries, nfunctions, nbusy;

uint64_t busmaster_tsc(void)
{
	return __atomic_load_n(&due, __ATOMIC_ACQUIRE);
}

void busmaster_off(const struct partition *p)
{
	ended = p;
	at = tries = nfunctions = nbusy = 0;
	__atomic_store_n(&due, hal_rdtsc(), __ATOMIC_RELEASE);
	cpu_work(cpus[0], WORK_TIMER);
}

static void turn_off(uint32_t function)
{
	uint32_t command = hal_pci_read(function | PCI_COMMAND, 2);

	if (!(command & PCI_COMMAND_MASTER))
		return;
	hal_pci_write(function | PCI_COMMAND, 2, command & ~PCI_COMMAND_MASTER);
	nfunctions += !(hal_pci_read(function | PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

static bool is_busy(uint32_t function)
{
	unsigned int cap, n;

	if (!(hal_pci_read(function | PCI_STATUS, 2) & PCI_STATUS_LIST))
		return false;
	cap = hal_pci_read(function | PCI_CAPABILITIES, 1) & 0xfc;
	for (n = 0; cap && n < MAX_CAPS; n++) {
		if (hal_pci_read(function | cap, 1) == PCI_CAP_EXPRESS && cap + PCI_EXPRESS_STATUS < 0x100)
			return hal_pci_read(function | (cap + PCI_EXPRESS_STATUS), 2) & PCI_EXPRESS_PENDING;
		cap = hal_pci_read(function | (cap + 1), 1) & 0xfc;
	}
	return false;
}

/* False: look at it again. */
static bool device_done(unsigned int device)
{
	uint32_t function = device % DEVICES << 11, nfn = 8, fn;
	bool busy = false;

	if ((hal_pci_read(function, 4) & 0xffff) == 0xffff)
		return true;
	if (!(hal_pci_read(function | PCI_HEADER_TYPE, 1) & MULTI_FUNCTION))
		nfn = 1;
	for (fn = 0; fn < nfn; fn++, function += 0x100) {
		if ((hal_pci_read(function, 4) & 0xffff) == 0xffff)
			continue;
		if (device < DEVICES)
			turn_off(function);
		else
			busy |= is_busy(function);
	}
	if (busy && tries++ < DRAIN_TRIES)
		return false;
	nbusy += busy;
	tries = 0;
	return true;
}

void busmaster_piece(void)
{
	uint64_t next = hal_rdtsc() + hal_tsc_khz() * TICK_US / 1000;
	unsigned int n;

	if (part_gone(ended)) {
		lock_take(&ports_lock);
		for (n = 0; n < PIECE && at < 2 * DEVICES && device_done(at); n++)
			at++;
		lock_release(&ports_lock);
	}
	if (at == 2 * DEVICES) {
		log_printf("%s: bus mastering of %u functions is off, %u still busy\n", ended->man->name, nfunctions,
			   nbusy);
		next = 0;
	}
	__atomic_store_n(&due, next, __ATOMIC_RELEASE);
}
