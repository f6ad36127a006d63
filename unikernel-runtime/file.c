// SPDX-License-Identifier: MIT
/*
 * file.c - file descriptors, paths, and which of three kinds of file a path is:
 *
 *	0, 1, 2		the console
 *	/boot/NAME	a module the manifest hands over, read-only, in the partition's memory
 *	anything else	a driver call to Linux (remote.c)
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <rt/rt.h>

#define BOOT_DIR	"/boot/"
#define PATH_BYTES	1024

static struct file files[RT_FILES];
static char cwd[PATH_BYTES] = "/";

static struct file *file_of(long fd)
{
	if (fd < 0 || fd >= RT_FILES || !files[fd].ops)
		return NULL;
	return &files[fd];
}

/* ---- console and modules --------------------------------------------------------------------- */

static ssize_t tty_read(struct file *f, void *buf, size_t len, uint64_t off)
{
	(void)f, (void)off;
	return console_read(buf, len);
}

static ssize_t tty_write(struct file *f, const struct iovec *iov, int n, uint64_t off)
{
	ssize_t done = 0;

	(void)f, (void)off;
	for (int i = 0; i < n; i++) {
		ssize_t put = console_write(iov[i].iov_base, iov[i].iov_len);

		if (put < 0)
			return done ? done : put;
		done += put;
	}
	return done;
}

static int tty_stat(struct file *f, struct stat *st)
{
	(void)f;
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFCHR | 0600;
	return 0;
}

static const struct file_ops tty_ops = { .read = tty_read, .write = tty_write, .stat = tty_stat };

static ssize_t module_read(struct file *f, void *buf, size_t len, uint64_t off)
{
	const struct keel_module *m = f->module;

	if (off >= m->bytes)
		return 0;
	if (len > m->bytes - off)
		len = m->bytes - off;
	memcpy(buf, (const char *)m->va + off, len);
	return (ssize_t)len;
}

static int module_stat(struct file *f, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG | 0444;
	st->st_size = (off_t)f->module->bytes;
	return 0;
}

static const struct file_ops module_ops = { .read = module_read, .stat = module_stat };

static int module_open(struct file *f, const char *name, int flags)
{
	uint32_t n = rt_info->nmodules;

	if (n > KEEL_MAX_MODULES)
		n = KEEL_MAX_MODULES;
	for (uint32_t i = 0; i < n; i++) {
		if (strncmp(rt_info->modules[i].name, name, KEEL_NAME_LEN) != 0)
			continue;
		if ((flags & O_ACCMODE) != O_RDONLY)
			return -EROFS;
		f->ops = &module_ops;
		f->seekable = true;
		f->module = &rt_info->modules[i];
		return 0;
	}
	return flags & O_CREAT ? -EROFS : -ENOENT;
}

/* ---- paths ------------------------------------------------------------------------------------ */

/* Absolute form of a path, "./" in front taken off. 0 or -ENAMETOOLONG, -ENOENT. */
static int path_absolute(const char *path, char out[PATH_BYTES])
{
	size_t base = 0, n;

	if (!*path)
		return -ENOENT;
	if (*path != '/') {
		while (path[0] == '.' && path[1] == '/')
			path += 2;
		base = strlen(cwd);
		memcpy(out, cwd, base);
		if (out[base - 1] != '/')
			out[base++] = '/';
	}
	n = strlen(path);
	if (base + n >= PATH_BYTES)
		return -ENAMETOOLONG;
	memcpy(out + base, path, n + 1);
	return 0;
}

/* What follows "/boot/", or NULL. */
static const char *boot_name(const char *path)
{
	return strncmp(path, BOOT_DIR, sizeof(BOOT_DIR) - 1) == 0 ? path + sizeof(BOOT_DIR) - 1 : NULL;
}

static long do_open(const char *name, int flags, mode_t mode)
{
	char path[PATH_BYTES];
	int fd = 0, err = path_absolute(name, path);

	if (err)
		return err;
	while (fd < RT_FILES && files[fd].ops)
		fd++;
	if (fd == RT_FILES)
		return -EMFILE;
	memset(&files[fd], 0, sizeof(files[fd]));
	err = boot_name(path) ? module_open(&files[fd], boot_name(path), flags)
			      : remote_open(&files[fd], path, flags, mode);
	if (err) {
		files[fd].ops = NULL;
		return err;
	}
	files[fd].flags = flags;
	return fd;
}

