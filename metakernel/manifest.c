// SPDX-License-Identifier: MIT
/*
 * manifest.c - from a flattened device tree to struct manifest.
 *
 * Two passes. The first, check_tree(), walks every tag once and accepts only a tree in which all
 * lengths, names and the nesting are in order and at most MAX_DEPTH levels deep. The second reads it by
 * tables: one rule a property says its type, where its value goes, its range, and for which kinds
 * of partition it is allowed and required. What concerns several properties or nodes comes last.
 *
 * Bounds:  the size is at most MANIFEST_MAX_BYTES and each loop moves on by at least one tag of the
 *          tree; libfdt's search for the next node makes that at most quadratic in the few nodes
 *          allowed. No recursion.
 * Trusts:  nothing in the tree.
 */
#include "manifest.h"

#include <string.h>

#include <libfdt.h>

#define MAX_DEPTH	4	/* /partitions/NAME, and a level to name what should not be there */

#define K_LINUX		(1u << MANIFEST_LINUX)
#define K_UNIKERNEL	(1u << MANIFEST_UNIKERNEL)
#define K_TEST		(1u << MANIFEST_TEST)
#define K_ALL		(K_LINUX | K_UNIKERNEL | K_TEST)

static const char *const kind_names[MANIFEST_NKINDS] = {
	[MANIFEST_LINUX] = "linux",
	[MANIFEST_UNIKERNEL] = "unikernel",
	[MANIFEST_TEST] = "test",
};

enum prop_type {
	P_COMPATIBLE,	/* exactly the one string we know */
	P_KIND,		/* one of kind_names -> uint32_t */
	P_PART,		/* name of a partition -> uint32_t index */
	P_FILE,		/* one file name -> char[max] */
	P_FILES,	/* list of file names -> modules */
	P_NAME,		/* one name -> char[max] */
	P_TEXT,		/* printable text -> char[max] */
	P_U32,		/* -> uint32_t, min..max */
	P_BYTES,	/* 64 bits, multiple of a page -> uint64_t, min..max */
	P_FLAG,		/* empty -> bool */
};

struct rule {
	const char *prop;
	enum prop_type type;
	size_t offset;		/* of the result */
	uint64_t min, max;
	unsigned int allowed;	/* kinds of partition */
	unsigned int required;
};

#define PART(f)	offsetof(struct manifest_part, f)
#define CHAN(f)	offsetof(struct manifest_chan, f)

static const struct rule part_rules[] = {
	{ "kind", P_KIND, PART(kind), 0, 0, K_ALL, K_ALL },
	{ "image", P_FILE, PART(image), 1, MANIFEST_FILE_LEN, K_ALL, K_ALL },
	{ "initrd", P_FILE, PART(initrd), 1, MANIFEST_FILE_LEN, K_LINUX, 0 },
	{ "cmdline", P_TEXT, PART(cmdline), 0, MANIFEST_CMDLINE_LEN, K_ALL, 0 },
	{ "memory", P_BYTES, PART(mem_bytes), MANIFEST_MIN_MEMORY, MANIFEST_MAX_MEMORY,
	  K_UNIKERNEL | K_TEST, K_UNIKERNEL },
	{ "memory-rest", P_FLAG, PART(mem_rest), 0, 0, K_LINUX | K_TEST, K_LINUX },
	{ "priority", P_U32, PART(priority), 0, MANIFEST_NPRIORITIES - 1, K_ALL, K_ALL },
	{ "shadow-pages", P_U32, PART(shadow_pages), MANIFEST_MIN_SHADOW, MANIFEST_MAX_SHADOW,
	  K_ALL, K_ALL },
	{ "vcpus", P_U32, PART(vcpus), 1, 1, K_ALL, 0 },
	{ "control", P_FLAG, PART(control), 0, 0, K_ALL, 0 },
	{ "devices", P_FLAG, PART(devices), 0, 0, K_LINUX | K_TEST, 0 },
	{ "console", P_NAME, PART(console), 1, MANIFEST_CONSOLE_LEN, K_ALL, 0 },
	{ "modules", P_FILES, 0, 1, MANIFEST_FILE_LEN, K_UNIKERNEL | K_TEST, 0 },
};

