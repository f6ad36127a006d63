/* SPDX-License-Identifier: MIT */
/*
 * frames.h - who owns each machine page frame (I1): two bytes a frame, one summary every 2 MiB.
 *
 * Every frame has exactly one owner: nobody (not RAM, or unknown), the pool of free RAM, the
 * metakernel, a partition or a channel. The owner changes only through frames_claim() and the functions
 * built on it, which check all frames first and change then.
 *
 * Locks:   changes of an owner: the caller's (LOCK_CHAN, once partitions run); FRAME_UNCACHED is set by anybody, atomically. frames_owner() and frames_owner_2m()
 *          need none to be memory-safe; to act on the answer, hold what keeps changes away.
 * Bounds:  frame numbers may be anything: beyond the table, nobody owns.
 */
#ifndef METAKERNEL_FRAMES_H
#define METAKERNEL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMES_NONE		0	/* not RAM */
#define FRAMES_MK		1	/* the metakernel */
#define FRAMES_PARTITION	2	/* + index */
#define FRAMES_MAX_PARTITIONS	80
#define FRAMES_FREE		(FRAMES_PARTITION + FRAMES_MAX_PARTITIONS)	/* RAM not given to anybody yet */
#define FRAMES_CHANNEL		0x8000	/* | index */
#define FRAMES_MAX_CHANNELS	128
#define FRAMES_MIXED		0x7fff	/* only from frames_owner_2m(): more than one owner */

#define FRAMES_PER_2M		512
#define FRAMES_LOWEST_ALLOC	256	/* the first MiB is never allocated, only claimed */

#define FRAME_UNCACHED	0x4000	/* has been mapped other than write-back since it was last cleaned */

struct frames {
	uint16_t *table;	/* a frame's owner, | FRAME_UNCACHED */
	uint16_t *summary;	/* owner of all 512 frames, or FRAMES_MIXED */
	uint64_t npfns;		/* multiple of FRAMES_PER_2M */
};

/* Only for the inline functions below and frames.c. */
extern struct frames frames_state;

/* Bytes that the table for frames 0 .. npfns - 1 takes. */
size_t frames_bytes(uint64_t npfns);

/* Start with an empty table: no frame is RAM. `memory`: frames_bytes(npfns), 8-byte aligned. */
void frames_init(void *memory, uint64_t npfns);

/* Make RAM out of the frames that belong to nobody, in [pfn, pfn + n). -> how many */
uint64_t frames_add_ram(uint64_t pfn, uint64_t n);

/*
 * Move [pfn, pfn + n) from one owner to another. 0; -KEEL_EINVAL for an empty range or owners that do not
 * exist, -KEEL_EPERM if any frame has another owner than `from` or lies beyond the table: then nothing
 * has changed. The caller removes mappings and content of the old owner (I3).
 */
int frames_claim(uint64_t pfn, uint64_t n, uint16_t from, uint16_t to);

/* Move every frame of `from` to `to`. -> how many */
uint64_t frames_claim_all(uint16_t from, uint16_t to);

/*
 * Take npages contiguous free frames, as high as possible; aligned to 2 MiB if they are 2 MiB or more.
 * -> machine address, or 0 if there is no such range. The content is what was there.
 */
uint64_t frames_alloc(uint16_t owner, uint64_t npages);

static inline uint64_t frames_alloc_mk(uint64_t npages)
{
	return frames_alloc(FRAMES_MK, npages);
}

/* How many frames from `pfn`, which is in the table, have this owner; at most `max`. */
uint64_t frames_run(uint64_t pfn, uint64_t max, uint16_t owner);

/*
 * The next run of frames of one owner at or after *pfn, as long as it goes: true with *pfn and *n, or
 * false. Start the next search at *pfn + *n.
 */
bool frames_next_run(uint16_t owner, uint64_t *pfn, uint64_t *n);

/* How many frames an owner has. */
uint64_t frames_count(uint16_t owner);

/* Remember that frames were mapped other than write-back. Beyond the table: ignored. */
void frames_note_uncached(uint64_t pfn, uint64_t n);

/* Was the frame ever noted so? Forgets it: the caller now zeroes and flushes it (rule: owner change). */
bool frames_take_uncached(uint64_t pfn);

/* Index `i` if it is below `n`, else 0, without a branch that could be mispredicted. Both < 2^63. */
static inline uint64_t frames_clamp(uint64_t i, uint64_t n)
{
	uint64_t below = i - n;

	__asm__("" : "+r"(below));	/* hide from the compiler that callers have compared already */
	return i & (uint64_t)((int64_t)below >> 63);
}

static inline uint16_t frames_owner(uint64_t pfn)
{
	const struct frames *f = &frames_state;

	if (pfn >= f->npfns)
		return FRAMES_NONE;
	return __atomic_load_n(&f->table[frames_clamp(pfn, f->npfns)], __ATOMIC_RELAXED) &
	       (uint16_t)~FRAME_UNCACHED;
}

/* The owner of all 512 frames of the 2 MiB that `pfn` lies in, or FRAMES_MIXED. */
static inline uint16_t frames_owner_2m(uint64_t pfn)
{
	const struct frames *f = &frames_state;

	if (pfn >= f->npfns)
		return FRAMES_NONE;
	return __atomic_load_n(&f->summary[frames_clamp(pfn, f->npfns) / FRAMES_PER_2M],
			       __ATOMIC_RELAXED);
}

#endif /* METAKERNEL_FRAMES_H */
