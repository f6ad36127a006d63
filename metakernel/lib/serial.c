// SPDX-License-Identifier: MIT
/*
 * serial.c - one serial port, many who write: each source has a ring and a list of pieces, the order of
 * all pieces is a ring of turns.
 *
 *   order   log  linux  lua  lua  log  linux ...       whose turn it is
 *   log     [keel] 32 ...|[keel] lua: ...|             its pieces, oldest first
 *   lua     words.txt: 1|words.txt: 2|                 made into "[lua] ..." when their turn comes
 *
 * Pieces go out in the order in which they came. A source whose ring is full loses its own oldest ones; its
 * turns stay where they are, so that one that writes on and on neither delays the others nor gets nothing,
 * and the next turn begins with "[name] N bytes lost".
 *
 * Locks:      LOCK_OUT, the caller's, but for serial_finish(), which takes it.
 * Context:    interrupts off.
 * Invariants: a source has at most SERIAL_PIECES pieces and turns, and never fewer turns than pieces. What
 *             serial_send() sends is at most one load of the port's FIFO, what an interrupt does DRAIN_LOADS.
 */
#include <hal/console.h>
#include "printf.h"
#include "serial.h"
#include "string.h"
#include "visible.h"

#define ORDER_MAX	(SERIAL_SOURCES * SERIAL_PIECES)
#define MARK_MAX	(SERIAL_NAME_MAX + 40)
/* On an emulator the FIFO is empty again at once: fewer interrupts. */
#define DRAIN_LOADS	4

static struct serial_source *sources[SERIAL_SOURCES];
static uint8_t order[ORDER_MAX];
static uint32_t order_head, order_tail;

/* The piece that is being sent, as the wire gets it. */
static char out[MARK_MAX + SERIAL_NAME_MAX + 8 + SERIAL_LINE_MAX * VISIBLE_MAX];
static size_t out_len, out_at;
static bool started, resting;

struct lock serial_lock = LOCK_INIT(LOCK_OUT);

_Static_assert(sizeof(out) >= MARK_MAX + 514, "a line of the log fits");

void serial_attach(struct serial_source *s, enum serial_kind kind, const char *name, const char *ring,
		   uint32_t size)
{
	unsigned int i;

	for (i = 0; i < SERIAL_SOURCES - 1 && sources[i]; i++)
		;
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->name = name;
	s->ring = ring;
	s->size = size;
	s->index = (uint8_t)i;
	sources[i] = s;
}

void serial_detach(struct serial_source *s)
{
	uint32_t from, to = order_tail;

	for (from = order_tail; from != order_head; from++)
		if (order[from % ORDER_MAX] != s->index)
			order[to++ % ORDER_MAX] = order[from % ORDER_MAX];
	order_head = to;
	sources[s->index] = NULL;
}

/* Copy from the ring at `pos`, in at most two runs. */
static void ring_read(const struct serial_source *s, char *to, uint32_t pos, uint32_t len)
{
	uint32_t at = pos & (s->size - 1), run = len < s->size - at ? len : s->size - at;

	memcpy(to, s->ring + at, run);
	memcpy(to + run, s->ring, len - run);
}

static void drop_first(struct serial_source *s)
{
	s->pos += s->piece[s->first++ % SERIAL_PIECES];
	s->npieces--;
}

static void lose_first(struct serial_source *s)
{
	s->lost += s->piece[s->first % SERIAL_PIECES];
	drop_first(s);
}

void serial_give_way(struct serial_source *s, uint32_t head)
{
	while (s->npieces && head - s->pos > s->size)
		lose_first(s);
}

static void put_mark(struct serial_source *s)
{
	if (!s->lost)
		return;
	out_len = (size_t)snprintf(out, MARK_MAX, "[%s] %lu bytes lost\r\n", s->name, s->lost);
	s->lost = 0;
}

static void put_line(struct serial_source *s, uint32_t len)
{
	char line[SERIAL_LINE_MAX + 2];

	ring_read(s, line, s->pos, len);
	if (len && line[len - 1] == '\n')
		len--;
	if (len && line[len - 1] == '\r')
		len--;
	if (!len)
		return;
	out_len += (size_t)snprintf(out + out_len, SERIAL_NAME_MAX + 4, "[%s] ", s->name);
	out_len += visible(out + out_len, sizeof(out) - 2 - out_len, line, len);
	memcpy(out + out_len, "\r\n", 2);
	out_len += 2;
}

