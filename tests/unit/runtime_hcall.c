// SPDX-License-Identifier: MIT
/*
 * runtime_hcall.c - the played metakernel's hypercalls: console, waiting, capabilities, the channel.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "runtime_machine_priv.h"

/* A buffer the guest names by machine address: inside one page of its memory. */
static void *pa_buffer(struct machine *m, uint64_t pa, uint64_t bytes)
{
	if (pa < MACHINE_MEM_PA || pa - MACHINE_MEM_PA >= m->cfg.mem_bytes || bytes > PAGE ||
	    pa / PAGE != (pa + (bytes ? bytes - 1 : 0)) / PAGE) {
		machine_finish(m, MACHINE_FAULT, "buffer pa %#lx, %lu bytes", pa, bytes);
		return NULL;
	}
	return m->priv->mem + (pa - MACHINE_MEM_PA);
}

static long console_write(struct machine *m, uint64_t pa, uint64_t len)
{
	char *p = pa_buffer(m, pa, len);

	/* Take less than offered now and then: callers must go on with the rest. */
	if (len > 100)
		len = 100;
	if (!p)
		return -KEEL_EFAULT;
	if (m->out_len + len >= MACHINE_OUTPUT) {
		machine_finish(m, MACHINE_FAULT, "too much output");
		return -KEEL_EIO;
	}
	memcpy(m->out + m->out_len, p, len);
	m->out_len += len;
	if (m->cfg.echo && write(STDOUT_FILENO, p, len) < 0)
		return -KEEL_EIO;
	return (long)len;
}

static long console_read(struct machine *m, uint64_t pa, uint64_t len)
{
	char *p = pa_buffer(m, pa, len);
	size_t n = m->priv->input ? strlen(m->priv->input) : 0;

	if (!p)
		return -KEEL_EFAULT;
	if (m->cfg.input_pieces && n > m->priv->piece)
		n = m->priv->piece;
	/* Input arrives in small pieces. */
	if (n > len)
		n = len;
	if (n > 7)
		n = 7;
	if (n) {
		memcpy(p, m->priv->input, n);
		m->priv->input += n;
		m->priv->piece -= m->cfg.input_pieces ? n : 0;
	}
	return (long)n;
}

/* Interactive: wait for a line. False at the end of input. */
static bool more_input(struct machine *m)
{
	static char buf[4096];

	if (m->priv->input && *m->priv->input) {
		size_t n = strcspn(m->priv->input, "\003\n");

		m->priv->piece = m->priv->input[n] ? n + 1 : n;
		return true;
	}
	if (!m->cfg.echo || !fgets(buf, sizeof(buf), stdin))
		return false;
	m->priv->input = buf;
	return true;
}

/* Sleep until some event is set, or so long that it will never be. */
static void wait_for_server(struct machine *m)
{
	struct pollfd p = { .fd = m->priv->wake_fd, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 10000) <= 0)
		machine_finish(m, MACHINE_STUCK, "the server has been silent for 10 s");
	else if (read(m->priv->wake_fd, &n, sizeof(n)) != sizeof(n))
		machine_die("eventfd");
}

/* How many milliseconds a test waits for the other end of a stream. */
static int patience(struct machine *m, uint64_t deadline)
{
	const int most = 5000;
	uint64_t now = machine_guest_tsc(m), ms = deadline > now ? (deadline - now) / machine_tsc_khz() : 0;

	if (m->cfg.time_flies)
		return 0;
	return deadline && ms < (uint64_t)most ? (int)ms : most;
}

static void block(struct machine *m, uint64_t deadline)
{
	struct keel_vcpu_page *v = &m->priv->vcpu;
	struct timespec ts;
	uint64_t now;

	if (__atomic_load_n(&v->events, __ATOMIC_SEQ_CST))
		return;
	if (m->cfg.server) {
		wait_for_server(m);
		return;
	}
	if (m->cfg.root && !m->cfg.no_server && !(m->chan_state & KEEL_CHAN_SERVER_UP) &&
	    m->hypercalls[KEEL_HC_CAP_INFO]) {
		if (m->priv->blocks++ < m->cfg.server_after_blocks)
			return;		/* woken for nothing: that is allowed */
		machine_server_up(m);
	}
	machine_serve_all(m);
	if (v->events)
		return;
	if (more_input(m)) {
		machine_event(m, KEEL_EV_CONSOLE);
		return;
	}
	if (machine_serve_late(m, patience(m, deadline)))
		return;
	if (!deadline) {
		machine_finish(m, MACHINE_STUCK, "blocked for ever");
		return;
	}
	now = machine_guest_tsc(m);
	if (m->cfg.time_flies && deadline > now) {
		m->priv->flown += deadline - now;
	} else if (deadline > now) {
		uint64_t ns = (deadline - now) * 1000 / machine_tsc_khz() * 1000;

		ts.tv_sec = (time_t)(ns / 1000000000);
		ts.tv_nsec = (long)(ns % 1000000000);
		if (ts.tv_sec >= 5)
			machine_finish(m, MACHINE_STUCK, "would sleep %ld s", (long)ts.tv_sec);
		else
			nanosleep(&ts, NULL);
	}
}

