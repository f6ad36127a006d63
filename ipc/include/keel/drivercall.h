/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/drivercall.h - driver calls, version 0: a peer asks Linux for file operations through a
 * channel window, with io_uring's entries as the wire format.
 *
 * The window: one header page, then SQ entries, CQ entries and the buffer area. The server (keeld
 * in Linux) lays it out; the client reads the layout once, checks it, and keeps it privately. The
 * client fills struct keel_sqe, the server answers each one with exactly one struct keel_cqe, in
 * any order. `addr` fields are byte offsets from the start of the window and must lie in the
 * buffer area with all of what they name. The client alone allocates the buffer area; what an
 * unanswered request names belongs to the server, everything else is the client's. Reads and
 * writes go straight to and from the buffer.
 *
 * Generations. Channel state changes (either side up or down) count up keel_chan_info.generation.
 * A session is named by that number. To open one the client, with both sides up, reads the
 * number from KEEL_HC_CHAN_INFO, stores it in client_generation and kicks; the server ends what
 * was before, zeroes both ring controls, closes all files, writes the header, and stores the same
 * number in `generation` last (release), then kicks. While `generation` differs from the number
 * the client holds there is no session: requests without an answer are lost (-EPIPE), file
 * numbers are void, and the client starts again from CHAN_INFO. Woken with nothing in the
 * CQ, a client asks CHAN_INFO whether the server went down or the number moved.
 *
 * File numbers are small integers private to the session. Paths are absolute, zero-terminated, at
 * most KEEL_DC_PATH_MAX bytes with the zero. Errors are negative Linux errno in keel_cqe.res.
 * Fields a call does not use must be 0. docs/ipc.md has the calls in prose.
 *
 *   call       fd          off          addr    len        op_flags        res >= 0
 *   NOP        -           -            -       -          -               0
 *   OPENAT     AT_FDCWD    -            path    mode       KEEL_DC_O_*     file number; flags: OPENED_*
 *   CLOSE      file        -            -       -          -               0
 *   READ       file        position     buffer  bytes      -               bytes, 0 at the end
 *   WRITE      file        position     buffer  bytes      -               bytes
 *   FSYNC      file        -            -       -          0 | DATASYNC    0
 *   FTRUNCATE  file        new size     -       -          -               0
 *   STATX      AT_FDCWD    statx buffer path    mask       0 | NOFOLLOW    0
 *   STATX      file        statx buffer -       mask       EMPTY_PATH      0
 *   UNLINKAT   AT_FDCWD    -            path    -          0 | REMOVEDIR   0
 *   RENAMEAT   AT_FDCWD    new path     path    AT_FDCWD   0 | NOREPLACE   0
 *   MKDIRAT    AT_FDCWD    -            path    mode       -               0
 *
 * READ and WRITE always name their position; files opened with O_APPEND ignore it when written.
 * For terminals and other things without positions it is ignored too.
 */
#ifndef KEEL_DRIVERCALL_H
#define KEEL_DRIVERCALL_H

#include <keel/abi.h>
#include <keel/ring.h>

#define KEEL_DC_MAGIC		0x435652444c45454bULL	/* "KEELDRVC" little endian */
#define KEEL_DC_VERSION		0
#define KEEL_DC_HEADER_BYTES	4096
#define KEEL_DC_PATH_MAX	1024
#define KEEL_DC_MAX_FILES	64	/* open at once in a session */
#define KEEL_DC_MAX_SQ		256
#define KEEL_DC_MIN_WINDOW	(64 * 1024)
#define KEEL_DC_STATX_BYTES	256	/* sizeof(struct statx) */
#define KEEL_DC_MAX_IO		0x7ffff000u	/* bytes in one READ or WRITE */

