// SPDX-License-Identifier: MIT
/*
 * keeld_server_test.c - keeld's real server loop, real io_uring and real files, behind a channel made
 * of a memfd and two eventfds, driven by the client that unikernels use.
 *
 * Shows: calls do what they say with data in place; nothing outside the policy is reached; a
 * client that breaks the rings, restarts, or floods the server costs it a session at most.
 * Failure looks like a wrong result, a hang (the runner's time limit), or a sanitizer report.
 */
#include "unit.h"

#include "log.h"
#include "policy.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <keel/drivercall_client.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WINDOW	(1u << 20)

/* ---- the channel: what mk and the Linux driver do --------------------------------------------------- */

static struct channel {
	pthread_mutex_t lock;
	uint32_t generation;
	bool server_up, client_up, stop;
	unsigned int server_ups, states;	/* calls so far */
	void *window;
	int server_event, client_event;
} chan = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void ring_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void set_up(bool *side, bool up)
{
	pthread_mutex_lock(&chan.lock);
	if (*side != up) {
		*side = up;
		chan.generation++;
		ring_fd(side == &chan.server_up ? chan.client_event : chan.server_event);
	}
	pthread_mutex_unlock(&chan.lock);
}

static int fake_up(struct transport *t)
{
	(void)t;
	pthread_mutex_lock(&chan.lock);
	chan.server_ups++;
	pthread_mutex_unlock(&chan.lock);
	set_up(&chan.server_up, true);
	return 0;
}

static int fake_kick(struct transport *t)
{
	bool up;

	(void)t;
	pthread_mutex_lock(&chan.lock);
	up = chan.client_up;
	pthread_mutex_unlock(&chan.lock);
	if (!up)
		return -EPIPE;
	ring_fd(chan.client_event);
	return 0;
}

static int fake_wait(struct transport *t, bool kick, uint32_t timeout_ms)
{
	struct pollfd p = { .fd = chan.server_event, .events = POLLIN };
	uint64_t n;
	bool stop;

	if (kick && fake_kick(t))
		return -EPIPE;
	if (poll(&p, 1, timeout_ms == WAIT_FOREVER ? -1 : (int)timeout_ms) <= 0)
		return -ETIME;
	if (read(chan.server_event, &n, sizeof(n)) != sizeof(n))
		abort();
	pthread_mutex_lock(&chan.lock);
	stop = chan.stop;
	pthread_mutex_unlock(&chan.lock);
	return stop ? -ECANCELED : 0;
}

static int fake_state(struct transport *t, uint32_t *generation, bool *client_up)
{
	(void)t;
	pthread_mutex_lock(&chan.lock);
	chan.states++;
	*generation = chan.generation;
	*client_up = chan.client_up;
	pthread_mutex_unlock(&chan.lock);
	return 0;
}

/* ---- the server's thread, as main.c does it ----------------------------------------------------------- */

static struct policy policy;
static pthread_t server_thread;
static int server_result;

static void *serve(void *arg)
{
	struct transport t = { .window = chan.window, .window_bytes = WINDOW, .up = fake_up,
			       .kick = fake_kick, .wait = fake_wait, .state = fake_state,
			       .fd = chan.server_event };
	struct server *s;

	(void)arg;
	if (server_new(&s, &policy))
		abort();
	do {
		server_result = server_run(s, &t);
		set_up(&chan.server_up, false);
	} while (server_result == -EBADMSG);
	server_delete(s);
	return NULL;
}

/* ---- the client --------------------------------------------------------------------------------------- */

static struct keel_dc_client client;
static char root[64], outside[64];

/* Waits for the client's event; false after two seconds of silence. */
static bool client_wait(void)
{
	struct pollfd p = { .fd = chan.client_event, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 2000) <= 0)
		return false;
	return read(chan.client_event, &n, sizeof(n)) == sizeof(n);
}

static uint32_t channel_generation(bool *server_up)
{
	uint32_t g;

	pthread_mutex_lock(&chan.lock);
	g = chan.generation;
	*server_up = chan.server_up;
	pthread_mutex_unlock(&chan.lock);
	return g;
}

