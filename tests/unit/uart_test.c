// SPDX-License-Identifier: MIT
/*
 * Property: with a 16550 whose interrupt line is edge-triggered, in every order of bytes arriving, the FIFO
 * running empty and the handler running late, what is to be sent is sent and what was received is read, by
 * interrupts alone; all waits for a far end that takes nothing are bounded; a missing port costs nothing.
 * Failure looks like: the driver sleeps with work left, a byte is lost or overwritten, or reads without end.
 */
#include "unit.h"

#include <hal/cpu.h>

static uint8_t model_in(uint16_t port);
static void model_out(uint16_t port, uint8_t v);

#define hal_inb		model_in
#define hal_outb	model_out
#include "hal/x86_64/uart.c"

/* ---- The 16550, as its data sheet has it ----------------------------------------------------------- */

static bool absent, irr, line_high, thr_latch, fifo_on, dlab, cut_off;
static const char *waiting;		/* at the far end, comes whenever there is room */
static uint8_t model_ier;
static unsigned int in_tx, in_rx, reads;
static char rx[FIFO_BYTES];
static char sent[1 << 16];
static size_t nsent;

static void line_update(void)
{
	bool high = ((model_ier & IER_RECEIVED) && in_rx) || ((model_ier & IER_THR_EMPTY) && thr_latch);

	if (high && !line_high)
		irr = true;
	line_high = high;
}

static void receive(void)
{
	while (waiting && *waiting && !cut_off && in_rx < (fifo_on ? FIFO_BYTES : 1))
		rx[in_rx++] = *waiting++;
}

static uint8_t model_in(uint16_t port)
{
	uint8_t v = 0;

	reads++;
	if (absent)
		return NOBODY;
	switch (port) {
	case REG_DATA:
		v = (uint8_t)rx[0];
		if (in_rx)
			memmove(rx, rx + 1, --in_rx);
		receive();
		break;
	case REG_IIR:
		v = fifo_on ? IIR_FIFO : 0;
		break;
	case REG_LSR:
		v = (uint8_t)((in_rx ? LSR_DATA : 0) | (in_tx ? 0 : LSR_THR_EMPTY | LSR_IDLE));
		break;
	}
	line_update();
	return v;
}

static void model_out(uint16_t port, uint8_t v)
{
	assert_false(absent);
	switch (port) {
	case REG_LCR:
		dlab = v & LCR_DLAB;
		break;
	case REG_FCR:
		if ((v & FCR_ENABLE) && !fifo_on)
			in_rx = 0;
		fifo_on = v & FCR_ENABLE;
		break;
	case REG_MCR:
		cut_off = v & MCR_LOOP;
		receive();
		break;
	case REG_DATA:
		if (dlab)
			break;
		assert_true(in_tx < (fifo_on ? FIFO_BYTES : 1));	/* it would overwrite */
		in_tx++;
		sent[nsent++] = (char)v;
		thr_latch = false;
		break;
	case REG_IER:
		if (dlab)
			break;
		if ((v & ~model_ier & IER_THR_EMPTY) && !in_tx)
			thr_latch = true;
		model_ier = v;
		break;
	}
	line_update();
}

static void tx_runs_empty(void)
{
	if (!in_tx)
		return;
	in_tx = 0;
	thr_latch = true;
	line_update();
}

static bool rx_byte(char c)
{
	if (in_rx == FIFO_BYTES)
		return false;
	rx[in_rx++] = c;
	line_update();
	return true;
}

static int start(void **state)
{
	(void)state;
	absent = irr = line_high = thr_latch = fifo_on = dlab = cut_off = false;
	waiting = NULL;
	model_ier = 0;
	in_tx = in_rx = reads = 0;
	nsent = 0;
	ier = fifo_bytes = 0;
	patience = PATIENCE;
	early = -1;
	return 0;
}

/* ---- A driver above: as lib/serial.c and part/console.c do it ------------------------------------- */

static size_t to_send, done, got;
static uint64_t seed = 11;

static char stream(size_t at)
{
	return (char)(at * 7 + at / 256);
}

static void send_some(void)
{
	size_t n = hal_console_room();

	for (; n && done < to_send; n--, done++) {
		char c = stream(done);

		hal_console_send(&c, 1);
	}
	hal_console_want_room(done < to_send);
}

static void handler(void)
{
	unsigned int most = 1 + unit_below(&seed, 20);
	int c;

	irr = false;
	while (most-- && (c = hal_console_getc()) >= 0) {
		assert_int_equal((char)c, stream(got));
		got++;
	}
	send_some();
	hal_console_irq_end();
}

static void no_interrupt_is_lost(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		size_t received = 0;

		start(NULL);
		to_send = done = got = 0;
		hal_console_init();
		hal_console_want_input(true);
		for (unsigned int i = 0; i < 60; i++) {
			switch (unit_below(&seed, 5)) {
			case 0:
				to_send += unit_below(&seed, 40);
				send_some();
				break;
			case 1:
				if (rx_byte(stream(received)))
					received++;
				break;
			case 2:
				tx_runs_empty();
				break;
			default:
				if (irr)
					handler();
			}
		}
		for (unsigned int i = 0; i < 2000 && (irr || in_tx); i++) {
			tx_runs_empty();
			if (irr)
				handler();
		}
		assert_int_equal(done, to_send);
		assert_int_equal(got, received);
		assert_false(irr);		/* and it is silent in the end */
		for (size_t i = 0; i < nsent; i++)
			assert_int_equal(sent[i], stream(i));
	}
}

static void what_was_typed_before_is_kept(void **state)
{
	const char *text = "typed ahead, more than a FIFO of it";

	(void)state;
	waiting = text;
	receive();
	hal_console_init();
	while (*text)
		assert_int_equal(hal_console_getc(), *text++);
	assert_int_equal(hal_console_getc(), -1);
	start(NULL);
	fifo_on = true;			/* the firmware's doing */
	rx_byte('c');
	rx_byte('d');
	hal_console_init();
	assert_int_equal(hal_console_getc(), 'c');
	assert_int_equal(hal_console_getc(), 'd');
	assert_int_equal(hal_console_getc(), -1);
}

static void all_waiting_together_is_bounded(void **state)
{
	(void)state;
	hal_console_init();
	hal_console_putc('x');		/* and then nothing ever leaves */
	reads = 0;
	for (unsigned int i = 0; i < 20000; i++)
		hal_console_putc('y');
	hal_console_flush();
	assert_true(reads <= (PATIENCE + 1) * SPIN_MAX + 20001);
	assert_int_equal(nsent, 1);
	tx_runs_empty();		/* it listens again */
	hal_console_putc('z');
	assert_int_equal(sent[1], 'z');
}

static void a_missing_port_costs_nothing(void **state)
{
	(void)state;
	absent = true;
	hal_console_init();
	reads = 0;
	hal_console_puts("hello\r\n");
	hal_console_flush();
	assert_true(hal_console_room() > FIFO_BYTES);
	hal_console_send("hello", 5);
	hal_console_want_input(true);
	hal_console_want_room(true);
	hal_console_irq_end();
	assert_int_equal(hal_console_getc(), -1);
	assert_int_equal(reads, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_interrupt_is_lost, start),
		cmocka_unit_test_setup(what_was_typed_before_is_kept, start),
		cmocka_unit_test_setup(all_waiting_together_is_bounded, start),
		cmocka_unit_test_setup(a_missing_port_costs_nothing, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
