// SPDX-License-Identifier: MIT
/*
 * keeld_session_test.c - what a client can do to keeld's server loop (keeld_fixture.c).
 *
 * Shows: a client that breaks the rings, restarts, or floods the server costs it a session at most, a
 * bounded log, and no time while nothing is asked.
 * Failure looks like a wrong result, a hang (the runner's time limit), or a sanitizer report.
 */
#include "keeld_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- hostile rings, restarts ------------------------------------------------------------------------------ */

/* After `harm` the session is gone; a new one works, and file numbers start over. */
static void expect_new_session(void)
{
	struct keel_cqe cqe;
	unsigned int ups;

	ring_fd(chan.server_event);
	while (!keel_dc_stale(&client))
		assert_true(client_wait());
	assert_int_equal(keel_dc_poll(&client, &cqe), -EPIPE);
	client_attach();
	assert_int_equal(call(keel_dc_read(0, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 0);
	pthread_mutex_lock(&chan.lock);
	ups = chan.server_ups;
	pthread_mutex_unlock(&chan.lock);
	assert_true(ups >= 2);
}

static void a_submission_tail_too_far_ahead_ends_the_session(void **state)
{
	(void)state;
	assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 0);
	keel_store_release(&client.hdr->sq.tail, client.sq.own + client.layout.sq_entries + 1);
	expect_new_session();
	assert_true(logged("client broke the rules: submission tail"));
}

static void a_submission_tail_moved_back_ends_the_session(void **state)
{
	(void)state;
	assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 0);
	keel_store_release(&client.hdr->sq.tail, client.sq.own - 1);
	expect_new_session();
}

static void a_wrapped_submission_tail_ends_the_session(void **state)
{
	(void)state;
	keel_store_release(&client.hdr->sq.tail, 0x80000000);
	expect_new_session();
}

static void a_completion_head_ahead_ends_the_session(void **state)
{
	struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, 1);
	unsigned int i;

	(void)state;
	for (i = 0; i < client.layout.cq_entries; i++)	/* so that the server must look at head */
		assert_int_equal(call(q), 0);
	keel_store_release(&client.hdr->cq.head, 0x1000);
	assert_int_equal(keel_dc_submit(&client, &q), 0);
	expect_new_session();
	assert_true(logged("client broke the rules: completion head"));
}

static void a_client_that_does_not_poll_is_not_served_but_can_go_on(void **state)
{
	struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, 1);
	struct pollfd event = { .fd = chan.server_event, .events = POLLIN };
	uint32_t n = client.layout.cq_entries, i;
	struct keel_cqe cqe;

	(void)state;
	for (i = 0; i < n; i++)
		submit(q);
	while (keel_load_acquire(&client.hdr->cq.tail) != n)
		assert_true(keel_dc_may_sleep(&client) ? client_wait() : true);
	/* Beyond what the rules allow: more submissions than completions have room. */
	client.in_flight = 0;
	submit(q);
	submit(q);
	/* The server reads its eventfd only when a pass is over: two of them, and one was after this. */
	for (i = 0; i < 2; i++) {
		ring_fd(chan.server_event);
		while (poll(&event, 1, 0))
			poll(NULL, 0, 1);
	}
	assert_int_equal(keel_load_acquire(&client.hdr->cq.tail), n);
	assert_true(server_cpu_ns(200) < 20000000);	/* nor does it spin over them */
	client.in_flight = n + 2;
	for (i = 0; i < n; i++)
		assert_int_equal(keel_dc_poll(&client, &cqe), 1);
	ring_fd(chan.server_event);
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(client.in_flight, 0);
}

static void garbage_in_every_shared_word_is_survived(void **state)
{
	uint64_t rnd = 7, *words = (void *)client.hdr;
	unsigned int round, i;
	uint32_t generation;
	bool up;

	(void)state;
	for (round = 0; round < 300; round++) {
		for (i = 0; i < 8; i++)
			keel_store_release(&words[unit_below(&rnd, 512)], unit_random(&rnd));
		for (i = 0; i < 4; i++)
			keel_store_release(&words[512 + unit_below(&rnd, 2048)], unit_random(&rnd));
		keel_store_release(&client.hdr->sq.tail, unit_below(&rnd, 64));
		ring_fd(chan.server_event);
		if (round % 10)
			continue;
		/* give it a session to break */
		generation = channel_generation(&up);
		keel_store_release(&client.hdr->client_generation, generation);
		ring_fd(chan.server_event);
	}
	/* a well-behaved client comes after that */
	set_up(&chan.client_up, false);
	set_up(&chan.client_up, true);
	client_attach();
	assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 0);
}

static void a_restarted_client_finds_no_file_of_the_old_one(void **state)
{
	struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, 1);
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 0);
		assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 1);
		submit(keel_dc_write(0, DATA, 4096, 0, 5));	/* unanswered when it dies */
		submit(q);
		set_up(&chan.client_up, false);
		set_up(&chan.client_up, true);
		client_attach();
		assert_int_equal(call(keel_dc_read(0, DATA, 1, 0, 1)), -EBADF);
	}
}