static void client_attach(void)
{
	uint32_t generation;
	bool up;
	int err;

again:
	generation = channel_generation(&up);
	if (!up) {
		assert_true(client_wait());
		goto again;
	}
	keel_dc_attach(&client, chan.window, WINDOW, generation);
	ring_fd(chan.server_event);
	while ((err = keel_dc_attached(&client)) == -EAGAIN) {
		assert_true(client_wait());
		if (channel_generation(&up) != generation)
			goto again;
	}
	assert_int_equal(err, 0);
}

static void submit(struct keel_sqe q)
{
	assert_int_equal(keel_dc_submit(&client, &q), 0);
	if (keel_dc_need_kick(&client))
		ring_fd(chan.server_event);
}

/* The next completion, or the error that ended the session. */
static int next(struct keel_cqe *cqe)
{
	int n;

	while (!(n = keel_dc_poll(&client, cqe)))
		if (keel_dc_may_sleep(&client))
			assert_true(client_wait());
	return n;
}

static int call(struct keel_sqe q)
{
	struct keel_cqe cqe;

	submit(q);
	assert_int_equal(next(&cqe), 1);
	assert_true(cqe.user_data == q.user_data);
	return cqe.res;
}

/* A path in the buffer area; the fixture's own piece is overwritten at each call. */
static uint64_t path_at(unsigned int i, const char *dir, const char *name)
{
	uint64_t off = client.layout.buf_off + i * KEEL_DC_PATH_MAX;

	snprintf(keel_dc_ptr(&client, off), KEEL_DC_PATH_MAX, "%s/%s", dir, name);
	return off;
}

static uint64_t in_root(const char *name)
{
	return path_at(0, root, name);
}

#define DATA	(client.layout.buf_off + 4 * KEEL_DC_PATH_MAX)

static int open_file(const char *name, uint32_t flags)
{
	return call(keel_dc_open(in_root(name), flags, 0644, 0xabc));
}

/* ---- fixture -------------------------------------------------------------------------------------------- */

static void policy_write(const char *fmt, const char *a, const char *b)
{
	char file[96], err[256];
	FILE *f;

	snprintf(file, sizeof(file), "%s/policy", outside);
	f = fopen(file, "w");
	assert_non_null(f);
	fprintf(f, fmt, a, b);
	fclose(f);
	if (policy_load(&policy, file, err, sizeof(err)))
		fail_msg("%s", err);
}

static int group_setup(void **state)
{
	char path[128];
	int fd = memfd_create("window", 0);

	(void)state;
	strcpy(root, "/tmp/keeld-server-XXXXXX");
	strcpy(outside, "/tmp/keeld-outside-XXXXXX");
	if (fd < 0 || ftruncate(fd, WINDOW) || !mkdtemp(root) || !mkdtemp(outside))
		return -1;
	chan.window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/secret", outside);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/out", root);
	if (symlink(outside, path))
		return -1;
	snprintf(path, sizeof(path), "%s/fifo", root);
	if (mkfifo(path, 0600))
		return -1;
	snprintf(path, sizeof(path), "%s/log", outside);
	/* What keeld says goes to a file: the tests look for lines in it. */
	fd = open(path, O_CREAT | O_RDWR | O_APPEND, 0600);
	return chan.window == MAP_FAILED || fd < 0 || dup2(fd, 2) < 0 ? -1 : 0;
}

static int group_teardown(void **state)
{
	char cmd[192];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s' '%s'", root, outside);
	return system(cmd);
}

static int setup(void **state)
{
	(void)state;
	memset(chan.window, 0xa5, WINDOW);	/* a window is not clean when keeld gets it */
	log_init("test", NULL, false);
	chan.server_event = eventfd(0, 0);
	chan.client_event = eventfd(0, 0);
	chan.stop = false;
	chan.generation = 0;
	chan.server_ups = 0;
	policy_write("rw %s\nro /proc/version\nrw /dev/null\n", root, "");
	if (pthread_create(&server_thread, NULL, serve, NULL))
		return -1;
	set_up(&chan.client_up, true);
	client_attach();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pthread_mutex_lock(&chan.lock);
	chan.stop = true;
	pthread_mutex_unlock(&chan.lock);
	ring_fd(chan.server_event);
	pthread_join(server_thread, NULL);
	policy_free(&policy);
	chan.client_up = false;
	close(chan.server_event);
	close(chan.client_event);
	return server_result;
}

