// SPDX-License-Identifier: MIT
/*
 * policy.c - policy files, and path lookups that cannot leave what a rule names.
 *
 * Idea:       a rule holds a descriptor of its directory from the start, and every lookup is one
 *             openat2 below it with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS: the kernel refuses `..`,
 *             symbolic links and renames that lead out, whatever races with them. Text is only
 *             compared to choose the rule.
 * Invariants: no rule lies inside a rule that grants more: `rw /a` with `ro /a/b` could not be
 *             kept (a request for /a/x/../b or /a/link would get the rights of /a).
 * Trusts:     the policy file; nothing in a request's path.
 */
#include "policy.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_BYTES	4096
#define MAX_LINKS	40	/* as Linux */
#define RESOLVE_TRIES	16	/* openat2 says EAGAIN when a rename raced with a `..` */

static int openat2_call(int dir_fd, const char *path, const struct open_how *how)
{
	long fd = -1;
	int tries;

	for (tries = 0; tries < RESOLVE_TRIES; tries++) {
		fd = syscall(SYS_openat2, dir_fd, path, how, sizeof(*how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* ---- requests ------------------------------------------------------------------------------------ */

/* Drops doubled slashes, `.` components and trailing slashes; `..` stays for the kernel. */
static void tidy(char *path)
{
	char *to = path, *from = path;
	size_t n;

	while (*from) {
		while (*from == '/')
			from++;
		n = strcspn(from, "/");
		if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/* Whether rule covers path; both tidy. */
static bool covers(const struct policy_rule *r, const char *path)
{
	if (strncmp(path, r->path, r->len))
		return false;
	return path[r->len] == '\0' || (r->is_dir && path[r->len] == '/');
}

int policy_find(const struct policy *p, char *path, struct policy_path *out)
{
	const struct policy_rule *best = NULL;
	const char *rest;
	unsigned int i;

	if (!path[0])
		return -ENOENT;
	if (path[0] != '/')
		return -EINVAL;
	tidy(path);
	for (i = 0; i < p->nrules; i++)
		if (covers(&p->rules[i], path) && (!best || p->rules[i].len > best->len))
			best = &p->rules[i];
	if (!best)
		return -EACCES;
	rest = best->is_dir ? path + best->len : strrchr(path, '/');
	while (*rest == '/')
		rest++;
	out->rule = best;
	out->rest = *rest ? rest : ".";
	return 0;
}

static int rule_open(const struct policy_rule *r, const char *rest, unsigned long long flags,
		     unsigned int mode)
{
	struct open_how how = {
		.flags = flags,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   (r->is_dir ? 0 : RESOLVE_NO_SYMLINKS),
	};

	return openat2_call(r->dir_fd, rest, &how);
}

/* ---- absolute links -------------------------------------------------------------------------------- */
/*
 * RESOLVE_BENEATH refuses every absolute symbolic link, also one that leads to where the lookup
 * began. When it has refused, the links are taken out of the path here and the result is opened in the same way:
 * whatever goes wrong or changes meanwhile, the kernel still keeps the lookup beneath the rule.
 */

struct walk {
	const struct policy_rule *rule;
	char done[PATH_BYTES];		/* without links, relative to the rule; "" is itself */
	char todo[PATH_BYTES];
	unsigned int links;
};

/* What follows the directory in an absolute path, or NULL: it does not lie there. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strcmp(dir, "/") ? strlen(dir) : 0;

	return strncmp(path, dir, n) || (path[n] && path[n] != '/') ? NULL : path + n;
}

/* Puts a link's target before what is left to do. */
static int walk_link(struct walk *w, const char *target)
{
	const char *rest;
	char left[PATH_BYTES];

	if (++w->links > MAX_LINKS)
		return -ELOOP;
	if (target[0] == '/') {
		rest = below(target, w->rule->host);
		target = rest ? rest : below(target, w->rule->real);
		if (!target)
			return -EXDEV;
		w->done[0] = '\0';
	}
	strcpy(left, w->todo);
	if ((size_t)snprintf(w->todo, sizeof(w->todo), "%s/%s", target, left) >= sizeof(w->todo))
		return -ENAMETOOLONG;
	return 0;
}

/* Takes the next component over: `name`, which ends the path if `last`. */
static int walk_step(struct walk *w, const char *name, bool follow)
{
	char path[PATH_BYTES], target[PATH_BYTES], *slash;
	ssize_t n = -1;
	int fd;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		slash = strrchr(w->done, '/');
		if (!w->done[0])
			return -EXDEV;
		*(slash ? slash : w->done) = '\0';
		return 0;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", w->done, w->done[0] ? "/" : "", name) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	fd = follow ? rule_open(w->rule, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0) : -1;
	if (fd >= 0) {
		n = readlinkat(fd, "", target, sizeof(target) - 1);	/* fails for all but links */
		close(fd);
	}
	if (n >= 0) {
		target[n] = '\0';
		return walk_link(w, target);
	}
	strcpy(w->done, path);
	return 0;
}

/* Opens rest once more, with the links in it resolved. */
static int open_through_links(const struct policy_rule *r, const char *rest,
			      unsigned long long flags, unsigned int mode)
{
	bool follow_last = !(flags & O_NOFOLLOW) && !(flags & O_CREAT && flags & O_EXCL);
	struct walk w = { .rule = r };
	char name[PATH_BYTES], *at;
	size_t n;
	int err;

	if (strlen(rest) >= sizeof(w.todo))
		return -ENAMETOOLONG;
	strcpy(w.todo, rest);
	for (;;) {
		at = w.todo + strspn(w.todo, "/");
		n = strcspn(at, "/");
		if (!n)
			break;
		memcpy(name, at, n);
		name[n] = '\0';
		at += n;
		memmove(w.todo, at, strlen(at) + 1);
		err = walk_step(&w, name, follow_last || w.todo[strspn(w.todo, "/")]);
		if (err)
			return err;
	}
	return rule_open(r, w.done[0] ? w.done : ".", flags, mode);
}

int policy_open(const struct policy_path *where, unsigned long long flags, unsigned int mode)
{
	const struct policy_rule *r = where->rule;
	int fd = rule_open(r, where->rest, flags, mode);

	if (fd == -EXDEV && r->is_dir)
		fd = open_through_links(r, where->rest, flags, mode);
	if (fd == -EXDEV || (fd == -ELOOP && !r->is_dir))
		return -EACCES;
	return fd;
}

int policy_open_parent(const struct policy_path *where, const char **name)
{
	struct policy_path up = { .rule = where->rule };
	char parent[PATH_BYTES];
	const char *last;
	size_t n;

	if (!where->rule->is_dir)
		return -EACCES;
	last = strrchr(where->rest, '/');
	n = last ? (size_t)(last - where->rest) : 0;
	last = last ? last + 1 : where->rest;
	if (!strcmp(last, "."))
		return -EBUSY;
	if (!strcmp(last, ".."))
		return -EINVAL;
	if (n >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, where->rest, n);
	parent[n] = '\0';
	*name = last;
	up.rest = n ? parent : ".";
	return policy_open(&up, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

int policy_open_path(const struct policy_path *where, bool follow)
{
	return policy_open(where, (unsigned int)(O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)), 0);
}

/* ---- policy files -------------------------------------------------------------------------------- */

struct place {			/* for messages */
	const char *file;
	unsigned int line;
	char *err;
	size_t err_bytes;
};

static int __attribute__((format(printf, 3, 4)))
refuse(const struct place *at, int err, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (at->line)
		n = snprintf(at->err, at->err_bytes, "%s:%u: ", at->file, at->line);
	else
		n = snprintf(at->err, at->err_bytes, "%s: ", at->file);
	if (n < 0 || (size_t)n >= at->err_bytes)
		return err;
	va_start(ap, fmt);
	vsnprintf(at->err + n, at->err_bytes - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

/* Whether the object at `inner` lies in the directory `outer` (resolved paths). */
static bool inside(const struct policy_rule *outer, const struct policy_rule *inner)
{
	size_t n = strlen(outer->real);

	if (!outer->is_dir)
		return !strcmp(outer->real, inner->real);
	if (n == 1)
		return true;	/* "/" */
	return !strncmp(inner->real, outer->real, n) &&
	       (inner->real[n] == '\0' || inner->real[n] == '/');
}

/* " in line N"; nothing for a rule of no file. */
static const char *line_of(const struct policy_rule *r, char text[32])
{
	text[0] = '\0';
	if (r->line)
		snprintf(text, 32, " in line %u", r->line);
	return text;
}

static int check_against(const struct policy *p, const struct policy_rule *r, const struct place *at)
{
	const struct policy_rule *o;
	char line[32];
	unsigned int i;

	for (i = 0; i < p->nrules; i++) {
		o = &p->rules[i];
		if (!strcmp(o->path, r->path))
			return refuse(at, -EEXIST, "%s already has a rule%s", r->path, line_of(o, line));
		if ((inside(o, r) && o->writable && !r->writable) ||
		    (inside(r, o) && r->writable && !o->writable))
			return refuse(at, -EINVAL, "`%s %s` against `%s %s`%s: a part of a "
				      "writable tree cannot be made read-only",
				      r->writable ? "rw" : "ro", r->path,
				      o->writable ? "rw" : "ro", o->path, line_of(o, line));
	}
	return 0;
}

/* Opens the directory of a rule, or the parent of its file. */
static int open_dir(struct policy_rule *r, const struct place *at)
{
	const char *slash = strrchr(r->host, '/');
	size_t n = (size_t)(slash - r->host);
	struct stat st;
	char *dir;

	if (stat(r->host, &st) < 0)
		return refuse(at, -errno, "%s: %s", r->host, strerror(errno));
	r->is_dir = S_ISDIR(st.st_mode);
	if (!r->is_dir && (lstat(r->host, &st) < 0 || S_ISLNK(st.st_mode)))
		return refuse(at, -ELOOP, "%s: a symbolic link to a file cannot be granted, name "
			      "the file itself", r->host);
	if (!r->is_dir && strcmp(r->host, r->path))
		return refuse(at, -ENOTDIR, "%s: only a directory can have another name", r->host);
	dir = r->is_dir ? strdup(r->host) : strndup(n ? r->host : "/", n ? n : 1);
	if (!dir)
		return refuse(at, -ENOMEM, "no memory");
	r->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (r->dir_fd < 0)
		return refuse(at, -errno, "%s: %s", r->host, strerror(errno));
	return 0;
}

static void rule_free(struct policy_rule *r)
{
	if (r->dir_fd >= 0)
		close(r->dir_fd);
	free(r->path);
	free(r->host);
	free(r->real);
}

static int add_rule(struct policy *p, bool writable, const char *host, const char *path,
		    const struct place *at)
{
	struct policy_rule r = { .writable = writable, .line = at->line, .dir_fd = -1 };
	int err;

	if (p->nrules == POLICY_MAX_RULES)
		return refuse(at, -E2BIG, "more than %d rules", POLICY_MAX_RULES);
	r.path = strdup(path);
	r.host = strdup(host);
	if (!r.path || !r.host) {
		err = refuse(at, -ENOMEM, "no memory");
		goto free_rule;
	}
	tidy(r.path);
	tidy(r.host);
	r.len = r.path[1] ? strlen(r.path) : 0;
	err = open_dir(&r, at);
	if (err)
		goto free_rule;
	r.real = realpath(r.host, NULL);
	if (!r.real) {
		err = refuse(at, -errno, "%s: %s", r.host, strerror(errno));
		goto free_rule;
	}
	err = check_against(p, &r, at);
	if (err)
		goto free_rule;
	p->rules[p->nrules++] = r;
	return 0;

free_rule:
	rule_free(&r);
	return err;
}

static int check_path(const char *path, const struct place *at)
{
	size_t n = strlen(path);

	if (*path != '/')
		return refuse(at, -EINVAL, "`%s`: the path must be absolute", path);
	if (strstr(path, "/../") || (n >= 3 && !strcmp(path + n - 3, "/..")))
		return refuse(at, -EINVAL, "`%s`: `..` is not allowed here", path);
	return 0;
}

static int parse_line(struct policy *p, char *line, const struct place *at)
{
	char *end = line + strlen(line), *path, *name;
	bool writable;
	int err;

	while (end > line && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*line))
		line++;
	if (!*line || *line == '#')
		return 0;
	path = line + strcspn(line, " \t");
	if (*path)
		*path++ = '\0';
	while (isspace((unsigned char)*path))
		path++;
	if (strcmp(line, "rw") && strcmp(line, "ro"))
		return refuse(at, -EINVAL, "`%s`: expected `rw PATH` or `ro PATH`", line);
	writable = line[1] == 'w';
	if (!*path)
		return refuse(at, -EINVAL, "`%s` without a path", line);
	name = strstr(path, " as /");
	if (name) {
		end = name;
		name += strlen(" as ");
		while (isspace((unsigned char)end[-1]))
			end--;
		*end = '\0';
	}
	err = check_path(path, at);
	if (!err && name)
		err = check_path(name, at);
	return err ? err : add_rule(p, writable, path, name ? name : path, at);
}

int policy_load(struct policy *p, const char *file, char *err, size_t err_bytes)
{
	struct place at = { .file = file, .err = err, .err_bytes = err_bytes };
	size_t size = 0;
	char *line = NULL;
	FILE *f;
	ssize_t n;
	int res = 0;

	p->nrules = 0;
	f = fopen(file, "re");
	if (!f)
		return refuse(&at, -errno, "%s", strerror(errno));
	while (!res && (n = getline(&line, &size, f)) >= 0) {
		at.line++;
		if (strlen(line) != (size_t)n)
			res = refuse(&at, -EINVAL, "zero byte in the line");
		else
			res = parse_line(p, line, &at);
	}
	if (!res && ferror(f))
		res = refuse(&at, -EIO, "cannot be read");
	free(line);
	fclose(f);
	if (res)
		policy_free(p);
	return res;
}

int policy_add(struct policy *p, bool writable, const char *host, const char *path, const char *who, char *err,
	       size_t err_bytes)
{
	struct place at = { .file = who, .err = err, .err_bytes = err_bytes };
	int res = check_path(host, &at);

	if (!res)
		res = check_path(path, &at);
	return res ? res : add_rule(p, writable, host, path, &at);
}

void policy_free(struct policy *p)
{
	while (p->nrules)
		rule_free(&p->rules[--p->nrules]);
}
