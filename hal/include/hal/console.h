/* SPDX-License-Identifier: MIT */
/*
 * hal/console.h - the serial console (COM1, 115200 8N1).
 */
#ifndef HAL_CONSOLE_H
#define HAL_CONSOLE_H

#include <hal/types.h>

#define HAL_CONSOLE_IRQ	4	/* ISA interrupt of COM1 */

void hal_console_init(void);

/* Wait (bounded) for room, then send. Bytes go out as they are: no newline translation. */
void hal_console_putc(char c);
void hal_console_write(const char *s, size_t len);
void hal_console_puts(const char *s);

/* Wait (bounded) until the last byte has left the wire. */
void hal_console_flush(void);

/* Next received byte 0..255, or -1 if none waits. */
int hal_console_getc(void);

/* Raise HAL_CONSOLE_IRQ while received data waits. The caller routes the line (hal/ioapic.h). */
void hal_console_irq_enable(void);

#endif
