// SPDX-License-Identifier: MIT
/*
 * fd.c - file descriptors: numbers for open files, and the system calls on them.
 *
 *	fds[]: number -> open file	files[]: open file (position, flags, kind), counted
 *
 * As on Linux, dup makes a second number for the same open file, with one position. 0, 1 and 2 are the
 * console at the start, and when the first of them is used the standard streams of who started the partition, if
 * there are any. What a file is behind its operations is in file.c, remote.c and stream.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <rt/calls.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define LOOK_NS		10000000000ULL	/* so often poll looks whether the server is still there */

long rt_read_some(int fd, const struct iovec *iov, int n, size_t need);

static struct file files[RT_FILES];
static struct file *fds[RT_FILES];

static bool decided;		/* what 0, 1 and 2 are */

static struct file *file_of(long fd)
{
	if (fd < 0 || fd >= RT_FILES)
		return NULL;
	if (fd < RT_STREAMS && !decided) {
		decided = true;
		stream_init(files);
	}
	return fds[fd];
}

/* ---- the table ---------------------------------------------------------------------------------- */

/* Lowest free number from `least` on, or -EMFILE. */
static int fd_free(long least)
{
	for (long fd = least; fd < RT_FILES; fd++)
		if (!fds[fd])
			return (int)fd;
	return -EMFILE;
}

struct file *file_new(void)
{
	for (struct file *f = files; f < files + RT_FILES; f++) {
		if (f->refs)
			continue;
		memset(f, 0, sizeof(*f));
		return f;
	}
	return NULL;
}

int fd_new(struct file *f)
{
	int fd = fd_free(0);

	if (fd >= 0) {
		fds[fd] = f;
		f->refs++;
	}
	return fd;
}

bool fd_left(void)
{
	return fd_free(0) >= 0;
}

int file_stat(long fd, struct stat *st)
{
	struct file *f = file_of(fd);

	return f ? f->ops->stat(f, st) : -EBADF;
}

static int fd_close(int fd)
{
	struct file *f = fds[fd];

	fds[fd] = NULL;
	if (--f->refs)
		return 0;
	return f->ops->close ? f->ops->close(f) : 0;
}

void file_init(void)
{
	for (int i = 0; i < RT_STREAMS; i++) {
		files[i].ops = &tty_ops;
		files[i].flags = O_RDWR;
		files[i].refs = 1;
		fds[i] = &files[i];
	}
}

/* ---- data --------------------------------------------------------------------------------------- */

static bool may(const struct file *f, int unwanted)
{
	return (f->flags & O_ACCMODE) != unwanted;
}

static ssize_t do_readv(struct file *f, const struct iovec *iov, long n, uint64_t *pos, size_t need)
{
	ssize_t done;

	if (!may(f, O_WRONLY))
		return -EBADF;
	if (n < 0 || n > IOV_MAX)
		return -EINVAL;
	done = f->ops->read(f, iov, (int)n, *pos, need);
	if (done > 0)
		*pos += (uint64_t)done;
	return done;
}

static ssize_t do_writev(struct file *f, const struct iovec *iov, long n, uint64_t *pos)
{
	ssize_t done;

	if (!may(f, O_RDONLY) || !f->ops->write)
		return -EBADF;
	if (n < 0 || n > IOV_MAX)
		return -EINVAL;
	done = f->ops->write(f, iov, (int)n, *pos);
	if (done > 0)
		*pos += (uint64_t)done;
	return done;
}

long sys_read(const long *a)
{
	struct iovec one = { (void *)a[1], (size_t)a[2] };
	struct file *f = file_of(a[0]);

	return f ? do_readv(f, &one, 1, &f->pos, SIZE_MAX) : -EBADF;
}

long sys_readv(const long *a)
{
	struct file *f = file_of(a[0]);

	return f ? do_readv(f, (const struct iovec *)a[1], a[2], &f->pos, SIZE_MAX) : -EBADF;
}

/* For stdio, whose buffer may be filled as far as it is cheap: musl/__stdio_read.c. */
long rt_read_some(int fd, const struct iovec *iov, int n, size_t need)
{
	struct file *f = file_of(fd);

	return f ? do_readv(f, iov, n, &f->pos, need) : -EBADF;
}

long sys_write(const long *a)
{
	struct iovec one = { (void *)a[1], (size_t)a[2] };
	struct file *f = file_of(a[0]);

	return f ? do_writev(f, &one, 1, &f->pos) : -EBADF;
}

long sys_writev(const long *a)
{
	struct file *f = file_of(a[0]);

	return f ? do_writev(f, (const struct iovec *)a[1], a[2], &f->pos) : -EBADF;
}

/* 0, or why a position cannot be named. */
static int seekable(struct file *f)
{
	if (!f)
		return -EBADF;
	return f->ops->seekable ? f->ops->seekable(f) : -ESPIPE;
}

long sys_pread64(const long *a)
{
	struct iovec one = { (void *)a[1], (size_t)a[2] };
	struct file *f = file_of(a[0]);
	uint64_t pos = (uint64_t)a[3];
	int err = seekable(f);

	if (!err && a[3] < 0)
		err = -EINVAL;
	return err ? err : do_readv(f, &one, 1, &pos, SIZE_MAX);
}

long sys_pwrite64(const long *a)
{
	struct iovec one = { (void *)a[1], (size_t)a[2] };
	struct file *f = file_of(a[0]);
	uint64_t pos = (uint64_t)a[3];
	int err = seekable(f);

	if (!err && a[3] < 0)
		err = -EINVAL;
	return err ? err : do_writev(f, &one, 1, &pos);
}

