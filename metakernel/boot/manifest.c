// SPDX-License-Identifier: MIT
/*
 * manifest.c - from a flattened device tree to struct manifest.
 *
 * Two passes. The first (manifest_tree.c) accepts only what is a tree in good order; the second reads it by
 * tables: one rule a property says its type, where its value goes, its range, and for which kinds
 * of partition it is allowed and required. What concerns several properties or nodes comes last.
 *
 * Bounds:  the size is at most MANIFEST_MAX_BYTES and each loop moves on by at least one tag of the
 *          tree; libfdt's search for the next node makes that at most quadratic in the few nodes
 *          allowed. No recursion.
 * Trusts:  nothing in the tree.
 */
#include "boot/manifest_reader.h"

#include <string.h>

#include <libfdt.h>

#define K_LINUX		(1u << MANIFEST_LINUX)
#define K_UNIKERNEL	(1u << MANIFEST_UNIKERNEL)
#define K_TEST		(1u << MANIFEST_TEST)
#define K_ALL		(K_LINUX | K_UNIKERNEL | K_TEST)

/* Shadow tables for a machine: a page for each 2.7 MiB, and this many at least. */
#define POOL_RAM_PAGES	3
#define POOL_RAM_BYTES	(8UL << 20)
#define POOL_LEAST	256

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
	{ "vcpus", P_U32, PART(vcpus), 1, MANIFEST_MAX_VCPUS, K_ALL, 0 },
	{ "cpus", P_CPUS, PART(cpus), 0, MANIFEST_MAX_VCPUS - 1, K_ALL, 0 },
	{ "budget", P_BUDGET, PART(budget_us), KEEL_MIN_BUDGET_NS / 1000, KEEL_MAX_PERIOD_NS / 1000, K_ALL, 0 },
	{ "control", P_FLAG, PART(control), 0, 0, K_ALL, 0 },
	{ "devices", P_FLAG, PART(devices), 0, 0, K_LINUX | K_TEST, K_LINUX },
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
	{ "on-control-lost", P_LOST, offsetof(struct manifest, control_lost), 0, 0, 1, 0 },
	{ "share-cores", P_FLAG, offsetof(struct manifest, share_cores), 0, 0, 1, 0 },
};

#define NRULES(r)	(sizeof(r) / sizeof((r)[0]))

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
			return reader_refuse(r, "", "damaged property");
		for (i = 0; i < nrules; i++)
			if (!strcmp(name, rules[i].prop))
				break;
		if (i == nrules)
			return reader_refuse(r, name, "unknown property");
		if (*seen & 1u << i)
			return reader_refuse(r, name, "given twice");
		*seen |= 1u << i;
		err = manifest_read_value(r, &rules[i], val, (size_t)len, record);
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
			return reader_refuse(r, rules[i].prop, "missing");
		if (here && !(rules[i].allowed & kind))
			return reader_refuse(r, rules[i].prop, "not allowed for this kind");
	}
	return 0;
}

/* Read the node's name into name[KEEL_NAME_LEN] and make it part of the path. */
static int read_node_name(struct reader *r, const char *dir, char *name)
{
	int len;
	const char *s = fdt_get_name(r->fdt, r->node, &len);

	if (!s || len < 0)
		return reader_refuse(r, "", "damaged node name");
	reader_set_path(r, dir, s);
	if (len >= KEEL_NAME_LEN)
		return reader_refuse_number(r, "", "name too long; most characters: ", KEEL_NAME_LEN - 1);
	if (!manifest_name_ok(s, (size_t)len))
		return reader_refuse(r, "", "character not allowed in a name");
	if (!strcmp(s, "keel"))
		return reader_refuse(r, "", "this name is the metakernel's own");
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
	return reader_refuse_name(r, "", "unknown node in it", name ? name : "?");
}

