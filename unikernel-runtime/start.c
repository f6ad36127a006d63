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

#define MAX_ARGS	32

const struct keel_start_info *rt_info;
int rt_max_c_calls;

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

_Noreturn void rt_panic(const char *why)
{
	static const char head[] = "runtime: ";

	console_write(head, sizeof(head) - 1);
	console_write(why, strlen(why));
	console_write("\n", 1);
	rt_shutdown(KEEL_SHUTDOWN_CRASH, 1);
}

/* Runs on the metakernel's stack. Returns the top of the stack for everything after. */
void *rt_early(const struct keel_start_info *info)
{
	uint64_t end, stack;

	/* No console before the start info is known to be one: nothing tells where memory is. */
	if (info->magic != KEEL_START_MAGIC || info->version != KEEL_ABI_VERSION ||
	    info->size < sizeof(*info))
		rt_shutdown(KEEL_SHUTDOWN_CRASH, 2);
	rt_info = info;

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

/*
 * Split the command line at blanks; "double" or 'single' quotes keep blanks together. Writes the
 * words, zero-terminated, to `words` (as large as cmdline) and their addresses to `argv`.
 */
static int split_cmdline(const char *line, char *words, char **argv, int max)
{
	int argc = 0;

	while (argc < max) {
		char quote = 0;

		while (*line == ' ' || *line == '\t' || *line == '\n')
			line++;
		if (!*line)
			break;
		argv[argc++] = words;
		for (; *line && (quote || (*line != ' ' && *line != '\t' && *line != '\n')); line++) {
			if (quote ? *line == quote : (*line == '"' || *line == '\''))
				quote = quote ? 0 : *line;
			else
				*words++ = *line;
		}
		*words++ = '\0';
	}
	return argc;
}

/* Runs on the real stack. Lays out what a Linux program finds at its start, and starts musl. */
_Noreturn void rt_main(void)
{
	static char cmdline[sizeof(rt_info->cmdline)], words[sizeof(rt_info->cmdline) + 1];
	struct {
		char *argv[MAX_ARGS + 1];
		char *envp[1];
		size_t auxv[6];
	} block;
	static char fallback[] = "lua";
	int argc;

	memset(&block, 0, sizeof(block));
	memcpy(cmdline, rt_info->cmdline, strnlen(rt_info->cmdline, sizeof(cmdline) - 1));
	argc = split_cmdline(cmdline, words, block.argv, MAX_ARGS);
	if (argc == 0)
		block.argv[argc++] = fallback;

	/* libc wants argv, its NULL, envp, its NULL and auxv one after the other. */
	{
		size_t vec[MAX_ARGS + 1 + 1 + 6] = { 0 }, n = 0;

		for (int i = 0; i < argc; i++)
			vec[n++] = (size_t)block.argv[i];
		n += 2;
		vec[n++] = AT_PAGESZ;
		vec[n++] = PAGE_BYTES;
		vec[n++] = AT_NULL;
		clock_init();
		file_init();
		__libc_start_main(main, argc, (char **)vec, NULL, NULL, NULL);
	}
	__builtin_unreachable();
}
