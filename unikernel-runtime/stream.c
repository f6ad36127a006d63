// SPDX-License-Identifier: MIT
/*
 * stream.c - descriptors 0, 1 and 2 of a partition that somebody in Linux has started (keelctl run): standard
 * input, output and error of that person, behind the channel. KEEL_DC_STDIO in drivercall.h.
 *
 * Each has a buffer in the window and at most one request on its way, for as long as it takes. That request
 * belongs to the stream, not to the call that made it: a handler of a signal runs while the call waits, may read and
 * write itself, and need not return. So a call first finishes what it finds; what is read and not asked for any more
 * is the next reader's.
 *
 *	input:  [at, len) of the buffer has come and is not read yet
 *	output: [at, len) of the buffer is to be written
 *
 * Trusts: results are bounded by what was asked for; contents are only ever copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <rt/pieces.h>
#include <rt/rt.h>
#include <rt/session.h>

#define BUFFER_BYTES	(64 * 1024UL)	/* what a pipe of Linux holds */
#define ERROR_BYTES	4096UL		/* messages are short */
#define PEEK_BYTES	4096UL		/* what poll() takes of the input, as libc would */

struct stream {
	unsigned n;		/* number, here and at the server */
	uint32_t generation;
	bool tty, busy;		/* busy: its request is on its way */
	bool end;		/* input: nothing came, and nobody was told yet */
	bool broken;		/* output: somebody was told that nobody reads it */
	int err;		/* of a request, nobody was told yet */
	uint64_t off;		/* of the buffer in the window */
	size_t bytes, at, len;
};

static struct stream streams[RT_STREAMS];

static void *buffer(const struct stream *s)
{
	return keel_dc_ptr(&session, s->off + s->at);
}

/* ---- the request on its way ------------------------------------------------------------------------- */

static void start(struct stream *s, struct keel_sqe sqe)
{
	s->err = session_start(s->n, &sqe);
	s->busy = !s->err;
}

/* What an answer means: as many bytes as were asked for, at most. */
static void answered(struct stream *s, int32_t res)
{
	s->busy = false;
	s->end = !s->n && !res;
	if (res < 0 || (size_t)res > s->len - s->at || (s->n && !res)) {
		s->err = res < 0 ? res : -EIO;
		s->len = s->at;
	} else if (s->n) {
		s->at += (size_t)res;
	} else {
		s->len = (size_t)res;
	}
}

/* A place in the session there is. */
static bool join(struct stream *s)
{
	if (!session_at_once() || !(session.flags & KEEL_DC_STDIO))
		return false;
	s->bytes = s->n == 2 ? ERROR_BYTES : BUFFER_BYTES;
	s->off = remote_buffer(&s->bytes);
	if (!s->off)
		return false;
	s->generation = session.generation;
	s->tty = session.flags & KEEL_DC_TTY(s->n);
	s->broken = false;
	return true;
}

/*
 * Take the answer if it has come; none will from a session that is over. Somebody is told what was lost with it, and who comes
 * after that has the next session, if there is one.
 */
static void collect(struct stream *s)
{
	int32_t res;

	if (!session_is(s->generation)) {
		bool lost = s->busy || s->at < s->len;

		s->busy = s->end = false;
		s->at = s->len = 0;
		if (lost || !join(s))
			s->err = -EIO;
	} else if (s->busy && session_answer(s->n, &res)) {
		answered(s, res);
	}
}

static int told(struct stream *s)
{
	int err = s->err;

	s->err = 0;
	return err;
}

/* ---- input ------------------------------------------------------------------------------------------ */

static void ask(struct stream *s, size_t bytes)
{
	s->at = 0;
	s->len = bytes < s->bytes ? bytes : s->bytes;
	start(s, keel_dc_read((int32_t)s->n, s->off, (uint32_t)s->len, 0, 0));
}

/* Whether there is something for a reader. */
static bool has_come(struct stream *s)
{
	collect(s);
	return !s->busy && (s->at < s->len || s->end || s->err);
}