static const struct rule chan_rules[] = {
	{ "server", P_PART, CHAN(server), 1, KEEL_NAME_LEN, 1, 1 },
	{ "client", P_PART, CHAN(client), 1, KEEL_NAME_LEN, 1, 1 },
	{ "window", P_BYTES, CHAN(window), MANIFEST_PAGE, MANIFEST_MAX_WINDOW, 1, 1 },
};

static const struct rule root_rules[] = {
	{ "compatible", P_COMPATIBLE, 0, 0, 0, 1, 1 },
};

#define NRULES(r)	(sizeof(r) / sizeof((r)[0]))

/* Where we are, so that every refusal can say it. */
struct reader {
	const void *fdt;
	struct manifest *m;
	struct parse_error *e;
	char path[64];		/* of the node */
	int node;		/* its offset */
};

static int refuse(const struct reader *r, const char *prop, const char *msg)
{
	return parse_fail(r->e, -KEEL_EINVAL, r->path, prop, msg);
}

/* "msg NUMBER" */
static int refuse_number(const struct reader *r, const char *prop, const char *msg, uint64_t n)
{
	refuse(r, prop, msg);
	parse_msg_dec(r->e, n);
	return -KEEL_EINVAL;
}

/* "msg: NAME" */
static int refuse_name(const struct reader *r, const char *prop, const char *msg, const char *name)
{
	refuse(r, prop, msg);
	parse_msg(r->e, ": ");
	parse_msg(r->e, name);
	return -KEEL_EINVAL;
}

static void set_path(struct reader *r, const char *dir, const char *name)
{
	r->path[0] = '\0';
	parse_append(r->path, sizeof(r->path), dir);
	parse_append(r->path, sizeof(r->path), name);
}

/* ---- First pass: is it a tree at all? ----------------------------------------------------------- */

static int bad_structure(const struct reader *r, const char *why, int offset)
{
	refuse(r, "", "damaged tree: ");
	parse_msg(r->e, why);
	parse_msg(r->e, " at structure offset ");
	parse_msg_dec(r->e, (uint64_t)(unsigned int)offset);
	return -KEEL_EINVAL;
}

/* A property's name must lie in the strings block, its value in the structure block. */
static int check_prop(const struct reader *r, int offset)
{
	const char *name;
	int len;

	if (!fdt_getprop_by_offset(r->fdt, offset, &name, &len) || len < 0 || !name)
		return bad_structure(r, "property", offset);
	return 0;
}

static int check_tags(const struct reader *r)
{
	int offset, next = 0, depth = 0, err;
	bool root_seen = false;

	for (;;) {
		offset = next;
		switch (fdt_next_tag(r->fdt, offset, &next)) {
		case FDT_BEGIN_NODE:
			if (!depth && root_seen)
				return bad_structure(r, "second root", offset);
			root_seen = true;
			if (++depth > MAX_DEPTH)
				return bad_structure(r, "nodes nested too deep", offset);
			break;
		case FDT_END_NODE:
			if (--depth < 0)
				return bad_structure(r, "end of no node", offset);
			break;
		case FDT_PROP:
			if (!depth)
				return bad_structure(r, "property outside", offset);
			err = check_prop(r, offset);
			if (err)
				return err;
			break;
		case FDT_NOP:
			break;
		default:	/* FDT_END, real or for a damaged tag */
			if (next < 0)
				return bad_structure(r, fdt_strerror(next), offset);
			if (depth || !root_seen)
				return bad_structure(r, "early end", offset);
			return 0;
		}
	}
}

