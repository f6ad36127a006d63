// SPDX-License-Identifier: MIT
/*
 * console.c - every partition has a console ring each way; the serial port shows them all.
 *
 * The partition in focus (Linux) writes to the serial port as it is and gets what is typed there.
 * A peer's output goes out line by line behind "[NAME] ", and is kept in its ring for keelctl.
 */
#include <hal/console.h>
#include "part/console.h"
#include "part/part.h"
#include "run/event.h"
#include "lib/log.h"
#include "lib/string.h"

static struct partition *focus;

static bool ring_put(struct cons_ring *r, char c)
{
	if (r->head - r->tail == CONS_BYTES)
		return false;
	r->data[r->head++ % CONS_BYTES] = c;
	return true;
}

/* Output nobody reads must not stop a partition: the oldest byte gives way. */
static void ring_put_over(struct cons_ring *r, char c)
{
	if (r->head - r->tail == CONS_BYTES)
		r->tail++;
	r->data[r->head++ % CONS_BYTES] = c;
}

static int ring_get(struct cons_ring *r, char *buf, unsigned int len)
{
	unsigned int n = 0;

	while (n < len && r->tail != r->head)
		buf[n++] = r->data[r->tail++ % CONS_BYTES];
	return (int)n;
}

void console_flush(struct partition *p)
{
	if (!p->line_len)
		return;
	hal_console_putc('[');
	hal_console_write(p->man->name, strlen(p->man->name));
	hal_console_write("] ", 2);
	hal_console_write(p->line, p->line_len);
	hal_console_write("\r\n", 2);
	p->line_len = 0;
}

static void echo(struct partition *p, char c)
{
	if (c == '\r')
		return;
	if (c != '\n')
		p->line[p->line_len++] = c;
	if (c == '\n' || p->line_len == sizeof(p->line))
		console_flush(p);
}

/* A call takes so much at most: the serial port is slow, and interrupts are off meanwhile (I5). */
#define WRITE_MAX	256

int console_write(struct partition *p, const char *buf, unsigned int len)
{
	unsigned int i;

	if (len > WRITE_MAX)
		len = WRITE_MAX;
	for (i = 0; i < len; i++) {
		char c = __atomic_load_n(&buf[i], __ATOMIC_RELAXED);

		if (p == focus) {
			hal_console_putc(c);
			continue;
		}
		ring_put_over(&p->cons_out, c);
		echo(p, c);
	}
	return (int)len;
}

int console_read(struct partition *p, char *buf, unsigned int len)
{
	return ring_get(&p->cons_in, buf, len);
}

int console_peer_read(struct partition *p, char *buf, unsigned int len)
{
	return ring_get(&p->cons_out, buf, len);
}

int console_peer_write(struct partition *p, const char *buf, unsigned int len)
{
	unsigned int n = 0;

	if (p->vcpu.state == VCPU_OFF)
		return -KEEL_EPIPE;
	while (n < len && ring_put(&p->cons_in, __atomic_load_n(&buf[n], __ATOMIC_RELAXED)))
		n++;
	event_raise(&p->vcpu, KEEL_EV_CONSOLE);
	return (int)n;
}

void console_input(void)
{
	bool any = false;
	int c;

	while ((c = hal_console_getc()) >= 0) {
		if (focus && ring_put(&focus->cons_in, (char)c))
			any = true;
	}
	if (any && focus->vcpu.state != VCPU_OFF)
		event_raise(&focus->vcpu, KEEL_EV_CONSOLE);
}

void console_init(struct partition *p)
{
	focus = p;
	hal_console_irq_enable();
}
