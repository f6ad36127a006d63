/* SPDX-License-Identifier: MIT */
/*
 * rt/stream.h - a character out of a stream's buffer without a call, as glibc's getc_unlocked is a macro:
 * Lua reads lines by the character. Needs <stdio.h>.
 */
#ifndef RT_STREAM_H
#define RT_STREAM_H

/* How musl's FILE begins; musl/__stdio_read.c, which knows all of it, checks that. */
struct rt_stream {
	unsigned flags;
	unsigned char *rpos, *rend;	/* what is buffered; both NULL: nothing */
};

static inline int rt_getc(FILE *f)
{
	struct rt_stream *s = (struct rt_stream *)(void *)f;

	return s->rpos != s->rend ? *s->rpos++ : getc_unlocked(f);
}

#endif
