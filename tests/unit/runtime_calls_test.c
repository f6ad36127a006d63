// SPDX-License-Identifier: MIT
/*
 * runtime_calls_test.c - system calls, signals, memory and clocks of the unikernel runtime, seen by a C
 * program on it (runtime_probe.c) that runs in a process (runtime_machine.c).
 *
 * Shows: what is there gives what Linux gives one process with one thread; what is not there says so
 * whatever it is asked; nothing given back is lost, nothing kept is touched.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "unit.h"
#include "runtime_machine.h"

#define PROBE	BUILD "/unikernel/probe.elf"

static char root[64];

static int setup(void **state)
{
	(void)state;
	umask(0);
	return machine_root_make(root);
}

static int teardown(void **state)
{
	(void)state;
	return machine_root_remove(root);
}

static void put_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/mnt/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static unsigned mode_of(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/mnt/%s", root, name);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static struct machine_config config(const char *cmdline)
{
	struct machine_config cfg = { .image = PROBE, .cmdline = cmdline, .root = root };

	return cfg;
}

static void ends(const struct machine_config *cfg, enum machine_end end, int status, const char *out)
{
	struct machine *m = machine_run(cfg);

	if (m->end != end || m->status != status || strcmp(m->out, out) != 0)
		fail_msg("%s: end %d (%s), status %d, output:\n%s\nexpected %d, %d:\n%s", cfg->cmdline, m->end, m->why,
			 m->status, m->out, end, status, out);
	machine_free(m);
}

static void says(const char *cmdline, const char *out)
{
	struct machine_config cfg = config(cmdline);

	ends(&cfg, MACHINE_EXIT, 0, out);
}

/* ---- calls ------------------------------------------------------------------------------------------- */

/* Every number without a call, five sets of arguments, and one line each on the console. */
static void what_is_not_there_is_enosys_and_named_once(void **state)
{
	struct machine_config cfg = config("probe unsupported");
	struct machine *m = machine_run(&cfg);
	const char *first = strstr(m->out, "runtime: system call 41 (socket) is not there\n");

	(void)state;
	assert_int_equal(m->end, MACHINE_EXIT);
	if (!strstr(m->out, ", wrong 0\n"))
		fail_msg("%s", strstr(m->out, "call ") ? strstr(m->out, "call ") : m->out);
	assert_non_null(first);
	assert_null(strstr(strchr(first, '\n'), "(socket)"));
	assert_non_null(strstr(m->out, "call 58 (vfork) is"));
	assert_non_null(strstr(m->out, "call 334 (rseq) is"));
	assert_non_null(strstr(m->out, "call 400 (unknown) is"));
	assert_null(strstr(m->out, "(read)"));
	machine_free(m);
}

static void the_one_process_has_an_identity(void **state)
{
	(void)state;
	says("probe identity", "pid 1 tid 1 ppid 0 pgrp 1 sid 1\nuid 0 euid 0 gid 0 egid 0 groups 0\n"
	     "getresuid 0: 0 0 0\nsetuid 0 0, 5 -1, -1 -22; setresgid 0 -1\npgid of 2 -3, uname 0 Keel lua\n");
}

static void umask_takes_bits_from_new_files(void **state)
{
	(void)state;
	says("probe umask", "mask 22 77 2\n");
	assert_int_equal(mode_of("first"), 0600);
	assert_int_equal(mode_of("second"), 0664);
	assert_int_equal(mode_of("dir"), 0775);
}

static void threads_and_vfork_are_refused(void **state)
{
	struct machine_config cfg = config("probe no_thread");

	(void)state;
	ends(&cfg, MACHINE_EXIT, 0, "runtime: system call 56 (clone) is not there\nclone -38\n"
	     "runtime: system call 58 (vfork) is not there\nvfork -1 Function not implemented\n");
}

/* ---- signals ----------------------------------------------------------------------------------------- */

static void raise_runs_handlers(void **state)
{
	(void)state;
	says("probe signals", "handler of 10, pending 1\nraise 0 handled 10 times 2\nignored 0 0\n"
	     "default of SIGCHLD 0\nblocked: handled 0, pending 1\nunblocked: handled 12, then default 1\n"
	     "info 64 64 1\nkill 0 test 0 other -3 bad -22\nuncatchable -22\n");
}

static void a_signal_without_handler_ends_the_partition(void **state)
{
	struct machine_config cfg = config("probe end 15");

	(void)state;
	ends(&cfg, MACHINE_EXIT, 128 + SIGTERM, "ends\n");
	cfg.cmdline = "probe end 6";
	ends(&cfg, MACHINE_CRASH, 128 + SIGABRT, "ends\n");
	cfg.cmdline = "probe end 20";	/* SIGTSTP */
	ends(&cfg, MACHINE_EXIT, 0, "ends\ngoes on\n");
}

