/* SPDX-License-Identifier: MIT */
/*
 * parse.h - what the metakernel's parsers share: where an input is wrong, and how that is said.
 *
 * Every refusal names a place (a node of the manifest, a member of the bundle, "ELF"), a property
 * or field in it, and the reason. Names that come from the input are cleaned before they are kept,
 * because the text ends on a console. Texts that do not fit are cut, never overrun.
 */
#ifndef METAKERNEL_PARSE_H
#define METAKERNEL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct parse_error {
	char node[64];	/* "/partitions/lua", "vmlinux", "ELF" */
	char prop[32];	/* "memory", "c_filesize"; empty if the node itself is meant */
	char msg[128];
};

/* Fill *e; the message goes on with the parse_msg functions below. Returns `err`, for `return`. */
int parse_fail(struct parse_error *e, int err, const char *node, const char *prop, const char *msg);

void parse_msg(struct parse_error *e, const char *text);
void parse_msg_dec(struct parse_error *e, uint64_t value);
void parse_msg_hex(struct parse_error *e, uint64_t value);

/* Append to a zero-terminated text of `size` bytes; bytes that are not printable become '?'. */
void parse_append(char *text, size_t size, const char *more);

static inline uint32_t parse_be32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline uint64_t parse_be64(const void *p)
{
	return (uint64_t)parse_be32(p) << 32 | parse_be32((const uint8_t *)p + 4);
}

/* Do [a, a + an) and [b, b + bn) share a byte? Both must not wrap. Empty ranges share nothing. */
static inline bool parse_overlap(uint64_t a, uint64_t an, uint64_t b, uint64_t bn)
{
	return an && bn && a < b + bn && b < a + an;
}

#endif /* METAKERNEL_PARSE_H */
