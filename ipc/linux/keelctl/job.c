// SPDX-License-Identifier: MIT
/* job.c - see job.h. */
#include "job.h"
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOB_TEXT	1024
#define LOCK_TRIES	20

const char *job_dir = "/run/keel";

void job_path(char path[PATH_MAX], const char *name, const char *suffix)
{
	snprintf(path, PATH_MAX, "%s/%s%s", job_dir, name, suffix);
}

/* ---- the file ----------------------------------------------------------------------------------- */

bool job_free(const char *name)
{
	char path[PATH_MAX];

	job_path(path, name, ".job");
	return access(path, F_OK) < 0;
}

int job_take(struct job *j, const char *name)
{
	char path[PATH_MAX];

	mkdir(job_dir, 0755);
	job_path(path, name, ".job");
	j->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return -errno;
	flock(j->fd, LOCK_EX);
	snprintf(j->name, sizeof(j->name), "%s", name);
	return 0;
}

void job_give_up(struct job *j)
{
	if (j->fd < 0)
		return;
	job_remove(j->name);
	close(j->fd);
	j->fd = -1;
}

void job_remove(const char *name)
{
	static const char *const left[] = { ".log", ".log.old", ".server", ".server.old", ".in", ".job" };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		job_path(path, name, left[i]);
		unlink(path);
	}
}

/* A line; the value may be any text. */
static void put_line(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s=", key);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", f);
		else if (*value == '\\')
			fputs("\\\\", f);
		else
			putc(*value, f);
	}
	putc('\n', f);
}

/* Undoes put_line() in place. */
static char *value_of(char *line)
{
	char *from = line, *to = line;

	for (; *from; from++) {
		if (*from == '\\' && from[1])
			*to++ = *++from == 'n' ? '\n' : *from;
		else
			*to++ = *from;
	}
	*to = '\0';
	return line;
}

void job_ask(struct job *j, char *const *words, const struct run_options *o)
{
	char here[PATH_MAX], line[PATH_MAX];
	const char *value;
	unsigned int i;
	size_t size;
	FILE *f = open_memstream(&j->asked, &size);

	if (!f || !getcwd(here, sizeof(here)))
		die("%s", strerror(errno));
	put_line(f, "directory", here);
	for (; *words; words++)
		put_line(f, "word", *words);
	for (i = 0; i < o->nenv; i++) {
		value = strchr(o->env[i], '=') ? NULL : getenv(o->env[i]);
		snprintf(line, sizeof(line), "%s=%s", o->env[i], value ? value : "");
		if (value)
			put_line(f, "env", line);
	}
	if (fclose(f))
		die("no memory");
}

/* What is known now. What the disk has no room for is not shown. */
static void job_write(const struct job *j, const char *more)
{
	char text[JOB_TEXT];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "pid=%d\nstarted=%lld\nrestarts=%u\n%s", (int)getpid(), (long long)j->started,
			     j->restarts, more);
	if (pwrite(j->fd, j->asked, strlen(j->asked), 0) < 0 ||
	    pwrite(j->fd, text, n, (off_t)strlen(j->asked)) < 0 ||
	    ftruncate(j->fd, (off_t)(strlen(j->asked) + n)) < 0)
		return;
}

/* ---- the keeper --------------------------------------------------------------------------------- */

