/* SPDX-License-Identifier: MIT */
/*
 * small_part.h - partitions of a few pages, of a program's own, that all run code of some bytes beside something they share.
 */
#ifndef STRESS_SMALL_PART_H
#define STRESS_SMALL_PART_H

#include "keel_dev.h"

#define SMALL		(8 * PAGE)	/* four of tables, then code */
#define CODE_VA		(KEEL_PEER_VA + 4 * PAGE)
#define SHARED_VA	0x500000u	/* the same page of tables */
#define PTE_KERNEL	0x63u		/* present, writable, accessed, dirty */
#define WRITTEN		0x600df00du
#define WAIT_MS		20000

struct part {
	int fd;
	struct keel_ioc_create made;
};

static inline void create(struct part *p, const char *name)
{
	p->made = (struct keel_ioc_create) {
		.priority = 1, .nvcpus = 1, .shadow_pages = KEEL_MIN_SHADOW_PAGES, .mem_bytes = SMALL,
	};
	strcpy(p->made.name, name);
	p->fd = ioctl(dev, KEEL_IOC_PART_CREATE, &p->made);
	NEED(p->fd >= 0);
}

/* Its pages at KEEL_PEER_VA, so many of what is shared as if they could be written, and the code. */
static inline void boot(const struct part *p, uint64_t shared_pa, unsigned int npages, const uint8_t *code, size_t bytes)
{
	struct keel_part_start start = { .rip = CODE_VA, .rsp = KEEL_PEER_VA + SMALL, .cr3_pa = p->made.mem_pa };
	uint64_t *memory = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);

	NEED(memory != MAP_FAILED);
	for (unsigned int level = 0; level < 3; level++)
		memory[level * PAGE / 8 + (level == 2 ? KEEL_PEER_VA >> 21 : 0)] = (p->made.mem_pa + (level + 1) * PAGE) | PTE_KERNEL;
	for (unsigned int i = 0; i < SMALL / PAGE; i++)
		memory[3 * PAGE / 8 + i] = (p->made.mem_pa + i * PAGE) | PTE_KERNEL;
	for (unsigned int i = 0; i < npages; i++)
		memory[3 * PAGE / 8 + (SHARED_VA - KEEL_PEER_VA) / PAGE + i] = (shared_pa + i * PAGE) | PTE_KERNEL;
	memcpy((char *)memory + 4 * PAGE, code, bytes);
	NEED(ioctl(p->fd, KEEL_IOC_PART_BOOT, &start) == 0 && munmap(memory, SMALL) == 0);
}

/* What a handle in a partition's table is; 0: Linux's */
static inline struct keel_cap_info cap(uint32_t part, uint32_t handle)
{
	struct keel_ioc_cap c = { .handle = handle, .part = part };

	if (ioctl(dev, KEEL_IOC_CAP_INFO, &c)) {
		CHECK(errno == EBADF);
		return (struct keel_cap_info) { .type = KEEL_CAP_NONE };
	}
	return c.info;
}

#endif
