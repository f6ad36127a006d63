// SPDX-License-Identifier: MIT
/*
 * power.c - leave: by the emulator's exit port, by power off, by reset.
 */
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/hooks.h>
#include <hal/power.h>

#define PORT_DEBUG_EXIT	0xf4	/* QEMU isa-debug-exit: process status = value << 1 | 1 */
#define PORT_BOCHS_EXIT	0x8900	/* Bochs: the word "Shutdown" */
#define PORT_PM_Q35	0x604	/* PM1a control of QEMU's ICH9, and of its PIIX4 since 2.0 */
#define PORT_PM_OLD	0xb004	/* of Bochs and old QEMU */
#define PM_S5		0x2000	/* SLP_EN, SLP_TYP 0 */
#define PORT_RESET	0xcf9
#define PORT_KBD	0x64

static void say_status(uint8_t status)
{
	char digits[4] = { 0 };
	unsigned int n = 0;

	if (status >= 100)
		digits[n++] = (char)('0' + status / 100);
	if (status >= 10)
		digits[n++] = (char)('0' + status / 10 % 10);
	digits[n] = (char)('0' + status % 10);
	hal_console_puts("[keel] exit status ");
	hal_console_puts(digits);
	hal_console_puts("\r\n");
}

static void __noreturn halt(void)
{
	for (;;) {
		hal_cli();
		hal_hlt();
	}
}

void __noreturn hal_exit(uint8_t status)
{
	const char *s = "Shutdown";

	hal_cli();
	keel_last_words();
	say_status(status);
	hal_console_flush();
	hal_outb(PORT_DEBUG_EXIT, status);
	while (*s)
		hal_outb(PORT_BOCHS_EXIT, (uint8_t)*s++);
	hal_outw(PORT_PM_Q35, PM_S5);
	hal_outw(PORT_PM_OLD, PM_S5);
	halt();
}

void __noreturn hal_reset(void)
{
	hal_cli();
	keel_last_words();
	hal_console_flush();
	hal_outb(PORT_RESET, 0x02);	/* hard reset, then the edge that starts it */
	hal_outb(PORT_RESET, 0x06);
	for (unsigned int i = 0; i < 100000 && (hal_inb(PORT_KBD) & 2); i++)
		hal_pause();
	hal_outb(PORT_KBD, 0xfe);
	halt();
}
