// SPDX-License-Identifier: MIT
/*
 * console.c - every partition has a console ring each way; the serial port shows them all.
 *
 * The partition in focus (Linux) owns the terminal: it writes to the serial port as it is, as far as there is
 * room, and gets what is typed there. A peer's output goes out line by line behind "[NAME] ", with control
 * characters made visible, and is kept as it is in its ring for keelctl.
 *
 * Locks:   LOCK_OUT (serial_lock) around all that has to do with rings and the port.
 * Context: interrupts off. Nothing here waits for the port (lib/serial.c).
 * Trusts:  nothing of what is written: it is copied once, then looked at.
 */
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include "part/console.h"
#include "part/part.h"
#include "lib/lock.h"
#include "lib/printf.h"
#include "lib/serial.h"
#include "lib/string.h"

/* A call takes so much at most: interrupts are off meanwhile (I5). */
#define PEER_WRITE_MAX	256	/* looked at byte by byte */
#define FOCUS_WRITE_MAX	1024
#define LOST_MAX	32	/* of the line that says how much is lost */
#define INPUT_MAX	64	/* bytes an interrupt takes from the port */
#define ATTACHED_MS	1000	/* who has attached must say so again */
#define POLL_MS		2	/* where the port's interrupt does not arrive */
/* The port of an emulator has room again at once: who runs on this CPU has so many times as long as the interrupt had. */
#define REST_FACTOR	3

static struct partition *focus;
static bool polled;
static uint64_t poll_tsc;

static uint32_t ring_used(const struct cons_ring *r)
{
	return r->head - r->tail;
}

static void ring_in(struct cons_ring *r, const char *buf, uint32_t len)
{
	uint32_t at = r->head % CONS_BYTES, run = len < CONS_BYTES - at ? len : CONS_BYTES - at;

	memcpy(r->data + at, buf, run);
	memcpy(r->data, buf + run, len - run);
	r->head += len;
}

static int ring_out(struct cons_ring *r, char *buf, uint32_t len)
{
	uint32_t n = len < ring_used(r) ? len : ring_used(r);
	uint32_t at = r->tail % CONS_BYTES, run = n < CONS_BYTES - at ? n : CONS_BYTES - at;

	memcpy(buf, r->data + at, run);
	memcpy(buf + run, r->data, n - run);
	r->tail += n;
	return (int)n;
}

/* Bytes of the line (or the part of one that fits) that begins at `from`; 0: it goes on. */
static uint32_t line_len(const struct cons_ring *r, uint32_t from)
{
	uint32_t left = r->head - from, n;

	for (n = 0; n < left && n <= SERIAL_LINE_MAX; n++)
		if (r->data[(from + n) % CONS_BYTES] == '\n')
			return n + 1;
	if (n <= SERIAL_LINE_MAX)
		return 0;
	/* Not in the middle of a UTF-8 character, which has at most three bytes behind its first. */
	for (n = SERIAL_LINE_MAX; n >= SERIAL_LINE_MAX - 3; n--)
		if ((r->data[(from + n) % CONS_BYTES] & 0xc0) != 0x80)
			return n;
	return SERIAL_LINE_MAX;
}

/* Does somebody show what p writes, perhaps on the very terminal that the port is? */
static bool attached(const struct partition *p)
{
	return p->attached_tsc && hal_rdtsc() < p->attached_tsc;
}

void console_attach(struct partition *p, bool on)
{
	p->attached_tsc = on ? hal_rdtsc() + hal_tsc_khz() * ATTACHED_MS : 0;
}

static uint32_t write_peer(struct partition *p, const char *buf, uint32_t len)
{
	struct cons_ring *r = p->cons_out;
	uint32_t n;

	len = (uint32_t)min_u64(len, PEER_WRITE_MAX);
	serial_give_way(&p->serial, r->head + len);
	ring_in(r, buf, len);
	if (ring_used(r) > CONS_BYTES) {	/* output nobody reads must not stop a partition */
		r->lost += ring_used(r) - CONS_BYTES;
		r->tail = r->head - CONS_BYTES;
	}
	while ((n = line_len(r, p->serial.end)))
		if (!attached(p) || !serial_skip(&p->serial, n))
			serial_put(&p->serial, n);
	return len;
}

