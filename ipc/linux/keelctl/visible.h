/* SPDX-License-Identifier: MIT */
/*
 * visible.h - text of somebody else's, printed so that it cannot control the terminal.
 *
 * Control characters but newline and tab come out as ^X, C1 controls and bytes that are not UTF-8 as
 * \xNN, as on the metakernel's serial port; UTF-8 passes.
 */
#ifndef KEELCTL_VISIBLE_H
#define KEELCTL_VISIBLE_H

#include <stdio.h>

/* A stream: characters may be cut between two pieces. Begins zeroed. */
struct visible {
	unsigned char held[4];		/* the beginning of a UTF-8 character */
	unsigned int nheld;
};

void visible_put(struct visible *v, const char *text, size_t n, FILE *out);
/* The stream is over: what is held is not going to be a character. */
void visible_end(struct visible *v, FILE *out);

/* A whole text into to[size], cut where it does not fit; returns to. */
const char *visible_text(const char *text, char *to, size_t size);

#endif
