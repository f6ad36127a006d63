// SPDX-License-Identifier: MIT
/*
 * keelctl_options_test.c - what `keelctl run` makes of its command line, and what the unikernel finds of it.
 *
 * Shows: every option, also its wrong values, which end with 125 and a line that names them; words of any kind
 * come out of the splitter as they went in.
 */
#include "unit.h"

#include "cmdline.h"
#include "device.h"
#include "options.h"

#include <sys/wait.h>
#include <unistd.h>

static struct run_options o;
static char output[1024];

static int parse(void (*look)(void), char *const *words)
{
	char *argv[32] = { (char *)(uintptr_t)"run" };
	int out[2], argc = 1, status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	for (; *words; words++)
		argv[argc++] = *words;
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(out[1], 2);
		close(out[0]);
		die_status = EXIT_RUN;
		optind = 0;
		options_parse(&o, argc, argv);
		if (look)
			look();
		_exit(0);
	}
	close(out[1]);
	while ((n = read(out[0], output + len, sizeof(output) - 1 - len)) > 0)
		len += (size_t)n;
	output[len] = '\0';
	close(out[0]);
	assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define WORDS(...) ((char *const[]){ __VA_ARGS__, NULL })
/* In the child, where cmocka's assertions are of no use. */
#define NEED(x) do { if (!(x)) { fprintf(stderr, "not so: %s\n", #x); _exit(1); } } while (0)
#define W (char *)(uintptr_t)

static void see_defaults(void)
{
	NEED(!o.name && !o.detach && !o.tty && !o.remove);
	NEED(o.mem_bytes == 8ul << 20 && o.nvcpus == 1 && o.priority == 8 && !o.cpus && !o.budget_ns && !o.period_ns);
	NEED(!o.ngrants && !o.nenv && !o.dir[0]);
	NEED(!strcmp(o.image, "lua") && o.nargs == 2 && !strcmp(o.args[0], "-e") && !strcmp(o.args[1], "x"));
}

static void what_follows_the_image_is_its_own(void **state)
{
	(void)state;
	assert_int_equal(parse(see_defaults, WORDS(W"lua", W"-e", W"x")), 0);
	assert_int_equal(parse(see_defaults, WORDS(W"--", W"lua", W"-e", W"x")), 0);
}

static void see_all(void)
{
	NEED(o.detach && o.remove && !strcmp(o.name, "a-1_b") && o.budget_ns == 200000 && o.period_ns == 10000000000);
	NEED(o.mem_bytes == 64ul << 20 && o.nvcpus == 2 && o.priority == 31 && o.cpus == 0x2e);
	NEED(o.ngrants == 3 && o.nenv == 2 && !strcmp(o.dir, "/w"));
	NEED(!strcmp(o.grants[0]->host, "/etc") && !strcmp(o.grants[0]->path, "/etc") && o.grants[0]->writable);
	NEED(!strcmp(o.grants[1]->host, "/etc") && !strcmp(o.grants[1]->path, "/x y") && !o.grants[1]->writable);
	NEED(!strcmp(o.grants[2]->host, "/") && !o.grants[2]->writable);
	NEED(!strcmp(o.env[0], "A=1 2") && !strcmp(o.env[1], "B"));
}

static void options_say_what_they_say(void **state)
{
	(void)state;
	assert_int_equal(parse(see_all, WORDS(W"-d", W"--rm", W"--name", W"a-1_b", W"-m", W"64M", W"--budget", W"200us/10s", W"--vcpus=2", W"--prio", W"31",
					      W"--cpus", W"1-3,5", W"-v", W"/etc", W"-v", W"/etc:/x y:ro", W"-v", W"/:ro", W"-w",
					      W"/w", W"-e", W"A=1 2", W"-e", W"B", W"lua")), 0);
	assert_string_equal(output, "");
}

static void see_relative(void)
{
	NEED(!strcmp(o.grants[0]->host, "/usr/lib") && !strcmp(o.grants[1]->host, "/usr"));
	NEED(!strcmp(o.grants[2]->host, "/") && !strcmp(o.grants[2]->path, "/r"));
	NEED(!strcmp(o.dir, "/usr/share"));
}

static void directories_are_seen_from_here(void **state)
{
	char here[4096];

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir("/usr"), 0);
	assert_int_equal(parse(see_relative, WORDS(W"-v", W"lib", W"-v", W".", W"-v", W"..:/r", W"-w", W"share", W"lua")), 0);
	assert_string_equal(output, "");
	assert_int_equal(chdir(here), 0);
}

