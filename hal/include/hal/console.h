/* SPDX-License-Identifier: MIT */
/*
 * hal/console.h - the serial console (COM1, 115200 8N1).
 *
 * Where there is no such port, everything is taken and goes nowhere.
 */
#ifndef HAL_CONSOLE_H
#define HAL_CONSOLE_H

#include <hal/types.h>

#define HAL_CONSOLE_IRQ	4	/* ISA interrupt of COM1 */

/* What has been received already is kept. */
void hal_console_init(void);

/*
 * Wait for room, then send; bytes go out as they are, no newline translation. The waits of all calls
 * together are bounded: when the far end does not take anything any more, bytes are dropped.
 */
void hal_console_putc(char c);
void hal_console_puts(const char *s);

/* Wait (bounded) until the last byte has left the wire. */
void hal_console_flush(void);

/* How many bytes hal_console_send() may be given now; 0: none. */
size_t hal_console_room(void);
void hal_console_send(const char *s, size_t len);

/* Next received byte 0..255, or -1 if none waits. */
int hal_console_getc(void);

/*
 * Raise HAL_CONSOLE_IRQ while there is room to send, or received data waits. The caller routes the line
 * (hal/ioapic.h), and calls hal_console_irq_end() when it has done what it can: the line is
 * edge-triggered, and what still holds it then makes a new edge.
 */
void hal_console_want_room(bool on);
void hal_console_want_input(bool on);
void hal_console_irq_end(void);

#endif
