// SPDX-License-Identifier: MIT
/*
 * cmdline.c - quoting for the splitter in unikernel-runtime/start.c, which knows "..." and '...', anywhere in a word,
 * and nothing that escapes a quote: a word that has both kinds is pieced together.
 */
#include "cmdline.h"

#include <string.h>

static void put(struct cmdline *c, const char *text, size_t n)
{
	if (c->full || n >= sizeof(c->text) - c->len) {
		c->full = true;
		return;
	}
	memcpy(c->text + c->len, text, n);
	c->len += n;
}

/* A run without ' in ''; a run of ' in "". */
static void put_quoted(struct cmdline *c, const char *text)
{
	size_t n;

	while (*text) {
		const char *quote = *text == '\'' ? "\"" : "'";

		n = *text == '\'' ? strspn(text, "'") : strcspn(text, "'");
		put(c, quote, 1);
		put(c, text, n);
		put(c, quote, 1);
		text += n;
	}
}

static void put_word(struct cmdline *c, const char *text)
{
	if (text[strcspn(text, " \t\n'\"")])
		put_quoted(c, text);
	else
		put(c, text, strlen(text));
}

void cmdline_add(struct cmdline *c, const char *word)
{
	if (c->len)
		put(c, " ", 1);
	if (*word)
		put_word(c, word);
	else
		put(c, "''", 2);
}

void cmdline_assign(struct cmdline *c, const char *name, const char *value)
{
	cmdline_add(c, name);
	put(c, "=", 1);
	put_word(c, value);
}
