// SPDX-License-Identifier: MIT
/*
 * runtime_keeld_test.c - both ends of the channel as they ship: the Lua image against keeld's server
 * loop with its policy and a real io_uring; only the metakernel between them is played.
 *
 * Shows: files behave through both; the policy's refusals reach the script; a server that stops in
 * the middle costs the open files and nothing else. Failure: wrong output, or silence for 10 s.
 */
#include "unit.h"

#include "log.h"
#include "policy.h"
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime_machine.h"

#define IMAGE	BUILD "/images/lua.elf"

static char root[64];		/* has rw/ and ro/, which the policy names, and secret */
static struct policy policy;
static struct machine *current;
static pthread_t thread;
static int event_fd, stop_fd;
static unsigned kicks, stop_at_kick, runs;

static void ring_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static int transport_up(struct transport *t)
{
	(void)t;
	machine_server_up(current);
	return 0;
}

static int transport_kick(struct transport *t)
{
	(void)t;
	machine_bell(current);
	return 0;
}

static int transport_wait(struct transport *t, bool kick, uint32_t timeout_ms)
{
	struct pollfd p[] = { { .fd = event_fd, .events = POLLIN }, { .fd = stop_fd, .events = POLLIN } };
	uint64_t n;

	if (kick)
		transport_kick(t);
	if (poll(p, 2, timeout_ms == WAIT_FOREVER ? -1 : (int)timeout_ms) <= 0)
		return -ETIME;
	if (p[1].revents)
		return -ECANCELED;
	return read(event_fd, &n, sizeof(n)) == sizeof(n) ? 0 : -errno;
}

static int transport_state(struct transport *t, uint32_t *generation, bool *client_up)
{
	(void)t;
	pthread_mutex_lock(&current->lock);
	*generation = current->chan_generation;
	*client_up = current->chan_state & KEEL_CHAN_CLIENT_UP;
	pthread_mutex_unlock(&current->lock);
	return 0;
}

/* As keeld's main does it, but started again after each stop, `runs` times in all. */
static void *serve(void *arg)
{
	struct machine *m = arg;
	struct transport t = { .window = m->window, .window_bytes = MACHINE_WINDOW, .up = transport_up,
			       .kick = transport_kick, .wait = transport_wait,
			       .state = transport_state, .fd = event_fd };

	for (unsigned i = 0; i < runs; i++) {
		struct server *s;
		uint64_t n;

		if (server_new(&s, &policy))
			abort();
		while (server_run(s, &t) == -EBADMSG)
			machine_server_down(m);
		server_delete(s);
		machine_server_down(m);
		if (read(stop_fd, &n, sizeof(n)) != sizeof(n))
			abort();
	}
	return NULL;
}

static void server_start(struct machine *m)
{
	current = m;
	kicks = 0;
	if (pthread_create(&thread, NULL, serve, m))
		abort();
}

static void server_kick(struct machine *m)
{
	(void)m;
	if (++kicks == stop_at_kick)
		ring_fd(stop_fd);
	ring_fd(event_fd);
}

static const struct machine_server keeld = { server_start, server_kick };

static int setup(void **state)
{
	char path[128], text[256], err[256];
	FILE *f;

	(void)state;
	strcpy(root, "/tmp/keel-runtime-XXXXXX");
	if (!mkdtemp(root) || chdir(root) || mkdir("rw", 0755) || mkdir("ro", 0755))
		return -1;
	f = fopen("ro/text", "w");
	for (int i = 0; f && i < 50000; i++)
		fprintf(f, "line %d\n", i);
	if (!f || fclose(f) || link("ro/text", "secret"))
		return -1;
	snprintf(text, sizeof(text), "rw %s/rw\nro %s/ro\n", root, root);
	snprintf(path, sizeof(path), "%s/policy", root);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		return -1;
	log_init("test", NULL, false);
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	return policy_load(&policy, path, err, sizeof(err));
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	policy_free(&policy);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	return system(cmd);
}

