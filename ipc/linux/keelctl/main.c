// SPDX-License-Identifier: MIT
/* main.c - keelctl: look at partitions and channels of the machine below this Linux, and control them. */
#include "commands.h"
#include "device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: keelctl [-d DEVICE] COMMAND\n"
	"\n"
	"  ps                         partitions: state, ring, memory, time used, why they ended\n"
	"  caps                       what this Linux holds: partitions and channels, with rights\n"
	"  stats [-p] NAME            how often and why NAME entered the metakernel; -p: NAME=NUMBER\n"
	"                             lines with all counters, for programs\n"
	"  log [-f]                   the metakernel's log; -f: go on as it grows\n"
	"  console [-a] [-t S] NAME   NAME's console. On a terminal Ctrl-] leaves. Otherwise sends\n"
	"                             standard input and prints what comes back until S seconds (1)\n"
	"                             pass without output; -a: print older output as well\n"
	"  stop NAME                  end a partition\n"
	"  restart NAME               end it and start its image again\n"
	"\n"
	"  -d DEVICE  instead of /dev/keel      -h  this text\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "ps", cmd_ps }, { "caps", cmd_caps }, { "stats", cmd_stats }, { "log", cmd_log },
	{ "console", cmd_console }, { "stop", cmd_stop }, { "restart", cmd_restart },
};

int usage_error(void)
{
	fputs(usage, stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *device = "/dev/keel";
	unsigned int i;
	int opt;

	/* '+': stop at the command, whose options are its own. */
	while ((opt = getopt(argc, argv, "+d:h")) != -1) {
		switch (opt) {
		case 'd':
			device = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return usage_error();
		}
	}
	if (optind == argc)
		return usage_error();
	argc -= optind;
	argv += optind;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, argv[0]))
			continue;
		if (argc > 1 && !strcmp(argv[1], "-h")) {
			fputs(usage, stdout);
			return 0;
		}
		device_open(device);
		optind = 0;	/* start over (GNU) */
		return commands[i].run(argc, argv);
	}
	fprintf(stderr, "keelctl: %s: no such command\n", argv[0]);
	return usage_error();
}
