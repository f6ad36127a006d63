// SPDX-License-Identifier: MIT
/* job.c - see job.h. */
#include "job.h"
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOB_TEXT	1024

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
	static const char *const left[] = { ".log", ".log.old", ".server", ".server.old", ".job" };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		job_path(path, name, left[i]);
		unlink(path);
	}
}

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return;		/* the disk is full: what is not known is not shown */
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

void job_streams(struct job *j, struct supervised *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out[2], err;
	char path[PATH_MAX];

	job_path(path, j->name, ".log");
	err = joblog_open(&j->log, path);
	if (err)
		die("%s: %s", path, strerror(-err));
	j->err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (null < 0 || j->err < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("%s: its streams: %s", j->name, strerror(errno));
	dup2(null, STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	dup2(out[1], STDERR_FILENO);
	close(out[1]);
	close(null);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	s->output = out[0];
	s->log = &j->log;
}

/* Ours are those of who started us again, as far as there is something to say. */
void job_streams_taken(const struct job *j)
{
	dup2(STDIN_FILENO, STDOUT_FILENO);
	dup2(j->err, STDERR_FILENO);
}

void job_started(struct job *j, const char *image, bool remove)
{
	char text[JOB_TEXT];

	snprintf(text, sizeof(text), "pid=%d\nimage=%.200s\n", (int)getpid(), image);
	say(j->fd, text);
	j->remove = remove;
	say(j->told, j->name);
	close(j->told);
	dup2(STDIN_FILENO, STDERR_FILENO);
	close(j->err);
	if (chdir("/") < 0)
		return;		/* only so that nobody's directory is kept busy */
}

void job_ended(struct job *j, int status, const char *said)
{
	char text[JOB_TEXT];

	snprintf(text, sizeof(text), "keelctl: %s: %s\n", j->name, said);
	if (said[0])
		joblog_put(&j->log, text, strlen(text));
	snprintf(text, sizeof(text), "status=%d\nsaid=%s\n", status, said);
	say(j->fd, text);
	if (j->remove)
		job_remove(j->name);
	close(j->fd);		/* and with it the lock */
}

/* ---- others ------------------------------------------------------------------------------------- */

static void take_line(struct job_state *state, const char *line)
{
	if (!strncmp(line, "image=", 6)) {
		snprintf(state->image, sizeof(state->image), "%s", line + 6);
	} else if (!strncmp(line, "said=", 5)) {
		snprintf(state->said, sizeof(state->said), "%s", line + 5);
	} else if (!strncmp(line, "status=", 7)) {
		state->status = atoi(line + 7);
		state->known = true;
	}
}

int job_look(const char *name, bool wait, struct job_state *state)
{
	char path[PATH_MAX], text[JOB_TEXT * 2], *line, *rest = text;
	ssize_t n;
	int fd;

	*state = (struct job_state) { 0 };
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
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&rest, "\n")))
		take_line(state, line);
	return 0;
}