static void interrupt_ends_a_sleep_and_a_read(void **state)
{
	struct machine_config cfg = config("probe sleep");

	(void)state;
	cfg.input = "\003" "\003abc\n" "\003";
	cfg.input_pieces = true;
	ends(&cfg, MACHINE_EXIT, 0, "sleep -4 left 1 handled 2\nread 1 a handled 2\nread -4\n");
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void parts_of_a_mapping_can_be_unmapped(void **state)
{
	(void)state;
	says("probe munmap", "head 0 1 tail 0 1 middle 0 1 1\nbeside others 1 1\nover both 0 again 0\nlost 0\n"
	     "odd -1 none -1 round -1\n");
}

static void dontneed_zeroes_whole_pages(void **state)
{
	(void)state;
	says("probe madvise", "dontneed 0 1 0 0 4\n");
}

/* ---- descriptors ------------------------------------------------------------------------------------- */

static void dup_shares_the_open_file(void **state)
{
	(void)state;
	put_file("text", "abcdefghi");
	put_file("other", "line\n");
	says("probe dup", "abcdef at 6\ndup2 0 0 dup3 0 -22 bad -9 -9 -22\nbcd closed -9\nfcntl 0\nfreopen 1 line\n");
}

/* ---- time -------------------------------------------------------------------------------------------- */

static void clocks_tell_what_they_are_for(void **state)
{
	struct machine_config cfg = config("probe clock");

	(void)state;
	cfg.cpu_ns = 1234567890;
	cfg.wall_ns = 4102444800000000000;	/* 2100: what Linux says, not what the metakernel found */
	cfg.server_up = true;
	ends(&cfg, MACHINE_EXIT, 0, "cpu 1.234567890\nwall 4102444800\nwall 4102444800\nmonotonic 1 1\npast 0\n");
}

static int set_the_date(struct machine *m, const struct keel_sqe *s)
{
	static unsigned nops;

	(void)s;
	/* At each question ten seconds have passed for Linux; before the third somebody set it back. */
	nops = m->requests == 0 ? 1 : nops + 1;
	m->cfg.wall_ns += 10000000000;
	if (nops == 3)
		m->cfg.wall_ns -= 3600 * 1000000000ULL;
	return SERVE_NORMALLY;
}

/* 5 s pass for the guest where 10 s pass for Linux, and where the date is set. */
static void the_wall_clock_follows_linux(void **state)
{
	struct machine_config cfg = config("probe wall");

	(void)state;
	cfg.wall_ns = 4102444800000000000;
	cfg.serve = set_the_date;
	cfg.server_up = true;
	cfg.time_flies = true;
	ends(&cfg, MACHINE_EXIT, 0, "wall 4102444810 10 -3590 monotonic 10\n");
}

static void a_backtrace_finds_the_callers(void **state)
{
	struct machine_config cfg = config("probe fault");
	struct machine *m = machine_run(&cfg);

	(void)state;
	assert_int_equal(m->end, MACHINE_FAULT);
	assert_non_null(strstr(m->why, "address 0x10,"));
	assert_in_range(m->frames, 7, 16);	/* six of deep(), main() or what it was inlined in */
	machine_free(m);
}

/* ---- command line ------------------------------------------------------------------------------------ */

static void no_word_of_the_command_line_is_lost(void **state)
{
	char cmdline[2048] = "probe words", out[256] = "1019";
	int n = 2;

	(void)state;
	while (n < 1019 && strlen(cmdline) + 3 < sizeof(cmdline)) {
		snprintf(cmdline + strlen(cmdline), 4, " %c", 'a' + n % 26);
		n++;
	}
	assert_int_equal(n, 1019);
	for (int i = 1; i < n; i += 13)
		snprintf(out + strlen(out), 8, " %s", i == 1 ? "words" : (char[2]){ (char)('a' + i % 26), 0 });
	strcat(out, "\n");
	says(cmdline, out);
}

static void the_command_line_is_utf8(void **state)
{
	(void)state;
	says("probe words \"gr\303\274n \342\202\254\" \360\237\214\261", "4 words gr\303\274n \342\202\254 \360\237\214\261\n");
}

/* A failed assertion leaves its machine behind: not what is tested here. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there_is_enosys_and_named_once),
		cmocka_unit_test(the_one_process_has_an_identity),
		cmocka_unit_test(umask_takes_bits_from_new_files),
		cmocka_unit_test(threads_and_vfork_are_refused),
		cmocka_unit_test(raise_runs_handlers),
		cmocka_unit_test(a_signal_without_handler_ends_the_partition),
		cmocka_unit_test(interrupt_ends_a_sleep_and_a_read),
		cmocka_unit_test(parts_of_a_mapping_can_be_unmapped),
		cmocka_unit_test(dontneed_zeroes_whole_pages),
		cmocka_unit_test(dup_shares_the_open_file),
		cmocka_unit_test(clocks_tell_what_they_are_for),
		cmocka_unit_test(the_wall_clock_follows_linux),
		cmocka_unit_test(a_backtrace_finds_the_callers),
		cmocka_unit_test(no_word_of_the_command_line_is_lost),
		cmocka_unit_test(the_command_line_is_utf8),
	};

	if (machine_impossible()) {
		printf("skipped: %s\n", machine_impossible());
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
