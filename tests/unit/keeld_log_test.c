// SPDX-License-Identifier: MIT
/*
 * keeld_log_test.c - however much a peer gives keeld to say, the log stays within its bounds.
 *
 * Failure looks like a file that goes on growing, or like silence about what was left out.
 */
#include "unit.h"

#include "log.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES	1200

static char dir[64], file[96], old[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/keeld-log-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/log", dir);
	snprintf(old, sizeof(old), "%s/log.old", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	unlink(old);
	return rmdir(dir);
}

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (long)st.st_size;
}

/* Lines in the file; *text: the last one. */
static unsigned int lines(char *text, size_t bytes)
{
	FILE *f = fopen(file, "r");
	unsigned int n = 0;

	assert_non_null(f);
	while (fgets(text, (int)bytes, f))
		n++;
	fclose(f);
	return n;
}

static void lines_are_bounded_by_time(void **state)
{
	struct log_limit limit = { .burst = 5, .every_ms = 1000 };
	unsigned int i, said = 0, dropped = 0;
	uint64_t now;

	(void)state;
	for (now = 1000000; now < 1000000 + 3600000; now += 10)
		said += log_allowed(&limit, now, &dropped);
	assert_in_range(said, 3600, 3605);
	/* after an hour of silence: the burst, and how many were left out */
	for (i = 0; i < 10; i++)
		log_allowed(&limit, now, &dropped);
	now += 3600000;
	assert_true(log_allowed(&limit, now, &dropped));
	assert_in_range(dropped, 1, 200);
	for (i = 0; i < 4; i++)
		assert_true(log_allowed(&limit, now, &dropped));
	assert_false(log_allowed(&limit, now, &dropped));
}

static void a_flood_of_messages_is_a_few_lines(void **state)
{
	char text[2 * LINE_MAX_BYTES];
	unsigned int i, n;

	(void)state;
	log_init("peer", file, false);
	for (i = 0; i < 100000; i++)
		log_line("session %u", i);
	n = lines(text, sizeof(text));
	assert_in_range(n, LOG_BURST, LOG_BURST + 60);		/* a slow host has refills meanwhile */
}

static void what_was_left_out_is_counted(void **state)
{
	struct log_limit limit = { .burst = 1, .every_ms = 3600000 };
	char text[2 * LINE_MAX_BYTES];
	unsigned int i;

	(void)state;
	log_init("peer", file, false);
	for (i = 0; i < 10; i++)
		log_limited(&limit, "denied: %u", i);
	assert_int_equal(lines(text, sizeof(text)), 1);
	limit.last_ms -= 3600000;
	log_limited(&limit, "denied: again");
	assert_int_equal(lines(text, sizeof(text)), 2);
	assert_string_equal(text, "keeld[peer]: denied: again (and 9 more since the last such line)\n");
}

static void a_full_file_becomes_the_old_one(void **state)
{
	char text[2 * LINE_MAX_BYTES];
	unsigned int i, who;

	(void)state;
	/* several processes, as keeld is, each with its budget filled again and again */
	for (who = 0; who < 3; who++) {
		if (fork())
			continue;
		for (i = 0; i < 1000; i++) {
			log_init("peer", file, false);
			log_line("%u %0900u", who, i);
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	assert_in_range(size_of(file), 1, LOG_FILE_BYTES + 3 * LINE_MAX_BYTES);
	assert_in_range(size_of(old), LOG_FILE_BYTES, LOG_FILE_BYTES + 3 * LINE_MAX_BYTES);
	log_init("peer", file, false);
	log_line("the last");
	lines(text, sizeof(text));
	assert_string_equal(text, "keeld[peer]: the last\n");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lines_are_bounded_by_time),
		T(a_flood_of_messages_is_a_few_lines),
		T(what_was_left_out_is_counted),
		T(a_full_file_becomes_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