/* As libfdt's newer fdt_check_full(), for the one version and the small trees that we take. */
static int check_tree(const struct reader *r, size_t len)
{
	int err;

	if (len < sizeof(struct fdt_header))
		return refuse(r, "", "too short for a flattened device tree");
	err = fdt_check_header(r->fdt);
	if (err)
		return refuse_name(r, "", "no flattened device tree", fdt_strerror(err));
	if (fdt_version(r->fdt) != FDT_LAST_SUPPORTED_VERSION)
		return refuse_number(r, "", "wrong version of the format: ", fdt_version(r->fdt));
	if (fdt_totalsize(r->fdt) > len)
		return refuse_number(r, "", "cut short; should have bytes: ", fdt_totalsize(r->fdt));
	if (fdt_off_dt_struct(r->fdt) % 4 || fdt_off_mem_rsvmap(r->fdt) % 8)
		return refuse(r, "", "damaged tree: block not aligned");
	err = fdt_num_mem_rsv(r->fdt);
	if (err < 0)
		return refuse_name(r, "", "damaged reservation map", fdt_strerror(err));
	if (err > 0)
		return refuse(r, "", "memory reservations are not supported");
	return check_tags(r);
}

/* ---- Values ------------------------------------------------------------------------------------- */

/* Names of partitions, channels, consoles: lower case, digits, inner '-' and '_'. */
static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool name_ok(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!name_char(s[i]))
			return false;
	return len && s[0] != '-' && s[0] != '_';
}

/* File names of the bundle: also upper case, '.', '+', '/' - but no part that begins with a '.'. */
static bool file_ok(const char *s, size_t len)
{
	char before = '/';

	for (size_t i = 0; i < len; i++) {
		bool letter = name_char(s[i]) || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '+';

		if (before == '/' && !letter)
			return false;
		if (!letter && s[i] != '.' && s[i] != '/')
			return false;
		before = s[i];
	}
	return len && before != '/';
}

static bool text_ok(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return true;
}

/* Is the value exactly one zero-terminated string of min.. bytes that fits into `size` bytes? */
static int check_string(const struct reader *r, const struct rule *rule, const char *val, size_t len)
{
	if (!len || strnlen(val, len) != len - 1)
		return refuse(r, rule->prop, "not one string");
	if (len > rule->max)
		return refuse_number(r, rule->prop, "too long; most characters: ", rule->max - 1);
	if (len - 1 < rule->min)
		return refuse(r, rule->prop, "empty");
	return 0;
}

static int read_string(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		       bool (*ok)(const char *, size_t), char *out)
{
	int err = check_string(r, rule, val, len);

	if (err)
		return err;
	if (!ok(val, len - 1))
		return refuse_name(r, rule->prop, "character not allowed", val);
	memcpy(out, val, len);
	return 0;
}

static int read_kind(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		     uint32_t *out)
{
	if (!len || strnlen(val, len) != len - 1)
		return refuse(r, rule->prop, "not one string");
	for (uint32_t i = 0; i < MANIFEST_NKINDS; i++) {
		if (!strcmp(val, kind_names[i])) {
			*out = i;
			return 0;
		}
	}
	return refuse_name(r, rule->prop, "unknown kind", val);
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
	return refuse_name(r, rule->prop, "no such partition", val);
}

static int read_files(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		      struct manifest_part *part)
{
	while (len) {
		size_t n = strnlen(val, len) + 1;
		int err;

		if (n > len)
			return refuse(r, rule->prop, "last string not terminated");
		if (part->nmodules == MANIFEST_MAX_MODULES)
			return refuse_number(r, rule->prop, "too many files; most are ",
					     MANIFEST_MAX_MODULES);
		err = read_string(r, rule, val, n, file_ok, part->modules[part->nmodules]);
		if (err)
			return err;
		for (uint32_t i = 0; i < part->nmodules; i++)
			if (!strcmp(part->modules[i], val))
				return refuse_name(r, rule->prop, "twice the same file", val);
		part->nmodules++;
		val += n;
		len -= n;
	}
	return part->nmodules ? 0 : refuse(r, rule->prop, "empty");
}

static int check_range(const struct reader *r, const struct rule *rule, uint64_t value)
{
	if (value < rule->min)
		return refuse_number(r, rule->prop, "too small; least is ", rule->min);
	if (value > rule->max)
		return refuse_number(r, rule->prop, "too large; most is ", rule->max);
	return 0;
}

static int read_u32(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		    uint32_t *out)
{
	if (len != sizeof(uint32_t))
		return refuse_number(r, rule->prop, "not one 32-bit number; bytes: ", len);
	*out = parse_be32(val);
	return check_range(r, rule, *out);
}

