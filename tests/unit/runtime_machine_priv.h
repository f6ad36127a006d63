/* SPDX-License-Identifier: MIT */
/*
 * runtime_machine_priv.h - what the parts of the played machine share: runtime_machine.c (metakernel),
 * runtime_hcall.c (its hypercalls), runtime_boot.c (image and page tables), runtime_server.c (the other end of the channel).
 */
#ifndef RUNTIME_MACHINE_PRIV_H
#define RUNTIME_MACHINE_PRIV_H

#include <sys/user.h>
#include "runtime_machine.h"

#define PAGE		4096UL
#define STACK_BYTES	(16 * 1024UL)
#define PTE_P		1ULL
#define PTE_W		2ULL
#define PTE_US		4ULL
#define PTE_PS		0x80ULL
#define PTE_NX		(1ULL << 63)
#define LARGE		0x200000ULL
#define PTE_PA		0x000ffffffffff000ULL
#define HANDLES		64

struct machine_priv {
	pid_t pid;
	int fd;				/* memfd: memory, then the window */
	int wake_fd;			/* eventfd: an event was set */
	uint8_t *mem;
	uint64_t cr3_pa;
	struct keel_vcpu_page vcpu;
	const char *input;
	size_t piece;			/* how much of it has come */
	unsigned looks;			/* of the guest at its events */
	uint64_t flown;			/* TSC ticks that have passed for the guest alone */
	int blocks;
	uint64_t limit;			/* CLOCK_MONOTONIC, ns */
	/* server */
	struct keel_dc_layout layout;
	uint32_t session;		/* generation of the open session, 0: none */
	struct keel_ring sq, cq;
	int files[HANDLES];		/* host descriptors, -1 free */
	struct keel_sqe late;		/* to be answered when the guest sleeps, if .opcode */
};

struct boot {
	uint64_t entry, info_va, stack_top;
	struct { uint64_t va, end; int prot; } seg[8];
	int nseg;
};

_Noreturn void machine_die(const char *what);
void machine_finish(struct machine *m, enum machine_end end, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
uint64_t machine_tsc_khz(void);

static inline uint64_t machine_rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* As the guest sees it. */
static inline uint64_t machine_guest_tsc(const struct machine *m)
{
	return machine_rdtsc() + m->priv->flown;
}

/* What the metakernel does before the first instruction: docs/abi.md, keel_start_info. */
void machine_build(struct machine *m, struct boot *b);
/* Protection of the page at va in the image. */
int machine_prot(const struct boot *b, uint64_t va);
/* The entry for va at level `last` (0: 4 KiB, 1: 2 MiB), or a 2 MiB one met above it; tables from *alloc. */
uint64_t *machine_pte(struct machine *m, uint64_t va, int last, uint64_t *alloc);
uint8_t *machine_at(struct machine *m, uint64_t va);

/* Make the child do a system call of Linux, then put it back where it was. */
long machine_inject(struct machine *m, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		    uint64_t f);
/* What the guest asks for with these registers; the result. */
long machine_hypercall(struct machine *m, const struct user_regs_struct *r);

void machine_event(struct machine *m, unsigned bit);

static inline unsigned machine_channel(const struct machine *m)
{
	return m->cfg.chan ? m->cfg.chan : MACHINE_CHANNEL;
}

void machine_change_state(struct machine *m, uint32_t clear, uint32_t set);

/* Serve what the guest has asked for, unless the server is elsewhere. */
void machine_serve_all(struct machine *m);
/* Answer what is to be answered late, a READ of a stream when there is something. False: not within that time. */
bool machine_serve_late(struct machine *m, int timeout_ms);
void machine_server_close(struct machine *m);

#endif /* RUNTIME_MACHINE_PRIV_H */
