// SPDX-License-Identifier: MIT
/*
 * text.c - see text.h.
 *
 * The driver keeps the code of the images that ran last, each under a key that is made of what the file's inode says. That must change
 * whenever the content does: times are as fine as a tick, so a file that has just changed may change again without it, and is not
 * kept. Whatever goes wrong: a copy always works.
 */
#include "text.h"
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE	0x4000u		/* one that no later mount gets again */
#endif

#define LAYOUT		1ul			/* of image_text_lay_out(): another number when that changes */
#define TICK_NS		100000000l		/* more than a tick */
#define WHOLE_S		2			/* of file systems whose times are whole seconds, or two */
#define WANTED		(STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE)

/* Whether what is written to it from now on gives it another time. */
static bool is_settled(const struct statx_timestamp *changed)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	ns = (now.tv_sec - changed->tv_sec) * 1000000000l + now.tv_nsec - changed->tv_nsec;
	return ns >= (changed->tv_nsec ? TICK_NS : WHOLE_S * 1000000000l);
}

void text_know(struct text *t, int fd)
{
	struct statx st;

	*t = (struct text) { .fd = -1 };
	if (statx(fd, "", AT_EMPTY_PATH, WANTED, &st) < 0 || (st.stx_mask & WANTED) != WANTED)
		return;
	t->settled = is_settled(&st.stx_ctime);
	t->key[0] = st.stx_mnt_id;
	t->key[1] = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	t->key[2] = st.stx_ino;
	t->key[3] = st.stx_size;
	t->key[4] = (uint64_t)st.stx_mtime.tv_sec;
	t->key[5] = (uint64_t)st.stx_ctime.tv_sec;
	t->key[6] = (uint64_t)st.stx_mtime.tv_nsec << 32 | st.stx_ctime.tv_nsec;
	t->key[7] = LAYOUT;
}

static bool find(struct text *t, uint64_t bytes)
{
	struct keel_ioc_kept kept = { 0 };
	int fd;

	memcpy(kept.key, t->key, sizeof(kept.key));
	fd = device_call(KEEL_IOC_MEM_OPEN, &kept);
	if (fd < 0)
		return false;
	if (kept.bytes != bytes) {
		close(fd);
		return false;
	}
	t->fd = fd;
	t->pa = kept.pa;
	return true;
}

/* And has it kept, if there is room; unless somebody else came first. */
static void keep(struct text *t, uint64_t bytes)
{
	struct keel_ioc_kept kept = { 0 };
	int own = t->fd;

	memcpy(kept.key, t->key, sizeof(kept.key));
	if (ioctl(own, KEEL_IOC_MEM_KEEP, &kept) < 0 && errno == EEXIST && find(t, bytes))
		close(own);
}

static void make(struct text *t, const struct image *img, uint64_t bytes)
{
	struct keel_ioc_share share = { .bytes = bytes };
	int fd = device_call(KEEL_IOC_MEM_SHARE, &share);
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		close(fd);
		return;
	}
	image_text_lay_out(img, at);
	munmap(at, bytes);
	t->fd = fd;
	t->pa = share.pa;
	keep(t, bytes);
}

uint64_t text_share(struct text *t, const struct image *img, int partition)
{
	struct keel_ioc_part_share share = { .rights = KEEL_RIGHT_READ };
	uint64_t bytes = image_text_bytes(img);

	if (!t->looked && t->settled && bytes && !find(t, bytes))
		make(t, img, bytes);
	t->looked = true;
	share.extent = t->fd;
	return t->fd >= 0 && ioctl(partition, KEEL_IOC_PART_SHARE, &share) >= 0 ? t->pa : 0;
}
