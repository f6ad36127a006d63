// SPDX-License-Identifier: MIT
/* device.c - /dev/keel: one descriptor, opened once. */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int die_status = EXIT_FAILED;
const char *device_path;
void (*die_also)(const char *message);

static int device_fd = -1;

void die(const char *fmt, ...)
{
	void (*also)(const char *message) = die_also;
	char message[1024];
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	fprintf(stderr, "keelctl: %s\n", message);
	die_also = NULL;
	if (also)
		also(message);
	exit(die_status);
}

void die_call(const char *what, const char *name, int err)
{
	if (err == -EPERM)
		die("%s %s: this Linux does not hold the right to do that (`control` in the manifest)",
		    what, name);
	if (err == -ENODEV)
		die("this Linux does not run on Keel");
	die("%s %s: %s", what, name, strerror(-err));
}

void device_open(const char *path)
{
	device_path = path;
	device_fd = open(path, O_RDWR | O_CLOEXEC);
	if (device_fd >= 0)
		return;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		die("%s: %s (is this Linux running on Keel?)", path, strerror(errno));
	die("%s: %s", path, strerror(errno));
}

int device_call(unsigned long request, void *arg)
{
	int res = ioctl(device_fd, request, arg);

	return res < 0 ? -errno : res;
}

int device_cap(uint32_t handle, struct keel_cap_info *info)
{
	struct keel_ioc_cap cap = { .handle = handle };
	int err = device_call(KEEL_IOC_CAP_INFO, &cap);

	if (err == -EBADF)
		return 0;
	if (err < 0)
		die_call("handle", "information", err);
	if (cap.info.type == KEEL_CAP_NONE)
		return 0;
	cap.info.name[KEEL_NAME_LEN - 1] = '\0';
	*info = cap.info;
	return 1;
}

int device_find_try(const char *name)
{
	struct keel_cap_info info;
	uint32_t h;

	for (h = 0; h < KEEL_MAX_HANDLES; h++)
		if (device_cap(h, &info) && info.type == KEEL_CAP_PARTITION && !strcmp(info.name, name))
			return (int)h;
	return -ENOENT;
}

uint32_t device_find(const char *name)
{
	int h = device_find_try(name);

	if (h < 0)
		die("%s: no such partition (keelctl ps lists them)", name);
	return (uint32_t)h;
}

int device_part_try(uint32_t handle, struct keel_part_info *info)
{
	struct keel_ioc_part part = { .handle = handle };
	int err = device_call(KEEL_IOC_PART_INFO, &part);

	if (err == -EBADF)
		return 0;
	if (err < 0)
		die_call("partition", "information", err);
	part.info.name[KEEL_NAME_LEN - 1] = '\0';
	part.info.reason[sizeof(part.info.reason) - 1] = '\0';
	*info = part.info;
	return 1;
}

void device_part(uint32_t handle, struct keel_part_info *info)
{
	if (!device_part_try(handle, info))
		die_call("partition", "information", -EBADF);
}