/* Opcodes: io_uring's numbers. */
#define KEEL_OP_NOP		0
#define KEEL_OP_FSYNC		3
#define KEEL_OP_OPENAT		18
#define KEEL_OP_CLOSE		19
#define KEEL_OP_STATX		21
#define KEEL_OP_READ		22
#define KEEL_OP_WRITE		23
#define KEEL_OP_RENAMEAT	35
#define KEEL_OP_UNLINKAT	36
#define KEEL_OP_MKDIRAT		37
#define KEEL_OP_FTRUNCATE	55
#define KEEL_OP_NR		56	/* one above the highest known */

/* Flags: Linux x86-64 values. */
#define KEEL_DC_AT_FDCWD	(-100)
#define KEEL_DC_AT_NOFOLLOW	0x100u
#define KEEL_DC_AT_REMOVEDIR	0x200u
#define KEEL_DC_AT_EMPTY_PATH	0x1000u
#define KEEL_DC_RENAME_NOREPLACE 1u
#define KEEL_DC_FSYNC_DATASYNC	1u

#define KEEL_DC_O_RDONLY	00u
#define KEEL_DC_O_WRONLY	01u
#define KEEL_DC_O_RDWR		02u
#define KEEL_DC_O_ACCMODE	03u
#define KEEL_DC_O_CREAT		0100u
#define KEEL_DC_O_EXCL		0200u
#define KEEL_DC_O_TRUNC		01000u
#define KEEL_DC_O_APPEND	02000u
#define KEEL_DC_O_DIRECTORY	0200000u
#define KEEL_DC_O_NOFOLLOW	0400000u
/* accepted, no meaning here */
#define KEEL_DC_O_NOCTTY	0400u
#define KEEL_DC_O_NONBLOCK	04000u
#define KEEL_DC_O_LARGEFILE	0100000u
#define KEEL_DC_O_CLOEXEC	02000000u
#define KEEL_DC_O_IGNORED	(KEEL_DC_O_NOCTTY | KEEL_DC_O_NONBLOCK | KEEL_DC_O_LARGEFILE | \
				 KEEL_DC_O_CLOEXEC)
#define KEEL_DC_O_ALLOWED	(KEEL_DC_O_ACCMODE | KEEL_DC_O_CREAT | KEEL_DC_O_EXCL | \
				 KEEL_DC_O_TRUNC | KEEL_DC_O_APPEND | KEEL_DC_O_DIRECTORY | \
				 KEEL_DC_O_NOFOLLOW | KEEL_DC_O_IGNORED)

/*
 * keel_dc_header.flags. With STDIO file numbers 0, 1 and 2 are open from the beginning of every session: standard input,
 * output and error of whoever started the peer. They are read and written without positions, as pipes are, and a READ
 * waits as long as it takes; others are answered meanwhile.
 */
#define KEEL_DC_STDIO		1u
#define KEEL_DC_TTY(n)		(2u << (n))	/* number n (0..2) is a terminal */

/* keel_cqe.flags of an OPENAT that opened a file: what the server saw of it then. */
#define KEEL_DC_OPENED_TOLD	1u	/* the rest means something; 0 from a server that does not tell */
#define KEEL_DC_OPENED_SEEK	2u	/* a regular file: reads and writes have positions */
#define KEEL_DC_OPENED_STORED	4u	/* it has blocks: what is read was stored before, and is not made
					 * for the reader (procfs, sysfs); so it may be read ahead */
#define KEEL_DC_OPENED_SIZE_SHIFT 8	/* from here on: its size in bytes, or KEEL_DC_OPENED_LARGE */
#define KEEL_DC_OPENED_LARGE	0xffffffu

/* Layout of struct io_uring_sqe (checked in tests/unit). */
struct keel_sqe {		/* 64 bytes */
	uint8_t	 opcode;	/* KEEL_OP_* */
	uint8_t	 flags;		/* 0 in version 0 */
	uint16_t ioprio;	/* 0 */
	int32_t	 fd;
	uint64_t off;		/* position, or second address */
	uint64_t addr;		/* offset into the window */
	uint32_t len;
	uint32_t op_flags;
	uint64_t user_data;	/* comes back in keel_cqe */
	uint16_t buf_index;	/* 0 */
	uint16_t personality;	/* 0 */
	uint32_t file_index;	/* 0 */
	uint64_t addr3;		/* 0 */
	uint64_t reserved;	/* 0 */
};
static_assert(sizeof(struct keel_sqe) == 64, "keel_sqe size");

