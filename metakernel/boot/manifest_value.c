// SPDX-License-Identifier: MIT
/*
 * manifest_value.c - values of properties, checked as their rules say.
 */
#include "boot/manifest_reader.h"
#include "lib/visible.h"

#include <string.h>

static const char *const kind_names[MANIFEST_NKINDS] = {
	[MANIFEST_LINUX] = "linux",
	[MANIFEST_UNIKERNEL] = "unikernel",
	[MANIFEST_TEST] = "test",
};

static const char *const lost_names[MANIFEST_NLOST] = {
	[MANIFEST_CONTINUE] = "continue",
	[MANIFEST_POWEROFF] = "poweroff",
	[MANIFEST_RESTART] = "restart",
};

/* File names of the bundle: also upper case, '.', '+', '/' - but no part that begins with a '.'. */
static bool file_ok(const char *s, size_t len)
{
	char before = '/';

	for (size_t i = 0; i < len; i++) {
		bool letter = manifest_name_char(s[i]) || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '+';

		if (before == '/' && !letter)
			return false;
		if (!letter && s[i] != '.' && s[i] != '/')
			return false;
		before = s[i];
	}
	return len && before != '/';
}

/* UTF-8 that controls no terminal: what is made visible only gets longer. */
static bool text_ok(const char *s, size_t len)
{
	static char shown[MANIFEST_CMDLINE_LEN];

	return visible(shown, sizeof(shown), s, len) == len && !memchr(s, '\t', len);
}

/* Is the value exactly one zero-terminated string of min.. bytes that fits into `size` bytes? */
static int check_string(const struct reader *r, const struct rule *rule, const char *val, size_t len)
{
	if (!len || strnlen(val, len) != len - 1)
		return reader_refuse(r, rule->prop, "not one string");
	if (len > rule->max)
		return reader_refuse_number(r, rule->prop, "too long; most characters: ", rule->max - 1);
	if (len - 1 < rule->min)
		return reader_refuse(r, rule->prop, "empty");
	return 0;
}

/* The characters that this type of value may have. */
static bool chars_ok(enum prop_type type, const char *s, size_t len)
{
	switch (type) {
	case P_FILE: case P_FILES: return file_ok(s, len);
	case P_NAME: return manifest_name_ok(s, len);
	default: return text_ok(s, len);
	}
}

static int read_string(const struct reader *r, const struct rule *rule, const char *val, size_t len, char *out)
{
	int err = check_string(r, rule, val, len);

	if (err)
		return err;
	if (!chars_ok(rule->type, val, len - 1))
		return reader_refuse_name(r, rule->prop, "character not allowed", val);
	memcpy(out, val, len);
	return 0;
}

/* One of `count` words -> its number. */
static int read_word(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		     const char *const *words, uint32_t count, const char *unknown, uint32_t *out)
{
	if (!len || strnlen(val, len) != len - 1)
		return reader_refuse(r, rule->prop, "not one string");
	for (uint32_t i = 0; i < count; i++) {
		if (!strcmp(val, words[i])) {
			*out = i;
			return 0;
		}
	}
	return reader_refuse_name(r, rule->prop, unknown, val);
}

static int read_part(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		     uint32_t *out)
{
	int err = check_string(r, rule, val, len);

	if (err)
		return err;
	for (uint32_t i = 0; i < r->m->nparts; i++) {
		if (!strcmp(val, r->m->parts[i].name)) {
			*out = i;
			return 0;
		}
	}
	return reader_refuse_name(r, rule->prop, "no such partition", val);
}

static int read_files(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		      struct manifest_part *part)
{
	while (len) {
		size_t n = strnlen(val, len) + 1;
		int err;

		if (n > len)
			return reader_refuse(r, rule->prop, "last string not terminated");
		if (part->nmodules == MANIFEST_MAX_MODULES)
			return reader_refuse_number(r, rule->prop, "too many files; most are ",
					     MANIFEST_MAX_MODULES);
		err = read_string(r, rule, val, n, part->modules[part->nmodules]);
		if (err)
			return err;
		for (uint32_t i = 0; i < part->nmodules; i++)
			if (!strcmp(part->modules[i], val))
				return reader_refuse_name(r, rule->prop, "twice the same file", val);
		part->nmodules++;
		val += n;
		len -= n;
	}
	return part->nmodules ? 0 : reader_refuse(r, rule->prop, "empty");
}

