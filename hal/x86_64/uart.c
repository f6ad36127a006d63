// SPDX-License-Identifier: MIT
/*
 * uart.c - COM1, a 16550 (data sheet: National Semiconductor PC16550D).
 *
 * Context: any, interrupts off; one CPU at a time.
 */
#include <hal/console.h>
#include <hal/cpu.h>

#define COM1		0x3f8
#define REG_DATA	(COM1 + 0)	/* DLAB=1: divisor low */
#define REG_IER		(COM1 + 1)	/* DLAB=1: divisor high */
#define REG_IIR		(COM1 + 2)	/* reading */
#define REG_FCR		(COM1 + 2)	/* writing */
#define REG_LCR		(COM1 + 3)
#define REG_MCR		(COM1 + 4)
#define REG_LSR		(COM1 + 5)

#define IER_RECEIVED	0x01
#define IER_THR_EMPTY	0x02
#define IIR_FIFO	0xc0		/* both bits: the FIFOs are on and work */
#define FCR_ENABLE	0x01		/* trigger at one byte; what was received stays */
#define LCR_8N1		0x03
#define LCR_DLAB	0x80
#define MCR_DTR_RTS	0x03
#define MCR_OUT2	0x08		/* gates the interrupt line on PCs */
#define MCR_LOOP	0x10		/* cut off from the wire */
#define LSR_DATA	0x01
#define LSR_THR_EMPTY	0x20		/* with FIFOs: the whole one */
#define LSR_IDLE	0x40		/* shift register empty too */
#define NOBODY		0xff		/* read where no device answers */

#define FIFO_BYTES	16
#define NO_PORT		4096		/* takes all there is */

/* At 115200 baud a byte takes 87 us; a port read at least 100 ns even when emulated. */
#define SPIN_MAX	100000
#define PATIENCE	8		/* times SPIN_MAX: all waiting there is for an end that takes nothing */

static uint8_t ier;
static uint8_t fifo_bytes;		/* 0: no port */
static unsigned int patience = PATIENCE;
static int early = -1;			/* received before the FIFO was on */

void hal_console_init(void)
{
	uint8_t lsr = hal_inb(REG_LSR);

	if (lsr == NOBODY)
		return;
	hal_outb(REG_IER, 0);
	hal_outb(REG_LCR, LCR_DLAB);
	hal_outb(REG_DATA, 1);		/* 115200 */
	hal_outb(REG_IER, 0);
	hal_outb(REG_LCR, LCR_8N1);
	/* Switching the FIFO on empties it: take the byte that is there, and let no other in meanwhile. */
	hal_outb(REG_MCR, MCR_LOOP);
	if ((lsr & LSR_DATA) && (hal_inb(REG_IIR) & IIR_FIFO) != IIR_FIFO)
		early = hal_inb(REG_DATA);
	hal_outb(REG_FCR, FCR_ENABLE);
	hal_outb(REG_MCR, MCR_DTR_RTS | MCR_OUT2);
	fifo_bytes = (hal_inb(REG_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
}

static bool wait_for(uint8_t lsr_bit)
{
	for (unsigned int i = 0; i < SPIN_MAX; i++) {
		if (hal_inb(REG_LSR) & lsr_bit)
			return true;
		if (!patience)
			return false;
		hal_pause();
	}
	patience--;
	return false;
}

void hal_console_putc(char c)
{
	if (!fifo_bytes)
		return;
	while (!wait_for(LSR_THR_EMPTY))
		if (!patience)
			return;
	hal_outb(REG_DATA, (uint8_t)c);
}

void hal_console_puts(const char *s)
{
	while (*s)
		hal_console_putc(*s++);
}

void hal_console_flush(void)
{
	if (fifo_bytes)
		wait_for(LSR_IDLE);
}

size_t hal_console_room(void)
{
	if (!fifo_bytes)
		return NO_PORT;
	return hal_inb(REG_LSR) & LSR_THR_EMPTY ? fifo_bytes : 0;
}

void hal_console_send(const char *s, size_t len)
{
	for (size_t i = 0; i < len && fifo_bytes; i++)
		hal_outb(REG_DATA, (uint8_t)s[i]);
}

int hal_console_getc(void)
{
	int c = early;

	early = -1;
	if (c >= 0)
		return c;
	if (!fifo_bytes || !(hal_inb(REG_LSR) & LSR_DATA))
		return -1;
	return hal_inb(REG_DATA);
}

static void set_ier(uint8_t bit, bool on)
{
	uint8_t now = on ? ier | bit : ier & (uint8_t)~bit;

	if (now == ier || !fifo_bytes)
		return;
	ier = now;
	hal_outb(REG_IER, ier);
}

void hal_console_want_room(bool on)
{
	set_ier(IER_THR_EMPTY, on);
}

void hal_console_want_input(bool on)
{
	set_ier(IER_RECEIVED, on);
}

void hal_console_irq_end(void)
{
	if (!fifo_bytes)
		return;
	hal_outb(REG_IER, 0);
	hal_outb(REG_IER, ier);
}
