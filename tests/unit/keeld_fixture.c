// SPDX-License-Identifier: MIT
/*
 * keeld_fixture.c - keeld's real server loop in a thread, behind a channel made of a memfd and two
 * eventfds, and the client that unikernels use.
 */
#include "keeld_fixture.h"

#include "log.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the channel: what mk and the Linux driver do --------------------------------------------------- */

struct channel chan = { .lock = PTHREAD_MUTEX_INITIALIZER };

void ring_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

void set_up(bool *side, bool up)
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

struct policy policy;
const int *server_stdio;
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
	if (server_stdio)
		server_give_stdio(s, server_stdio);
	do {
		server_result = server_run(s, &t);
		set_up(&chan.server_up, false);
	} while (server_result == -EBADMSG);
	server_delete(s);
	return NULL;
}

/* ---- the client --------------------------------------------------------------------------------------- */

struct keel_dc_client client;
char root[64], outside[64];

bool client_wait(void)
{
	struct pollfd p = { .fd = chan.client_event, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 2000) <= 0)
		return false;
	return read(chan.client_event, &n, sizeof(n)) == sizeof(n);
}

uint32_t channel_generation(bool *server_up)
{
	uint32_t g;

	pthread_mutex_lock(&chan.lock);
	g = chan.generation;
	*server_up = chan.server_up;
	pthread_mutex_unlock(&chan.lock);
	return g;
}

void client_attach(void)
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

void submit(struct keel_sqe q)
{
	assert_int_equal(keel_dc_submit(&client, &q), 0);
	if (keel_dc_need_kick(&client))
		ring_fd(chan.server_event);
}

int next(struct keel_cqe *cqe)
{
	int n;

	while (!(n = keel_dc_poll(&client, cqe)))
		if (keel_dc_may_sleep(&client))
			assert_true(client_wait());
	return n;
}

int call(struct keel_sqe q)
{
	struct keel_cqe cqe;

	submit(q);
	assert_int_equal(next(&cqe), 1);
	assert_true(cqe.user_data == q.user_data);
	return cqe.res;
}

uint64_t path_at(unsigned int i, const char *dir, const char *name)
{
	uint64_t off = client.layout.buf_off + i * KEEL_DC_PATH_MAX;

	snprintf(keel_dc_ptr(&client, off), KEEL_DC_PATH_MAX, "%s/%s", dir, name);
	return off;
}

uint64_t in_root(const char *name)
{
	return path_at(0, root, name);
}

int open_file(const char *name, uint32_t flags)
{
	return call(keel_dc_open(in_root(name), flags, 0644, 0xabc));
}

/* ---- fixture -------------------------------------------------------------------------------------------- */

void policy_write(const char *fmt, const char *a, const char *b)
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

int setup(void **state)
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

int teardown(void **state)
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

const char *log_text(long from)
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

bool logged(const char *what)
{
	return strstr(log_text(0), what) != NULL;
}

uint64_t server_cpu_ns(int wall_ms)
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

int fixture_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	struct server *s;

	memset(&policy, 0, sizeof(policy));
	if (server_new(&s, &policy)) {
		printf("SKIP: io_uring is not available here\n");
		return 77;
	}
	server_delete(s);
	return _cmocka_run_group_tests(name, tests, n, group_setup, group_teardown);
}
