// SPDX-License-Identifier: MIT
/*
 * start.c - from the partition's entry to main().
 *
 *   memory of the partition, as va = 0x400000 + (pa - mem_pa):
 *   +--------+----------+--------+----------------------------------+-------+----------------+
 *   | image  | metakernel's       | heap, grows up, untouched        | guard | stack,         |
 *   |        | tables, modules    | until it is handed out           | page  | grows down     |
 *   +--------+--------------------+----------------------------------+-------+----------------+
 *   0x400000                      free_va                                                   end
 *
 * Nothing is cleared or prepared ahead of use: the metakernel hands over zeroed memory, and each
 * page touched for the first time costs an entry into it.
 *
 * Trusts: the start info, which the metakernel wrote; still checks what it computes with.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define STACK_MAX	(512 * 1024UL)
#define STACK_MIN	(32 * 1024UL)
#define STACK_SHARE	8		/* the stack gets 1/8 of the memory */
/*
 * Worst use of stack for one nested C call in Lua is gsub calling a Lua function that calls gsub:
 * luaL_Buffer (1 KiB), MatchState and the interpreter's frames, about 2.2 KiB measured. The reserve
 * is for the innermost call: printf of a floating-point number takes 9 KiB in musl.
 */
#define STACK_PER_CALL	2304
#define STACK_RESERVE	(16 * 1024)
#define LUA_MAX_C_CALLS	200		/* Lua's own default */

const struct keel_start_info *rt_info;
int rt_max_c_calls;
static uint64_t entry_tsc;

int main(int argc, char **argv);
int __libc_start_main(int (*fn)(int, char **), int argc, char **argv,
		      void (*init)(void), void (*fini)(void), void (*ldso)(void));
void *rt_early(const struct keel_start_info *info);
_Noreturn void rt_main(void);

_Noreturn void rt_shutdown(unsigned how, int status)
{
	for (;;)
		hc2(KEEL_HC_SHUTDOWN, how, (uint64_t)(unsigned)status);
}

/* In one piece, so that lines of different partitions do not mix. */
void rt_say_all(const char *const *words)
{
	static char text[256];
	size_t at = 0;

	for (; *words; words++)
		for (const char *p = *words; *p && at < sizeof(text) - 1; p++)
			text[at++] = *p;
	text[at++] = '\n';
	console_write(text, at);
}

const char *rt_decimal(uint64_t n, char digits[24])
{
	char *p = digits + 23;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return p;
}

_Noreturn void rt_panic(const char *why)
{
	rt_say(why);
	rt_shutdown(KEEL_SHUTDOWN_CRASH, 1);
}

#define TEXT(n)		#n
#define VERSION(n)	TEXT(n)

/* Runs on the metakernel's stack. Returns the top of the stack for everything after. */
void *rt_early(const struct keel_start_info *info)
{
	uint64_t end, stack;

	entry_tsc = rdtsc();
	/* No console before the start info is known to be one: nothing tells where memory is. */
	if (info->magic != KEEL_START_MAGIC || info->size < sizeof(*info))
		rt_shutdown(KEEL_SHUTDOWN_CRASH, 2);
	rt_info = info;		/* where memory is every version says in the same place */
	if (info->version != KEEL_ABI_VERSION)
		rt_panic("made for version " VERSION(KEEL_ABI_VERSION) " of Keel's ABI, which is not this metakernel's");

	end = KEEL_PEER_VA + info->mem_bytes;
	stack = (info->mem_bytes / STACK_SHARE) & ~(PAGE_BYTES - 1);
	if (stack > STACK_MAX)
		stack = STACK_MAX;
	if (stack < STACK_MIN)
		stack = STACK_MIN;
	if (info->free_va + stack + 2 * PAGE_BYTES > end)
		rt_panic("not enough memory for a stack");

	rt_max_c_calls = (int)((stack - STACK_RESERVE) / STACK_PER_CALL);
	if (rt_max_c_calls > LUA_MAX_C_CALLS)
		rt_max_c_calls = LUA_MAX_C_CALLS;

	heap_add((void *)info->free_va, end - stack - PAGE_BYTES - info->free_va);
	paging_guard(end - stack - PAGE_BYTES);
	return (void *)end;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/*
 * Split the command line (zero-terminated, at most `len` bytes) at blanks; "double" or 'single'
 * quotes keep blanks together. The words go, zero-terminated, into `words` of len + 1 bytes, and where
 * they are into `argv`, unless that is NULL. Returns how many there are: every second byte at most.
 */
static int split_cmdline(const char *line, size_t len, char *words, char **argv)
{
	const char *end = line + strnlen(line, len);
	int argc = 0;

	for (;; argc++) {
		char quote = 0;

		while (line < end && is_blank(*line))
			line++;
		if (line == end)
			return argc;
		if (argv)
			argv[argc] = words;
		for (; line < end && (quote || !is_blank(*line)); line++) {
			if (quote ? *line == quote : (*line == '"' || *line == '\''))
				quote = quote ? 0 : *line;
			else
				*words++ = *line;
		}
		*words++ = '\0';
	}
}

/* NAME=VALUE */
static bool is_assignment(const char *word)
{
	const char *eq = strchr(word, '=');

	return eq && eq != word && !memchr(word, '/', (size_t)(eq - word));
}

/* For measuring: KEEL_TIMES=1 in front of the command line prints when main() is reached. */
static int timed_main(int argc, char **argv)
{
	uint64_t ticks = rdtsc() - entry_tsc;
	char digits[24];

	if (getenv("KEEL_TIMES"))
		rt_say("TSC ticks from entry to main(): ", rt_decimal(ticks, digits));
	cwd_init(getenv("PWD"));
	return main(argc, argv);
}

/*
 * Lay out what a Linux program finds at its start: argv, NULL, environment, NULL, auxiliary vector.
 * Words NAME=VALUE before the program's name are the environment; TZ is UTC unless they say otherwise,
 * so that libc does not look for /etc/localtime. As many words as the command line holds: the vector
 * comes from the heap.
 */
static char **make_vector(int *argc)
{
	static char words[sizeof(rt_info->cmdline) + 1];
	static char name[] = "lua", utc[] = "TZ=UTC0";
	int n = split_cmdline(rt_info->cmdline, sizeof(rt_info->cmdline), words, NULL), first = 0, at = 0;
	char **word = malloc(sizeof(*word) * ((size_t)n + 8) * 2), **vec = word + n;

	if (!word)
		rt_panic("not enough memory for the command line");
	split_cmdline(rt_info->cmdline, sizeof(rt_info->cmdline), words, word);
	while (first < n && is_assignment(word[first]))
		first++;
	for (int i = first; i < n; i++)
		vec[at++] = word[i];
	if (!at)
		vec[at++] = name;
	*argc = at;
	vec[at++] = NULL;

	for (int i = 0; i < first; i++)
		vec[at++] = word[i];
	vec[at++] = utc;		/* getenv finds an earlier one first */
	vec[at++] = NULL;

	vec[at++] = (char *)AT_PAGESZ;
	vec[at++] = (char *)PAGE_BYTES;
	vec[at++] = (char *)AT_NULL;
	vec[at++] = NULL;
	return vec;
}

/* Runs on the real stack. Starts musl. */
_Noreturn void rt_main(void)
{
	int argc;
	char **vec = make_vector(&argc);

	clock_init(entry_tsc);
	file_init();
	__libc_start_main(timed_main, argc, vec, NULL, NULL, NULL);
	__builtin_unreachable();
}
