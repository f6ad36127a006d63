/* SPDX-License-Identifier: MIT */
/*
 * policy.h - which paths of Linux a peer may use, and how.
 *
 * A policy file has one rule a line: `rw PATH` or `ro PATH`; `#` starts a comment. PATH is absolute
 * and exists. A directory grants everything beneath it, anything else only itself. `rw PATH as NAME`
 * lets the peer call it NAME. Of several rules that fit a request the longest one counts.
 */
#ifndef KEELD_POLICY_H
#define KEELD_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#define POLICY_MAX_RULES	64

struct policy_rule {
	char *path;		/* what the peer calls it, without doubled or trailing slashes */
	char *host;		/* what Linux calls it, likewise; mostly the same */
	char *real;		/* host with symbolic links resolved, to compare rules */
	size_t len;		/* of path; "/" counts 0 */
	bool writable;
	bool is_dir;
	int dir_fd;		/* O_PATH: the directory, or the parent of the file */
	unsigned int line;
};

struct policy {
	struct policy_rule rules[POLICY_MAX_RULES];
	unsigned int nrules;
};

/* A request's path, resolved as far as the policy goes. */
struct policy_path {
	const struct policy_rule *rule;
	const char *rest;	/* relative to rule->dir_fd; points into the path given */
};

/* 0, or negative errno with "FILE:LINE: what is wrong" in err. */
int policy_load(struct policy *p, const char *file, char *err, size_t err_bytes);
/* One rule that is in no file; *p begins zeroed. As above, with "WHO: what is wrong". */
int policy_add(struct policy *p, bool writable, const char *host, const char *path, const char *who, char *err,
	       size_t err_bytes);
void policy_free(struct policy *p);

/*
 * Finds the rule for an absolute path and tidies path in place. -EACCES: no rule;
 * -ENOENT: empty; -EINVAL: not absolute.
 */
int policy_find(const struct policy *p, char *path, struct policy_path *out);

/* Opens a file with the flags and mode of open(2). What leads out of the rule is -EACCES. */
int policy_open(const struct policy_path *where, unsigned long long flags, unsigned int mode);

/*
 * Opens the directory that holds the last component of a path (O_PATH) and points *name at it.
 * Only for directory rules. The rule's own directory has no name: -EBUSY.
 */
int policy_open_parent(const struct policy_path *where, const char **name);

/* Opens the object itself with O_PATH. follow: also a last symbolic link, still inside the rule. */
int policy_open_path(const struct policy_path *where, bool follow);

#endif
