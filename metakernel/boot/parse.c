// SPDX-License-Identifier: MIT
/*
 * parse.c - error texts of the parsers, built without a printf.
 */
#include "boot/parse.h"

#include <string.h>

void parse_append(char *text, size_t size, const char *more)
{
	size_t at = strnlen(text, size);

	while (*more && at + 1 < size) {
		unsigned char c = (unsigned char)*more++;

		text[at++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	if (at < size)
		text[at] = '\0';
}

int parse_fail(struct parse_error *e, int err, const char *node, const char *prop, const char *msg)
{
	memset(e, 0, sizeof(*e));
	parse_append(e->node, sizeof(e->node), node);
	parse_append(e->prop, sizeof(e->prop), prop);
	parse_msg(e, msg);
	return err;
}

void parse_msg(struct parse_error *e, const char *text)
{
	parse_append(e->msg, sizeof(e->msg), text);
}

static void msg_number(struct parse_error *e, uint64_t value, unsigned int base)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	parse_msg(e, p);
}

void parse_msg_dec(struct parse_error *e, uint64_t value)
{
	msg_number(e, value, 10);
}

void parse_msg_hex(struct parse_error *e, uint64_t value)
{
	parse_msg(e, "0x");
	msg_number(e, value, 16);
}
