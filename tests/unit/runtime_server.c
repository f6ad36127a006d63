// SPDX-License-Identifier: MIT
/*
 * runtime_server.c - the played server: answers driver calls with files below cfg.root, through the
 * window. It checks what a server must be able to rely on, and takes it for a fault of the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime_machine_priv.h"

void machine_event(struct machine *m, unsigned bit)
{
	uint64_t one = 1;

	__atomic_fetch_or(&m->priv->vcpu.events, 1ULL << bit, __ATOMIC_SEQ_CST);
	if (write(m->priv->wake_fd, &one, sizeof(one)) != sizeof(one))
		machine_die("eventfd");
}

void machine_bell(struct machine *m)
{
	machine_event(m, machine_channel(m));
}

void machine_change_state(struct machine *m, uint32_t clear, uint32_t set)
{
	pthread_mutex_lock(&m->lock);
	m->chan_state = (m->chan_state & ~clear) | set;
	m->chan_generation++;
	pthread_mutex_unlock(&m->lock);
}

void machine_server_close(struct machine *m)
{
	for (int i = 0; i < HANDLES; i++) {
		if (m->priv->files[i] >= 0)
			close(m->priv->files[i]);
		m->priv->files[i] = -1;
	}
	m->priv->late.opcode = 0;
}

void machine_server_down(struct machine *m)
{
	machine_server_close(m);
	m->priv->session = 0;
	machine_change_state(m, KEEL_CHAN_SERVER_UP, 0);
	machine_event(m, machine_channel(m));
}

void machine_server_up(struct machine *m)
{
	machine_change_state(m, 0, KEEL_CHAN_SERVER_UP | KEEL_CHAN_WINDOW);
	machine_event(m, machine_channel(m));
}

/* The client asks for a session: drivercall.h, "Generations". */
static void server_session(struct machine *m)
{
	struct machine_priv *p = m->priv;
	struct keel_dc_header *h = m->hdr;
	uint32_t want = keel_load_acquire(&h->client_generation);

	if (!(m->chan_state & KEEL_CHAN_SERVER_UP) || want == p->session || want != m->chan_generation)
		return;
	machine_server_close(m);
	memset(&h->sq, 0, sizeof(h->sq));
	memset(&h->cq, 0, sizeof(h->cq));
	keel_dc_layout_choose(&p->layout, MACHINE_WINDOW);
	h->magic = KEEL_DC_MAGIC;
	h->version = KEEL_DC_VERSION;
	h->size = KEEL_DC_HEADER_BYTES;
	h->window_bytes = p->layout.window_bytes;
	h->sq_entries = p->layout.sq_entries;
	h->cq_entries = p->layout.cq_entries;
	h->sq_off = p->layout.sq_off;
	h->cq_off = p->layout.cq_off;
	h->buf_off = p->layout.buf_off;
	h->buf_bytes = p->layout.buf_bytes;
	keel_ring_init(&p->sq, &h->sq, p->layout.sq_entries);
	keel_ring_init(&p->cq, &h->cq, p->layout.cq_entries);
	h->flags = m->cfg.dc_flags;
	for (int i = 0; i < 3 && m->cfg.dc_flags & KEEL_DC_STDIO; i++)
		p->files[i] = dup(m->cfg.stdio[i]);
	m->attached++;
	p->session = want;
	keel_store_release(&h->generation, want);
	machine_event(m, machine_channel(m));
}

static void *in_window(struct machine *m, uint64_t off, uint64_t bytes)
{
	if (!keel_dc_range_ok(off, bytes, m->priv->layout.buf_off, m->priv->layout.buf_bytes)) {
		machine_finish(m, MACHINE_FAULT, "request names [%#lx, +%#lx): not in the buffer area", off, bytes);
		return m->window + m->priv->layout.buf_off;
	}
	return m->window + off;
}

static const char *host_path(struct machine *m, uint64_t off, char out[2048])
{
	const char *path = in_window(m, off, 1);

	if (path[0] != '/' || strstr(path, "/../"))
		machine_finish(m, MACHINE_FAULT, "bad path in request: %.64s", path);
	snprintf(out, 2048, "%s%.1024s", m->cfg.root, path);
	return out;
}

static int host_fd(struct machine *m, int32_t file)
{
	return file >= 0 && file < HANDLES ? m->priv->files[file] : -1;
}

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

static int serve_open(struct machine *m, const struct keel_sqe *s)
{
	char path[2048];
	int slot = 0, fd;

	if (s->op_flags & ~KEEL_DC_O_ALLOWED)
		return -EINVAL;
	while (slot < HANDLES && m->priv->files[slot] >= 0)
		slot++;
	if (slot == HANDLES)
		return -EMFILE;
	fd = open(host_path(m, s->addr, path), (int)s->op_flags | O_CLOEXEC, s->len);
	if (fd < 0)
		return -errno;
	m->priv->files[slot] = fd;
	return slot;
}

/* What keeld tells of a file it has opened. */
static uint32_t opened(struct machine *m, const struct keel_sqe *s, int res)
{
	struct stat st;

	if (s->opcode != KEEL_OP_OPENAT || host_fd(m, res) < 0 || m->cfg.dumb_server)
		return 0;
	if (fstat(m->priv->files[res], &st) < 0)
		machine_die("fstat");
	return keel_dc_opened(S_ISREG(st.st_mode), (uint64_t)st.st_size, (uint64_t)st.st_blocks);
}

