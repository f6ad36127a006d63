// SPDX-License-Identifier: MIT
/* memory.c - keelctl memory: how much a partition has, more, and less. */
#include "commands.h"
#include "device.h"
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void explain(const char *name, const char *size, const struct keel_ioc_memory *has, int err)
{
	if (err == -EBADF || err == -EPERM)
		die("memory %s: it was not made by keelctl run, its memory stays as it is", name);
	if (err == -EINVAL)
		die("memory %s %s: at least the %" PRIu64 "K it was made with, and at most 1G", name, size, has->least_bytes >> 10);
	if (err == -EBUSY)
		die("memory %s: it does not run", name);
	if (err == -ENOMEM || err == -ENOSPC)
		die("memory %s %s: Linux has no more to give in pieces of 2M; `keelctl memory %s` says what it has", name, size, name);
	die_call("memory", name, err);
}

int cmd_memory(int argc, char **argv)
{
	struct keel_ioc_memory has = { 0 }, want;
	int err;

	if (argc < 2 || argc > 3)
		return usage_error();
	has.handle = device_find(argv[1]);
	err = device_call(KEEL_IOC_PART_MEMORY, &has);
	if (err < 0)
		explain(argv[1], "", &has, err);
	want = has;
	if (argc == 3) {
		want.bytes = (options_size(argv[2]) + 4095) & ~UINT64_C(4095);
		want.least_bytes = 0;
		if (!want.bytes)
			die("memory %s %s: expected a size such as 64M", argv[1], argv[2]);
		err = device_call(KEEL_IOC_PART_MEMORY, &want);
		if (err < 0)
			explain(argv[1], argv[2], &has, err);
		return 0;
	}
	printf("%" PRIu64 "K, of which it was made with %" PRIu64 "K\n", has.bytes >> 10, has.least_bytes >> 10);
	return 0;
}