long sys_lseek(const long *a)
{
	struct file *f = file_of(a[0]);
	uint64_t base = 0, pos;
	struct stat st;
	int err = seekable(f);

	if (err)
		return err;
	/* After appending only the server knows where that was: the end. */
	if (a[2] == SEEK_END || (a[2] == SEEK_CUR && f->flags & O_APPEND && may(f, O_RDONLY))) {
		err = f->ops->stat(f, &st);
		if (err)
			return err;
		base = (uint64_t)st.st_size;
	} else if (a[2] == SEEK_CUR) {
		base = f->pos;
	} else if (a[2] != SEEK_SET) {
		return -EINVAL;
	}
	pos = base + (uint64_t)a[1];
	if (pos > LONG_MAX)
		return -EINVAL;
	f->pos = pos;
	return (long)pos;
}

long sys_fstat(const long *a)
{
	return file_stat(a[0], (struct stat *)a[1]);
}

long sys_ftruncate(const long *a)
{
	struct file *f = file_of(a[0]);

	if (!f)
		return -EBADF;
	if (!f->ops->truncate || !may(f, O_RDONLY) || a[1] < 0)
		return -EINVAL;
	return f->ops->truncate(f, (uint64_t)a[1]);
}

long sys_fsync(const long *a)
{
	struct file *f = file_of(a[0]);

	if (!f)
		return -EBADF;
	return f->ops->sync ? f->ops->sync(f) : -EINVAL;
}

long sys_fdatasync(const long *a)
{
	return sys_fsync(a);
}

/* The one thing libc asks with it here: is it a terminal? How large it is, nobody knows: 0 by 0. */
long sys_ioctl(const long *a)
{
	struct file *f = file_of(a[0]);

	if (!f)
		return -EBADF;
	if (a[1] != TIOCGWINSZ || (f->ops != &tty_ops && !stream_is_tty(f)))
		return -ENOTTY;
	memset((void *)a[2], 0, sizeof(struct winsize));
	return 0;
}

/* ---- numbers ------------------------------------------------------------------------------------ */

long sys_close(const long *a)
{
	return file_of(a[0]) ? fd_close((int)a[0]) : -EBADF;
}

static long dup_from(struct file *f, long least)
{
	int fd = least < 0 || least >= RT_FILES ? -EINVAL : fd_free(least);

	if (fd < 0)
		return fd;
	fds[fd] = f;
	f->refs++;
	return fd;
}

long sys_dup(const long *a)
{
	struct file *f = file_of(a[0]);

	return f ? dup_from(f, 0) : -EBADF;
}

/* What was open at the new number is closed; how that went is not told, as on Linux. */
static long dup_to(struct file *f, long fd)
{
	if (fd < 0 || fd >= RT_FILES)
		return -EBADF;
	f->refs++;
	if (file_of(fd))
		fd_close((int)fd);
	fds[fd] = f;
	return fd;
}

long sys_dup2(const long *a)
{
	struct file *f = file_of(a[0]);

	if (!f)
		return -EBADF;
	return a[0] == a[1] ? a[1] : dup_to(f, a[1]);
}

long sys_dup3(const long *a)
{
	struct file *f = file_of(a[0]);

	if (a[0] == a[1] || a[2] & ~(long)O_CLOEXEC)
		return -EINVAL;
	return f ? dup_to(f, a[1]) : -EBADF;
}

long sys_fcntl(const long *a)
{
	const int changeable = O_APPEND | O_NONBLOCK;
	struct file *f = file_of(a[0]);

	if (!f)
		return -EBADF;
	switch (a[1]) {
	case F_GETFL:
		return f->flags;
	case F_SETFL:
		f->flags = (f->flags & ~changeable) | ((int)a[2] & changeable);
		return 0;
	case F_GETFD:		/* nothing is ever executed */
	case F_SETFD:
		return 0;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return dup_from(f, a[2]);
	}
	return -EINVAL;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

/* Whether f has input, its end or an error; else what tells of it, beside the console, is added to *events. */
static bool readable(struct file *f, uint64_t *events)
{
	if (is_stream(f))
		return stream_readable(f, events);
	return f->ops != &tty_ops || console_readable();
}

/* How many of them are ready. */
static long poll_once(struct pollfd *p, long n, uint64_t *events)
{
	long ready = 0;

	*events = 0;
	for (; n > 0; n--, p++) {
		struct file *f = file_of(p->fd);

		p->revents = 0;
		if (p->fd < 0)
			continue;
		p->revents = f ? p->events & (POLLIN | POLLOUT) : POLLNVAL;
		if (f && p->events & POLLIN && !readable(f, events))
			p->revents &= ~POLLIN;
		ready += p->revents != 0;
	}
	return ready;
}

long sys_poll(const long *a)
{
	uint64_t deadline = (int)a[2] > 0 ? clock_deadline((uint64_t)(int)a[2] * 1000000) : RT_FOREVER;

	if (a[1] < 0 || a[1] > RT_FILES)
		return -EINVAL;
	for (;;) {
		uint64_t events, look = clock_deadline(LOOK_NS);
		long ready = poll_once((struct pollfd *)a[0], a[1], &events);
		int woken;

		if (ready || (int)a[2] == 0 || (deadline && rdtsc() >= deadline))
			return ready;
		woken = signal_wait(events, deadline && deadline < look ? deadline : look);
		if (woken < 0)
			return woken;
	}
}
