// SPDX-License-Identifier: MIT
/* caps.c - keelctl caps: what this Linux, or a partition it controls, holds: handles, kinds, rights. */
#include "commands.h"
#include "device.h"
#include "show.h"
#include "visible.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void print_rights(uint32_t rights)
{
	static const struct { uint32_t bit; const char *name; } names[] = {
		{ KEEL_RIGHT_INFO, "info" }, { KEEL_RIGHT_CONTROL, "control" },
		{ KEEL_RIGHT_SERVE, "serve" }, { KEEL_RIGHT_USE, "use" },
		{ KEEL_RIGHT_READ, "read" }, { KEEL_RIGHT_WRITE, "write" },
	};
	char text[64] = "";
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(rights & names[i].bit))
			continue;
		if (text[0])
			strcat(text, ",");
		strcat(text, names[i].name);
	}
	printf(" %-14s", text[0] ? text : "-");
}

/* Of Linux's own channels: of others only the two sides can ask. */
static void print_channel(uint32_t handle)
{
	struct keel_ioc_chan chan = { .handle = handle };
	char size[16];

	if (device_call(KEEL_IOC_CHAN_INFO, &chan) < 0)
		return;
	printf("  server %s, client %s, generation %u, window %s",
	       chan.info.state & KEEL_CHAN_SERVER_UP ? "up" : "down",
	       chan.info.state & KEEL_CHAN_CLIENT_UP ? "up" : "down", chan.info.generation,
	       chan.info.state & KEEL_CHAN_WINDOW ?
	       size_text(chan.info.window_bytes, size, sizeof(size)) : "none");
}

/* Of Linux's own, too. */
static void print_memory(uint32_t handle)
{
	struct keel_ioc_chan chan = { .handle = handle };
	char size[16];

	if (device_call(KEEL_IOC_CHAN_INFO, &chan) == 0)
		printf("  %s", size_text(chan.info.window_bytes, size, sizeof(size)));
}

static void print_cap(const struct keel_ioc_cap *cap, bool ours)
{
	static const char *const types[] = { "none", "partition", "channel", "log", "memory", "lent", "ports", "interrupt" };
	char text[4 * KEEL_NAME_LEN + 1], name[KEEL_NAME_LEN];

	memcpy(name, cap->info.name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	printf("%6u %-10s", cap->handle, cap->info.type < sizeof(types) / sizeof(types[0]) ? types[cap->info.type] : "?");
	print_rights(cap->info.rights);
	printf(" %s", visible_text(name, text, sizeof(text)));
	if (cap->info.type == KEEL_CAP_CHANNEL && ours)
		print_channel(cap->handle);
	if (cap->info.type == KEEL_CAP_MEMORY && ours)
		print_memory(cap->handle);
	putchar('\n');
}

int cmd_caps(int argc, char **argv)
{
	struct keel_ioc_cap cap = { 0 };
	uint32_t part = 0, h;
	int err;

	if (argc > 2)
		return usage_error();
	if (argc == 2)
		part = device_find(argv[1]);
	printf("%6s %-10s %-14s %s\n", "HANDLE", "TYPE", "RIGHTS", "NAME");
	for (h = 0; h < KEEL_MAX_HANDLES; h++) {
		cap = (struct keel_ioc_cap) { .handle = h, .part = part };
		err = device_call(KEEL_IOC_CAP_INFO, &cap);
		if (err < 0 && err != -EBADF)
			die_call("handles of", argc == 2 ? argv[1] : "Linux", err);
		if (!err && cap.info.type != KEEL_CAP_NONE)
			print_cap(&cap, !part);
	}
	return 0;
}
