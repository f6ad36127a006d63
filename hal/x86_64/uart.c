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
#define REG_FCR		(COM1 + 2)
#define REG_LCR		(COM1 + 3)
#define REG_MCR		(COM1 + 4)
#define REG_LSR		(COM1 + 5)

#define IER_RECEIVED	0x01
#define FCR_ENABLE	0x07		/* FIFOs on, both cleared, trigger at one byte */
#define LCR_8N1		0x03
#define LCR_DLAB	0x80
#define MCR_DTR_RTS	0x03
#define MCR_OUT2	0x08		/* gates the interrupt line on PCs */
#define LSR_DATA	0x01
#define LSR_THR_EMPTY	0x20
#define LSR_IDLE	0x40	/* shift register empty too */

/* At 115200 baud a byte takes 87 us; a port read at least 100 ns even when emulated. */
#define SPIN_MAX	100000

void hal_console_init(void)
{
	hal_outb(REG_IER, 0);
	hal_outb(REG_LCR, LCR_DLAB);
	hal_outb(REG_DATA, 1);		/* 115200 */
	hal_outb(REG_IER, 0);
	hal_outb(REG_LCR, LCR_8N1);
	hal_outb(REG_FCR, FCR_ENABLE);
	hal_outb(REG_MCR, MCR_DTR_RTS | MCR_OUT2);
}

void hal_console_putc(char c)
{
	for (unsigned int i = 0; i < SPIN_MAX; i++) {
		if (hal_inb(REG_LSR) & LSR_THR_EMPTY)
			break;
		hal_pause();
	}
	hal_outb(REG_DATA, (uint8_t)c);
}

void hal_console_write(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hal_console_putc(s[i]);
}

void hal_console_puts(const char *s)
{
	while (*s)
		hal_console_putc(*s++);
}

void hal_console_flush(void)
{
	for (unsigned int i = 0; i < SPIN_MAX && !(hal_inb(REG_LSR) & LSR_IDLE); i++)
		hal_pause();
}

int hal_console_getc(void)
{
	uint8_t lsr = hal_inb(REG_LSR);

	if (lsr == 0xff || !(lsr & LSR_DATA))	/* 0xff: no such device */
		return -1;
	return hal_inb(REG_DATA);
}

void hal_console_irq_enable(void)
{
	hal_outb(REG_IER, IER_RECEIVED);
}