static long cap_info(struct machine *m, uint64_t handle, uint64_t pa)
{
	struct keel_cap_info *c = pa_buffer(m, pa, sizeof(*c));

	if (!c)
		return -KEEL_EFAULT;
	memset(c, 0, sizeof(*c));
	if (handle == 0) {
		c->type = KEEL_CAP_PARTITION;
		c->rights = KEEL_RIGHT_INFO;
	} else if (handle == machine_channel(m) && (m->cfg.root || m->cfg.server)) {
		c->type = KEEL_CAP_CHANNEL;
		c->rights = KEEL_RIGHT_USE;
	} else {
		return -KEEL_EBADF;
	}
	return 0;
}

static long part_info(struct machine *m, uint64_t handle, uint64_t pa)
{
	struct keel_part_info *info = pa_buffer(m, pa, sizeof(*info));

	if (handle != 0)
		return -KEEL_EBADF;
	if (!info)
		return -KEEL_EFAULT;
	memset(info, 0, sizeof(*info));
	/* Restarted: the count was not at 0 at the start. */
	info->cpu_ns = 7000000000 + (m->hypercalls[KEEL_HC_PART_INFO] > 1 ? m->cfg.cpu_ns : 0);
	return 0;
}

static long chan_info(struct machine *m, uint64_t handle, uint64_t pa)
{
	struct keel_chan_info *c = pa_buffer(m, pa, sizeof(*c));

	if (handle != machine_channel(m) || (!m->cfg.root && !m->cfg.server))
		return -KEEL_EBADF;
	if (!c)
		return -KEEL_EFAULT;
	memset(c, 0, sizeof(*c));
	pthread_mutex_lock(&m->lock);
	c->state = m->chan_state;
	c->generation = m->chan_generation;
	if (m->chan_state & KEEL_CHAN_WINDOW) {
		c->window_pa = MACHINE_WINDOW_PA;
		c->window_bytes = MACHINE_WINDOW;
	}
	c->max_bytes = MACHINE_WINDOW;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* Entries may have changed: what is mapped beside the image must be looked up again. */
static void flush(struct machine *m, uint64_t what, uint64_t va, uint64_t n)
{
	if (what != KEEL_FLUSH_RANGE)
		return;
	for (uint64_t i = 0; i < n; i++)
		machine_inject(m, SYS_munmap, va + i * PAGE, PAGE, 0, 0, 0, 0);
}

long machine_hypercall(struct machine *m, const struct user_regs_struct *r)
{
	if (r->rax >= KEEL_HC_NR) {
		machine_finish(m, MACHINE_FAULT, "hypercall %llu", r->rax);
		return -KEEL_ENOSYS;
	}
	m->hypercalls[r->rax]++;
	switch (r->rax) {
	case KEEL_HC_CONSOLE_WRITE:
		return console_write(m, r->rdi, r->rsi);
	case KEEL_HC_CONSOLE_READ:
		return console_read(m, r->rdi, r->rsi);
	case KEEL_HC_BLOCK:
		block(m, r->rsi);
		return 0;
	case KEEL_HC_FLUSH:
		flush(m, r->rdi, r->rsi, r->rdx);
		return 0;
	case KEEL_HC_SHUTDOWN:
		m->status = (int)r->rsi;
		machine_finish(m, r->rdi == KEEL_SHUTDOWN_EXIT ? MACHINE_EXIT : MACHINE_CRASH, "shutdown");
		return 0;
	case KEEL_HC_CAP_INFO:
		return cap_info(m, r->rdi, r->rsi);
	case KEEL_HC_CHAN_STATE:
		if (!(m->chan_state & KEEL_CHAN_WINDOW))
			return -KEEL_EAGAIN;
		machine_change_state(m, 0, KEEL_CHAN_CLIENT_UP);
		if (m->cfg.server)
			m->cfg.server->kick(m);
		return 0;
	case KEEL_HC_PART_INFO:
		return part_info(m, r->rdi, r->rsi);
	case KEEL_HC_CHAN_INFO:
		return chan_info(m, r->rdi, r->rsi);
	case KEEL_HC_MEM_INFO:
		return -KEEL_EINVAL;	/* it has what it started with */
	case KEEL_HC_CHAN_KICK:
		if (m->cfg.server)
			m->cfg.server->kick(m);
		machine_serve_all(m);
		return 0;
	}
	machine_finish(m, MACHINE_FAULT, "unexpected hypercall %llu", r->rax);
	return -KEEL_ENOSYS;
}