/* Run a script, with ROOT in it replaced by the directory; compare what it prints. */
static void script_says(const char *top, const char *script, const char *out)
{
	struct machine_config cfg = { .cmdline = "lua /boot/t.lua", .server = &keeld };
	char image[256], text[4096];
	struct machine *m;

	snprintf(image, sizeof(image), "%s/%s", *IMAGE == '/' ? "" : top, IMAGE);
	snprintf(text, sizeof(text), "local ROOT = '%s' %s", root, script);
	cfg.image = image;
	cfg.modules[0] = (struct machine_module){ "t.lua", text, strlen(text) };
	m = machine_run(&cfg);
	ring_fd(stop_fd);
	pthread_join(thread, NULL);
	if (m->end != MACHINE_EXIT || m->status != 0 || strcmp(m->out, out) != 0)
		fail_msg("end %d (%s), status %d, output:\n%s\nexpected:\n%s", m->end, m->why, m->status, m->out, out);
	machine_free(m);
}

static char top[128];		/* where the test was started */

static void files_work_through_keeld(void **state)
{
	(void)state;
	runs = 1;
	stop_at_kick = 0;
	script_says(top,
		    "local n, c = 0, 0 for l in io.lines(ROOT .. '/ro/text') do n = n + 1 c = c + #l end print(n, c)\n"
		    "local p = ROOT .. '/rw/a' local f = assert(io.open(p, 'w'))\n"
		    "for i = 1, 30000 do f:write(i, '\\n') end print(f:seek()) f:close()\n"
		    "f = io.open(p, 'a') f:write('end\\n') print(f:seek()) f:close()\n"
		    "f = io.open(p, 'r+') print(f:seek('end')) f:seek('set', 0) f:write('X') f:seek('set', 0)\n"
		    "print(f:read(), f:read()) f:close()\n"
		    "print(os.rename(p, ROOT .. '/rw/b'), (io.open(p)))\n"
		    "print(os.remove(ROOT .. '/rw/b'), (os.remove(ROOT .. '/rw/b')))",
		    "50000\t488890\n168894\n168898\n168898\nX\t2\ntrue\tnil\ntrue\tnil\n");
}

static void refusals_reach_the_script(void **state)
{
	(void)state;
	runs = 1;
	stop_at_kick = 0;
	script_says(top,
		    "local function no(p, m) print(select(3, io.open(p, m))) end\n"
		    "no('/etc/passwd') no(ROOT .. '/secret') no(ROOT .. '/ro/new', 'w') no(ROOT .. '/rw/../secret')\n"
		    "no(ROOT .. '/rw/missing') print(select(3, os.remove(ROOT .. '/ro/text')))\n"
		    "print(io.open(ROOT .. '/ro/text'):read())",
		    "13\n13\n13\n13\n2\n13\nline 0\n");
}

/* keeld ends while the script reads, and starts again. */
static void a_new_keeld_serves_the_next_open(void **state)
{
	(void)state;
	runs = 2;
	for (stop_at_kick = 3; stop_at_kick <= 7; stop_at_kick++)
		script_says(top,
			    "local lost = 0\n"
			    "local function count()\n"
			    "  local f = io.open(ROOT .. '/ro/text') if not f then return nil end\n"
			    "  local n = 0 while true do local l, why, no = f:read() if no == 5 then f:close() return nil end\n"
			    "    if not l then f:close() return n end n = n + 1 end end\n"
			    "for i = 1, 5 do local n = count() while not n do lost = lost + 1 n = count() end\n"
			    "  assert(n == 50000, n) end print('counted', lost)",
			    "counted\t1\n");
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
		cmocka_unit_test(files_work_through_keeld),
		cmocka_unit_test(refusals_reach_the_script),
		cmocka_unit_test(a_new_keeld_serves_the_next_open),
	};

	if (machine_impossible()) {
		printf("skipped: %s\n", machine_impossible());
		return 77;
	}
	if (!getcwd(top, sizeof(top)))
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
