/* SPDX-License-Identifier: MIT */
/*
 * __stdio_read.c - in place of musl's src/stdio/__stdio_read.c: says how much of what it asks for its
 * caller wants, and how much is only for the buffer. After a seek to a record that is not fetched.
 */
#include "stdio_impl.h"
#include <stddef.h>
#include <sys/uio.h>
#include "../include/rt/stream.h"

_Static_assert(offsetof(FILE, rpos) == offsetof(struct rt_stream, rpos) &&
	       offsetof(FILE, rend) == offsetof(struct rt_stream, rend), "rt/stream.h");

long rt_read_some(int fd, const struct iovec *iov, int n, size_t need);

size_t __stdio_read(FILE *f, unsigned char *buf, size_t len)
{
	struct iovec iov[2] = {
		{ .iov_base = buf, .iov_len = len - !!f->buf_size },
		{ .iov_base = f->buf, .iov_len = f->buf_size },
	};
	ssize_t cnt = __syscall_ret(rt_read_some(f->fd, iov, 2, len));

	if (cnt <= 0) {
		f->flags |= cnt ? F_ERR : F_EOF;
		return 0;
	}
	if ((size_t)cnt <= iov[0].iov_len)
		return (size_t)cnt;
	cnt -= (ssize_t)iov[0].iov_len;
	f->rpos = f->buf;
	f->rend = f->buf + cnt;
	if (f->buf_size)
		buf[len - 1] = *f->rpos++;
	return len;
}
