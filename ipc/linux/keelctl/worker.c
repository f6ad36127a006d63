// SPDX-License-Identifier: MIT
/*
 * worker.c - keeld's server for one partition, in a child of keelctl's.
 *
 * It gets its rights from what is open: directories of the policy, the three standard streams, /dev/keel. Capabilities go
 * first, then all system calls it does not make. It ends with its parent, and hears of ^C only through
 * that: what was written before is still written.
 */
#include "worker.h"
#include "confine.h"
#include "device.h"
#include "log.h"
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* All but the standard streams, the policy's directories and the pipe: above all not the partition itself. */
static void close_others(const struct policy *p, int ready_fd)
{
	unsigned int from = STDERR_FILENO + 1, keep, i;

	for (;; from = keep + 1) {
		keep = (unsigned int)ready_fd >= from ? (unsigned int)ready_fd : UINT_MAX;
		for (i = 0; i < p->nrules; i++)
			if ((unsigned int)p->rules[i].dir_fd >= from && (unsigned int)p->rules[i].dir_fd < keep)
				keep = (unsigned int)p->rules[i].dir_fd;
		if (keep == UINT_MAX)
			break;
		if (keep > from)
			close_range(from, keep - 1, 0);
	}
	close_range(from, UINT_MAX, 0);
}

static void take_signals(void)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int worker_main(const struct worker *w, int ready_fd)
{
	static const int streams[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	struct server *s;
	int err;

	take_signals();
	log_init(w->name, w->log, false);
	umask(022);
	err = server_new(&s, w->policy);
	if (err) {
		log_line("io_uring: %s", strerror(-err));
		return err;
	}
	server_give_stdio(s, streams);
	err = confine_capabilities();
	if (!err)
		err = confine_calls();
	if (err) {
		log_line("giving up rights: %s", strerror(-err));
		return err;
	}
	return serve_channel(s, w->device, w->chan, ready_fd);
}

pid_t worker_start(const struct worker *w)
{
	pid_t parent = getpid(), pid;
	int ready[2], status = 0;
	ssize_t n;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		die("%s: %s", w->name, strerror(errno));
	pid = fork();
	if (pid < 0)
		die("%s: no process for its files: %s", w->name, strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(0);
		close_others(w->policy, ready[1]);
		_exit(-worker_main(w, ready[1]) & 0xff);
	}
	close(ready[1]);
	while ((n = read(ready[0], &byte, 1)) < 0 && errno == EINTR)
		;
	close(ready[0]);
	if (n != 1 && waitpid(pid, &status, 0) == pid)
		die("%s: serving its files: %s", w->name, WIFEXITED(status) ? strerror(WEXITSTATUS(status)) :
							   strsignal(WTERMSIG(status)));
	return pid;
}

void worker_stop(pid_t pid)
{
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
