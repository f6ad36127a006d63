// SPDX-License-Identifier: MIT
/*
 * keeld_policy_test.c - policy files are read with clear errors, and no path leaves what a rule
 * grants: not with `..`, not through symbolic links, not by a rule inside another.
 *
 * Failure looks like an O_PATH descriptor for something outside, or a wrong line number.
 */
#include "unit.h"

#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], policy_file[128], err[512];
static struct policy policy;

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static const char *at(const char *name)
{
	static char path[4][256];
	static unsigned int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", root, name);
	return path[i];
}

static int load(const char *fmt, const char *a, const char *b)
{
	FILE *f = fopen(policy_file, "w");

	assert_non_null(f);
	assert_true(fprintf(f, fmt, a, b) >= 0);
	fclose(f);
	err[0] = '\0';
	return policy_load(&policy, policy_file, err, sizeof(err));
}

/*
 * root/data/{file,sub/inner,loop->loop,in->sub/inner,out->../secret,abs->/etc,up->..}
 * root/secret   root/ro/file
 */
static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/keeld-policy-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(policy_file, sizeof(policy_file), "%s/test.policy", root);
	mkdir(at("data"), 0755);
	mkdir(at("data/sub"), 0755);
	mkdir(at("ro"), 0755);
	put("data/file", "x");
	put("data/sub/inner", "x");
	put("secret", "x");
	put("ro/file", "x");
	if (symlink("loop", at("data/loop")) || symlink("sub/inner", at("data/in")) ||
	    symlink("../secret", at("data/out")) || symlink("/etc", at("data/abs")) ||
	    symlink("..", at("data/up")) || symlink("secret", at("secret.link")) ||
	    symlink("data", at("data.link")))
		return -1;
	return 0;
}

static int remove_tree(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	return system(cmd);
}

