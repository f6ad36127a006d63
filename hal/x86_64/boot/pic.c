// SPDX-License-Identifier: MIT
/*
 * pic.c - silence the two 8259A interrupt controllers: IOAPICs do their work.
 */
#include <hal/cpu.h>
#include <hal/irq.h>

#define PIC1_CMD	0x20
#define PIC1_DATA	0x21
#define PIC2_CMD	0xa0
#define PIC2_DATA	0xa1
#define ICW1_INIT	0x11	/* edge, cascade, ICW4 follows */
#define ICW4_8086	0x01

void hal_pic_disable(void)
{
	hal_outb(PIC1_CMD, ICW1_INIT);
	hal_outb(PIC2_CMD, ICW1_INIT);
	hal_outb(PIC1_DATA, 0x20);	/* vector base, away from the exceptions */
	hal_outb(PIC2_DATA, 0x28);
	hal_outb(PIC1_DATA, 1 << 2);	/* the slave hangs on line 2 */
	hal_outb(PIC2_DATA, 2);
	hal_outb(PIC1_DATA, ICW4_8086);
	hal_outb(PIC2_DATA, ICW4_8086);
	hal_outb(PIC1_DATA, 0xff);
	hal_outb(PIC2_DATA, 0xff);
}
