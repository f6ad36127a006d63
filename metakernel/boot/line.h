/* SPDX-License-Identifier: MIT */
/*
 * line.h - the boot line: words for the metakernel, "--", words for Linux.
 */
#ifndef METAKERNEL_BOOT_LINE_H
#define METAKERNEL_BOOT_LINE_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_MAX	2048	/* with the zero at its end; Linux's own limit too */

/* What follows the first word "--"; empty if there is none. */
const char *line_linux_words(const char *line);

/* maxcpus=N before "--": how many CPUs may be used, `most` if it does not say, -1 if it is no number from 1 to `most`. */
int line_maxcpus(const char *line, int most);

/* Is x2apic before "--"? */
bool line_x2apic(const char *line);

/* Name each word before "--" that is not known in the log. */
void line_name_unknown(const char *line);

/* `first`, a space and `more` into to[LINE_MAX]. The length that was wanted: LINE_MAX or above is too long. */
size_t line_join(char *to, const char *first, const char *more);

#endif
