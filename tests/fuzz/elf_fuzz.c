// SPDX-License-Identifier: MIT
/*
 * Property: no input makes elf_open() read outside it or accept segments that elf.h rules out.
 * Failure looks like: a sanitizer report, or a trap in PROMISE().
 */
#include "corpus.h"
#include "boot/elf.h"

static void check_segment(const struct elf_info *info, unsigned int i)
{
	const struct elf_segment *s = &info->segments[i];

	PROMISE(s->offset <= info->len && s->filesz <= info->len - s->offset);
	PROMISE(s->memsz && s->filesz <= s->memsz);
	PROMISE(s->vaddr + s->memsz > s->vaddr && s->paddr + s->memsz > s->paddr);
	PROMISE(s->vaddr >= info->vaddr_min && s->vaddr + s->memsz <= info->vaddr_end);
	PROMISE(s->paddr >= info->paddr_min && s->paddr + s->memsz <= info->paddr_end);
	for (unsigned int k = 0; k < i; k++) {
		const struct elf_segment *t = &info->segments[k];

		PROMISE(s->vaddr + s->memsz <= t->vaddr || t->vaddr + t->memsz <= s->vaddr);
		PROMISE(s->paddr + s->memsz <= t->paddr || t->paddr + t->memsz <= s->paddr);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_info info;
	struct parse_error e = { .msg = "" };

	if (elf_open(data, size, &info, &e)) {
		PROMISE(e.node[0] && e.msg[0]);
		return 0;
	}
	PROMISE(info.nsegments && info.nsegments <= ELF_MAX_SEGMENTS);
	for (unsigned int i = 0; i < info.nsegments; i++)
		check_segment(&info, i);
	if (!elf_check_peer(&info, KEEL_PEER_VA, 0x200000, &e))
		PROMISE(info.vaddr_min >= KEEL_PEER_VA && info.vaddr_end <= KEEL_PEER_VA + 0x200000);
	return 0;
}
