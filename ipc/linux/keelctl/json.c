// SPDX-License-Identifier: MIT
/*
 * json.c - see json.h.
 *
 * Trusts: nothing of a text. It is a C string of any bytes; what comes out is a JSON string in UTF-8 without control characters.
 */
#include "json.h"
#include "device.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- strings -------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at s; 0: none is there (RFC 3629: nothing overlong, no surrogates). */
static size_t character(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (s[i] < low || s[i] > high)	/* a zero, too */
			return 0;
	return n;
}

/* Who pastes it into a terminal gets no control character, not even one of C1 (U+0080 to U+009F). */
static void put_character(const unsigned char *s, size_t n, FILE *out)
{
	if (n == 1 && (s[0] == '"' || s[0] == '\\'))
		fprintf(out, "\\%c", s[0]);
	else if (n == 1 && (s[0] < 0x20 || s[0] == 0x7f))
		fprintf(out, "\\u%04x", s[0]);
	else if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)
		fprintf(out, "\\u%04x", s[1]);
	else
		fwrite(s, 1, n, out);
}

static void put_string(const char *text, FILE *out)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	putc('"', out);
	for (; *s; s += n ? n : 1) {
		n = character(s);
		if (n)
			put_character(s, n, out);
		else
			fputs("\\ufffd", out);
	}
	putc('"', out);
}

/* ---- values --------------------------------------------------------------------------------------- */

static void next(struct json *j, const char *key)
{
	if (j->more)
		putc(',', j->out);
	if (key) {
		put_string(key, j->out);
		putc(':', j->out);
	}
	j->more = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
	next(j, key);
	putc(bracket, j->out);
	j->more = false;
}

void json_close(struct json *j, char bracket)
{
	putc(bracket, j->out);
	j->more = true;
}

void json_number(struct json *j, const char *key, int64_t n)
{
	next(j, key);
	fprintf(j->out, "%" PRId64, n);
}

void json_hex(struct json *j, const char *key, uint64_t n)
{
	next(j, key);
	fprintf(j->out, "\"0x%" PRIx64 "\"", n);
}

void json_bool(struct json *j, const char *key, bool on)
{
	next(j, key);
	fputs(on ? "true" : "false", j->out);
}

void json_text(struct json *j, const char *key, const char *text)
{
	next(j, key);
	if (text)
		put_string(text, j->out);
	else
		fputs("null", j->out);
}

/* ---- documents ------------------------------------------------------------------------------------ */

void json_begin(struct json *j)
{
	*j = (struct json) { .out = stdout };
	json_open(j, NULL, '{');
	json_number(j, "keelctl", JSON_VERSION);
}

void json_end(struct json *j)
{
	json_close(j, '}');
	putc('\n', j->out);
	if (fflush(j->out) || ferror(j->out))
		die("standard output: %s", strerror(errno));
}