static int read_bytes(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		      uint64_t *out)
{
	if (len != sizeof(uint64_t))
		return refuse_number(r, rule->prop, "not one 64-bit number; bytes: ", len);
	*out = parse_be64(val);
	if (*out % MANIFEST_PAGE)
		return refuse(r, rule->prop, "not a multiple of 4096");
	return check_range(r, rule, *out);
}

static int read_flag(const struct reader *r, const struct rule *rule, size_t len, bool *out)
{
	if (len)
		return refuse(r, rule->prop, "takes no value");
	*out = true;
	return 0;
}

static int read_compatible(const struct reader *r, const struct rule *rule, const char *val,
			   size_t len)
{
	static const char ours[] = "keel,system-1";

	if (len != sizeof(ours) || memcmp(val, ours, len))
		return refuse_name(r, rule->prop, "should be", ours);
	return 0;
}

static int read_value(const struct reader *r, const struct rule *rule, const char *val, size_t len,
		      void *record)
{
	void *out = (char *)record + rule->offset;

	switch (rule->type) {
	case P_COMPATIBLE:
		return read_compatible(r, rule, val, len);
	case P_KIND:
		return read_kind(r, rule, val, len, out);
	case P_PART:
		return read_part(r, rule, val, len, out);
	case P_FILE:
		return read_string(r, rule, val, len, file_ok, out);
	case P_FILES:
		return read_files(r, rule, val, len, record);
	case P_NAME:
		return read_string(r, rule, val, len, name_ok, out);
	case P_TEXT:
		return read_string(r, rule, val, len, text_ok, out);
	case P_U32:
		return read_u32(r, rule, val, len, out);
	case P_BYTES:
		return read_bytes(r, rule, val, len, out);
	case P_FLAG:
		return read_flag(r, rule, len, out);
	}
	return refuse(r, rule->prop, "rule without a type");
}

/* ---- Nodes -------------------------------------------------------------------------------------- */

/* Read all properties of the node into `record`. *seen gets a bit for each rule that was used. */
static int read_props(const struct reader *r, const struct rule *rules, size_t nrules, void *record,
		      uint32_t *seen)
{
	int offset, err;

	*seen = 0;
	fdt_for_each_property_offset(offset, r->fdt, r->node) {
		const char *name, *val;
		size_t i;
		int len;

		val = fdt_getprop_by_offset(r->fdt, offset, &name, &len);
		if (!val || len < 0)
			return refuse(r, "", "damaged property");
		for (i = 0; i < nrules; i++)
			if (!strcmp(name, rules[i].prop))
				break;
		if (i == nrules)
			return refuse(r, name, "unknown property");
		if (*seen & 1u << i)
			return refuse(r, name, "given twice");
		*seen |= 1u << i;
		err = read_value(r, &rules[i], val, (size_t)len, record);
		if (err)
			return err;
	}
	return 0;
}

/* Is each property there that must be, and none that must not? `kind` is a K_ bit. */
static int check_seen(const struct reader *r, const struct rule *rules, size_t nrules, uint32_t seen,
		      unsigned int kind)
{
	for (size_t i = 0; i < nrules; i++) {
		bool here = seen & 1u << i;

		if (!here && rules[i].required & kind)
			return refuse(r, rules[i].prop, "missing");
		if (here && !(rules[i].allowed & kind))
			return refuse(r, rules[i].prop, "not allowed for this kind");
	}
	return 0;
}

/* Read the node's name into name[KEEL_NAME_LEN] and make it part of the path. */
static int read_node_name(struct reader *r, const char *dir, char *name)
{
	int len;
	const char *s = fdt_get_name(r->fdt, r->node, &len);

	if (!s || len < 0)
		return refuse(r, "", "damaged node name");
	set_path(r, dir, s);
	if (len >= KEEL_NAME_LEN)
		return refuse_number(r, "", "name too long; most characters: ", KEEL_NAME_LEN - 1);
	if (!name_ok(s, (size_t)len))
		return refuse(r, "", "character not allowed in a name");
	memcpy(name, s, (size_t)len + 1);
	return 0;
}

