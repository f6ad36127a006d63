/* SPDX-License-Identifier: MIT */
/* cmdline.h - words for a unikernel's command line, quoted so that it finds them again (docs/unikernel.md). */
#ifndef KEELCTL_CMDLINE_H
#define KEELCTL_CMDLINE_H

#include <keel/abi.h>

#include <stdbool.h>
#include <stddef.h>

#define CMDLINE_BYTES	sizeof(((struct keel_start_info *)0)->cmdline)

struct cmdline {		/* begins zeroed */
	char text[CMDLINE_BYTES];
	size_t len;
	bool full;		/* some word had no room */
};

void cmdline_add(struct cmdline *c, const char *word);
/* NAME=VALUE as one word. */
void cmdline_assign(struct cmdline *c, const char *name, const char *value);

#endif
