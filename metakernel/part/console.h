/* SPDX-License-Identifier: MIT */
/*
 * console.h - the console rings of a partition, and the serial port they share.
 */
#ifndef METAKERNEL_PART_CONSOLE_H
#define METAKERNEL_PART_CONSOLE_H

#include <hal/types.h>

struct partition;

#define CONS_BYTES	4096	/* console ring of a partition, each way; a power of two */

struct cons_ring {
	uint32_t head, tail;	/* free-running; head is written, tail is read */
	char data[CONS_BYTES];
};

void console_init(struct partition *focus);
int console_write(struct partition *p, const char *buf, unsigned int len);
int console_read(struct partition *p, char *buf, unsigned int len);
int console_peer_read(struct partition *p, char *buf, unsigned int len);
int console_peer_write(struct partition *p, const char *buf, unsigned int len);
void console_input(void);		/* the UART has bytes */
void console_flush(struct partition *p);

#endif