static int no_subnodes(struct reader *r)
{
	int sub = fdt_first_subnode(r->fdt, r->node);
	const char *name;

	if (sub < 0)
		return 0;
	name = fdt_get_name(r->fdt, sub, NULL);
	return refuse_name(r, "", "unknown node in it", name ? name : "?");
}

static int check_part(const struct reader *r, const struct manifest_part *part)
{
	const struct manifest *m = r->m;

	/* Linux and unikernels have it settled by the rules; a test chooses. */
	if (part->mem_rest && part->mem_bytes)
		return refuse(r, "memory", "both memory and memory-rest");
	if (!part->mem_rest && !part->mem_bytes)
		return refuse(r, "memory", "missing");

	for (const struct manifest_part *p = m->parts; p < part; p++) {
		if (!strcmp(p->name, part->name))
			return refuse(r, "", "second partition of this name");
		if (p->kind == MANIFEST_LINUX && part->kind == MANIFEST_LINUX)
			return refuse_name(r, "kind", "second linux beside", p->name);
		if (p->mem_rest && part->mem_rest)
			return refuse_name(r, "memory-rest", "already given to", p->name);
		if (p->devices && part->devices)
			return refuse_name(r, "devices", "already given to", p->name);
	}
	return 0;
}

static int read_partition(struct reader *r)
{
	struct manifest *m = r->m;
	struct manifest_part *part = &m->parts[m->nparts];
	uint32_t seen;
	int err;

	err = read_node_name(r, "/partitions/", part->name);
	if (!err)
		err = read_props(r, part_rules, NRULES(part_rules), part, &seen);
	if (err)
		return err;
	if (!(seen & 1))	/* rule 0: without a kind, what else is needed is not known */
		return refuse(r, "kind", "missing");
	err = check_seen(r, part_rules, NRULES(part_rules), seen, 1u << part->kind);
	if (!err)
		err = check_part(r, part);
	if (!err)
		err = no_subnodes(r);
	if (err)
		return err;
	if (!part->vcpus)
		part->vcpus = 1;
	m->nparts++;
	return 0;
}

static int check_chan(const struct reader *r, const struct manifest_chan *chan)
{
	const struct manifest *m = r->m;
	const struct manifest_part *server = &m->parts[chan->server];

	if (chan->server == chan->client)
		return refuse_name(r, "client", "same partition as server", server->name);
	/* The window comes out of the server's memory. */
	if (!server->mem_rest && chan->window >= server->mem_bytes)
		return refuse_number(r, "window", "larger than the server's memory: ",
				     server->mem_bytes);
	for (const struct manifest_chan *c = m->chans; c < chan; c++)
		if (!strcmp(c->name, chan->name))
			return refuse(r, "", "second channel of this name");
	return 0;
}

static int read_channel(struct reader *r)
{
	struct manifest *m = r->m;
	struct manifest_chan *chan = &m->chans[m->nchans];
	uint32_t seen;
	int err;

	err = read_node_name(r, "/channels/", chan->name);
	if (!err)
		err = read_props(r, chan_rules, NRULES(chan_rules), chan, &seen);
	if (!err)
		err = check_seen(r, chan_rules, NRULES(chan_rules), seen, 1);
	if (!err)
		err = check_chan(r, chan);
	if (!err)
		err = no_subnodes(r);
	if (!err)
		m->nchans++;
	return err;
}

/* Read each node below `dir`, which itself has no properties. */
static int read_list(struct reader *r, int dir, const char *path, const unsigned int *count,
		     unsigned int max, int (*read_node)(struct reader *))
{
	uint32_t seen;
	int node, err;

	r->node = dir;
	set_path(r, path, "");
	err = read_props(r, NULL, 0, NULL, &seen);
	if (err)
		return err;
	fdt_for_each_subnode(node, r->fdt, dir) {
		if (*count == max) {
			set_path(r, path, "");
			refuse_number(r, "", "too many nodes; most are ", max);
			return -KEEL_E2BIG;
		}
		r->node = node;
		err = read_node(r);
		if (err)
			return err;
	}
	return 0;
}

