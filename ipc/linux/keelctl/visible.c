// SPDX-License-Identifier: MIT
/*
 * visible.c - control characters made visible, one byte after the other.
 *
 * Trusts: nothing of the text. To a terminal a C1 control (0x80..0x9f) is one both as a single byte and as
 *         the UTF-8 character U+0080..U+009F.
 */
#include "visible.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the character that begins with this one; 0: none does. */
static unsigned int utf8_bytes(unsigned char lead)
{
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
}

/* Whether c may follow what is held: no C1 control, nothing overlong, no surrogate. */
static bool goes_on(const struct visible *v, unsigned char c)
{
	unsigned char low = 0x80, high = 0xbf, lead = v->held[0];

	if (v->nheld == 1) {
		if (lead == 0xc2 || lead == 0xe0)
			low = 0xa0;
		else if (lead == 0xf0)
			low = 0x90;
		else if (lead == 0xed)
			high = 0x9f;
		else if (lead == 0xf4)
			high = 0x8f;
	}
	return c >= low && c <= high;
}

static void put_ascii(unsigned char c, FILE *out)
{
	if (c == 0x7f || (c < 0x20 && c != '\n' && c != '\t')) {
		putc('^', out);
		c ^= 0x40;
	}
	putc(c, out);
}

void visible_end(struct visible *v, FILE *out)
{
	unsigned int i;

	for (i = 0; i < v->nheld; i++)
		fprintf(out, "\\x%02x", v->held[i]);
	v->nheld = 0;
}

static void put_byte(struct visible *v, unsigned char c, FILE *out)
{
	if (v->nheld && !goes_on(v, c))
		visible_end(v, out);
	if (!v->nheld && c < 0x80) {
		put_ascii(c, out);
		return;
	}
	if (!v->nheld && !utf8_bytes(c)) {
		fprintf(out, "\\x%02x", c);
		return;
	}
	v->held[v->nheld++] = c;
	if (v->nheld == utf8_bytes(v->held[0])) {
		fwrite(v->held, 1, v->nheld, out);
		v->nheld = 0;
	}
}

void visible_put(struct visible *v, const char *text, size_t n, FILE *out)
{
	size_t i;

	for (i = 0; i < n; i++)
		put_byte(v, (unsigned char)text[i], out);
}

const char *visible_text(const char *text, char *to, size_t size)
{
	FILE *out = fmemopen(to, size, "w");
	struct visible v = { 0 };

	to[0] = '\0';
	if (!out)
		return to;
	visible_put(&v, text, strlen(text), out);
	visible_end(&v, out);
	fclose(out);		/* ends it with a zero where there is room */
	to[size - 1] = '\0';
	return to;
}
