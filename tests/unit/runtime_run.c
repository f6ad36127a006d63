// SPDX-License-Identifier: MIT
/*
 * runtime_run.c - run the Lua image on the host, on this terminal, with a directory as its Linux.
 *
 *	build/tests/unit/runtime_run [-m KIB] [-r ROOT] [-f MODULE]... [WORD]...
 *
 * The words are the command line (default: lua). For trying things and for gdb; see
 * unikernel-runtime/README.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "runtime_machine.h"

int main(int argc, char **argv)
{
	struct machine_config cfg = { .image = BUILD "/unikernel/lua.debug", .echo = true };
	char cmdline[2048] = "";
	struct machine *m;
	int opt, n = 0;

	while ((opt = getopt(argc, argv, "+i:m:r:f:")) != -1) {
		if (opt == 'm')
			cfg.mem_bytes = (size_t)atoi(optarg) * 1024;
		else if (opt == 'i')
			cfg.image = optarg;
		else if (opt == 'r')
			cfg.root = optarg;
		else if (opt == 'f' && n < 4) {
			static char data[4][65536];
			FILE *f = fopen(optarg, "r");
			const char *base = strrchr(optarg, '/');

			if (!f)
				return perror(optarg), 2;
			cfg.modules[n].bytes = fread(data[n], 1, sizeof(data[n]), f);
			cfg.modules[n].name = base ? base + 1 : optarg;
			cfg.modules[n].data = data[n];
			n++;
			fclose(f);
		} else {
			return 2;
		}
	}
	for (int i = optind; i < argc; i++) {
		strncat(cmdline, argv[i], sizeof(cmdline) - strlen(cmdline) - 2);
		strcat(cmdline, " ");
	}
	cfg.cmdline = cmdline;
	m = machine_run(&cfg);
	fprintf(stderr, "[end %d, status %d, %s; %u requests, %zu pages touched]\n", m->end, m->status,
		m->why, m->requests, m->touched_pages);
	opt = m->end == MACHINE_EXIT ? m->status : 99;
	machine_free(m);
	return opt;
}