/* What has been logged from position `from` on. */
static const char *log_text(long from)
{
	static char text[65536];
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/log", outside);
	fd = open(path, O_RDONLY);
	n = pread(fd, text, sizeof(text) - 1, from);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool logged(const char *what)
{
	return strstr(log_text(0), what) != NULL;
}

/* Processor time the server's thread uses in the next wall_ms. */
static uint64_t server_cpu_ns(int wall_ms)
{
	struct timespec t[2];
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(server_thread, &clock), 0);
	clock_gettime(clock, &t[0]);
	poll(NULL, 0, wall_ms);
	clock_gettime(clock, &t[1]);
	return (uint64_t)(t[1].tv_sec - t[0].tv_sec) * 1000000000 + (uint64_t)t[1].tv_nsec -
	       (uint64_t)t[0].tv_nsec;
}

/* ---- calls ------------------------------------------------------------------------------------------------ */

static void a_file_is_written_and_read_back_in_place(void **state)
{
	struct statx *st;
	char *data = keel_dc_ptr(&client, DATA);
	int file, i;

	(void)state;
	file = open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC);
	assert_int_equal(file, 0);
	for (i = 0; i < 100000; i++)
		data[i] = (char)(i * 7);
	assert_int_equal(call(keel_dc_write(file, DATA, 100000, 0, 2)), 100000);
	assert_int_equal(call(keel_dc_fsync(file, 0, 3)), 0);
	memset(data, 0, 100000);
	assert_int_equal(call(keel_dc_read(file, DATA, 50000, 50000, 4)), 50000);
	for (i = 0; i < 50000; i++)
		assert_true(data[i] == (char)((i + 50000) * 7));
	assert_true(data[50000] == 0);
	assert_int_equal(call(keel_dc_read(file, DATA, 10, 100000, 5)), 0);	/* the end */
	assert_int_equal(call(keel_dc_statx(file, 0, KEEL_DC_AT_EMPTY_PATH, 0x7ff, DATA, 6)), 0);
	st = keel_dc_ptr(&client, DATA);
	assert_int_equal(st->stx_size, 100000);
	assert_int_equal(call(keel_dc_close(file, 7)), 0);
	assert_int_equal(call(keel_dc_read(file, DATA, 1, 0, 8)), -EBADF);
	assert_int_equal(call(keel_dc_close(file, 9)), -EBADF);
}

static void files_can_be_truncated(void **state)
{
	int file = open_file("t", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC), res;
	struct statx *st = keel_dc_ptr(&client, DATA);

	(void)state;
	res = call(keel_dc_ftruncate(file, 12345, 1));
	if (res == -EINVAL) {
		print_message("this kernel's io_uring has no ftruncate (6.9 and later do)\n");
		return;
	}
	assert_int_equal(res, 0);
	assert_int_equal(call(keel_dc_statx(file, 0, KEEL_DC_AT_EMPTY_PATH, 0x7ff, DATA, 6)), 0);
	assert_int_equal(st->stx_size, 12345);
}

static void names_are_made_moved_and_removed(void **state)
{
	struct statx *st = keel_dc_ptr(&client, DATA);
	int file;

	(void)state;
	assert_int_equal(call(keel_dc_mkdir(in_root("d"), 0755, 1)), 0);
	assert_int_equal(call(keel_dc_mkdir(in_root("d"), 0755, 1)), -EEXIST);
	assert_int_equal(call(keel_dc_mkdir(in_root(""), 0755, 1)), -EEXIST);
	file = open_file("d/a", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT | KEEL_DC_O_EXCL);
	assert_true(file >= 0);
	assert_int_equal(open_file("d/a", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT | KEEL_DC_O_EXCL), -EEXIST);
	assert_int_equal(call(keel_dc_rename(in_root("d/a"), path_at(1, root, "b"), 0, 1)), 0);
	assert_int_equal(open_file("d/a", KEEL_DC_O_RDONLY), -ENOENT);
	assert_int_equal(call(keel_dc_statx(KEEL_DC_AT_FDCWD, in_root("b"), 0, 0x7ff, DATA, 1)), 0);
	assert_true(S_ISREG(st->stx_mode));
	assert_int_equal(call(keel_dc_rename(in_root("b"), path_at(1, root, "d"),
					     KEEL_DC_RENAME_NOREPLACE, 1)), -EEXIST);
	assert_int_equal(call(keel_dc_unlink(in_root("d"), 0, 1)), -EISDIR);
	assert_int_equal(call(keel_dc_unlink(in_root("d"), KEEL_DC_AT_REMOVEDIR, 1)), 0);
	assert_int_equal(call(keel_dc_unlink(in_root("b"), 0, 1)), 0);
	assert_int_equal(call(keel_dc_unlink(in_root("b"), 0, 1)), -ENOENT);
	assert_int_equal(call(keel_dc_unlink(in_root(""), KEEL_DC_AT_REMOVEDIR, 1)), -EBUSY);
}

