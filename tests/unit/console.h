/* SPDX-License-Identifier: MIT */
/* console.h - a made-up serial port and three partitions for tests of the console; each includes it once. */
#ifndef UNIT_CONSOLE_H
#define UNIT_CONSOLE_H

#include "unit.h"

#include <hal/cpu.h>
#include "metakernel/lib/serial.c"
#include "metakernel/part/console.c"
#include "metakernel/lib/log.h"

#define FIFO	16	/* bytes */
struct partition parts[MAX_PARTS];
unsigned int nparts;
static struct manifest_part mans[3];
static struct cons_ring rings[3][2];

/* ---- The port: bytes leave its FIFO when wire_step() says so and somebody listens ---------------- */

static char wire[1 << 20];
static size_t wire_len, in_fifo, sent_in_call, npolls;
static bool listening, want_room, want_input, no_port;
static const char *typed;
static unsigned int nevents, nends;

void hal_console_putc(char c)
{
	npolls++;
	wire[wire_len++] = c;
}

size_t hal_console_room(void)
{
	return no_port ? 4096 : in_fifo ? 0 : FIFO;
}

void hal_console_send(const char *s, size_t len)
{
	if (no_port)
		return;
	assert_true(in_fifo + len <= FIFO);
	memcpy(wire + wire_len, s, len);
	wire_len += len;
	in_fifo += len;
	sent_in_call += len;
}

int hal_console_getc(void)
{
	return typed && *typed ? *typed++ : -1;
}

void hal_console_want_room(bool on)
{
	want_room = on;
}

void hal_console_want_input(bool on)
{
	want_input = on;
}

void hal_console_irq_end(void)
{
	nends++;
}

uint64_t hal_tsc_khz(void)
{
	return 1000000;
}

void part_raise(struct partition *p, unsigned int bit)
{
	assert_true(p && bit == KEEL_EV_CONSOLE);
	assert_int_equal(serial_lock.next, serial_lock.serving);	/* LOCK_RUNQ goes before it */
	nevents++;
}

/* The FIFO runs empty, and the interrupt comes if it was asked for. False: nothing moves. */
static bool wire_step(void)
{
	if (!listening || !in_fifo)
		return false;
	in_fifo = 0;
	if (want_room)
		console_irq();
	if (console_poll_tsc())		/* the port rests: until the timer comes, which is not late */
		console_poll();
	return true;
}

static void wire_all(void)
{
	while (wire_step())
		;
	if (listening)
		assert_false(serial_busy());
}

#define focus_part	(&parts[0])
#define peer_a		(&parts[1])
#define peer_b		(&parts[2])

static int start(void **state)
{
	static const char *const names[] = { "linux", "a", "b" };

	(void)state;
	serial_finish();
	memset(sources, 0, NELEM(names) * sizeof(sources[0]));	/* the log attached itself once, behind the partitions */
	wire_len = in_fifo = npolls = nevents = nends = 0;
	listening = true;
	no_port = want_room = want_input = false;
	typed = NULL;
	for (nparts = 0; nparts < NELEM(names); nparts++) {
		strcpy(mans[nparts].name, names[nparts]);
		parts[nparts] = (struct partition) { .man = &mans[nparts], .alive = true,
			.cons_out = &rings[nparts][0], .cons_in = &rings[nparts][1] };
	}
	memset(rings, 0, sizeof(rings));
	console_init(focus_part, true);
	return 0;
}

static size_t say(struct partition *p, const char *text, size_t len)
{
	size_t done = 0;
	int took;

	sent_in_call = 0;
	while (done < len && (took = console_write(p, text + done, (unsigned int)(len - done))) > 0)
		done += (size_t)took;
	return done;
}

static void says(struct partition *p, const char *text)
{
	assert_int_equal(say(p, text, strlen(text)), strlen(text));
}

static inline void expect_wire(const char *text)
{
	wire_all();
	wire[wire_len] = 0;
	assert_string_equal(wire, text);
	wire_len = 0;
	assert_int_equal(npolls, 0);
}

#endif