static ssize_t stream_read(struct file *f, const struct iovec *iov, int n, uint64_t pos, size_t need)
{
	size_t len = pieces_bytes(iov, n);
	struct pieces to = { iov, 0 };
	struct stream *s = f->stream;

	(void)pos, (void)need;
	if (!len)
		return 0;
	while (!has_come(s)) {
		if (!s->busy)
			ask(s, len);
		if (s->busy && session_wait(s->n) && !signal_restarts())
			return -EINTR;
	}
	remote_forget();	/* what was read may say that a file has changed */
	if (s->err)
		return told(s);
	if (len > s->len - s->at)
		len = s->len - s->at;
	pieces_copy(&to, buffer(s), len, true);
	s->at += len;
	s->end = false;
	return (ssize_t)len;
}

bool stream_readable(struct file *f, uint64_t *events)
{
	struct stream *s = f->stream;

	if (!s->n && !has_come(s) && !s->busy)
		ask(s, PEEK_BYTES);
	if (s->n || has_come(s))
		return true;
	*events |= session_look();
	return has_come(s);
}

/* ---- output ----------------------------------------------------------------------------------------- */

/* Until all of the buffer is written, or an error. Handlers run meanwhile; the call goes on after them. */
static void drain(struct stream *s)
{
	for (collect(s); s->busy || s->at < s->len; collect(s)) {
		if (!s->busy)
			start(s, keel_dc_write((int32_t)s->n, s->off + s->at, (uint32_t)(s->len - s->at), 0, 0));
		if (s->busy)
			session_wait(s->n);
	}
}

/*
 * A program is told once that nobody reads what it writes. One that does not care and goes on, as Lua's print
 * does, ends as on Linux.
 */
static int broken_pipe(struct stream *s)
{
	if (s->broken)
		signal_raise(SIGPIPE);
	s->broken = true;
	return -EPIPE;
}

static ssize_t stream_write(struct file *f, const struct iovec *iov, int n, uint64_t pos)
{
	size_t len = pieces_bytes(iov, n), done = 0, part;
	struct pieces from = { iov, 0 };
	struct stream *s = f->stream;
	int err;

	(void)pos;
	for (drain(s); done < len && !s->err; done += part) {
		part = len - done < s->bytes ? len - done : s->bytes;
		s->at = s->len = 0;
		pieces_copy(&from, buffer(s), part, false);
		s->len = part;
		drain(s);
		if (s->err)
			part = s->at < part ? s->at : part;
	}
	if (done || !s->err)
		return (ssize_t)done;
	err = told(s);
	return err == -EPIPE ? broken_pipe(s) : err;
}

/* ---- what they are ---------------------------------------------------------------------------------- */

static int stream_stat(struct file *f, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = f->stream->tty ? S_IFCHR | 0620 : S_IFIFO | 0600;
	st->st_nlink = 1;
	return 0;
}

/* Who reads our output sees its end. */
static int stream_close(struct file *f)
{
	struct stream *s = f->stream;
	struct keel_sqe sqe = keel_dc_close((int32_t)s->n, 0);

	collect(s);
	if (!s->busy && session_is(s->generation))
		session_post(&sqe);
	return 0;
}

static const struct file_ops stream_ops = {
	.read = stream_read, .write = stream_write, .stat = stream_stat, .close = stream_close,
};

bool is_stream(const struct file *f)
{
	return f->ops == &stream_ops;
}

bool stream_is_tty(const struct file *f)
{
	return is_stream(f) && f->stream->tty;
}

bool stream_init(struct file files[RT_STREAMS])
{
	struct stream *s = streams;

	for (unsigned n = 0; n < RT_STREAMS; n++) {
		s[n].n = n;
		if (!join(&s[n]))
			return false;
	}
	for (unsigned n = 0; n < RT_STREAMS; n++) {
		files[n].ops = &stream_ops;
		files[n].stream = &s[n];
		files[n].flags = n ? O_WRONLY : O_RDONLY;
	}
	return true;
}