/* Opens a path as keeld's STATX does; the result is an error, or 0. */
static int try(const char *name, bool follow)
{
	struct policy_path where;
	char path[1024];
	int fd, res;

	snprintf(path, sizeof(path), "%s", name[0] == '/' ? name : at(name));
	res = policy_find(&policy, path, &where);
	if (res)
		return res;
	fd = policy_open_path(&where, follow);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int try_parent(const char *name, const char **last)
{
	static char path[1024];
	struct policy_path where;
	int fd, res;

	snprintf(path, sizeof(path), "%s", at(name));
	res = policy_find(&policy, path, &where);
	if (res)
		return res;
	fd = policy_open_parent(&where, last);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* ---- files ---------------------------------------------------------------------------------------- */

static void rules_and_comments_are_read(void **state)
{
	(void)state;
	assert_int_equal(load("# comment\n\n  rw   %s/  # not a comment: part of the path\n", root, ""),
			 -ENOENT);
	assert_int_equal(load("# comment\n\n\t rw \t %s//data/ \r\nro %s/ro\n", root, root), 0);
	assert_int_equal(policy.nrules, 2);
	assert_true(policy.rules[0].writable && policy.rules[0].is_dir);
	assert_string_equal(policy.rules[0].path, at("data"));
	assert_int_equal(policy.rules[0].line, 3);
	assert_false(policy.rules[1].writable);
	policy_free(&policy);
	assert_int_equal(load("%s%s", "", ""), 0);	/* empty: nothing is allowed */
	assert_int_equal(try("data/file", true), -EACCES);
	policy_free(&policy);
}

static void errors_name_file_and_line(void **state)
{
	char expect[160];

	(void)state;
#define REFUSED(text, line, a, b) do { \
		assert_true(load(text, a, b) < 0); \
		snprintf(expect, sizeof(expect), "%s:%d: ", policy_file, line); \
		assert_memory_equal(err, expect, strlen(expect)); \
		assert_int_equal(policy.nrules, 0); } while (0)
	REFUSED("\nwr %s\n", 2, root, "");
	REFUSED("rw\n", 1, "", "");
	REFUSED("rw data\n", 1, "", "");
	REFUSED("# a\n# b\nro %s/missing\n", 3, root, "");
	REFUSED("rw %s/data/../ro\n", 1, root, "");
	REFUSED("rw %s/data/..\n", 1, root, "");
	REFUSED("rw %s/data\nro %s//data/\n", 2, root, root);
	REFUSED("ro %s/secret.link\n", 1, root, "");
#undef REFUSED
	assert_true(policy_load(&policy, "/nonexistent/x.policy", err, sizeof(err)) == -ENOENT);
	assert_non_null(strstr(err, "/nonexistent/x.policy: "));
}

static void a_weaker_rule_inside_a_stronger_is_refused(void **state)
{
	(void)state;
	assert_int_equal(load("rw %s/data\nro %s/data/sub\n", root, root), -EINVAL);
	assert_int_equal(load("ro %s/data/sub\nrw %s/data\n", root, root), -EINVAL);
	assert_int_equal(load("rw %s/data\nro %s/data/file\n", root, root), -EINVAL);
	assert_int_equal(load("rw %s/data.link\nro %s/data/sub\n", root, root), -EINVAL);
	assert_int_equal(load("rw /\nro %s/data\n", root, ""), -EINVAL);
	assert_int_equal(load("ro %s\nrw %s/data\n", root, root), 0);
	policy_free(&policy);
}

/* ---- paths ---------------------------------------------------------------------------------------- */

static void what_is_granted_can_be_reached(void **state)
{
	(void)state;
	assert_int_equal(load("rw %s/data\nro %s/secret\n", root, root), 0);
	assert_int_equal(try("data", true), 0);
	assert_int_equal(try("data/", true), 0);
	assert_int_equal(try("data//./file", true), 0);
	assert_int_equal(try("data/sub/inner", true), 0);
	assert_int_equal(try("data/sub/../file", true), 0);	/* stays inside */
	assert_int_equal(try("data/in", true), 0);		/* so does this link */
	assert_int_equal(try("data/missing", true), -ENOENT);
	assert_int_equal(try("secret", true), 0);
	assert_int_equal(try("data/out", false), 0);		/* the link itself */
	policy_free(&policy);
}

static void nothing_leaves_a_directory(void **state)
{
	static const char *const outside[] = {
		"data/../secret", "data/sub/../../secret", "data/./../secret", "data/..",
		"data/out", "data/abs", "data/abs/passwd", "data/up", "data/up/secret",
		"data/up/data/file", "data/../data/file", "data/sub/../../data/file",
		"secret", "dat", "data2", "datafile", "/", "/etc/passwd", "/proc/self/root",
	};
	unsigned int i;

	(void)state;
	assert_int_equal(load("rw %s/data\n", root, ""), 0);
	for (i = 0; i < NELEM(outside); i++)
		assert_int_equal(try(outside[i], true), -EACCES);
	assert_int_equal(try("data/loop", true), -ELOOP);
	assert_int_equal(try("data/file/x", true), -ENOTDIR);
	policy_free(&policy);
}

static void magic_links_lead_nowhere(void **state)
{
	(void)state;
	assert_int_equal(load("ro /proc\n", "", ""), 0);
	assert_int_equal(try("/proc/self/status", true), 0);
	assert_true(try("/proc/self/root/etc/passwd", true) < 0);
	assert_true(try("/proc/self/cwd", true) < 0);
	assert_true(try("/proc/self/fd/0", true) < 0);
	policy_free(&policy);
}

static void a_file_rule_grants_that_file_only(void **state)
{
	const char *last;

	(void)state;
	assert_int_equal(load("rw %s/data/file\n", root, ""), 0);
	assert_int_equal(try("data/file", true), 0);
	assert_int_equal(try("data/file/", true), 0);
	assert_int_equal(try("data/file/../sub", true), -EACCES);
	assert_int_equal(try("data", true), -EACCES);
	assert_int_equal(try("data/sub", true), -EACCES);
	assert_int_equal(try("data/file2", true), -EACCES);
	assert_int_equal(try_parent("data/file", &last), -EACCES);
	/* replaced by a link afterwards */
	assert_int_equal(rename(at("data/file"), at("data/file.old")), 0);
	assert_int_equal(symlink("../secret", at("data/file")), 0);
	assert_int_equal(try("data/file", true), -EACCES);
	/* even to a neighbour, which the lookup alone would allow */
	assert_int_equal(unlink(at("data/file")), 0);
	assert_int_equal(symlink("sub/inner", at("data/file")), 0);
	assert_int_equal(try("data/file", true), -EACCES);
	assert_int_equal(rename(at("data/file.old"), at("data/file")), 0);
	policy_free(&policy);
}

static void the_longest_rule_counts(void **state)
{
	struct policy_path where;
	char path[256];

	(void)state;
	assert_int_equal(load("ro %s\nrw %s/data\n", root, root), 0);
	snprintf(path, sizeof(path), "%s", at("data/sub/inner"));
	assert_int_equal(policy_find(&policy, path, &where), 0);
	assert_true(where.rule->writable);
	assert_string_equal(where.rest, "sub/inner");
	snprintf(path, sizeof(path), "%s", at("ro/file"));
	assert_int_equal(policy_find(&policy, path, &where), 0);
	assert_false(where.rule->writable);
	/* `..` does not carry the rights of one rule into another */
	snprintf(path, sizeof(path), "%s", at("data/../ro/file"));
	assert_int_equal(policy_find(&policy, path, &where), 0);
	assert_int_equal(policy_open_path(&where, true), -EACCES);
	policy_free(&policy);
}

static void root_can_be_granted(void **state)
{
	(void)state;
	assert_int_equal(load("ro /\n", "", ""), 0);
	assert_int_equal(try("data/file", true), 0);
	assert_int_equal(try("/", true), 0);
	assert_int_equal(try("/etc/../etc/passwd", true), 0);
	policy_free(&policy);
}

static void odd_paths_are_refused(void **state)
{
	struct policy_path where;
	char empty[] = "", relative[] = "etc/passwd";

	(void)state;
	assert_int_equal(load("ro /\n", "", ""), 0);
	assert_int_equal(policy_find(&policy, empty, &where), -ENOENT);
	assert_int_equal(policy_find(&policy, relative, &where), -EINVAL);
	policy_free(&policy);
}

static void parents_are_found_inside_only(void **state)
{
	const char *last;

	(void)state;
	assert_int_equal(load("rw %s/data\n", root, ""), 0);
	assert_int_equal(try_parent("data/new", &last), 0);
	assert_string_equal(last, "new");
	assert_int_equal(try_parent("data/sub/new", &last), 0);
	assert_string_equal(last, "new");
	assert_int_equal(try_parent("data", &last), -EBUSY);
	assert_int_equal(try_parent("data/sub/..", &last), -EINVAL);
	assert_int_equal(try_parent("data/../new", &last), -EACCES);
	assert_int_equal(try_parent("data/up/new", &last), -EACCES);
	assert_int_equal(try_parent("data/abs/new", &last), -EACCES);
	assert_int_equal(try_parent("data/missing/new", &last), -ENOENT);
	assert_int_equal(try_parent("data/file/new", &last), -ENOTDIR);
	policy_free(&policy);
}

static void put_link(const char *target, const char *name)
{
	unlink(at(name));
	assert_int_equal(symlink(target, at(name)), 0);
}

/* Absolute links, which the kernel refuses beneath a directory, work where they stay in the rule. */
static void absolute_links_inside_the_tree_work(void **state)
{
	struct policy_path where;
	const char *last;
	char path[256];
	int fd;

	(void)state;
	assert_int_equal(load("rw %s/data\n", root, ""), 0);
	put_link(at("data/sub"), "data/abs-sub");
	put_link(at("data/abs-sub/inner"), "data/abs-inner");
	put_link(at("data/sub/../file"), "data/abs-dots");
	put_link(at("data/new"), "data/abs-new");
	put_link("abs-sub", "data/rel");
	assert_int_equal(try("data/abs-sub/inner", true), 0);
	assert_int_equal(try("data/abs-sub/../file", true), 0);
	assert_int_equal(try("data/abs-inner", true), 0);
	assert_int_equal(try("data/abs-dots", true), 0);
	assert_int_equal(try("data/rel/inner", true), 0);
	assert_int_equal(try("data/abs-new", true), -ENOENT);
	assert_int_equal(try_parent("data/rel/name", &last), 0);
	assert_string_equal(last, "name");
	/* and a file can be made through one */
	snprintf(path, sizeof(path), "%s", at("data/abs-new"));
	assert_int_equal(policy_find(&policy, path, &where), 0);
	assert_int_equal(policy_open(&where, O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
	fd = policy_open(&where, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(access(at("data/new"), F_OK), 0);
	policy_free(&policy);
	/* the rule itself may be written with a link in it */
	assert_int_equal(load("rw %s/data.link\n", root, ""), 0);
	assert_int_equal(try("data.link/abs-inner", true), 0);
	policy_free(&policy);
}

static void absolute_links_out_of_the_tree_do_not(void **state)
{
	static const char *const names[] = { "data/l1", "data/l1/x", "data/l2", "data/l3", "data/l4",
					     "data/l5", "data/l6/x" };
	const char *last;
	unsigned int i;

	(void)state;
	assert_int_equal(load("rw %s/data\n", root, ""), 0);
	put_link(at("secret"), "data/l1");
	put_link(at("data/../secret"), "data/l2");
	put_link(at("data/sub/../../secret"), "data/l3");
	put_link(at("data2"), "data/l4");
	put_link(at("data/l1"), "data/l5");
	put_link(root, "data/l6");
	for (i = 0; i < NELEM(names); i++)
		assert_int_equal(try(names[i], true), -EACCES);
	assert_int_equal(try_parent("data/l6/new", &last), -EACCES);
	put_link(at("data/turn"), "data/turn");
	assert_int_equal(try("data/turn", true), -ELOOP);
	put_link(at("data/turn/x"), "data/turn");
	assert_int_equal(try("data/turn", true), -ELOOP);
	policy_free(&policy);
}

static void a_directory_can_have_another_name(void **state)
{
	(void)state;
	assert_int_equal(load("rw %s/data  as /else/\n", root, ""), 0);
	assert_string_equal(policy.rules[0].path, "/else");
	assert_string_equal(policy.rules[0].host, at("data"));
	assert_int_equal(try("/else/file", true), 0);
	assert_int_equal(try("/else/sub/../file", true), 0);
	assert_int_equal(try("/else/../etc/passwd", true), -EACCES);
	assert_int_equal(try("data/file", true), -EACCES);	/* not by its own */
	assert_int_equal(try("/elsefile", true), -EACCES);
	policy_free(&policy);
	/* what a rule may not grant does not change with the name */
	assert_int_equal(load("rw %s/data as /a\nro %s/data/sub as /b\n", root, root), -EINVAL);
	assert_int_equal(load("rw %s/data as /a\nrw %s/ro as /a\n", root, root), -EEXIST);
	assert_int_equal(load("rw %s/data as /a/../b\n", root, ""), -EINVAL);
	assert_int_equal(load("rw %s/secret as /a\n", root, ""), -ENOTDIR);
}

static void rules_can_come_from_no_file(void **state)
{
	char host[128], why[256];

	(void)state;
	snprintf(host, sizeof(host), "%s/data", root);
	policy.nrules = 0;
	assert_int_equal(policy_add(&policy, true, host, "/else", "-v", why, sizeof(why)), 0);
	assert_int_equal(try("/else/file", true), 0);
	assert_int_equal(policy_add(&policy, false, "/none", "/none", "-v", why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "-v: /none: No such file or directory");
	assert_int_equal(policy_add(&policy, false, "/", "/else", "-v", why, sizeof(why)), -EEXIST);
	assert_string_equal(why, "-v: /else already has a rule");
	assert_int_equal(policy_add(&policy, false, "/", "not/absolute", "-v", why, sizeof(why)), -EINVAL);
	assert_int_equal(policy.nrules, 1);
	policy_free(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_and_comments_are_read),
		cmocka_unit_test(errors_name_file_and_line),
		cmocka_unit_test(a_weaker_rule_inside_a_stronger_is_refused),
		cmocka_unit_test(what_is_granted_can_be_reached),
		cmocka_unit_test(nothing_leaves_a_directory),
		cmocka_unit_test(magic_links_lead_nowhere),
		cmocka_unit_test(a_file_rule_grants_that_file_only),
		cmocka_unit_test(the_longest_rule_counts),
		cmocka_unit_test(root_can_be_granted),
		cmocka_unit_test(odd_paths_are_refused),
		cmocka_unit_test(parents_are_found_inside_only),
		cmocka_unit_test(absolute_links_inside_the_tree_work),
		cmocka_unit_test(absolute_links_out_of_the_tree_do_not),
		cmocka_unit_test(a_directory_can_have_another_name),
		cmocka_unit_test(rules_can_come_from_no_file),
	};

	return cmocka_run_group_tests(tests, setup, remove_tree);
}
