// SPDX-License-Identifier: MIT
/*
 * line.c - the boot line: words for the metakernel, "--", words for Linux.
 */
#include <stdbool.h>
#include "boot/line.h"
#include "lib/log.h"
#include "lib/string.h"

#define MAXCPUS		"maxcpus="
#define X2APIC		"x2apic"

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

/* The value of the word at s if it is name=value, else NULL. */
static const char *value_of(const char *s, const char *name)
{
	while (*name && *s == *name) {
		s++;
		name++;
	}
	return *name ? NULL : s;
}

static bool is_x2apic(const char *s, const char *end)
{
	return value_of(s, X2APIC) == end;
}

/* A number from 1 to `most` in [s, end), or -1. */
static int cpu_count(const char *s, const char *end, int most)
{
	int n = 0;

	if (s == end)
		return -1;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		n = 10 * n + (*s - '0');
		if (n > most)
			return -1;
	}
	return n ? n : -1;
}

int line_maxcpus(const char *line, int most)
{
	int n = most;
	const char *end;

	for (; *line; line = *end ? end + 1 : end) {
		const char *value = value_of(line, MAXCPUS);

		end = word_end(line);
		if (is_separator(line, end))
			break;
		if (value)
			n = cpu_count(value, end, most);
		if (n < 0)
			break;
	}
	return n;
}

bool line_x2apic(const char *line)
{
	const char *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = word_end(line);
		if (is_separator(line, end))
			break;
		if (is_x2apic(line, end))
			return true;
	}
	return false;
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
		if (end > line && !value_of(line, MAXCPUS) && !is_x2apic(line, end))
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
