// SPDX-License-Identifier: MIT
/*
 * manifest_tree.c - the first pass over the tree, and how refusals are said.
 *
 * Walks every tag once and accepts only a tree in which all lengths, names and the nesting are in order
 * and at most MAX_DEPTH levels deep.
 */
#include "boot/manifest_reader.h"

#include <string.h>

#include <libfdt.h>

int reader_refuse(const struct reader *r, const char *prop, const char *msg)
{
	return parse_fail(r->e, -KEEL_EINVAL, r->path, prop, msg);
}

/* "msg NUMBER" */
int reader_refuse_number(const struct reader *r, const char *prop, const char *msg, uint64_t n)
{
	reader_refuse(r, prop, msg);
	parse_msg_dec(r->e, n);
	return -KEEL_EINVAL;
}

/* "msg: NAME" */
int reader_refuse_name(const struct reader *r, const char *prop, const char *msg, const char *name)
{
	reader_refuse(r, prop, msg);
	parse_msg(r->e, ": ");
	parse_msg(r->e, name);
	return -KEEL_EINVAL;
}

void reader_set_path(struct reader *r, const char *dir, const char *name)
{
	r->path[0] = '\0';
	parse_append(r->path, sizeof(r->path), dir);
	parse_append(r->path, sizeof(r->path), name);
}

static int bad_structure(const struct reader *r, const char *why, int offset)
{
	reader_refuse(r, "", "damaged tree: ");
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
int manifest_check_tree(const struct reader *r, size_t len)
{
	int err;

	if (len < sizeof(struct fdt_header))
		return reader_refuse(r, "", "too short for a flattened device tree");
	err = fdt_check_header(r->fdt);
	if (err)
		return reader_refuse_name(r, "", "no flattened device tree", fdt_strerror(err));
	if (fdt_version(r->fdt) != FDT_LAST_SUPPORTED_VERSION)
		return reader_refuse_number(r, "", "wrong version of the format: ", fdt_version(r->fdt));
	if (fdt_totalsize(r->fdt) > len)
		return reader_refuse_number(r, "", "cut short; should have bytes: ", fdt_totalsize(r->fdt));
	if (fdt_off_dt_struct(r->fdt) % 4 || fdt_off_mem_rsvmap(r->fdt) % 8)
		return reader_refuse(r, "", "damaged tree: block not aligned");
	err = fdt_num_mem_rsv(r->fdt);
	if (err < 0)
		return reader_refuse_name(r, "", "damaged reservation map", fdt_strerror(err));
	if (err > 0)
		return reader_refuse(r, "", "memory reservations are not supported");
	return check_tags(r);
}