static int check_part(const struct reader *r, const struct manifest_part *part)
{
	const struct manifest *m = r->m;

	/* Linux and unikernels have it settled by the rules; a test chooses. */
	if (part->mem_rest && part->mem_bytes)
		return reader_refuse(r, "memory", "both memory and memory-rest");
	if (!part->mem_rest && !part->mem_bytes)
		return reader_refuse(r, "memory", "missing");

	for (const struct manifest_part *p = m->parts; p < part; p++) {
		if (!strcmp(p->name, part->name))
			return reader_refuse(r, "", "second partition of this name");
		if (p->kind == MANIFEST_LINUX && part->kind == MANIFEST_LINUX)
			return reader_refuse_name(r, "kind", "second linux beside", p->name);
		if (p->mem_rest && part->mem_rest)
			return reader_refuse_name(r, "memory-rest", "already given to", p->name);
		if (p->devices && part->devices)
			return reader_refuse_name(r, "devices", "already given to", p->name);
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
		return reader_refuse(r, "kind", "missing");
	err = check_seen(r, part_rules, NRULES(part_rules), seen, 1u << part->kind);
	if (!err)
		err = check_part(r, part);
	if (!err)
		err = no_subnodes(r);
	if (err)
		return err;
	if (!part->vcpus && part->kind != MANIFEST_LINUX)
		part->vcpus = 1;
	m->nparts++;
	return 0;
}

static int check_chan(const struct reader *r, const struct manifest_chan *chan)
{
	const struct manifest *m = r->m;
	const struct manifest_part *server = &m->parts[chan->server];

	if (chan->server == chan->client)
		return reader_refuse_name(r, "client", "same partition as server", server->name);
	/* The window comes out of the server's memory. */
	if (!server->mem_rest && chan->window >= server->mem_bytes)
		return reader_refuse_number(r, "window", "larger than the server's memory: ",
				     server->mem_bytes);
	for (const struct manifest_chan *c = m->chans; c < chan; c++)
		if (!strcmp(c->name, chan->name))
			return reader_refuse(r, "", "second channel of this name");
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
	reader_set_path(r, path, "");
	err = read_props(r, NULL, 0, NULL, &seen);
	if (err)
		return err;
	fdt_for_each_subnode(node, r->fdt, dir) {
		if (*count == max) {
			reader_set_path(r, path, "");
			reader_refuse_number(r, "", "too many nodes; most are ", max);
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
	reader_set_path(r, "/", "");
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
		reader_set_path(r, "/", name ? name : "?");
		if (!found)
			return reader_refuse(r, "", "unknown node");
		if (*found >= 0)
			return reader_refuse(r, "", "second node of this name");
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
		reader_refuse_number(&r, "", "too large; most bytes: ", MANIFEST_MAX_BYTES);
		return -KEEL_E2BIG;
	}
	r.fdt = aligned_tree(fdt, len);

	err = manifest_check_tree(&r, len);
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
		reader_set_path(&r, "/partitions", "");
		return reader_refuse(&r, "", "no partition");
	}
	if (channels >= 0)
		err = read_list(&r, channels, "/channels", &m->nchans, MANIFEST_MAX_CHANS,
				read_channel);
	return err;
}

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

const char *manifest_place(struct manifest_part *p, uint64_t there)
{
	uint64_t set;
	const char *why = NULL;
	unsigned int most = 0;

	if (p->cpus & ~there) {
		why = "cpus: some of them are not there";
		p->cpus &= there;
	}
	for (set = p->cpus ? p->cpus : there; set; set &= set - 1)
		most++;
	if (p->devices && p->vcpus > most)
		why = "vcpus: more than CPUs";
	if (!p->vcpus || (p->devices && p->vcpus > most))
		p->vcpus = most;
	return why;
}

void manifest_size_pools(struct manifest *m, uint64_t ram_bytes)
{
	uint64_t all = ram_bytes / POOL_RAM_BYTES * POOL_RAM_PAGES;

	for (struct manifest_part *p = m->parts; p < m->parts + m->nparts; p++) {
		uint64_t pages = all / p->vcpus;

		if (pages < POOL_LEAST)
			pages = POOL_LEAST;
		if (p->mem_rest && p->shadow_pages > pages)
			p->shadow_pages = (uint32_t)pages;
	}
}

int manifest_fits(const struct manifest *m, uint64_t pool_bytes, struct parse_error *e)
{
	const struct manifest_part *rest = NULL;
	uint64_t left = pool_bytes;

	for (const struct manifest_part *p = m->parts; p < m->parts + m->nparts; p++) {
		uint64_t shadow = (uint64_t)p->shadow_pages * p->vcpus * MANIFEST_PAGE;

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