/* Standard streams: no positions, and so much at once as the test wants. A READ waits until there is something. */
static int serve_stream(struct machine *m, const struct keel_sqe *s, int fd)
{
	size_t len = m->cfg.portion ? m->cfg.portion(s->len) : s->len;
	void *buf = in_window(m, s->addr, s->len);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (s->off)
		machine_finish(m, MACHINE_FAULT, "position %#lx in a stream", s->off);
	if (s->opcode == KEEL_OP_WRITE)
		return result(write(fd, buf, len));
	return fd >= 0 && poll(&p, 1, 0) == 0 ? SERVE_LATE : result(read(fd, buf, len));
}

static int serve_one(struct machine *m, const struct keel_sqe *s)
{
	char path[2048], to[2048];
	int fd = host_fd(m, s->fd);

	if (s->flags || s->ioprio || s->buf_index || s->personality || s->file_index || s->addr3 ||
	    s->reserved)
		return -EINVAL;
	if (m->cfg.dc_flags & KEEL_DC_STDIO && (unsigned)s->fd < 3 &&
	    (s->opcode == KEEL_OP_READ || s->opcode == KEEL_OP_WRITE))
		return serve_stream(m, s, fd);
	switch (s->opcode) {
	case KEEL_OP_OPENAT:
		return serve_open(m, s);
	case KEEL_OP_CLOSE:
		if (fd < 0)
			return -EBADF;
		m->priv->files[s->fd] = -1;
		return result(close(fd));
	case KEEL_OP_READ:
		return result(pread(fd, in_window(m, s->addr, s->len), s->len, (off_t)s->off));
	case KEEL_OP_WRITE:
		return result(pwrite(fd, in_window(m, s->addr, s->len), s->len, (off_t)s->off));
	case KEEL_OP_FSYNC:
		return result(fsync(fd));
	case KEEL_OP_FTRUNCATE:
		return result(ftruncate(fd, (off_t)s->off));
	case KEEL_OP_STATX:
		if (s->op_flags & KEEL_DC_AT_EMPTY_PATH)
			return result(statx(fd, "", AT_EMPTY_PATH, s->len,
					    in_window(m, s->off, KEEL_DC_STATX_BYTES)));
		return result(statx(AT_FDCWD, host_path(m, s->addr, path), (int)s->op_flags, s->len,
				    in_window(m, s->off, KEEL_DC_STATX_BYTES)));
	case KEEL_OP_UNLINKAT:
		return result(unlinkat(AT_FDCWD, host_path(m, s->addr, path), (int)s->op_flags));
	case KEEL_OP_RENAMEAT:
		return result(rename(host_path(m, s->addr, path), host_path(m, s->off, to)));
	case KEEL_OP_MKDIRAT:
		return result(mkdir(host_path(m, s->addr, path), s->len));
	}
	return -EINVAL;
}

static void answer(struct machine *m, const struct keel_sqe *s, int res)
{
	struct machine_priv *p = m->priv;
	struct keel_cqe *cqes = (void *)(m->window + p->layout.cq_off);

	cqes[keel_ring_slot(&p->cq, p->cq.own)] = (struct keel_cqe){ s->user_data, res, opened(m, s, res) };
	keel_ring_publish(&p->cq, 1);
}

static void serve_late(struct machine *m, const struct keel_sqe *s)
{
	if (m->priv->late.opcode)
		machine_finish(m, MACHINE_FAULT, "two requests that wait");
	m->priv->late = *s;
}

bool machine_serve_late(struct machine *m, int timeout_ms)
{
	struct keel_sqe s = m->priv->late;
	struct pollfd p = { .fd = host_fd(m, s.fd), .events = POLLIN };

	if (!s.opcode || (s.opcode == KEEL_OP_READ && poll(&p, 1, timeout_ms) <= 0))
		return false;
	m->priv->late.opcode = 0;
	answer(m, &s, serve_one(m, &s));
	if (keel_ring_need_kick(&m->priv->cq))
		machine_event(m, machine_channel(m));
	return true;
}

void machine_serve_all(struct machine *m)
{
	struct machine_priv *p = m->priv;
	int n;

	if (!m->cfg.root || m->cfg.no_server || m->cfg.server)
		return;
	server_session(m);
	while (p->session && (n = keel_ring_avail(&p->sq)) > 0) {
		const struct keel_sqe *sqes = (const void *)(m->window + p->layout.sq_off);
		struct keel_sqe s = sqes[keel_ring_slot(&p->sq, p->sq.own)];
		int res = m->cfg.serve ? m->cfg.serve(m, &s) : SERVE_NORMALLY;

		m->requests++;
		if (m->cfg.wall_ns)
			keel_dc_clock_set(m->hdr, m->cfg.wall_ns, machine_guest_tsc(m));
		if (!p->session)
			return;		/* the callback took the server down */
		keel_ring_consume(&p->sq, 1);
		if (res == SERVE_NORMALLY)
			res = serve_one(m, &s);
		if (res == SERVE_LATE)
			serve_late(m, &s);
		else if (res != SERVE_NEVER)
			answer(m, &s, res);
	}
	if (p->session && keel_ring_need_kick(&p->cq))
		machine_event(m, machine_channel(m));
	if (p->session && keel_ring_arm(&p->sq) > 0)
		machine_serve_all(m);
}