static void directories_open_as_such(void **state)
{
	(void)state;
	assert_true(open_file("", KEEL_DC_O_RDONLY | KEEL_DC_O_DIRECTORY) >= 0);
	assert_int_equal(open_file("", KEEL_DC_O_RDWR), -EISDIR);
	assert_true(open_file("x", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT) >= 0);
	assert_int_equal(open_file("x", KEEL_DC_O_RDONLY | KEEL_DC_O_DIRECTORY), -ENOTDIR);
}

static void devices_need_a_rule_of_their_own(void **state)
{
	int file;

	(void)state;
	file = call(keel_dc_open(path_at(0, "/dev", "null"), KEEL_DC_O_RDWR, 0, 1));
	assert_true(file >= 0);
	assert_int_equal(call(keel_dc_write(file, DATA, 100, 0, 1)), 100);
	assert_int_equal(open_file("fifo", KEEL_DC_O_RDONLY), -EACCES);
	assert_int_equal(open_file("fifo", KEEL_DC_O_RDWR), -EACCES);
	assert_int_equal(open_file("fifo", KEEL_DC_O_WRONLY), -ENXIO);
}

static void many_calls_are_answered_once_each(void **state)
{
	unsigned int seen[64], i, sent = 0, got = 0;
	struct keel_cqe cqe;
	int file = open_file("m", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT);
	struct keel_sqe q;

	(void)state;
	memset(seen, 0, sizeof(seen));
	while (got < 20000) {
		while (sent < 20000) {
			i = sent % 64;
			q = i % 3 ? keel_dc_write(file, DATA + i * 512, 512, i * 512, i)
				  : keel_dc_sqe(KEEL_OP_NOP, 0, i);
			if (keel_dc_submit(&client, &q))
				break;
			sent++;
		}
		if (keel_dc_need_kick(&client))
			ring_fd(chan.server_event);
		assert_int_equal(next(&cqe), 1);
		assert_true(cqe.user_data < 64);
		assert_int_equal(cqe.res, cqe.user_data % 3 ? 512 : 0);
		seen[cqe.user_data]++;
		got++;
	}
	for (i = 0; i < 64; i++)
		assert_int_equal(seen[i], 20000 / 64 + (i < 20000 % 64));
}

/* ---- what must not work -------------------------------------------------------------------------------- */

static void nothing_outside_the_policy_is_reached(void **state)
{
	static const char *const escapes[] = { "../%s/secret", "out/secret", "./../../etc/passwd",
					       "out/../secret", "out", "..", "../.." };
	char name[256];
	unsigned int i;
	int res;

	(void)state;
	for (i = 0; i < NELEM(escapes); i++) {
		snprintf(name, sizeof(name), i ? escapes[i] : "../%s/secret",
			 strrchr(outside, '/') + 1);
		assert_int_equal(open_file(name, KEEL_DC_O_RDONLY), -EACCES);
		res = open_file(name, KEEL_DC_O_RDWR | KEEL_DC_O_CREAT);
		assert_true(res == -EACCES || res == -EISDIR);
		assert_int_equal(call(keel_dc_statx(KEEL_DC_AT_FDCWD, in_root(name), 0, 0, DATA, 1)),
				 -EACCES);
	}
	assert_int_equal(call(keel_dc_open(path_at(0, outside, "secret"), 0, 0, 1)), -EACCES);
	assert_int_equal(call(keel_dc_unlink(in_root("out/secret"), 0, 1)), -EACCES);
	assert_int_equal(call(keel_dc_mkdir(in_root("out/new"), 0755, 1)), -EACCES);
	assert_int_equal(call(keel_dc_rename(in_root("out/secret"), path_at(1, root, "got"), 0, 1)),
			 -EACCES);
	assert_true(open_file("x", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT) >= 0);
	assert_int_equal(call(keel_dc_rename(in_root("x"), path_at(1, outside, "x"), 0, 1)), -EACCES);
	assert_int_equal(call(keel_dc_rename(in_root("x"), path_at(1, root, "out/x"), 0, 1)), -EACCES);
	/* the link itself is in the directory and may go */
	assert_int_equal(call(keel_dc_rename(in_root("out"), path_at(1, root, "out2"), 0, 1)), 0);
	assert_int_equal(call(keel_dc_rename(in_root("out2"), path_at(1, root, "out"), 0, 1)), 0);
	assert_true(logged("denied: open "));
}