/* Layout of struct io_uring_cqe. */
struct keel_cqe {		/* 16 bytes */
	uint64_t user_data;
	int32_t	 res;		/* >= 0, or negative errno */
	uint32_t flags;		/* KEEL_DC_OPENED_*, or 0 */
};
static_assert(sizeof(struct keel_cqe) == 16, "keel_cqe size");

/* The header page, at offset 0 of the window. */
struct keel_dc_header {
	/* written by the server */
	uint64_t magic;		/* KEEL_DC_MAGIC */
	uint32_t version;	/* KEEL_DC_VERSION */
	uint32_t size;		/* KEEL_DC_HEADER_BYTES */
	uint32_t generation;	/* of the session; 0: none. Written last */
	uint32_t flags;		/* KEEL_DC_STDIO, KEEL_DC_TTY; else 0 */
	uint64_t window_bytes;
	uint32_t sq_entries, cq_entries;	/* powers of two; cq_entries >= sq_entries */
	uint64_t sq_off, cq_off;	/* of entry 0, 64-aligned */
	uint64_t buf_off, buf_bytes;	/* page-aligned */
	uint32_t clock_seq;	/* of the next two: odd while they change, 0: never told */
	uint32_t reserved3;
	uint64_t wall_ns;	/* CLOCK_REALTIME of Linux, ns, at TSC value wall_tsc */
	uint64_t wall_tsc;
	uint8_t	 reserved0[128 - 96];
	/* written by the client */
	uint32_t client_generation;	/* the session it asks for */
	uint8_t	 reserved1[128 - 4];
	struct keel_ring_ctl sq;	/* producer: client */
	struct keel_ring_ctl cq;	/* producer: server */
	uint8_t	 reserved2[KEEL_DC_HEADER_BYTES - 512];
};
static_assert(sizeof(struct keel_dc_header) == KEEL_DC_HEADER_BYTES, "keel_dc_header size");
KEEL_OFF(keel_dc_header, generation, 16);
KEEL_OFF(keel_dc_header, window_bytes, 24);
KEEL_OFF(keel_dc_header, sq_off, 40);
KEEL_OFF(keel_dc_header, buf_bytes, 64);
KEEL_OFF(keel_dc_header, clock_seq, 72);
KEEL_OFF(keel_dc_header, wall_ns, 80);
KEEL_OFF(keel_dc_header, wall_tsc, 88);
KEEL_OFF(keel_dc_header, client_generation, 128);
KEEL_OFF(keel_dc_header, sq, 256);
KEEL_OFF(keel_dc_header, cq, 384);

/* The layout as each side keeps it privately. */
struct keel_dc_layout {
	uint64_t window_bytes;
	uint32_t sq_entries, cq_entries;
	uint64_t sq_off, cq_off;
	uint64_t buf_off, buf_bytes;
};

/* Whether [off, off + bytes) lies in [start, start + size); nothing can overflow. */
static inline bool keel_dc_range_ok(uint64_t off, uint64_t bytes, uint64_t start, uint64_t size)
{
	return off >= start && off - start <= size && bytes <= size - (off - start);
}

/* Server: chooses the layout for a window. 0, or -KEEL_EINVAL if it is too small or odd. */
static inline int keel_dc_layout_choose(struct keel_dc_layout *l, uint64_t window_bytes)
{
	uint32_t entries = 16;

	if (window_bytes < KEEL_DC_MIN_WINDOW || window_bytes > 0x40000000 || window_bytes & 4095)
		return -KEEL_EINVAL;
	while (entries < KEEL_DC_MAX_SQ && (uint64_t)entries * 4096 < window_bytes)
		entries *= 2;
	l->window_bytes = window_bytes;
	l->sq_entries = entries;
	l->cq_entries = entries;
	l->sq_off = KEEL_DC_HEADER_BYTES;
	l->cq_off = l->sq_off + entries * sizeof(struct keel_sqe);
	l->buf_off = (l->cq_off + entries * sizeof(struct keel_cqe) + 4095) & ~(uint64_t)4095;
	l->buf_bytes = window_bytes - l->buf_off;
	return 0;
}

