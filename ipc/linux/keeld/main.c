// SPDX-License-Identifier: MIT
/*
 * main.c - keeld: answers the driver calls of peers, one process a channel.
 *
 * The parent finds the channels of the manifest that this Linux may serve, starts a child for each, starts it again
 * when it dies, and takes all of them down on SIGTERM. Without a good policy file a channel is
 * served all the same, and every request refused: its peer is told at once, the log says why.
 *
 * Nothing keeld does needs a capability, so all are given up before anything else. It stays the
 * user it was, and gets no further than that user's permission bits.
 */
#include "confine.h"
#include "log.h"
#include "policy.h"
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <keel/ioctl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_MS	1000	/* of a child that died */
#define EXIT_USAGE	2

struct child {
	char name[KEEL_NAME_LEN];
	uint32_t handle;
	pid_t pid;		/* 0: not running */
	uint64_t start_ms;	/* not before */
};

static const char *device = "/dev/keel";
static const char *policy_dir = "/etc/keel";
static const char *log_to;		/* a file */
static bool to_syslog;

static const char usage[] =
	"usage: keeld [-s | -l FILE] [-d DEVICE] [-p DIR] [NAME...]\n"
	"       keeld -c FILE\n"
	"Serves the driver calls that peers send through their channels. Without NAME: every channel\n"
	"this Linux may serve. What channel NAME may do is in DIR/NAME.policy, one rule a line:\n"
	"  rw PATH    read, write, create, remove; a directory means everything beneath it\n"
	"  ro PATH    read only\n"
	"  rw DIR as NAME   the peer calls the directory NAME\n"
	"  # ...      comment\n"
	"Without a good policy file everything is refused.\n"
	"\n"
	"  -c FILE    check a policy file and exit\n"
	"  -d DEVICE  instead of /dev/keel\n"
	"  -p DIR     instead of /etc/keel\n"
	"  -l FILE    log to FILE, which becomes FILE.old at 64 KiB\n"
	"  -s         log to syslog instead of standard error\n"
	"  -h         this text\n";

/* ---- child: one channel ---------------------------------------------------------------------------- */

static void stop_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(how, &set, NULL);
}

/* Reads NAME's policy; one that grants nothing, if that cannot be done. */
static void load_policy(struct policy *policy, const char *name, uint32_t handle)
{
	char file[256], msg[512];

	policy->nrules = 0;
	if ((size_t)snprintf(file, sizeof(file), "%s/%s.policy", policy_dir, name) >= sizeof(file))
		log_line("policy directory: name too long; every request is refused");
	else if (policy_load(policy, file, msg, sizeof(msg)))
		log_line("%s; every request is refused", msg);
	else
		log_line("serving channel %u, %u rules in %s", handle, policy->nrules, file);
}

/* SIGTERM just ends it: Linux takes the channel down with the descriptor, and closes all files. */
static int child_main(const char *name, uint32_t handle)
{
	struct policy policy;
	struct server *s;
	int err;

	log_init(name, log_to, to_syslog);
	umask(022);
	load_policy(&policy, name, handle);
	err = server_new(&s, &policy);
	if (err) {
		log_line("io_uring: %s", strerror(-err));
		return 1;
	}
	err = serve_channel(s, device, handle, -1) ? 1 : 0;
	server_delete(s);
	policy_free(&policy);
	return err;
}

/* ---- parent ---------------------------------------------------------------------------------------- */

static void child_start(struct child *c)
{
	pid_t parent = getpid();

	c->pid = fork();
	if (c->pid < 0) {
		log_line("fork: %s", strerror(errno));
		c->pid = 0;
		c->start_ms = log_now_ms() + RESTART_MS;
		return;
	}
	if (c->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	stop_signals(SIG_UNBLOCK);
	if (getppid() != parent)
		_exit(0);
	exit(child_main(c->name, c->handle));
}

static void children_reap(struct child *c, unsigned int n)
{
	int status;
	pid_t pid;
	unsigned int i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < n; i++) {
			if (c[i].pid != pid)
				continue;
			c[i].pid = 0;
			c[i].start_ms = log_now_ms() + RESTART_MS;
			if (WIFSIGNALED(status))
				log_line("%s: ended by signal %d", c[i].name, WTERMSIG(status));
		}
}

/* Starts what is due. Returns ms until the next is due, -1: none is waiting. */
static int children_start(struct child *c, unsigned int n)
{
	uint64_t now = log_now_ms();
	int next = -1;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!c[i].pid && c[i].start_ms <= now)
			child_start(&c[i]);
		if (c[i].pid)
			continue;
		if (next < 0 || (uint64_t)next > c[i].start_ms - now)
			next = (int)(c[i].start_ms > now ? c[i].start_ms - now : 0);
	}
	return next;
}

