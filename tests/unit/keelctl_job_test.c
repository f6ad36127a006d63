// SPDX-License-Identifier: MIT
/*
 * keelctl_job_test.c - NAME.job: what is written about a detached partition is what another process reads.
 *
 * Shows: words of a command line come back as they were, whatever is in them; what is asked for is parsed from them again, with the
 * environment of then; a lock tells who is looked after; an end overwrites nothing but the state.
 */
#include "unit.h"

#include "device.h"
#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/keelctl-job-XXXXXX", home[4096];

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(getcwd(home, sizeof(home)));
	job_dir = dir;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	job_remove("a");
	return rmdir(dir);
}

static char *words[] = {
	(char *)(uintptr_t)"-d", (char *)(uintptr_t)"-m", (char *)(uintptr_t)"16M", (char *)(uintptr_t)"-e",
	(char *)(uintptr_t)"PASSED_ON", (char *)(uintptr_t)"-e", (char *)(uintptr_t)"B=2", (char *)(uintptr_t)"-v",
	(char *)(uintptr_t)".:/here", (char *)(uintptr_t)"lua", (char *)(uintptr_t)"-e",
	(char *)(uintptr_t)"line\nstatus=77\\n\\", (char *)(uintptr_t)"", (char *)(uintptr_t)"=", NULL,
};

static void begin(struct job *j)
{
	struct run_options o = { .nenv = 2, .env = { "PASSED_ON", "B=2" } };

	*j = (struct job) { .told = -1, .started = time(NULL) };
	assert_int_equal(chdir("/usr"), 0);
	assert_int_equal(setenv("PASSED_ON", "v\n1", 1), 0);
	job_ask(j, words, &o);
	assert_int_equal(unsetenv("PASSED_ON"), 0);
	assert_int_equal(chdir(home), 0);
	assert_int_equal(job_take(j, "a"), 0);
	assert_int_equal(job_take(&(struct job) { 0 }, "a"), -EEXIST);
	job_started(j);
}

static void words_are_read_as_they_were(void **state)
{
	struct job_state seen;
	struct run_options *o = calloc(1, sizeof(*o));
	struct job j;
	int i;

	(void)state;
	begin(&j);
	assert_int_equal(job_look("a", false, &seen), 0);
	assert_true(seen.running && !seen.known && seen.pid == getpid() && seen.started > 0 && !seen.restarts);
	assert_string_equal(seen.directory, "/usr");
	assert_int_equal(seen.nwords, NELEM(words) - 1);
	for (i = 0; words[i]; i++)
		assert_string_equal(seen.words[i], words[i]);

	job_options(o, &seen);
	assert_true(o->detach && o->mem_bytes == 16 << 20 && o->ngrants == 1 && o->nenv == 2 && o->nargs == 4);
	assert_string_equal(o->grants[0]->host, "/usr");
	assert_string_equal(o->env[0], "PASSED_ON=v\n1");
	assert_string_equal(o->env[1], "B=2");
	assert_string_equal(o->args[1], "line\nstatus=77\\n\\");
	assert_int_equal(chdir(home), 0);
	free(o->grants[0]);
	free(o);
	job_forget(&seen);
	close(j.fd);
	free(j.asked);
	job_remove("a");
}

static void an_end_is_known_unless_the_keeper_was_killed(void **state)
{
	struct job_state seen;
	struct job j;

	(void)state;
	begin(&j);
	close(j.fd);			/* as by kill -9 */
	assert_int_equal(job_look("a", true, &seen), 0);
	assert_true(!seen.running && !seen.known && seen.nwords == NELEM(words) - 1);
	job_forget(&seen);
	job_remove("a");
	free(j.asked);

	begin(&j);
	j.restarts = 3;
	job_started(&j);
	j.log.fd = -1;
	job_ended(&j, 139, "");
	assert_int_equal(job_look("a", true, &seen), 0);
	assert_true(!seen.running && seen.known && seen.status == 139 && seen.restarts == 3 && seen.ended >= seen.started);
	assert_int_equal(seen.nwords, NELEM(words) - 1);
	job_forget(&seen);
	free(j.asked);
	assert_int_equal(job_look("b", false, &seen), -ENOENT);
	assert_int_equal(job_look("../a", false, &seen), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_read_as_they_were),
		cmocka_unit_test(an_end_is_known_unless_the_keeper_was_killed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
