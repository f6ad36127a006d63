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

unsigned long long policy_resolve(const struct policy_rule *rule)
{
	unsigned long long flags = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;

	return rule->is_dir ? flags : flags | RESOLVE_NO_SYMLINKS;
}

int policy_error(const struct policy_rule *rule, int err)
{
	if (err == -EXDEV || (err == -ELOOP && !rule->is_dir))
		return -EACCES;
	return err;
}

int policy_open_parent(const struct policy_path *where, const char **name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = policy_resolve(where->rule),
	};
	char parent[4096];
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
	return policy_error(where->rule,
			    openat2_call(where->rule->dir_fd, n ? parent : ".", &how));
}

int policy_open_path(const struct policy_path *where, bool follow)
{
	struct open_how how = {
		.flags = (unsigned int)(O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)),
		.resolve = policy_resolve(where->rule),
	};

	return policy_error(where->rule,
			    openat2_call(where->rule->dir_fd, where->rest, &how));
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

static int check_against(const struct policy *p, const struct policy_rule *r, const struct place *at)
{
	const struct policy_rule *o;
	unsigned int i;

	for (i = 0; i < p->nrules; i++) {
		o = &p->rules[i];
		if (!strcmp(o->path, r->path))
			return refuse(at, -EEXIST, "%s already has a rule in line %u", r->path,
				      o->line);
		if ((inside(o, r) && o->writable && !r->writable) ||
		    (inside(r, o) && r->writable && !o->writable))
			return refuse(at, -EINVAL, "`%s %s` against `%s %s` in line %u: a part of a "
				      "writable tree cannot be made read-only",
				      r->writable ? "rw" : "ro", r->path,
				      o->writable ? "rw" : "ro", o->path, o->line);
	}
	return 0;
}

/* Opens the directory of a rule, or the parent of its file. */
static int open_dir(struct policy_rule *r, const struct place *at)
{
	const char *slash = strrchr(r->path, '/');
	size_t n = (size_t)(slash - r->path);
	struct stat st;
	char *dir;

	if (stat(r->path, &st) < 0)
		return refuse(at, -errno, "%s: %s", r->path, strerror(errno));
	r->is_dir = S_ISDIR(st.st_mode);
	if (!r->is_dir && (lstat(r->path, &st) < 0 || S_ISLNK(st.st_mode)))
		return refuse(at, -ELOOP, "%s: a symbolic link to a file cannot be granted, name "
			      "the file itself", r->path);
	dir = r->is_dir ? strdup(r->path) : strndup(n ? r->path : "/", n ? n : 1);
	if (!dir)
		return refuse(at, -ENOMEM, "no memory");
	r->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (r->dir_fd < 0)
		return refuse(at, -errno, "%s: %s", r->path, strerror(errno));
	return 0;
}

static void rule_free(struct policy_rule *r)
{
	if (r->dir_fd >= 0)
		close(r->dir_fd);
	free(r->path);
	free(r->real);
}

static int add_rule(struct policy *p, bool writable, const char *path, const struct place *at)
{
	struct policy_rule r = { .writable = writable, .line = at->line, .dir_fd = -1 };
	int err;

	if (p->nrules == POLICY_MAX_RULES)
		return refuse(at, -E2BIG, "more than %d rules", POLICY_MAX_RULES);
	r.path = strdup(path);
	if (!r.path)
		return refuse(at, -ENOMEM, "no memory");
	tidy(r.path);
	r.len = r.path[1] ? strlen(r.path) : 0;
	err = open_dir(&r, at);
	if (err)
		goto free_rule;
	r.real = realpath(r.path, NULL);
	if (!r.real) {
		err = refuse(at, -errno, "%s: %s", r.path, strerror(errno));
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

static int parse_line(struct policy *p, char *line, const struct place *at)
{
	char *end = line + strlen(line), *path;
	bool writable;

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
	if (*path != '/')
		return refuse(at, -EINVAL, "`%s`: the path must be absolute", path);
	if (strstr(path, "/../") || (end - path >= 3 && !strcmp(end - 3, "/..")))
		return refuse(at, -EINVAL, "`%s`: `..` is not allowed here", path);
	return add_rule(p, writable, path, at);
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

void policy_free(struct policy *p)
{
	while (p->nrules)
		rule_free(&p->rules[--p->nrules]);
}
