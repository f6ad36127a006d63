/* SPDX-License-Identifier: MIT */
/*
 * manifest_reader.h - what the three parts of the manifest's reader share: the rules of properties, and
 * where in the tree we are.
 */
#ifndef METAKERNEL_BOOT_MANIFEST_READER_H
#define METAKERNEL_BOOT_MANIFEST_READER_H

#include "boot/manifest.h"

#define MAX_DEPTH	4	/* /partitions/NAME, and a level to name what should not be there */

enum prop_type {
	P_COMPATIBLE,	/* exactly the one string we know */
	P_KIND,		/* one of kind_names -> uint32_t */
	P_PART,		/* name of a partition -> uint32_t index */
	P_FILE,		/* one file name -> char[max] */
	P_FILES,	/* list of file names -> modules */
	P_NAME,		/* one name -> char[max] */
	P_TEXT,		/* printable text -> char[max] */
	P_U32,		/* -> uint32_t, min..max */
	P_CPUS,		/* list of numbers below 64, each once -> uint64_t, a bit each */
	P_BUDGET,	/* two numbers -> uint32_t[2], of the first min..; the second is not less */
	P_BYTES,	/* 64 bits, multiple of a page -> uint64_t, min..max */
	P_FLAG,		/* empty -> bool */
	P_LOST,		/* "continue" ... -> uint32_t, enum manifest_lost */
};

struct rule {
	const char *prop;
	enum prop_type type;
	size_t offset;		/* of the result */
	uint64_t min, max;
	unsigned int allowed;	/* kinds of partition */
	unsigned int required;
};

/* Where we are, so that every refusal can say it. */
struct reader {
	const void *fdt;
	struct manifest *m;
	struct parse_error *e;
	char path[64];		/* of the node */
	int node;		/* its offset */
};

/* Fill the reader's error: "NODE: PROP: MSG", and a number or ": NAME" behind. -> -KEEL_EINVAL */
int reader_refuse(const struct reader *r, const char *prop, const char *msg);
int reader_refuse_number(const struct reader *r, const char *prop, const char *msg, uint64_t n);
int reader_refuse_name(const struct reader *r, const char *prop, const char *msg, const char *name);
void reader_set_path(struct reader *r, const char *dir, const char *name);

/* manifest_tree.c: is it a tree at all, with all lengths, names and the nesting in order? */
int manifest_check_tree(const struct reader *r, size_t len);

/* manifest_value.c: one property's value into `record`, as its rule says. */
int manifest_read_value(const struct reader *r, const struct rule *rule, const char *val, size_t len,
			void *record);

#endif