static long do_stat(const char *name, bool follow, struct stat *st)
{
	char path[PATH_BYTES];
	int err = path_absolute(name, path);
	struct file f = { 0 };

	if (err)
		return err;
	if (!boot_name(path))
		return remote_stat_path(path, follow, st);
	err = module_open(&f, boot_name(path), O_RDONLY);
	return err ? err : module_stat(&f, st);
}

/* unlink, rmdir and mkdir, with the call for paths outside /boot. */
static long change_name(const char *name, int (*fn)(const char *, int), int arg)
{
	char path[PATH_BYTES];
	int err = path_absolute(name, path);

	if (err)
		return err;
	return boot_name(path) ? -EROFS : fn(path, arg);
}

static int mkdir_int(const char *path, int mode)
{
	return remote_mkdir(path, (mode_t)mode);
}

static long do_rename(const char *from_name, const char *to_name)
{
	char from[PATH_BYTES], to[PATH_BYTES];
	int err = path_absolute(from_name, from);

	if (!err)
		err = path_absolute(to_name, to);
	if (err)
		return err;
	return boot_name(from) || boot_name(to) ? -EROFS : remote_rename(from, to);
}

static long do_chdir(const char *name)
{
	char path[PATH_BYTES];
	struct stat st;
	long err = path_absolute(name, path);

	if (!err && strcmp(path, "/boot") != 0 && strcmp(path, "/") != 0)
		err = do_stat(path, true, &st);
	else
		st.st_mode = S_IFDIR;
	if (err)
		return err;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	strcpy(cwd, path);
	return 0;
}

/* ---- data ------------------------------------------------------------------------------------- */

static bool may(const struct file *f, int unwanted)
{
	return (f->flags & O_ACCMODE) != unwanted;
}

static ssize_t do_readv(struct file *f, const struct iovec *iov, int n, uint64_t *pos)
{
	ssize_t done = 0;

	if (!may(f, O_WRONLY))
		return -EBADF;
	for (int i = 0; i < n; i++) {
		ssize_t got;

		if (!iov[i].iov_len)
			continue;
		got = f->ops->read(f, iov[i].iov_base, iov[i].iov_len, *pos);
		if (got < 0)
			return done ? done : got;
		done += got;
		*pos += (uint64_t)got;
		/* Short: the end, or all there is for now. */
		if ((size_t)got < iov[i].iov_len)
			break;
	}
	return done;
}

static ssize_t do_writev(struct file *f, const struct iovec *iov, int n, uint64_t *pos)
{
	ssize_t done;

	if (!may(f, O_RDONLY) || !f->ops->write)
		return -EBADF;
	done = f->ops->write(f, iov, n, *pos);
	if (done > 0)
		*pos += (uint64_t)done;
	return done;
}

static long do_lseek(struct file *f, long off, long whence)
{
	uint64_t base = 0, pos;
	struct stat st;
	int err;

	if (!f->seekable)
		return -ESPIPE;
	/* After appending only the server knows where that was: the end. */
	if (whence == SEEK_END || (whence == SEEK_CUR && f->flags & O_APPEND && may(f, O_RDONLY))) {
		err = f->ops->stat(f, &st);
		if (err)
			return err;
		base = (uint64_t)st.st_size;
	} else if (whence == SEEK_CUR) {
		base = f->pos;
	} else if (whence != SEEK_SET) {
		return -EINVAL;
	}
	pos = base + (uint64_t)off;
	if (pos > LONG_MAX)
		return -EINVAL;
	f->pos = pos;
	return (long)pos;
}

static long do_fcntl(struct file *f, long cmd, long arg)
{
	switch (cmd) {
	case F_GETFL:
		return f->flags;
	case F_SETFL:
		f->flags = (f->flags & ~(O_APPEND | O_NONBLOCK)) | ((int)arg & (O_APPEND | O_NONBLOCK));
		return 0;
	case F_GETFD:
	case F_SETFD:
		return 0;
	}
	return -EINVAL;
}