static void read_only_rules_do_not_write(void **state)
{
	static const uint32_t flags[] = { KEEL_DC_O_WRONLY, KEEL_DC_O_RDWR, KEEL_DC_O_CREAT,
					  KEEL_DC_O_TRUNC };
	unsigned int i;
	int file;

	(void)state;
	for (i = 0; i < NELEM(flags); i++)
		assert_int_equal(call(keel_dc_open(path_at(0, "/proc", "version"), flags[i], 0, 1)),
				 -EACCES);
	file = call(keel_dc_open(path_at(0, "/proc", "version"), 0, 0, 1));
	assert_true(file >= 0);
	assert_true(call(keel_dc_read(file, DATA, 100, 0, 1)) > 0);
	assert_int_equal(call(keel_dc_write(file, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_unlink(path_at(0, "/proc", "version"), 0, 1)), -EACCES);
}

static void bad_requests_are_answered_and_harmless(void **state)
{
	struct keel_sqe q;
	unsigned int op;

	(void)state;
	for (op = KEEL_OP_NR; op < 256; op++)
		assert_int_equal(call(keel_dc_sqe((uint8_t)op, 0, op)), -EINVAL);
	assert_int_equal(call(keel_dc_read(0, 0, 100, 0, 1)), -EFAULT);
	assert_int_equal(call(keel_dc_read(0, WINDOW - 10, 11, 0, 1)), -EFAULT);
	assert_int_equal(call(keel_dc_read(-1, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(64, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(INT32_MAX, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(INT32_MIN, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(2, DATA, 1, 0, 1)), -EBADF);	/* keeld's own stderr */
	assert_int_equal(call(keel_dc_open(WINDOW - 1, 0, 0, 1)), -ENAMETOOLONG);
	assert_int_equal(call(keel_dc_open(UINT64_MAX, 0, 0, 1)), -EFAULT);
	q = keel_dc_open(in_root("f"), 0, 0, 1);
	q.flags = 1;				/* IOSQE_FIXED_FILE */
	assert_int_equal(call(q), -EINVAL);
	*(char *)keel_dc_ptr(&client, DATA) = '\0';
	assert_int_equal(call(keel_dc_open(DATA, 0, 0, 1)), -ENOENT);
}

static void open_files_are_bounded(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < KEEL_DC_MAX_FILES; i++)
		assert_int_equal(open_file("many", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), i);
	assert_int_equal(open_file("many", KEEL_DC_O_RDONLY), -EMFILE);
	assert_int_equal(call(keel_dc_close(17, 1)), 0);
	assert_int_equal(open_file("many", KEEL_DC_O_RDONLY), 17);
}

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

static void a_reading_terminal_does_not_keep_a_session_alive(void **state)
{
	char *data = keel_dc_ptr(&client, DATA);
	int master = posix_openpt(O_RDWR | O_NOCTTY), file;
	char name[64];

	(void)state;
	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	snprintf(name, sizeof(name), "%s", ptsname(master));
	/* A second server would be needed for a new policy: restart this one. */
	teardown(NULL);
	setup(NULL);
	policy_free(&policy);
	policy_write("rw %s\nrw %s\n", root, name);
	file = call(keel_dc_open(path_at(0, "", name + 1), KEEL_DC_O_RDWR, 0, 1));
	assert_true(file >= 0);
	submit(keel_dc_read(file, DATA, 16, 0, 9));	/* waits for a line that does not come */
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);	/* others go on */
	set_up(&chan.client_up, false);
	set_up(&chan.client_up, true);
	client_attach();
	file = call(keel_dc_open(path_at(0, "", name + 1), KEEL_DC_O_RDWR, 0, 1));
	submit(keel_dc_read(file, DATA, 16, 0, 9));
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
	assert_int_equal(write(master, "hey\n", 4), 4);
	{
		struct keel_cqe cqe;

		assert_int_equal(next(&cqe), 1);
		assert_int_equal(cqe.res, 4);
		assert_memory_equal(data, "hey\n", 4);
	}
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

static void an_open_tells_what_it_opened(void **state)
{
	struct keel_cqe cqe;
	int f = open_file("f", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC);

	(void)state;
	memset(keel_dc_ptr(&client, DATA), 'x', 5000);
	assert_int_equal(call(keel_dc_write(f, DATA, 5000, 0, 1)), 5000);
	assert_int_equal(call(keel_dc_fsync(f, 0, 1)), 0);	/* so that it has blocks everywhere */
	submit(keel_dc_open(in_root("f"), KEEL_DC_O_RDONLY, 0, 2));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, keel_dc_opened(true, 5000, 8));
	submit(keel_dc_open(path_at(0, "/proc", "version"), KEEL_DC_O_RDONLY, 0, 3));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, KEEL_DC_OPENED_TOLD | KEEL_DC_OPENED_SEEK);
	submit(keel_dc_open(path_at(0, "/dev", "null"), KEEL_DC_O_RDONLY, 0, 4));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, KEEL_DC_OPENED_TOLD);
	submit(keel_dc_open(in_root("missing"), KEEL_DC_O_RDONLY, 0, 5));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, 0);
}

