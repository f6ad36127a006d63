// SPDX-License-Identifier: MIT
/* main.c - keelctl: look at partitions and channels of the machine below this Linux, and control them. */
#include "adopt.h"
#include "commands.h"
#include "device.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: keelctl [-d DEVICE] COMMAND\n"
	"\n"
	"  run [OPTIONS] IMAGE [ARGS] a partition of your own from an image, which is a file (./my.elf) or one of\n"
	"                             those that `images` lists; its standard input, output and error are\n"
	"                             keelctl's, its exit status too. Options:\n"
	"      -d               detached: print its name and return; what it prints is in its log\n"
	"      -it              on a terminal; with -d, -i: standard input stays open, for `console`\n"
	"      --name NAME      instead of IMAGE-1, IMAGE-2 ...\n"
	"      -m SIZE          memory, 8M\n"
	"      -v DIR[:PATH[:ro]]  a directory it may use, under the name PATH; may be repeated. Without:\n"
	"                       the current directory\n"
	"      -w DIR           where it starts, instead of the current directory\n"
	"      -e NAME=VALUE    environment; may be repeated\n"
	"      --restart no|on-failure[:N]|always  start it again when it has ended\n"
	"      --watchdog S[:log|restart|stop]  what to do when it has computed for S seconds without one call\n"
	"      --cpus LIST      CPUs it runs on, 1-3 or 0,2      --vcpus N  how many it has, 1\n"
	"      --prio P         priority, 8                      --rm       no trace of it when it has ended (-d)\n"
	"      --budget TIME/PERIOD  so much CPU time at most, 2ms/10ms\n"
	"  images                     what `run` finds by name\n"
	"  logs [-f] NAME             what a detached partition has printed; -f: until it ends\n"
	"  wait NAME                  wait for its end and print its status\n"
	"  rm NAME...                 forget a detached partition that has ended\n"
	"  adopt [NAME]               look after detached partitions whose process was killed; most commands do that\n"
	"  inspect NAME               all that is known of a partition, also of a detached one that has ended\n"
	"  ps                         partitions: state, ring, memory, time used, why they ended\n"
	"  top [-n N] [-d S]          partitions by CPU time, every S seconds (1), N times or until ^C\n"
	"  caps [NAME]                what this Linux, or NAME, holds: partitions, channels, the log, with rights\n"
	"  stats [-p] NAME            how often and why NAME entered the metakernel; -p: NAME=NUMBER\n"
	"                             lines with all counters, for programs\n"
	"  log [-f]                   the metakernel's log; -f: go on as it grows\n"
	"  console [-a] [-t S] NAME   NAME's console; of a detached one its log and standard input. On a\n"
	"                             terminal Ctrl-] leaves. Otherwise sends standard input and prints what\n"
	"                             comes back until S seconds (1) pass without output; -a: older output, too\n"
	"  memory NAME [SIZE]         how much memory a partition of `run` has, or what it is to have: more is there\n"
	"                             at once, less as soon as NAME no longer uses it\n"
	"  budget NAME TIME/PERIOD    how much CPU time NAME may use from now on, 2ms/10ms; `none`: as much as there is\n"
	"  stop [-t S] NAME           ask a detached one to end (^C), end it after S seconds (5); end others\n"
	"  kill NAME                  end a partition\n"
	"  restart NAME               end it and start its image again\n"
	"\n"
	"  --json with ps, top, stats, inspect, images: for programs (docs/keelctl.md)\n"
	"  -d DEVICE  instead of /dev/keel      -h  this text\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage. Of run: the program's; 128+N if a fault ended it for which\n"
	"Linux has signal N; 125 keelctl could not, 126 the image cannot be run, 127 there is none.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	int failed;		/* exit status when /dev/keel is not there; 0: it asks only Linux */
	bool about_jobs;	/* orphans are adopted before */
} commands[] = {
	{ "ps", cmd_ps, 1, true }, { "caps", cmd_caps, 1, false }, { "stats", cmd_stats, 1, true },
	{ "top", cmd_top, 1, true }, { "inspect", cmd_inspect, 1, true }, { "memory", cmd_memory, 1, true },
	{ "budget", cmd_budget, 1, true },
	{ "log", cmd_log, 1, false },
	{ "console", cmd_console, 1, true }, { "stop", cmd_stop, 1, true }, { "kill", cmd_kill, 1, true },
	{ "restart", cmd_restart, 1, true }, { "run", cmd_run, EXIT_RUN, false }, { "images", cmd_images, 0, false },
	{ "logs", cmd_logs, 1, true }, { "wait", cmd_wait, 1, true }, { "rm", cmd_rm, 1, true },
	{ "adopt", cmd_adopt, 1, false },
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
		if (commands[i].failed) {
			die_status = commands[i].failed;
			device_open(device);
		}
		if (commands[i].about_jobs)
			adopt(NULL, false);
		optind = 0;	/* start over (GNU) */
		return commands[i].run(argc, argv);
	}
	fprintf(stderr, "keelctl: %s: no such command\n", argv[0]);
	return usage_error();
}