static uint32_t write_focus(struct partition *p, const char *buf, uint32_t len)
{
	struct cons_ring *r = p->cons_out;

	len = (uint32_t)min_u64(len, min_u64(serial_room(&p->serial), FOCUS_WRITE_MAX));
	ring_in(r, buf, len);
	r->tail = r->head;	/* it is on the terminal, nothing is kept */
	serial_put(&p->serial, len);
	return len;
}

int console_write(struct partition *p, const char *buf, unsigned int len)
{
	lock_take(&serial_lock);
	len = p == focus ? write_focus(p, buf, len) : write_peer(p, buf, len);
	serial_send();
	lock_release(&serial_lock);
	return (int)len;
}

void console_flush(struct partition *p)
{
	lock_take(&serial_lock);
	serial_put(&p->serial, p->cons_out->head - p->serial.end);
	lock_release(&serial_lock);
}

/* Bytes that do not fit stay in the port: they are not lost, and where it can the far end waits. */
static bool input(void)
{
	struct cons_ring *r = focus->cons_in;
	uint32_t room = (uint32_t)min_u64(CONS_BYTES - ring_used(r), INPUT_MAX), n = 0;
	char c[INPUT_MAX] = { 0 };
	int got;

	while (n < room && (got = hal_console_getc()) >= 0)
		c[n++] = (char)got;
	ring_in(r, c, n);
	hal_console_want_input(ring_used(r) < CONS_BYTES);
	return n;
}

int console_read(struct partition *p, char *buf, unsigned int len)
{
	int n;

	lock_take(&serial_lock);
	n = ring_out(p->cons_in, buf, len);
	if (n && p == focus)
		hal_console_want_input(true);
	lock_release(&serial_lock);
	return n;
}

bool console_listens(void)
{
	return focus && focus->alive;
}

int console_peer_read(struct partition *p, char *buf, unsigned int len)
{
	struct cons_ring *r = p->cons_out;
	int n = 0;

	lock_take(&serial_lock);
	if (r && r->lost && len >= LOST_MAX) {
		n = snprintf(buf, len, "[%u bytes lost]\n", r->lost);
		r->lost = 0;
	} else if (r) {
		n = ring_out(r, buf, len);
	}
	lock_release(&serial_lock);
	return n;
}

int console_peer_write(struct partition *p, const char *buf, unsigned int len)
{
	if (!p->alive)
		return -KEEL_EPIPE;
	lock_take(&serial_lock);
	len = (unsigned int)min_u64(len, p->cons_in ? CONS_BYTES - ring_used(p->cons_in) : 0);
	if (len)
		ring_in(p->cons_in, buf, len);
	lock_release(&serial_lock);
	part_raise(p, KEEL_EV_CONSOLE);
	return (int)len;
}

/*
 * Take what was typed and send what waits; who has the focus hears of it without the lock. After an interrupt, which came at
 * `since`, the port rests if more waits.
 */
static void serve(bool take, uint64_t since)
{
	bool typed, rest;

	lock_take(&serial_lock);
	typed = take && input();
	serial_drain();
	rest = since && serial_busy();
	serial_rest(rest);
	if (rest)
		poll_tsc = hal_rdtsc() + REST_FACTOR * (hal_rdtsc() - since);
	lock_release(&serial_lock);
	if (typed)
		part_raise(focus, KEEL_EV_CONSOLE);
}

void console_irq(void)
{
	serve(true, hal_rdtsc());
	hal_console_irq_end();
}

uint64_t console_poll_tsc(void)
{
	return poll_tsc;
}

void console_poll(void)
{
	poll_tsc = polled ? hal_rdtsc() + hal_tsc_khz() * POLL_MS : 0;
	serve(polled, 0);
}

static void console_begin(struct partition *p)
{
	serial_attach(&p->serial, p == focus ? SERIAL_RAW : SERIAL_LINES, p->man->name, p->cons_out->data, CONS_BYTES);
}

void console_add(struct partition *p)
{
	lock_take(&serial_lock);
	console_begin(p);
	lock_release(&serial_lock);
}

void console_remove(struct partition *p)
{
	lock_take(&serial_lock);
	serial_detach(&p->serial);
	p->cons_out = p->cons_in = NULL;
	lock_release(&serial_lock);
}

__once void console_init(struct partition *p, bool has_irq)
{
	unsigned int i;

	focus = p;
	for (i = 0; i < nparts; i++)
		console_begin(&parts[i]);
	polled = !has_irq;
	serial_start();
	serve(true, 0);
	console_poll();
}