/* Client: whether a layout read from the header can be used in a window of that size. */
static inline bool keel_dc_layout_ok(const struct keel_dc_layout *l, uint64_t window_bytes)
{
	const uint64_t body = KEEL_DC_HEADER_BYTES;
	uint64_t sq_bytes, cq_bytes;

	if (window_bytes < KEEL_DC_MIN_WINDOW || l->window_bytes != window_bytes ||
	    !keel_ring_entries_ok(l->sq_entries) || !keel_ring_entries_ok(l->cq_entries) ||
	    l->cq_entries < l->sq_entries)
		return false;
	sq_bytes = (uint64_t)l->sq_entries * sizeof(struct keel_sqe);
	cq_bytes = (uint64_t)l->cq_entries * sizeof(struct keel_cqe);
	if ((l->sq_off | l->cq_off) & 63 || (l->buf_off | l->buf_bytes) & 4095)
		return false;
	/* in this order, without overlap */
	return keel_dc_range_ok(l->sq_off, sq_bytes, body, window_bytes - body) &&
	       keel_dc_range_ok(l->cq_off, cq_bytes, l->sq_off + sq_bytes,
				window_bytes - l->sq_off - sq_bytes) &&
	       l->buf_bytes &&
	       keel_dc_range_ok(l->buf_off, l->buf_bytes, l->cq_off + cq_bytes,
				window_bytes - l->cq_off - cq_bytes);
}

/* Server: KEEL_DC_OPENED_* for a file of that size with so many blocks. */
static inline uint32_t keel_dc_opened(bool regular, uint64_t bytes, uint64_t blocks)
{
	uint64_t size = bytes < KEEL_DC_OPENED_LARGE ? bytes : KEEL_DC_OPENED_LARGE;

	return KEEL_DC_OPENED_TOLD | (regular ? KEEL_DC_OPENED_SEEK : 0) |
	       (regular && blocks ? KEEL_DC_OPENED_STORED : 0) |
	       (uint32_t)(size << KEEL_DC_OPENED_SIZE_SHIFT);
}

/* Server: tells the time. One writer. */
static inline void keel_dc_clock_set(struct keel_dc_header *h, uint64_t wall_ns, uint64_t wall_tsc)
{
	uint32_t seq = h->clock_seq | 1;

	keel_store_relaxed(&h->clock_seq, seq);
	/* Odd before the values: a reader that sees one of them sees that it changes. */
	keel_full_fence();
	keel_store_relaxed(&h->wall_ns, wall_ns);
	keel_store_relaxed(&h->wall_tsc, wall_tsc);
	/* Release: the values first; pairs with the acquire in keel_dc_clock. */
	keel_store_release(&h->clock_seq, seq + 1 ? seq + 1 : 2);
}

/* Client: the time as last told. False: never, or it is being changed all the time. */
static inline bool keel_dc_clock(const struct keel_dc_header *h, uint64_t *wall_ns, uint64_t *wall_tsc)
{
	int tries;

	for (tries = 0; tries < 4; tries++) {
		uint32_t seq = keel_load_acquire(&h->clock_seq);

		/* Acquire: each before the next look; the last one is at the number again. */
		*wall_ns = keel_load_acquire(&h->wall_ns);
		*wall_tsc = keel_load_acquire(&h->wall_tsc);
		if (seq && !(seq & 1) && keel_load_relaxed(&h->clock_seq) == seq)
			return true;
	}
	return false;
}

#endif /* KEEL_DRIVERCALL_H */