static void a_dead_client_leaves_no_open_file(void **state)
{
	char path[64], target[128];
	bool found = true;
	int fd, tries;
	ssize_t n;

	(void)state;
	assert_int_equal(open_file("held", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 0);
	set_up(&chan.client_up, false);
	/* The session's generation becomes 0 before files close; poll the descriptors themselves. */
	for (tries = 0; found && tries < 200; tries++) {
		found = false;
		for (fd = 3; fd < 1024; fd++) {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			n = readlink(path, target, sizeof(target) - 1);
			target[n > 0 ? n : 0] = '\0';
			found |= strstr(target, "/held") != NULL;
		}
		if (found)
			poll(NULL, 0, 10);
	}
	assert_false(found);
	set_up(&chan.client_up, true);
	client_attach();
}

/* A new server whose policy grants a terminal: the other end of it, and its name. */
static int grant_terminal(char name[64])
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	snprintf(name, 64, "%s", ptsname(master));
	teardown(NULL);
	setup(NULL);
	policy_free(&policy);
	policy_write("rw %s\nrw %s\n", root, name);
	return master;
}

/* The file number of that terminal, from which a read waits for a line; its completion says 9. */
static int read_terminal(const char *name)
{
	int file = call(keel_dc_open(path_at(0, "", name + 1), KEEL_DC_O_RDWR, 0, 1));

	assert_true(file >= 0);
	submit(keel_dc_read(file, DATA, 16, 0, 9));
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);	/* others go on */
	return file;
}

static void terminal_answers(int master)
{
	struct keel_cqe cqe;

	assert_int_equal(write(master, "hey\n", 4), 4);
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.user_data, 9);
	assert_int_equal(cqe.res, 4);
	assert_memory_equal(keel_dc_ptr(&client, DATA), "hey\n", 4);
}

static void a_reading_terminal_does_not_keep_a_session_alive(void **state)
{
	char name[64];
	int master = grant_terminal(name);

	(void)state;
	read_terminal(name);
	set_up(&chan.client_up, false);
	set_up(&chan.client_up, true);
	client_attach();
	read_terminal(name);
	terminal_answers(master);
	close(master);
}

/* What the kernel says of the process's io_uring: is anything polled in it? */
static bool io_uring_polls(void)
{
	char path[64], target[64], text[4096] = "";
	int fd, info;
	ssize_t n;

	for (fd = 3; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!strcmp(target, "anon_inode:[io_uring]"))
			break;
	}
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	do {		/* it says less while the ring is in use */
		info = open(path, O_RDONLY);
		n = read(info, text, sizeof(text) - 1);
		close(info);
		assert_in_range(n, 1, sizeof(text) - 1);
		text[n] = '\0';
	} while (!strstr(text, "PollList:"));
	return strstr(strstr(text, "PollList:"), "op=") != NULL;
}

/* A poll of the channel that stays would be woken and armed again by each bell ever after. */
static void nothing_is_polled_when_nothing_is_in_flight(void **state)
{
	char name[64];
	int master = grant_terminal(name);

	(void)state;
	read_terminal(name);
	while (!io_uring_polls())		/* the terminal */
		poll(NULL, 0, 1);
	terminal_answers(master);
	assert_false(io_uring_polls());
	close(master);
}

static void a_client_that_flips_its_side_fills_no_log(void **state)
{
	long before = (long)strlen(log_text(0));
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		set_up(&chan.client_up, false);
		set_up(&chan.client_up, true);
		client_attach();
	}
	assert_true(strlen(log_text(before)) < 4000);
}

static void denials_leave_room_in_the_log(void **state)
{
	long before = (long)strlen(log_text(0));
	int i;

	(void)state;
	for (i = 0; i < 2000; i++)
		assert_int_equal(call(keel_dc_open(path_at(0, outside, "secret"), 0, 0, 1)), -EACCES);
	assert_true(strlen(log_text(before)) < 4000);
	keel_store_release(&client.hdr->sq.tail, client.sq.own + client.layout.sq_entries + 1);
	expect_new_session();
	assert_non_null(strstr(log_text(before), "client broke the rules"));
}

/* A call costs the server no look at the channel's state: that is a hypercall. */
static void calls_ask_for_no_state(void **state)
{
	unsigned int before, after, i;

	(void)state;
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
	pthread_mutex_lock(&chan.lock);
	before = chan.states;
	pthread_mutex_unlock(&chan.lock);
	for (i = 0; i < 1000; i++)
		assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
	pthread_mutex_lock(&chan.lock);
	after = chan.states;
	pthread_mutex_unlock(&chan.lock);
	assert_in_range(after - before, 0, 20);		/* bells that bring nothing, on a slow host */
}

static void an_idle_server_sleeps(void **state)
{
	(void)state;
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
	poll(NULL, 0, 50);
	assert_true(server_cpu_ns(300) < 20000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_submission_tail_too_far_ahead_ends_the_session),
		T(a_submission_tail_moved_back_ends_the_session),
		T(a_wrapped_submission_tail_ends_the_session),
		T(a_completion_head_ahead_ends_the_session),
		T(a_client_that_does_not_poll_is_not_served_but_can_go_on),
		T(garbage_in_every_shared_word_is_survived),
		T(a_restarted_client_finds_no_file_of_the_old_one),
		T(a_dead_client_leaves_no_open_file),
		T(a_reading_terminal_does_not_keep_a_session_alive),
		T(nothing_is_polled_when_nothing_is_in_flight),
		T(a_client_that_flips_its_side_fills_no_log),
		T(denials_leave_room_in_the_log),
		T(calls_ask_for_no_state),
		T(an_idle_server_sleeps),
	};

	return fixture_run("keeld_session_test", tests, NELEM(tests));
}
