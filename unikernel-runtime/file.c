// SPDX-License-Identifier: MIT
/*
 * file.c - paths, and which of three kinds of file a path is:
 *
 *	0, 1, 2		the console
 *	/boot/NAME	a module the manifest hands over, read-only, in the partition's memory
 *	anything else	a driver call to Linux (remote.c)
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <rt/calls.h>
#include <rt/rt.h>

#define BOOT_DIR	"/boot/"
#define PATH_BYTES	1024

static char cwd[PATH_BYTES] = "/";
static mode_t mask = 022;

/* ---- console and modules --------------------------------------------------------------------- */

static ssize_t tty_read(struct file *f, const struct iovec *iov, int n, uint64_t off, size_t need)
{
	(void)f, (void)off, (void)need;
	for (; n > 0 && !iov->iov_len; n--)
		iov++;
	return n > 0 ? console_read(iov->iov_base, iov->iov_len) : 0;
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

const struct file_ops tty_ops = { .read = tty_read, .write = tty_write, .stat = tty_stat };

static ssize_t module_read(struct file *f, const struct iovec *iov, int n, uint64_t off, size_t need)
{
	const struct keel_module *m = f->module;
	uint64_t at = off;

	(void)need;
	for (int i = 0; i < n && at < m->bytes; i++) {
		size_t len = iov[i].iov_len < m->bytes - at ? iov[i].iov_len : m->bytes - at;

		memcpy(iov[i].iov_base, (const char *)m->va + at, len);
		at += len;
	}
	return (ssize_t)(at - off);
}

static int module_stat(struct file *f, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG | 0444;
	st->st_size = (off_t)f->module->bytes;
	return 0;
}

static int module_seekable(struct file *f)
{
	(void)f;
	return 0;
}

static const struct file_ops module_ops = {
	.read = module_read, .stat = module_stat, .seekable = module_seekable,
};

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
	struct file *f = fd_left() ? file_new() : NULL;
	char path[PATH_BYTES];
	int err = path_absolute(name, path);

	if (err)
		return err;
	if (!f)
		return -EMFILE;
	err = boot_name(path) ? module_open(f, boot_name(path), flags)
			      : remote_open(f, path, flags, mode & ~mask);
	if (err)
		return err;
	f->flags = flags;
	return fd_new(f);
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
	return remote_mkdir(path, (mode_t)mode & ~mask);
}

/* There are no descriptors of directories: an *at call must name its path without one. */
static int at_cwd(long dir, const char *path)
{
	return (int)dir == AT_FDCWD || *path == '/' ? 0 : -EBADF;
}

/* ---- system calls ------------------------------------------------------------------------------ */

long sys_open(const long *a)
{
	return do_open((const char *)a[0], (int)a[1], (mode_t)a[2]);
}

long sys_openat(const long *a)
{
	return at_cwd(a[0], (const char *)a[1]) ?: sys_open(a + 1);
}

long sys_creat(const long *a)
{
	return do_open((const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a[1]);
}

long sys_stat(const long *a)
{
	return do_stat((const char *)a[0], true, (struct stat *)a[1]);
}

long sys_lstat(const long *a)
{
	return do_stat((const char *)a[0], false, (struct stat *)a[1]);
}

long sys_newfstatat(const long *a)
{
	const char *path = (const char *)a[1];

	if (a[3] & AT_EMPTY_PATH && !*path)
		return file_stat(a[0], (struct stat *)a[2]);
	return at_cwd(a[0], path) ?: do_stat(path, !(a[3] & AT_SYMLINK_NOFOLLOW), (struct stat *)a[2]);
}

/* The mode bits are for a user 0, who may read and write whatever the policy grants. */
long sys_access(const long *a)
{
	struct stat st;
	long err = do_stat((const char *)a[0], true, &st);

	if (err)
		return err;
	return a[1] & X_OK && !S_ISDIR(st.st_mode) && !(st.st_mode & 0111) ? -EACCES : 0;
}

long sys_faccessat(const long *a)
{
	return at_cwd(a[0], (const char *)a[1]) ?: sys_access(a + 1);
}

long sys_unlink(const long *a)
{
	return change_name((const char *)a[0], remote_unlink, 0);
}

long sys_rmdir(const long *a)
{
	return change_name((const char *)a[0], remote_unlink, AT_REMOVEDIR);
}

long sys_unlinkat(const long *a)
{
	return at_cwd(a[0], (const char *)a[1]) ?:
		change_name((const char *)a[1], remote_unlink, (int)a[2] & AT_REMOVEDIR);
}

long sys_mkdir(const long *a)
{
	return change_name((const char *)a[0], mkdir_int, (int)a[1]);
}

long sys_mkdirat(const long *a)
{
	return at_cwd(a[0], (const char *)a[1]) ?: sys_mkdir(a + 1);
}

long sys_rename(const long *a)
{
	char from[PATH_BYTES], to[PATH_BYTES];
	int err = path_absolute((const char *)a[0], from);

	if (!err)
		err = path_absolute((const char *)a[1], to);
	if (err)
		return err;
	return boot_name(from) || boot_name(to) ? -EROFS : remote_rename(from, to);
}

long sys_renameat(const long *a)
{
	const long paths[] = { a[1], a[3] };

	return at_cwd(a[0], (const char *)a[1]) ?: at_cwd(a[2], (const char *)a[3]) ?: sys_rename(paths);
}

static long change_dir(const char *name)
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

long sys_chdir(const long *a)
{
	return change_dir((const char *)a[0]);
}

void cwd_init(const char *dir)
{
	if (dir && *dir == '/' && strlen(dir) < sizeof(cwd))
		strcpy(cwd, dir);
}

long sys_getcwd(const long *a)
{
	if (strlen(cwd) >= (size_t)a[1])
		return -ERANGE;
	strcpy((char *)a[0], cwd);
	return (long)strlen(cwd) + 1;
}

long sys_umask(const long *a)
{
	mode_t old = mask;

	mask = (mode_t)a[0] & 0777;
	return (long)old;
}