static long do_close(struct file *f)
{
	int err = f->ops->close ? f->ops->close(f) : 0;

	f->ops = NULL;
	return err;
}

static long do_poll(struct pollfd *fds, unsigned long n, int timeout_ms)
{
	uint64_t deadline = timeout_ms > 0 ? clock_deadline((uint64_t)timeout_ms * 1000000) : RT_FOREVER;
	long ready;

	for (;;) {
		bool console = false;

		ready = 0;
		for (unsigned long i = 0; i < n; i++) {
			struct file *f = file_of(fds[i].fd);

			fds[i].revents = 0;
			if (fds[i].fd < 0)
				continue;
			if (!f)
				fds[i].revents = POLLNVAL;
			else
				fds[i].revents = fds[i].events & (POLLIN | POLLOUT);
			if (f && f->ops == &tty_ops && fds[i].events & POLLIN && !console_readable()) {
				fds[i].revents &= ~POLLIN;
				console = true;
			}
			ready += fds[i].revents != 0;
		}
		if (ready || timeout_ms == 0)
			return ready;
		if (!event_wait(console ? 1ULL << KEEL_EV_CONSOLE : 0, deadline))
			return 0;
	}
}

void file_init(void)
{
	for (int fd = 0; fd < 3; fd++) {
		files[fd].ops = &tty_ops;
		files[fd].flags = O_RDWR;
	}
}

/* ---- system calls ------------------------------------------------------------------------------ */

/* Those on a descriptor (argument a). */
static long fd_syscall(long n, struct file *f, long b, long c, long d)
{
	struct iovec one = { (void *)b, (size_t)c };
	uint64_t pos = (uint64_t)d;

	switch (n) {
	case SYS_read:
		return do_readv(f, &one, 1, &f->pos);
	case SYS_write:
		return do_writev(f, &one, 1, &f->pos);
	case SYS_readv:
		return do_readv(f, (const struct iovec *)b, (int)c, &f->pos);
	case SYS_writev:
		return do_writev(f, (const struct iovec *)b, (int)c, &f->pos);
	case SYS_pread64:
		return f->seekable ? do_readv(f, &one, 1, &pos) : -ESPIPE;
	case SYS_pwrite64:
		return f->seekable ? do_writev(f, &one, 1, &pos) : -ESPIPE;
	case SYS_lseek:
		return do_lseek(f, b, c);
	case SYS_fstat:
		return f->ops->stat(f, (struct stat *)b);
	case SYS_fcntl:
		return do_fcntl(f, b, c);
	case SYS_ftruncate:
		return f->ops->truncate && may(f, O_RDONLY) ? f->ops->truncate(f, (uint64_t)b) : -EINVAL;
	case SYS_fsync:
	case SYS_fdatasync:
		return f->ops->sync ? f->ops->sync(f) : -EINVAL;
	case SYS_ioctl:
		/* The one thing libc asks with ioctl here: is it a terminal? */
		return f->ops == &tty_ops && b == TIOCGWINSZ ? 0 : -ENOTTY;
	case SYS_close:
		return do_close(f);
	}
	return -ENOSYS;
}

long file_syscall(long n, long a, long b, long c, long d)
{
	struct file *f;

	switch (n) {
	case SYS_open:
		return do_open((const char *)a, (int)b, (mode_t)c);
	case SYS_stat:
	case SYS_lstat:
		return do_stat((const char *)a, n == SYS_stat, (struct stat *)b);
	case SYS_unlink:
		return change_name((const char *)a, remote_unlink, 0);
	case SYS_rmdir:
		return change_name((const char *)a, remote_unlink, AT_REMOVEDIR);
	case SYS_mkdir:
		return change_name((const char *)a, mkdir_int, (int)b);
	case SYS_rename:
		return do_rename((const char *)a, (const char *)b);
	case SYS_chdir:
		return do_chdir((const char *)a);
	case SYS_getcwd:
		if (strlen(cwd) >= (size_t)b)
			return -ERANGE;
		strcpy((char *)a, cwd);
		return (long)strlen(cwd) + 1;
	case SYS_poll:
		return do_poll((struct pollfd *)a, (unsigned long)b, (int)c);
	}
	f = file_of(a);
	return f ? fd_syscall(n, f, b, c, d) : -EBADF;
}
