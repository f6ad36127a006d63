/* SPDX-License-Identifier: MIT */
/*
 * console.h - the console rings of a partition, and the serial port they share.
 */
#ifndef METAKERNEL_PART_CONSOLE_H
#define METAKERNEL_PART_CONSOLE_H

#include <hal/types.h>
#include "lib/serial.h"

struct partition;

#define CONS_BYTES	8192	/* console ring of a partition, each way; a power of two */

struct cons_ring {
	uint32_t head, tail;	/* free-running; head is written, tail is read */
	uint32_t lost;		/* output that nobody has read in time, since the last reader was told */
	char data[CONS_BYTES];
};

/* has_irq: the port's interrupt arrives. Else console_poll() is to be called at console_poll_tsc(). */
void console_init(struct partition *focus, bool has_irq);
/* A partition made at run time gets its place on the serial port, and leaves it: its rings are not looked at any more. */
void console_add(struct partition *p);
void console_remove(struct partition *p);
uint64_t console_poll_tsc(void);	/* 0: never */
void console_poll(void);
void console_irq(void);

/* Bytes taken: of a peer at least one, of the partition in focus what there is room for. Never waits. */
int console_write(struct partition *p, const char *buf, unsigned int len);
int console_read(struct partition *p, char *buf, unsigned int len);
void console_flush(struct partition *p);	/* p has ended: show the line it began */

bool console_listens(void);	/* what is typed on the serial port reaches a partition that runs */

/* For a controller: the raw output of p, "[N bytes lost]" where some is missing; and input for it. */
int console_peer_read(struct partition *p, char *buf, unsigned int len);
int console_peer_write(struct partition *p, const char *buf, unsigned int len);
/* It shows what p writes itself, for a second from now on: the serial port does not. */
void console_attach(struct partition *p, bool on);

#endif
