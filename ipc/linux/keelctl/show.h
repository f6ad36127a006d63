/* SPDX-License-Identifier: MIT */
/* show.h - what keelctl's commands that print partitions share. */
#ifndef KEELCTL_SHOW_H
#define KEELCTL_SHOW_H

#include "json.h"

#include <getopt.h>
#include <keel/abi.h>

#define OPT_JSON	'j'		/* what getopt_long() returns for it; there is no -j */
extern const struct option json_option[];	/* --json */
/* Of a command with so many words and no other option: 1 if --json is given, 0 if not, -1: something else is. */
int json_wanted(int argc, char **argv, int words);

extern const char *const stat_names[];
extern const unsigned int nstats;

const char *state_name(uint32_t state);
/* "64M", "1.5G": three digits at most. */
const char *size_text(uint64_t bytes, char *text, size_t n);
/* The members of a partition's object: docs/keelctl.md. */
void json_part(struct json *j, const struct keel_part_info *p);

#endif
