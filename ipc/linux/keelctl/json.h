/* SPDX-License-Identifier: MIT */
/*
 * json.h - JSON on standard output, written as it comes: objects, arrays, and the three kinds of values that keelctl has.
 *
 * The shapes are in docs/keelctl.md. Numbers are integers below 2^53; what may be larger is a string of hex digits.
 */
#ifndef KEELCTL_JSON_H
#define KEELCTL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_VERSION	1	/* "keelctl" in each document; grows when a field goes or changes its meaning */

struct json {
	FILE *out;
	bool more;		/* something stands before the next value */
};

/* A document: an object with the version. end: its last line; dies if it cannot be written. */
void json_begin(struct json *j);
void json_end(struct json *j);

/* Values: key NULL in an array. */
void json_open(struct json *j, const char *key, char bracket);	/* '{' or '[' */
void json_close(struct json *j, char bracket);			/* '}' or ']' */
void json_number(struct json *j, const char *key, int64_t n);
void json_hex(struct json *j, const char *key, uint64_t n);
void json_bool(struct json *j, const char *key, bool on);
/* Bytes that are no UTF-8 become U+FFFD each. NULL: null. */
void json_text(struct json *j, const char *key, const char *text);

#endif