static uint64_t wall_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Told when it comes up, and again at a NOP: an old time of the client's own making is gone then. */
static void a_nop_tells_the_time(void **state)
{
	uint64_t ns, tsc, first, before, tsc_before = __builtin_ia32_rdtsc();

	(void)state;
	assert_true(keel_dc_clock(client.hdr, &ns, &first));
	assert_in_range(first, 1, tsc_before);
	assert_in_range(ns, 1, wall_now());
	do {				/* it does not tell more often than twice a second */
		before = wall_now();
		tsc_before = __builtin_ia32_rdtsc();
		assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
		assert_true(keel_dc_clock(client.hdr, &ns, &tsc));
	} while (tsc == first);
	assert_in_range(tsc, tsc_before, __builtin_ia32_rdtsc());
	assert_in_range(ns, before, wall_now());
}

static void an_empty_policy_refuses_at_once(void **state)
{
	(void)state;
	teardown(NULL);
	setup(NULL);
	policy_free(&policy);
	assert_int_equal(open_file("f", KEEL_DC_O_RDONLY), -EACCES);
	assert_int_equal(call(keel_dc_mkdir(in_root("d"), 0755, 1)), -EACCES);
	assert_int_equal(call(keel_dc_statx(KEEL_DC_AT_FDCWD, in_root("f"), 0, 0x7ff, DATA, 1)), -EACCES);
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
}

static void an_idle_server_sleeps(void **state)
{
	(void)state;
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
	poll(NULL, 0, 50);
	assert_true(server_cpu_ns(300) < 20000000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_is_written_and_read_back_in_place),
		T(files_can_be_truncated),
		T(names_are_made_moved_and_removed),
		T(directories_open_as_such),
		T(devices_need_a_rule_of_their_own),
		T(many_calls_are_answered_once_each),
		T(nothing_outside_the_policy_is_reached),
		T(read_only_rules_do_not_write),
		T(bad_requests_are_answered_and_harmless),
		T(open_files_are_bounded),
		T(a_submission_tail_too_far_ahead_ends_the_session),
		T(a_submission_tail_moved_back_ends_the_session),
		T(a_wrapped_submission_tail_ends_the_session),
		T(a_completion_head_ahead_ends_the_session),
		T(a_client_that_does_not_poll_is_not_served_but_can_go_on),
		T(garbage_in_every_shared_word_is_survived),
		T(a_restarted_client_finds_no_file_of_the_old_one),
		T(a_dead_client_leaves_no_open_file),
		T(a_reading_terminal_does_not_keep_a_session_alive),
		T(a_client_that_flips_its_side_fills_no_log),
		T(denials_leave_room_in_the_log),
		T(calls_ask_for_no_state),
		T(an_open_tells_what_it_opened),
		T(a_nop_tells_the_time),
		T(an_empty_policy_refuses_at_once),
		T(an_idle_server_sleeps),
	};
	struct server *s;

	memset(&policy, 0, sizeof(policy));
	if (server_new(&s, &policy)) {
		printf("SKIP: io_uring is not available here\n");
		return 77;
	}
	server_delete(s);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