/* Make the first piece of a source what the wire gets. True if there is more of that piece. */
static bool put_piece(struct serial_source *s)
{
	uint16_t *piece = &s->piece[s->first % SERIAL_PIECES];
	uint32_t len = (uint32_t)min_u64(*piece, sizeof(out) - out_len - 1);

	if (s->kind == SERIAL_LINES) {
		put_line(s, *piece);
		drop_first(s);
		return false;
	}
	ring_read(s, out + out_len, s->pos, len);
	out_len += len;
	if (s->kind == SERIAL_RAW && len < *piece) {
		*piece = (uint16_t)(*piece - len);
		s->pos += len;
		return true;
	}
	if (s->kind == SERIAL_LOG) {
		memcpy(out + out_len - 1, "\r\n", 2);
		out_len++;
	}
	drop_first(s);
	return false;
}

/* Prepare what comes next. False: nothing waits. */
static bool next_out(void)
{
	out_at = out_len = 0;
	while (order_tail != order_head) {
		struct serial_source *s = sources[order[order_tail % ORDER_MAX]];

		put_mark(s);
		if (s->npieces && put_piece(s))
			return true;	/* and its turn goes on */
		order_tail++;
		s->turns--;
		if (out_len)
			return true;
	}
	return false;
}

bool serial_busy(void)
{
	return out_at < out_len || order_tail != order_head;
}

/* Send up to `loads` times what the port takes at once. */
static void run(unsigned int loads)
{
	size_t room = 0;

	while (out_at < out_len || next_out()) {
		size_t n = out_len - out_at;

		if (!room && loads) {
			room = hal_console_room();
			loads--;
		}
		if (!room)
			break;
		if (n > room)
			n = room;
		hal_console_send(out + out_at, n);
		out_at += n;
		room -= n;
	}
	hal_console_want_room(serial_busy() && !resting);
}

static void flush(void)
{
	while (out_at < out_len || next_out())
		hal_console_putc(out[out_at++]);
}

static void turn_add(struct serial_source *s)
{
	if (s->turns >= s->npieces)
		return;		/* it lost pieces whose turns are still there */
	order[order_head++ % ORDER_MAX] = s->index;
	s->turns++;
}

/* Are the bytes written last those of this source? Then more of them are the same piece. */
static bool is_newest(const struct serial_source *s)
{
	return s->npieces && order_head != order_tail && order[(order_head - 1) % ORDER_MAX] == s->index;
}

void serial_put(struct serial_source *s, uint32_t bytes)
{
	if (!bytes)
		return;
	if (s->kind == SERIAL_RAW && (is_newest(s) || s->npieces == SERIAL_PIECES)) {
		s->piece[(s->first + s->npieces - 1) % SERIAL_PIECES] += (uint16_t)bytes;
	} else {
		if (s->npieces == SERIAL_PIECES)
			lose_first(s);
		s->piece[(s->first + s->npieces++) % SERIAL_PIECES] = (uint16_t)bytes;
		turn_add(s);
	}
	s->end += bytes;
}

bool serial_skip(struct serial_source *s, uint32_t bytes)
{
	if (s->npieces)
		return false;
	s->end += bytes;
	s->pos = s->end;
	return true;
}

void serial_send(void)
{
	if (started)
		run(1);
	else
		flush();
}

void serial_drain(void)
{
	if (started)
		run(DRAIN_LOADS);
}

void serial_rest(bool rest)
{
	resting = rest;
	hal_console_want_room(serial_busy() && !rest);
}

void serial_start(void)
{
	started = true;
	run(1);
}

void serial_break_lock(void)
{
	serial_lock = (struct lock)LOCK_INIT(LOCK_OUT);
}

void serial_finish(void)
{
	static bool finishing;

	if (finishing)
		return;		/* a fault while flushing: enough */
	finishing = true;
	lock_take(&serial_lock);
	started = false;
	hal_console_want_room(false);
	flush();
	lock_release(&serial_lock);
	finishing = false;
}
