/* SPDX-License-Identifier: MIT */
/*
 * stdio.h - musl's own, with larger stream buffers while musl itself is compiled: each flush of a
 * file in Linux is a round trip through the channel.
 */
#include_next <stdio.h>

#undef BUFSIZ
#define BUFSIZ 4096
