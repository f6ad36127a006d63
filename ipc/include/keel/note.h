/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/note.h - the ELF note that says for which version of the ABI a peer's image is made. Include it in one source of
 * the image, in C, C++ or assembly; the linker script keeps *(.note.keel) in a segment of its own, PT_NOTE. With KEEL_NOTE_SHARED
 * defined before, it also says that code may be shared (KEEL_ELF_NOTE_SHARED).
 */
#ifndef KEEL_NOTE_H
#define KEEL_NOTE_H

#include <keel/abi.h>

#ifdef __ASSEMBLER__
	.pushsection .note.keel, "a", @note
	.balign	4
	.long	5, 8, KEEL_ELF_NOTE_PEER
	.asciz	"Keel"
	.balign	4
	.long	KEEL_ABI_VERSION, 0
# ifdef KEEL_NOTE_SHARED
	.long	5, 0, KEEL_ELF_NOTE_SHARED
	.asciz	"Keel"
	.balign	4
# endif
	.popsection
#else
struct keel_note_peer {
	uint32_t namesz, descsz, type;
	char	 name[8];
	struct keel_elf_peer peer;
};
static_assert(sizeof(struct keel_note_peer) == 28, "keel_note_peer size");

__attribute__((used, aligned(4), section(".note.keel")))
static const struct keel_note_peer keel_note_peer = {
	sizeof("Keel"), sizeof(struct keel_elf_peer), KEEL_ELF_NOTE_PEER, "Keel", { KEEL_ABI_VERSION, 0 }
};

# ifdef KEEL_NOTE_SHARED
struct keel_note_shared {
	uint32_t namesz, descsz, type;
	char	 name[8];
};
static_assert(sizeof(struct keel_note_shared) == 20, "keel_note_shared size");

__attribute__((used, aligned(4), section(".note.keel")))
static const struct keel_note_shared keel_note_shared = { sizeof("Keel"), 0, KEEL_ELF_NOTE_SHARED, "Keel" };
# endif
#endif

#endif /* KEEL_NOTE_H */
