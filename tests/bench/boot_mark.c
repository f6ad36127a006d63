// SPDX-License-Identifier: MIT
/*
 * boot_mark.c - the first program, when only the boot is measured: says which metakernel entries it
 * took to come here, and resets the machine (power-off may end QEMU itself).
 */
#include <fcntl.h>
#include <keel/ioctl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

static void print_entries(void)
{
	static const char *const causes[KEEL_STAT_NR] = KEEL_STAT_NAMES;
	struct keel_ioc_stats request = { 0 };
	int fd;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/keel", O_RDWR);
	if (fd < 0 || ioctl(fd, KEEL_IOC_PART_STATS, &request))
		return;
	printf("ENTRIES boot");
	for (int i = 0; i < KEEL_STAT_NR; i++)
		if (request.stats.count[i])
			printf(" %s=%llu", causes[i] ? causes[i] : "other",
			       (unsigned long long)request.stats.count[i]);
	printf("\n");
}

int main(void)
{
	print_entries();
	printf("BOOT-MARK\n");
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