void job_detach(struct job *j)
{
	char name[KEEL_NAME_LEN + 1];
	int told[2], status;
	ssize_t n;
	pid_t pid;

	j->fd = -1;
	if (pipe2(told, O_CLOEXEC) < 0)
		die("%s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("no process to look after it: %s", strerror(errno));
	if (!pid) {
		setsid();
		j->told = told[1];
		close(told[0]);
		return;
	}
	close(told[1]);
	while ((n = read(told[0], name, sizeof(name) - 1)) < 0 && errno == EINTR)
		;
	if (n > 0) {
		printf("%.*s\n", (int)n, name);
		exit(fflush(stdout) ? die_status : 0);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		exit(WEXITSTATUS(status));
	die("the process that looks after it has been killed");
}

void job_log(struct job *j, bool on)
{
	char path[PATH_MAX];
	int err;

	job_path(path, j->name, ".log");
	err = on ? joblog_continue(&j->log, path) : joblog_open(&j->log, path);
	if (err)
		die("%s: %s", path, strerror(-err));
}

/* Open for both: it has a reader and a writer, whoever comes and goes. */
static int open_input(const struct job *j)
{
	char path[PATH_MAX];

	if (!j->input)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	job_path(path, j->name, ".in");
	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

void job_streams(struct job *j, struct supervised *s)
{
	int in = open_input(j), out[2];

	j->err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (in < 0 || j->err < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("%s: its streams: %s", j->name, strerror(errno));
	dup2(in, STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	dup2(out[1], STDERR_FILENO);
	close(out[1]);
	close(in);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	s->output = out[0];
	s->log = &j->log;
}

/* Ours are those of who started us again, as far as there is something to say. */
void job_streams_taken(const struct job *j)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(j->err, STDERR_FILENO);
	close(null);
	close(j->err);
}

void job_started(struct job *j)
{
	job_write(j, "");
	if (j->told < 0)
		return;
	if (write(j->told, j->name, strlen(j->name)) < 0)
		die("%s: nobody waits for it", j->name);
	close(j->told);
	j->told = -1;
	dup2(STDIN_FILENO, STDERR_FILENO);
	if (chdir("/") < 0)
		return;		/* only so that nobody's directory is kept busy */
}

void job_ended(struct job *j, int status, const char *said)
{
	char text[JOB_TEXT];

	snprintf(text, sizeof(text), "keelctl: %s: %s\n", j->name, said);
	if (said[0])
		joblog_put(&j->log, text, strlen(text));
	snprintf(text, sizeof(text), "ended=%lld\nsaid=%s\nstatus=%d\n", (long long)time(NULL), said, status);
	job_write(j, text);
	if (j->remove)
		job_remove(j->name);
	close(j->fd);		/* and with it the lock */
}

/* ---- others ------------------------------------------------------------------------------------- */

static void take_line(struct job_state *state, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = '\0';
	value_of(value);
	if (!strcmp(line, "word"))
		state->words[state->nwords++] = value;
	else if (!strcmp(line, "env"))
		state->env[state->nenv++] = value;
	else if (!strcmp(line, "directory"))
		state->directory = value;
	else if (!strcmp(line, "pid"))
		state->pid = atoi(value);
	else if (!strcmp(line, "started"))
		state->started = atoll(value);
	else if (!strcmp(line, "restarts"))
		state->restarts = (unsigned int)atoi(value);
	else if (!strcmp(line, "ended"))
		state->ended = atoll(value);
	else if (!strcmp(line, "said"))
		state->said = value;
	else if (!strcmp(line, "status")) {
		state->status = atoi(value);
		state->known = true;
	}
}

static void parse(struct job_state *state)
{
	char *line, *rest = state->text;
	size_t lines = 1;

	for (line = rest; *line; line++)
		lines += *line == '\n';
	state->argv = calloc(lines + 2, sizeof(*state->argv));
	state->env = calloc(lines + 1, sizeof(*state->env));
	if (!state->argv || !state->env)
		die("no memory");
	state->words = state->argv + 1;
	while ((line = strsep(&rest, "\n")))
		take_line(state, line);
}

static char *read_all(int fd)
{
	struct stat st;
	char *text;
	ssize_t n;

	text = fstat(fd, &st) < 0 ? NULL : malloc((size_t)st.st_size + 1);
	if (!text)
		die("no memory");
	n = pread(fd, text, (size_t)st.st_size, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

void job_forget(struct job_state *state)
{
	free(state->argv);
	free(state->env);
	free(state->text);
	*state = (struct job_state) { 0 };
}

/* Who only looks has the lock for a moment, too. */
static int lock_try(int fd)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000000 };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

/* The lines that job_write() leaves as they are: up to the one with the process ID. */
static char *asked_lines(const char *text)
{
	const char *end = strstr(text, "\npid=");

	return strndup(text, end ? (size_t)(end + 1 - text) : 0);
}

int job_inherit(struct job *j, const char *name, struct job_state *state)
{
	char path[PATH_MAX];
	int err;

	*state = (struct job_state) { .said = "" };
	job_path(path, name, ".job");
	j->fd = open(path, O_RDWR | O_CLOEXEC);
	if (j->fd < 0)
		return -errno;
	err = lock_try(j->fd);
	if (!err) {
		state->text = read_all(j->fd);
		j->asked = asked_lines(state->text);
		parse(state);
		err = state->known || !state->pid || !j->asked ? -ESRCH : 0;
	}
	if (err) {
		close(j->fd);
		return err;
	}
	snprintf(j->name, sizeof(j->name), "%s", name);
	j->restarts = state->restarts;
	j->started = state->started;
	job_write(j, "");	/* the lock is ours: so is the process ID that others believe now */
	return 0;
}

int job_signal(const char *name, int sig)
{
	struct job_state state;
	int err = job_look(name, false, &state);

	if (!err)
		err = !state.running || state.pid <= 0 ? -ESRCH : kill(state.pid, sig) < 0 ? -errno : 0;
	job_forget(&state);
	return err;
}

/* A name that was passed on has the value it had then. */
static const char *passed_on(const struct job_state *state, const char *name)
{
	size_t len = strlen(name);
	int i;

	for (i = 0; i < state->nenv; i++)
		if (!strncmp(state->env[i], name, len) && state->env[i][len] == '=')
			return state->env[i];
	return name;
}

void job_options(struct run_options *o, const struct job_state *state)
{
	unsigned int i;

	if ((!state->directory || chdir(state->directory) < 0) && chdir("/") < 0)
		die("/: %s", strerror(errno));
	optind = 0;
	options_parse(o, state->nwords + 1, state->argv);
	for (i = 0; i < o->nenv; i++)
		if (!strchr(o->env[i], '='))
			o->env[i] = passed_on(state, o->env[i]);
}

int job_look(const char *name, bool wait, struct job_state *state)
{
	char path[PATH_MAX];
	int fd;

	*state = (struct job_state) { .said = "" };
	job_path(path, name, ".job");
	if (strchr(name, '/'))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, wait ? LOCK_SH : LOCK_SH | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		state->running = errno == EWOULDBLOCK;
		break;
	}
	state->text = read_all(fd);
	close(fd);
	parse(state);
	return 0;
}
