// SPDX-License-Identifier: MIT
/*
 * keelctl_restart_test.c - when a partition is started again, and when it is called wedged.
 *
 * Shows: --restart's words; delays that double from 100 ms to 10 s and begin anew after ten seconds of life; how often; --watchdog's words; that
 * only CPU time without a call of its own counts, on as many CPUs as it has.
 */
#include "unit.h"

#include "restart.h"
#include "watchdog.h"

static struct restart_policy policy(const char *text)
{
	struct restart_policy p;

	assert_true(restart_parse(&p, text));
	return p;
}

static void restart_words_are_read(void **state)
{
	static const char *const wrong[] = { "", "yes", "on-failure:", "on-failure:0", "on-failure:-1", "on-failure:3x", "on-failure3",
					     "always:3", "on-failure:9999999", "No" };
	struct restart_policy p;
	unsigned int i;

	(void)state;
	assert_true(policy("no").when == RESTART_NO);
	assert_true(policy("always").when == RESTART_ALWAYS);
	assert_true(policy("on-failure").when == RESTART_ON_FAILURE && !policy("on-failure").most);
	assert_true(policy("on-failure:3").when == RESTART_ON_FAILURE && policy("on-failure:3").most == 3);
	for (i = 0; i < NELEM(wrong); i++)
		assert_false(restart_parse(&p, wrong[i]));
}

static void delays_double_up_to_ten_seconds(void **state)
{
	static const int want[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct restart_policy always = policy("always");
	struct restart r = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < NELEM(want); i++)
		assert_int_equal(restart_next(&always, &r, 0, 9999), want[i]);
	assert_int_equal(restart_next(&always, &r, 0, 10000), 100);
	assert_int_equal(restart_next(&always, &r, 0, 0), 200);
}

static void only_failures_and_only_so_often(void **state)
{
	struct restart_policy no = policy("no"), failure = policy("on-failure"), twice = policy("on-failure:2");
	struct restart r = { 0 };

	(void)state;
	assert_int_equal(restart_next(&no, &r, 1, 0), -1);
	assert_int_equal(restart_next(&failure, &r, 0, 0), -1);
	assert_int_equal(restart_next(&failure, &r, 139, 0), 100);
	r = (struct restart) { 0 };
	assert_int_equal(restart_next(&twice, &r, 1, 0), 100);
	assert_int_equal(restart_next(&twice, &r, 1, 0), 200);
	assert_int_equal(restart_next(&twice, &r, 1, 0), -1);
	assert_int_equal(restart_next(&twice, &r, 1, 20000), 100);	/* it lived */
}

static void watchdog_words_are_read(void **state)
{
	static const char *const wrong[] = { "", "0", "-1", "x", "5:", "5:kill", "5s", ":log", "86401" };
	struct watchdog_policy p;
	unsigned int i;

	(void)state;
	assert_true(watchdog_parse(&p, "5") && p.seconds == 5 && p.action == WATCHDOG_RESTART);
	assert_true(watchdog_parse(&p, "5:restart") && p.action == WATCHDOG_RESTART);
	assert_true(watchdog_parse(&p, "7:log") && p.seconds == 7 && p.action == WATCHDOG_LOG);
	assert_true(watchdog_parse(&p, "7:stop") && p.action == WATCHDOG_STOP);
	for (i = 0; i < NELEM(wrong); i++)
		assert_false(watchdog_parse(&p, wrong[i]));
}

#define S 1000000000ull

static void wedged_is_cpu_time_without_a_call(void **state)
{
	static const unsigned int come_over_it[] = { KEEL_STAT_TOTAL, KEEL_STAT_IRQ, KEEL_STAT_NMI, KEEL_STAT_PF_FILL };
	struct keel_part_stats stats = { 0 };
	struct keel_part_info info = { .nvcpus = 1, .cpu_ns = 100 * S };
	struct watchdog w = { 0 };
	unsigned int i;

	(void)state;
	stats.count[KEEL_STAT_HC_OTHER] = 7;
	assert_false(watchdog_wedged(&w, 3, &info, &stats));	/* the first look */
	for (i = 0; i < 10; i++)
		assert_false(watchdog_wedged(&w, 3, &info, &stats));	/* it sleeps, or others run */
	info.cpu_ns += 2 * S;
	assert_false(watchdog_wedged(&w, 3, &info, &stats));
	stats.count[KEEL_STAT_KICK]++;
	assert_false(watchdog_wedged(&w, 3, &info, &stats));
	info.cpu_ns += 3 * S - 1;
	for (i = 0; i < NELEM(come_over_it); i++)
		stats.count[come_over_it[i]] += 1000;
	assert_false(watchdog_wedged(&w, 3, &info, &stats));
	info.cpu_ns++;
	assert_true(watchdog_wedged(&w, 3, &info, &stats));
	assert_false(watchdog_wedged(&w, 3, &info, &stats));	/* said once */
	info.cpu_ns += 3 * S;
	assert_true(watchdog_wedged(&w, 3, &info, &stats));
	info.nvcpus = 4;
	info.cpu_ns += 11 * S;
	assert_false(watchdog_wedged(&w, 3, &info, &stats));
	info.cpu_ns += S;
	assert_true(watchdog_wedged(&w, 3, &info, &stats));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart_words_are_read),
		cmocka_unit_test(delays_double_up_to_ten_seconds),
		cmocka_unit_test(only_failures_and_only_so_often),
		cmocka_unit_test(watchdog_words_are_read),
		cmocka_unit_test(wedged_is_cpu_time_without_a_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
