// SPDX-License-Identifier: MIT
/*
 * visible.c - control characters made visible, as `cat -v` shows them; UTF-8 passes.
 *
 * Trusts: nothing of the text. A C1 control (0x80..0x9f) is one to a terminal both as a single byte and as
 *         the UTF-8 character U+0080..U+009F; a sequence cut in two is shown byte by byte.
 */
#include <stdint.h>
#include "string.h"
#include "visible.h"

/* Length of the UTF-8 character (not C1, surrogate, overlong) that s begins with; 0: none. */
static size_t utf8_len(const char *s, size_t len)
{
	uint8_t lead = (uint8_t)s[0], second, low = 0x80, high = 0xbf;
	size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2, i;

	if (lead < 0xc2 || lead > 0xf4 || len < n)
		return 0;
	if (lead == 0xc2 || lead == 0xe0)
		low = 0xa0;		/* C1; overlong */
	if (lead == 0xf0)
		low = 0x90;
	if (lead == 0xed)
		high = 0x9f;		/* surrogates */
	if (lead == 0xf4)
		high = 0x8f;		/* beyond U+10FFFF */
	second = (uint8_t)s[1];
	if (second < low || second > high)
		return 0;
	for (i = 2; i < n; i++)
		if (((uint8_t)s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* The first character of src as it is to be shown, into to[VISIBLE_MAX]; *used: its bytes in src. */
static size_t show_one(char *to, const char *src, size_t len, size_t *used)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t c = (uint8_t)src[0];
	size_t n = c >= 0x80 ? utf8_len(src, len) : 1;

	*used = n ? n : 1;
	if ((c < 0x20 && c != '\t') || c == 0x7f) {
		to[0] = '^';
		to[1] = (char)(c ^ 0x40);
		return 2;
	}
	if (!n) {
		to[0] = '\\';
		to[1] = 'x';
		to[2] = hex[c >> 4];
		to[3] = hex[c & 15];
		return 4;
	}
	memcpy(to, src, n);
	return n;
}

size_t visible(char *dst, size_t size, const char *src, size_t len)
{
	size_t n = 0, used;
	char one[VISIBLE_MAX];

	for (; len; src += used, len -= used) {
		size_t shown;

		if ((uint8_t)*src >= 0x20 && (uint8_t)*src < 0x7f) {	/* nearly all there is */
			used = shown = 1;
			one[0] = *src;
		} else {
			shown = show_one(one, src, len, &used);
		}
		if (shown > size - n)
			break;
		for (size_t i = 0; i < shown; i++)
			dst[n++] = one[i];
	}
	return n;
}