static int check_range(const struct reader *r, const struct rule *rule, uint64_t value)
{
	if (value < rule->min)
		return reader_refuse_number(r, rule->prop, "too small; least is ", rule->min);
	if (value > rule->max)
		return reader_refuse_number(r, rule->prop, "too large; most is ", rule->max);
	return 0;
}

static int read_u32(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		    uint32_t *out)
{
	if (len != sizeof(uint32_t))
		return reader_refuse_number(r, rule->prop, "not one 32-bit number; bytes: ", len);
	*out = parse_be32(val);
	return check_range(r, rule, *out);
}

static int read_cpus(const struct reader *r, const struct rule *rule, const char *val, size_t len, uint64_t *out)
{
	if (!len || len % sizeof(uint32_t))
		return reader_refuse_number(r, rule->prop, "not a list of 32-bit numbers; bytes: ", len);
	for (size_t at = 0; at < len; at += sizeof(uint32_t)) {
		uint32_t cpu = parse_be32(val + at);
		int err = check_range(r, rule, cpu);

		if (err)
			return err;
		if (*out >> cpu & 1)
			return reader_refuse_number(r, rule->prop, "twice the same CPU: ", cpu);
		*out |= 1UL << cpu;
	}
	return 0;
}

static int read_budget(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		       uint32_t *out)
{
	if (len != 2 * sizeof(uint32_t))
		return reader_refuse_number(r, rule->prop, "not two 32-bit numbers; bytes: ", len);
	out[0] = parse_be32(val);
	out[1] = parse_be32(val + sizeof(uint32_t));
	if (out[1] < out[0] || out[1] < KEEL_MIN_PERIOD_NS / 1000)
		return reader_refuse(r, rule->prop, "the period is too short");
	return check_range(r, rule, out[1] > rule->max ? out[1] : out[0]);
}

static int read_bytes(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		      uint64_t *out)
{
	if (len != sizeof(uint64_t))
		return reader_refuse_number(r, rule->prop, "not one 64-bit number; bytes: ", len);
	*out = parse_be64(val);
	if (*out % MANIFEST_PAGE)
		return reader_refuse(r, rule->prop, "not a multiple of 4096");
	return check_range(r, rule, *out);
}

static int read_flag(const struct reader *r, const struct rule *rule, size_t len, bool *out)
{
	if (len)
		return reader_refuse(r, rule->prop, "takes no value");
	*out = true;
	return 0;
}

static int read_compatible(const struct reader *r, const struct rule *rule, const char *val,
			   size_t len)
{
	static const char ours[] = "keel,system-1";

	if (len != sizeof(ours) || memcmp(val, ours, len))
		return reader_refuse_name(r, rule->prop, "should be", ours);
	return 0;
}

int manifest_read_value(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		      void *record)
{
	void *out = (char *)record + rule->offset;

	switch (rule->type) {
	case P_COMPATIBLE:
		return read_compatible(r, rule, val, len);
	case P_KIND:
		return read_word(r, rule, val, len, kind_names, MANIFEST_NKINDS, "unknown kind", out);
	case P_LOST:
		return read_word(r, rule, val, len, lost_names, MANIFEST_NLOST, "unknown word", out);
	case P_PART:
		return read_part(r, rule, val, len, out);
	case P_FILE:
	case P_NAME:
	case P_TEXT:
		return read_string(r, rule, val, len, out);
	case P_FILES:
		return read_files(r, rule, val, len, record);
	case P_U32:
		return read_u32(r, rule, val, len, out);
	case P_CPUS:
		return read_cpus(r, rule, val, len, out);
	case P_BUDGET:
		return read_budget(r, rule, val, len, out);
	case P_BYTES:
		return read_bytes(r, rule, val, len, out);
	case P_FLAG:
		return read_flag(r, rule, len, out);
	}
	return reader_refuse(r, rule->prop, "rule without a type");
}