static int children_stop(struct child *c, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (c[i].pid)
			kill(c[i].pid, SIGTERM);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return 0;
}

static int parent_main(struct child *c, unsigned int n)
{
	struct pollfd pfd = { .events = POLLIN };
	struct signalfd_siginfo info;
	sigset_t set;

	stop_signals(SIG_BLOCK);
	sigprocmask(SIG_BLOCK, NULL, &set);
	pfd.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (pfd.fd < 0) {
		log_line("signalfd: %s", strerror(errno));
		return 1;
	}
	for (;;) {
		if (poll(&pfd, 1, children_start(c, n)) <= 0)
			continue;
		while (read(pfd.fd, &info, sizeof(info)) == sizeof(info))
			if (info.ssi_signo != SIGCHLD)
				return children_stop(c, n);
		children_reap(c, n);
	}
}

/* ---- which channels --------------------------------------------------------------------------------- */

static bool wanted(const char *name, char *const *names, int nnames)
{
	int i;

	for (i = 0; i < nnames; i++)
		if (!strcmp(names[i], name))
			return true;
	return !nnames;
}

/* Fills c with the channels to serve. Returns how many, or -1 after a message. */
static int find_channels(struct child *c, char *const *names, int nnames)
{
	struct keel_ioc_cap cap;
	int fd, n = 0, i, j;
	uint32_t h;

	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		log_line("%s: %s", device, strerror(errno));
		return -1;
	}
	for (h = 0; h < KEEL_MAX_HANDLES; h++) {
		memset(&cap, 0, sizeof(cap));
		cap.handle = h;
		if (ioctl(fd, KEEL_IOC_CAP_INFO, &cap) < 0) {
			if (errno == EBADF)
				continue;
			log_line("%s: %s", device, strerror(errno));
			close(fd);
			return -1;
		}
		cap.info.name[KEEL_NAME_LEN - 1] = '\0';
		if (cap.info.type != KEEL_CAP_CHANNEL || !(cap.info.rights & KEEL_RIGHT_SERVE) || cap.part & KEEL_IOC_CAP_MADE ||
		    !wanted(cap.info.name, names, nnames))
			continue;
		c[n] = (struct child) { .handle = h };
		memcpy(c[n++].name, cap.info.name, KEEL_NAME_LEN);
	}
	close(fd);
	for (i = 0; i < nnames; i++) {
		for (j = 0; j < n && strcmp(names[i], c[j].name); j++)
			;
		if (j == n) {
			log_line("%s: no such channel, or not ours to serve (keelctl caps lists them)",
				 names[i]);
			return -1;
		}
	}
	return n;
}

/*
 * Detached partitions of `keelctl run` that nobody looks after any more: their own processes do, as before. While we still have what those
 * need, and without waiting for them. Where there is no keelctl there are none.
 */
static void adopt_orphans(void)
{
	static char name[] = "keelctl", option[] = "-d", adopt[] = "adopt";
	char *argv[] = { name, option, strdup(device), adopt, NULL };
	pid_t pid = fork();
	int null;

	if (!pid) {
		null = open("/dev/null", O_RDWR);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(name, argv);
		_exit(1);
	}
	free(argv[2]);
}

static int check_file(const char *file)
{
	struct policy policy;
	char msg[512];

	if (policy_load(&policy, file, msg, sizeof(msg))) {
		log_line("%s", msg);
		return 1;
	}
	printf("%s: %u rules\n", file, policy.nrules);
	policy_free(&policy);
	return 0;
}

int main(int argc, char **argv)
{
	static struct child children[KEEL_MAX_HANDLES];
	int opt, n, err;

	while ((opt = getopt(argc, argv, "c:d:l:p:sh")) != -1) {
		switch (opt) {
		case 'c':
			return check_file(optarg);
		case 'd':
			device = optarg;
			break;
		case 'l':
			log_to = optarg;
			break;
		case 'p':
			policy_dir = optarg;
			break;
		case 's':
			to_syslog = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	log_init(NULL, log_to, to_syslog);
	adopt_orphans();
	err = confine_capabilities();
	if (err) {
		log_line("giving up capabilities: %s", strerror(-err));
		return 1;
	}
	n = find_channels(children, argv + optind, argc - optind);
	if (n < 0)
		return 1;
	if (!n) {
		log_line("no channel to serve");
		return 0;
	}
	return parent_main(children, (unsigned int)n);
}
