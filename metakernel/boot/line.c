// SPDX-License-Identifier: MIT
/*
 * line.c - the boot line: words for the metakernel, "--", words for Linux.
 */
#include <stdbool.h>
#include "boot/line.h"
#include "lib/log.h"
#include "lib/string.h"

/* The end of the word at s. */
static const char *word_end(const char *s)
{
	while (*s && *s != ' ')
		s++;
	return s;
}

static bool is_separator(const char *s, const char *end)
{
	return end - s == 2 && s[0] == '-' && s[1] == '-';
}

const char *line_linux_words(const char *line)
{
	const char *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = word_end(line);
		if (is_separator(line, end))
			return *end ? end + 1 : end;
	}
	return line;
}

void line_name_unknown(const char *line)
{
	const char *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = word_end(line);
		if (is_separator(line, end))
			return;
		if (end > line)
			log_printf("boot line: \"%.*s\" is not known, ignored (Linux's words follow a --)\n",
				   (int)(end - line), line);
	}
}

size_t line_join(char *to, const char *first, const char *more)
{
	size_t n = strlen(first), m = strlen(more), i;

	for (i = 0; i + 1 < LINE_MAX && i < n + 1 + m; i++)
		to[i] = i < n ? first[i] : i == n ? ' ' : more[i - n - 1];
	to[i] = '\0';
	return n + 1 + m;
}
