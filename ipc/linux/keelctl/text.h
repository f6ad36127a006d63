/* SPDX-License-Identifier: MIT */
/* text.h - the code of an image, in memory that all partitions made of it read. */
#ifndef KEELCTL_TEXT_H
#define KEELCTL_TEXT_H

#include "image.h"

#include <stdbool.h>

struct text {
	uint64_t key[8];	/* what the file is, as it is now */
	bool settled;		/* and that it would not be that any more, if somebody changed it */
	bool looked;		/* by text_share() */
	int fd;			/* the extent; -1: there is none */
	uint64_t pa;
};

/* Of an open image, before it is read. */
void text_know(struct text *t, int fd);

/*
 * Gives a partition that is being made the code of its image: where that is, for image_lay_out(), or 0: it is to have a copy. The
 * first time it is looked for, or made for those who come later; afterwards it is the same, whatever becomes of the file.
 */
uint64_t text_share(struct text *t, const struct image *img, int partition);

#endif
