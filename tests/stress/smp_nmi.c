// SPDX-License-Identifier: MIT
/*
 * smp_nmi ADDRESS - an NMI reaches a CPU that spins in the kernel with interrupts off: sysrq-l shows its backtrace.
 *
 * ADDRESS is where the kernel's pidmap_lock lies in memory; through /dev/mem it is taken here. A child on CPU 1 forks,
 * waits for that lock with interrupts off and can be reached by nothing else. Who holds a lock it must not want
 * itself: until it is given back nothing here forks, exits or waits.
 *
 * Failure: no backtrace of CPU 1 within LOOKS tries, or one with interrupts on or from elsewhere.
 */
#include <fcntl.h>

#include "smp.h"

#define LOOKS	200

static char text[1 << 16];

static void fork_when_told(int pipe)
{
	pid_t child;
	char c;

	smp_run_on(1);
	NEED(read(pipe, &c, 1) == 1);
	child = stress_fork();
	_exit(child && stress_wait(child) ? 1 : 0);
}

/* All that the kernel has said since the last time. */
static void read_kernel_log(int kmsg)
{
	size_t used = 0;
	ssize_t n;

	while (used < sizeof(text) - 1 && (n = read(kmsg, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
}

/* Is there a backtrace of CPU 1, in the lock's slow path and with interrupts off? */
static int seen_spinning(void)
{
	const char *trace = strstr(text, "NMI backtrace for cpu 1"), *flags;

	if (!trace || !strstr(trace, "alloc_pid"))
		return 0;
	flags = strstr(trace, "EFLAGS: ");
	return flags && !(strtoul(flags + 8, NULL, 16) & 0x200);
}

int main(int argc, char **argv)
{
	off_t address = argc > 1 ? (off_t)strtoull(argv[1], NULL, 0) : 0;
	int mem, kmsg, sysrq, told[2], found = 0, i;
	uint8_t locked = 1, free = 0, was;
	pid_t child;

	if (!address) {
		printf("needs the address of pidmap_lock\n");
		return SKIP;
	}
	if (smp_begin() == SKIP)
		return SKIP;
	mem = open("/dev/mem", O_RDWR);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	sysrq = open("/proc/sysrq-trigger", O_WRONLY);
	NEED(mem >= 0 && kmsg >= 0 && sysrq >= 0 && pipe(told) == 0);
	child = stress_fork();
	if (child == 0)
		fork_when_told(told[0]);
	smp_run_on(0);
	NEED(pread(mem, &was, 1, address) == 1 && was == 0);
	read_kernel_log(kmsg);
	NEED(pwrite(mem, &locked, 1, address) == 1);
	NEED(write(told[1], "", 1) == 1);
	for (i = 0; i < LOOKS && !found; i++) {
		if (write(sysrq, "l", 1) != 1)
			break;
		usleep(10000);
		read_kernel_log(kmsg);
		found = seen_spinning();
	}
	NEED(pwrite(mem, &free, 1, address) == 1);
	CHECK(found);
	CHECK(stress_wait(child) == 0);
	return stress_end("smp_nmi");
}
