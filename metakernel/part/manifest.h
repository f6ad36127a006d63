/* SPDX-License-Identifier: MIT */
/*
 * manifest.h - the system manifest: which partitions and channels the metakernel makes at boot.
 *
 * A flattened device tree, compiled by dtc from e.g. images/system.dts:
 *
 *   / { compatible = "keel,system-1";
 *       partitions { NAME { ... }; ... };     at most MANIFEST_MAX_PARTS
 *       channels   { NAME { ... }; ... };     at most MANIFEST_MAX_CHANS; the node may be missing
 *   };
 *
 * Root        on-control-lost  "continue" (default), "poweroff" or "restart"
 *             share-cores      (empty) partitions may share a core's threads       optional
 * Partition   kind           "linux", "unikernel" or "test"                    required
 *             image          file of the bundle                                required
 *             initrd         file of the bundle                                linux, optional
 *             cmdline        printable text                                    optional
 *             memory         bytes, 64 bits, multiple of 4096, >= 512 KiB      unikernel, test
 *             memory-rest    (empty) all memory that is left                   linux, test
 *             priority       0..31, higher runs first                          required
 *             shadow-pages   64.. 4 KiB pages for the shadow tables of a vCPU  required
 *             vcpus          1..64; default 1, linux: as many as CPUs          optional
 *             cpus           list of CPUs, 0 the boot CPU: vCPU n stays on the n-th  optional
 *             budget         microseconds for each vCPU, in a period of as many  optional
 *             control        (empty) may control the other partitions          optional
 *             devices        (empty) holds the machine's devices     test; linux: required
 *             console        name of a console                                 optional
 *             modules        files of the bundle handed over at start          unikernel, test
 * Channel     server, client names of two different partitions                 required
 *             window         most bytes shared, 64 bits, multiple of 4096, <= 16 MiB   required
 *
 * At most one partition is "linux", one has memory-rest, and one has devices. Anything else in the
 * tree is refused: a misspelt property must not silently become a default.
 */
#ifndef METAKERNEL_PART_MANIFEST_H
#define METAKERNEL_PART_MANIFEST_H

#include <stdbool.h>
#include "keel/abi.h"

#define MANIFEST_MAX_BYTES	65536	/* of the tree */
#define MANIFEST_MAX_PARTS	8
#define MANIFEST_MAX_CHANS	16
#define MANIFEST_FILE_LEN	KEEL_NAME_LEN
#define MANIFEST_CMDLINE_LEN	2048	/* as in struct keel_start_info */
#define MANIFEST_CONSOLE_LEN	16
#define MANIFEST_MAX_MODULES	KEEL_MAX_MODULES
#define MANIFEST_PAGE		4096
#define MANIFEST_MIN_MEMORY	0x80000		/* 512 KiB */
#define MANIFEST_MAX_MEMORY	(1ull << 40)
#define MANIFEST_MIN_REST	0x4000000	/* 64 MiB: memory-rest with less is refused */
#define MANIFEST_MIN_SHADOW	64
#define MANIFEST_MAX_SHADOW	65536
#define MANIFEST_MAX_VCPUS	64	/* a set of them is a word */
#define MANIFEST_MAX_WINDOW	0x40000000	/* 1 GiB */
#define MANIFEST_NPRIORITIES	32

enum manifest_kind {
	MANIFEST_LINUX,
	MANIFEST_UNIKERNEL,
	MANIFEST_TEST,
	MANIFEST_NKINDS
};

/* What follows when the last partition with the control right has ended: on-control-lost at the root. */
enum manifest_lost {
	MANIFEST_CONTINUE,	/* the others run on, as long as one of them can */
	MANIFEST_POWEROFF,
	MANIFEST_RESTART,	/* the machine */
	MANIFEST_NLOST
};

/* Texts are zero-terminated; an optional one that was not given is empty. */
struct manifest_part {
	char name[KEEL_NAME_LEN];
	uint32_t kind;			/* enum manifest_kind */
	char image[MANIFEST_FILE_LEN];
	char initrd[MANIFEST_FILE_LEN];
	char cmdline[MANIFEST_CMDLINE_LEN];
	char console[MANIFEST_CONSOLE_LEN];
	uint64_t mem_bytes;		/* 0 if mem_rest */
	bool mem_rest;
	bool control;
	bool devices;
	uint32_t priority;
	uint32_t shadow_pages;
	uint32_t vcpus;			/* linux: 0 until it is known how many CPUs there are */
	uint64_t cpus;			/* a bit each; 0: any, and it may move */
	uint32_t budget_us[2];		/* so much, in each period of; 0: no limit */
	uint32_t nmodules;
	char modules[MANIFEST_MAX_MODULES][MANIFEST_FILE_LEN];
};

struct manifest_chan {
	char name[KEEL_NAME_LEN];
	uint32_t server, client;	/* indices into parts */
	uint64_t window;		/* bytes */
};

struct manifest {
	struct manifest_part parts[MANIFEST_MAX_PARTS];
	unsigned int nparts;
	struct manifest_chan chans[MANIFEST_MAX_CHANS];
	unsigned int nchans;
	uint32_t control_lost;	/* enum manifest_lost */
	bool share_cores;
};

/* Names of partitions, channels, consoles: lower case, digits, inner '-' and '_'. */
static inline bool manifest_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static inline bool manifest_name_ok(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!manifest_name_char(s[i]))
			return false;
	return len && s[0] != '-' && s[0] != '_';
}

#endif
