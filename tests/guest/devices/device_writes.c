// SPDX-License-Identifier: MIT
/*
 * device_writes.c - root in a Linux without the control right writes to ports and configuration space at
 * random. Property: the machine goes on, which who runs beside it looks at (tests/system/test_security.py).
 *
 * DMA is not tried, because a bus master is trusted (docs/security.md): drivers let go of their devices
 * first, no function becomes a bus master, and the ports by which devices do DMA are left out (QEMU's
 * fw_cfg, and the BARs of devices, which firmware puts at 0xc000 and above).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES		"/sys/bus/pci/devices"
#define MAX_FUNCTIONS	64
#define BARS_FROM	0xc000

static int config[MAX_FUNCTIONS];
static unsigned int nfunctions;
static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static void unbind(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/driver/unbind", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return;		/* no driver has it */
	if (write(fd, name, strlen(name)) < 0)
		perror(path);
	close(fd);
}

static int open_functions(void)
{
	DIR *dir = opendir(DEVICES);
	char path[512];
	struct dirent *e;

	while (dir && (e = readdir(dir)) && nfunctions < MAX_FUNCTIONS) {
		uint16_t command = 0;

		if (e->d_name[0] == '.')
			continue;
		unbind(e->d_name);
		snprintf(path, sizeof(path), DEVICES "/%s/config", e->d_name);
		config[nfunctions] = open(path, O_RDWR);
		if (config[nfunctions] < 0 || pread(config[nfunctions], &command, 2, 4) != 2) {
			perror(path);
			return 1;
		}
		command &= (uint16_t)~4;
		if (pwrite(config[nfunctions++], &command, 2, 4) != 2)
			perror(path);
	}
	return nfunctions < 4;
}

static void write_config(void)
{
	static const uint32_t values[] = { 0, 0xffffffff, 0xfee00000, 0xfec00000, 0x100000, 0xb001, 0x601, 0x47, 3,
					   0x4a, 0x80, 0xfed1c001, 0xb0000001, 0xe1000000 };
	uint32_t value = random64() & 1 ? (uint32_t)random64() : values[random64() % 14];
	size_t size = 1UL << random64() % 3;
	off_t at = (off_t)(random64() & 0xff & ~(size - 1));

	if ((at & ~3) == 4)
		value &= ~0x04040404U;
	if (pwrite(config[random64() % nfunctions], &value, size, at) < 0)
		perror("config");
}

static void write_port(int ports)
{
	static const uint16_t near[] = { 0x604, 0x600, 0xb004, 0xb2, 0x64, 0x92, 0x61, 0xcf8, 0x620, 0x660, 0xafe0,
					 0x20, 0x70, 0x3f8, 0xf4, 0x40, 0x501, 0xcd6, 0x2e };
	uint16_t port = (uint16_t)(random64() % BARS_FROM);
	uint8_t value = (uint8_t)random64();

	if (random64() & 1)
		port = (uint16_t)(near[random64() % 19] + random64() % 8 - 2);
	if ((port >= 0x510 && port < 0x51c) || (port >= 0xcfc && port < 0xd00))
		return;		/* fw_cfg's DMA; data for a function that is a bus master */
	if (pwrite(ports, &value, 1, port) < 0)
		perror("port");
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 200000;
	int ports = open("/dev/port", O_RDWR);

	if (ports < 0 || open_functions())
		return 1;
	for (long i = 0; i < count; i++) {
		if (random64() & 1)
			write_config();
		else
			write_port(ports);
	}
	printf("DEVICE-WRITES %ld done, %u functions\n", count, nfunctions);
	return 0;
}
