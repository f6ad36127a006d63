/* SPDX-License-Identifier: MIT */
/*
 * lib/serial.h - what waits to go out on the serial port, and whose turn it is.
 *
 * A source is a ring of bytes that its owner fills, and a list of the pieces in it that may go out. Once
 * serial_start() was called, nobody waits for the port.
 */
#ifndef LIB_SERIAL_H
#define LIB_SERIAL_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/lock.h"

#define SERIAL_PIECES	64	/* of one source that may wait; a power of two */
#define SERIAL_SOURCES	128	/* a power of two: the log and all partitions */
#define SERIAL_LINE_MAX	120	/* bytes of a piece of SERIAL_LINES */
#define SERIAL_NAME_MAX	31	/* bytes of a name, as in keel/abi.h */

enum serial_kind {
	SERIAL_RAW,	/* bytes as they are; never lost: serial_room() says how many may come */
	SERIAL_LOG,	/* pieces are lines that are fit to be seen; \n becomes \r\n */
	SERIAL_LINES,	/* pieces are lines, or parts of one: "[name] " goes before each, \r\n behind, and
			   control characters are made visible */
};

struct serial_source {
	const char *name;
	const char *ring;
	uint32_t size;			/* of the ring, a power of two */
	enum serial_kind kind;
	uint8_t index;
	uint32_t pos, end;		/* first byte of the first piece, end of the last one; free-running */
	uint16_t piece[SERIAL_PIECES];	/* their lengths; 0 was given away */
	uint32_t first, npieces;
	uint32_t turns;			/* in the order of all sources */
	uint64_t lost;			/* bytes that gave way and have not been reported yet */
};

/* Before the source's first piece. The ring is empty, its first byte will be at position 0. */
void serial_attach(struct serial_source *s, enum serial_kind kind, const char *name, const char *ring,
		   uint32_t size);

/* What of it has not gone out will not, and nothing looks at its ring any more. */
void serial_detach(struct serial_source *s);

/* Bytes a SERIAL_RAW source may write from `end` on. */
static inline uint32_t serial_room(const struct serial_source *s)
{
	return s->size - (s->end - s->pos);
}

/* The ring will be written up to position head: what is overwritten is lost. Not for SERIAL_RAW. */
void serial_give_way(struct serial_source *s, uint32_t head);

/* The next `bytes` of the ring, from `end` on, may go out, when their turn comes. */
void serial_put(struct serial_source *s, uint32_t bytes);

/* The next `bytes` are not to go out. False: others wait before them, so they have to. Not for SERIAL_RAW. */
bool serial_skip(struct serial_source *s, uint32_t bytes);

/* Send as much as the port takes at once; before serial_start() all of it, waiting. */
void serial_send(void);

/* The same, more of it: the port has said that it has room. */
void serial_drain(void);

/* Until the next call no interrupt says that the port has room. */
void serial_rest(bool rest);

/* From now on an interrupt says when there is room, and nothing waits. */
void serial_start(void);

extern struct lock serial_lock;		/* LOCK_OUT: held by who calls anything here but serial_finish() */

/* The other CPUs have been stopped, wherever they were: whatever they held counts for nothing. */
void serial_break_lock(void);

/* The end is near: send everything, waiting (bounded), and wait from now on. */
void serial_finish(void);

/* Does anything wait? */
bool serial_busy(void);

#endif