static void wrong_values_are_named(void **state)
{
	static char *const wrong[][4] = {
		{ W"-m", W"0", W"-m 0:" }, { W"-m", W"x", W"-m x:" }, { W"-m", W"2T", W"-m 2T:" }, { W"-m", W"-1", W"-m -1:" },
		{ W"-m", W"99999999999G", W"-m 99999999999G:" }, { W"-m", W"1025M", W"at most 1024M" },
		{ W"--cpus", W"3-1", W"--cpus 3-1:" }, { W"--cpus", W"64", W"--cpus 64:" }, { W"--cpus", W"", W"--cpus :" },
		{ W"--cpus", W"1,", W"--cpus 1,:" }, { W"--cpus", W"all", W"--cpus all:" },
		{ W"--vcpus", W"0", W"--vcpus 0:" }, { W"--vcpus", W"65", W"--vcpus 65:" }, { W"--prio", W"32", W"--prio 32:" },
		{ W"--name", W"A", W"--name A:" }, { W"--name", W"-", W"--name -:" }, { W"--name", W"a/b", W"--name a/b:" },
		{ W"--name", W"abcdefghijklmnopqrstuvwxyzabcdef", W"at most 31" },
		{ W"-v", W":", W"-v ::" }, { W"-v", W"/etc:/x:rx", W"-v /etc:/x:rx:" }, { W"-v", W"/etc:x", W"-v /etc:x:" },
		{ W"-e", W"=1", W"-e =1:" }, { W"-e", W"a/b=1", W"-e a/b=1:" },
		{ W"--budget", W"1ms", W"--budget 1ms:" }, { W"--budget", W"2ms/", W"--budget 2ms/:" },
		{ W"--budget", W"2/10", W"--budget 2/10:" }, { W"--budget", W"2ms/10ms/", W"--budget 2ms/10ms/:" },
		{ W"--budget", W"11ms/10ms", W"11ms/10ms:" }, { W"--budget", W"9us/1ms", W"9us/1ms:" },
		{ W"--budget", W"20us/99us", W"20us/99us:" }, { W"--budget", W"1s/11s", W"1s/11s:" },
		{ W"--budget", W"-1ms/10ms", W"-1ms/10ms:" }, { W"--budget", W"99999999999999999999s/1s", W"s/1s:" },
		{ W"--budget", W"0us/10ms", W"0us/10ms:" }, { W"-t", W"--rm", W"no terminal" },
	};
	unsigned int i;

	(void)state;
	assert_true(freopen("/dev/null", "r", stdin) != NULL);
	for (i = 0; i < NELEM(wrong); i++) {
		assert_int_equal(parse(NULL, WORDS(wrong[i][0], wrong[i][1], W"lua")), EXIT_RUN);
		if (!strstr(output, wrong[i][2]) || strchr(output, '\n') != output + strlen(output) - 1)
			fail_msg("%s %s: %s", wrong[i][0], wrong[i][1], output);
	}
	assert_int_equal(parse(NULL, WORDS(W"-d")), EXIT_RUN);
	assert_non_null(strstr(output, "which image"));
	assert_int_equal(parse(NULL, WORDS(W"-dt", W"lua")), EXIT_RUN);
}

/* ---- the unikernel's side: docs/unikernel.md, "Command line" ------------------------------------------ */

static char split_text[CMDLINE_BYTES + 1], *split[1100];

static unsigned int split_up(const char *line)
{
	char *to = split_text;
	unsigned int n = 0;

	for (;;) {
		char quote = 0;

		line += strspn(line, " \t\n");
		if (!*line)
			return n;
		split[n++] = to;
		for (; *line && (quote || !strchr(" \t\n", *line)); line++) {
			if (quote == *line)
				quote = 0;
			else if (!quote && (*line == '"' || *line == '\''))
				quote = *line;
			else
				*to++ = *line;
		}
		*to++ = '\0';
	}
}

static void words_come_out_as_they_went_in(void **state)
{
	static const char *const words[] = {
		"lua", "-e", "print(\"it's\", 'a \"b\"')", "", " ", "'", "''\"\"", "a\tb\nc", "\\n\\", "\xc3\xa4 \xff",
	};
	struct cmdline c = { 0 };
	unsigned int i;

	(void)state;
	cmdline_assign(&c, "K", "two words' \"x\"");
	for (i = 0; i < NELEM(words); i++)
		cmdline_add(&c, words[i]);
	assert_false(c.full);
	assert_int_equal(split_up(c.text), NELEM(words) + 1);
	assert_string_equal(split[0], "K=two words' \"x\"");
	for (i = 0; i < NELEM(words); i++)
		assert_string_equal(split[i + 1], words[i]);
}

static void too_many_words_are_told(void **state)
{
	struct cmdline c = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < (CMDLINE_BYTES - 1) / 2; i++)
		cmdline_add(&c, "x");
	assert_false(c.full);
	cmdline_add(&c, "x");
	cmdline_add(&c, "x");
	assert_true(c.full);
	assert_true(strlen(c.text) < CMDLINE_BYTES);
	c = (struct cmdline) { 0 };
	for (i = 0; !c.full; i++)
		cmdline_add(&c, "'");
	assert_true(strlen(c.text) < CMDLINE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_follows_the_image_is_its_own),
		cmocka_unit_test(options_say_what_they_say),
		cmocka_unit_test(directories_are_seen_from_here),
		cmocka_unit_test(wrong_values_are_named),
		cmocka_unit_test(words_come_out_as_they_went_in),
		cmocka_unit_test(too_many_words_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