/* The root's own properties, and where its nodes are (-1: missing). */
static int read_root(struct reader *r, int *partitions, int *channels)
{
	uint32_t seen;
	int node, err;

	r->node = 0;
	set_path(r, "/", "");
	err = read_props(r, root_rules, NRULES(root_rules), r->m, &seen);
	if (!err)
		err = check_seen(r, root_rules, NRULES(root_rules), seen, 1);
	if (err)
		return err;

	*partitions = *channels = -1;
	fdt_for_each_subnode(node, r->fdt, 0) {
		const char *name = fdt_get_name(r->fdt, node, NULL);
		int *found = NULL;

		if (name && !strcmp(name, "partitions"))
			found = partitions;
		else if (name && !strcmp(name, "channels"))
			found = channels;
		set_path(r, "/", name ? name : "?");
		if (!found)
			return refuse(r, "", "unknown node");
		if (*found >= 0)
			return refuse(r, "", "second node of this name");
		*found = node;
	}
	return 0;
}

/* libfdt wants 8-byte alignment, which a file in a cpio archive need not have. */
static const void *aligned_tree(const void *fdt, size_t len)
{
	static uint8_t copy[MANIFEST_MAX_BYTES] __attribute__((aligned(8)));

	if (!((uintptr_t)fdt & 7))
		return fdt;
	memcpy(copy, fdt, len);
	return copy;
}

int manifest_parse(const void *fdt, size_t len, struct manifest *m, struct parse_error *e)
{
	struct reader r = { .m = m, .e = e, .path = "/" };
	int partitions, channels, err;

	memset(m, 0, sizeof(*m));
	if (len > MANIFEST_MAX_BYTES) {
		refuse_number(&r, "", "too large; most bytes: ", MANIFEST_MAX_BYTES);
		return -KEEL_E2BIG;
	}
	r.fdt = aligned_tree(fdt, len);

	err = check_tree(&r, len);
	if (!err)
		err = read_root(&r, &partitions, &channels);
	if (err)
		return err;

	if (partitions >= 0)
		err = read_list(&r, partitions, "/partitions", &m->nparts, MANIFEST_MAX_PARTS,
				read_partition);
	if (err)
		return err;
	if (!m->nparts) {
		set_path(&r, "/partitions", "");
		return refuse(&r, "", "no partition");
	}
	if (channels >= 0)
		err = read_list(&r, channels, "/channels", &m->nchans, MANIFEST_MAX_CHANS,
				read_channel);
	return err;
}

/* ---- Does it fit the machine? ------------------------------------------------------------------- */

static int too_much(struct parse_error *e, const struct manifest_part *part, const char *prop,
		    uint64_t wanted, uint64_t left)
{
	char path[64] = "";

	parse_append(path, sizeof(path), "/partitions/");
	parse_append(path, sizeof(path), part->name);
	parse_fail(e, -KEEL_ENOMEM, path, prop, "not enough memory: needs ");
	parse_msg_dec(e, wanted / 1024);
	parse_msg(e, " KiB, left are ");
	parse_msg_dec(e, left / 1024);
	parse_msg(e, " KiB");
	return -KEEL_ENOMEM;
}

/* Take `bytes` from *left. Comparing before subtracting, no sum can overflow. */
static bool take(uint64_t *left, uint64_t bytes)
{
	if (bytes > *left)
		return false;
	*left -= bytes;
	return true;
}

int manifest_fits(const struct manifest *m, uint64_t pool_bytes, struct parse_error *e)
{
	const struct manifest_part *rest = NULL;
	uint64_t left = pool_bytes;

	for (const struct manifest_part *p = m->parts; p < m->parts + m->nparts; p++) {
		uint64_t shadow = (uint64_t)p->shadow_pages * MANIFEST_PAGE;

		if (!take(&left, p->mem_bytes))
			return too_much(e, p, "memory", p->mem_bytes, left);
		if (!take(&left, shadow))
			return too_much(e, p, "shadow-pages", shadow, left);
		if (p->mem_rest)
			rest = p;
	}
	if (rest && left < MANIFEST_MIN_REST)
		return too_much(e, rest, "memory-rest", MANIFEST_MIN_REST, left);
	return 0;
}
