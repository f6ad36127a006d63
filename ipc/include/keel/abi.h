/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/abi.h - every number, structure and register use that crosses the boundary between the
 * metakernel and a partition.
 *
 * Conventions
 *   "VA" is a virtual address of the partition, "pa" a machine (physical) address. A partition's
 *   physical addresses are machine addresses (identity), there is no translation between them.
 *   Sizes are in bytes, times in nanoseconds (ns) or time-stamp counter ticks (tsc), as names say.
 *   Every structure that starts with `magic` has magic, version and size checked by its reader.
 *   Numbers are append-only: a changed meaning is a new number. docs/abi.md has the prose.
 */
#ifndef KEEL_ABI_H
#define KEEL_ABI_H

#ifndef __ASSEMBLER__
# ifdef __KERNEL__
#  include <linux/types.h>
#  include <linux/stddef.h>
#  include <linux/build_bug.h>
# else
#  include <assert.h>
#  include <stddef.h>
#  include <stdint.h>
# endif
#endif

#define KEEL_ABI_VERSION	2

/* ---- Fixed addresses: the last 2 MiB of the address space, the same in every partition -------- */
/*
 * Mapped by the metakernel, beyond the reach of the partition's own page tables. Everything is
 * supervisor-only, so ring 3 reaches none of it. All addresses are reachable by a sign-extended
 * 32-bit displacement. The topmost page stays unmapped (ERR_PTR values point there).
 */
#define KEEL_HOLE_BASE		0xffffffffffe00000	/* 2 MiB, up to the end */
#define KEEL_TRAMP_VA		0xffffffffffe00000	/* read-only, executable: entry stubs */
#define KEEL_IDT_VA		0xffffffffffe10000	/* read-only */
#define KEEL_VCPU_RO_VA		0xffffffffffe20000	/* read-only: GDT, TSS, iret frames of the vCPU */
#define KEEL_VCPU_VA		0xffffffffffe30000	/* read-write: struct keel_vcpu_page */
#define KEEL_STACK_VA		0xffffffffffe40000	/* read-write: ring-0 entry stacks of the vCPU */

/* ---- Segment selectors (values as a partition sees them in CS and SS) -------------------------- */
#define KEEL_CS_RING1		0x11
#define KEEL_SS_RING1		0x19
#define KEEL_CS_USER32		0x23
#define KEEL_SS_USER		0x2b
#define KEEL_CS_USER		0x33
#define KEEL_GDT_TLS_MIN	12	/* GDT indices 12..14: TLS, as Linux has them */
#define KEEL_GDT_CPUNODE	15	/* GDT index 15: CPU and node number for LSL */

/* ---- Hypercalls --------------------------------------------------------------------------------- */
/*
 * `int $15` from ring 1 (vector 15: local APICs refuse to send vectors below 16, SDM vol. 3A, 11.5.2).
 * RAX = number; arguments RDI, RSI, RDX, R10, R8. Result in RAX: 0 or a value, or a negative
 * KEEL_E*. Every other register is kept. From ring 3 the instruction is #GP.
 * A "pa buffer" is memory the caller owns outright (not a channel window) inside ONE 4 KiB page.
 */
#define KEEL_HC_VECTOR		15

#define KEEL_HC_ABI_VERSION	0	/* () -> KEEL_ABI_VERSION */
#define KEEL_HC_CONSOLE_WRITE	1	/* (pa, len<=4096) -> bytes taken, 0: no room now */
#define KEEL_HC_CONSOLE_READ	2	/* (pa, len<=4096) -> bytes, 0 when empty */
#define KEEL_HC_IRQ_WINDOW	3	/* (): vif was just set and pending seen: deliver now */
#define KEEL_HC_BLOCK		4	/* (set_vif 0|1, deadline_tsc or 0): sleep until an event,
					 * a pending interrupt, or the deadline. -> 0 */
#define KEEL_HC_IRET		5	/* (): go to ring 3 by vcpu_page.iret, GS base from user_gs, RAX
					 * from ret1; does not return. RSP stays at ring 1's own copy of
					 * the frame: a refused frame goes to BAD_IRET with this RSP */
#define KEEL_HC_SET_ENTRY	6	/* (KEEL_ENTRY_*, VA) */
#define KEEL_HC_LOAD_IDT	7	/* (pa of 256*16 B table, limit): Linux-format gates */
#define KEEL_HC_LOAD_CR3	8	/* (value; bit 63 = keep entries of that PCID) */
#define KEEL_HC_FLUSH		9	/* (KEEL_FLUSH_*, VA, npages<=512) */
#define KEEL_HC_FILL		10	/* (VA, #PF error code): hint, load a user mapping now; 0: it has
					 * replaced what was loaded for VA before */
#define KEEL_HC_LOAD_GS		11	/* (selector) -> base; loads the user GS selector, result
					 * also in vcpu_page.user_gs */
#define KEEL_HC_SET_DESC	12	/* (GDT index 12..15, descriptor) */
#define KEEL_HC_EOI		13	/* (): end of the newest level-triggered interrupt */
#define KEEL_HC_IPI		14	/* (APIC id, vector 0x20..0xff, or 2: NMI) to a vCPU of the own partition */
#define KEEL_HC_TIMER		15	/* (deadline_tsc, 0 = off): one shot, sets KEEL_EV_TIMER */
#define KEEL_HC_IOAPIC_READ	16	/* (index, register) -> value */
#define KEEL_HC_IOAPIC_WRITE	17	/* (index, register, value): index by order in the MADT */
#define KEEL_HC_SHUTDOWN	18	/* (KEEL_SHUTDOWN_*, status) for the own partition */
#define KEEL_HC_CAP_INFO	19	/* (handle | handle of a partition with CONTROL << 32, pa buffer: struct
					 * keel_cap_info): in that partition's table; 0: in the own */
#define KEEL_HC_CHAN_OFFER	20	/* (handle, pa, npages): give page-aligned own memory to the
					 * channel as its window; once per channel, server side only */
#define KEEL_HC_CHAN_STATE	21	/* (handle, 0 down | 1 up): own side; generation + 1, kicks */
#define KEEL_HC_CHAN_INFO	22	/* (handle, pa buffer: struct keel_chan_info); also of an extent */
#define KEEL_HC_CHAN_KICK	23	/* (handle): doorbell, sets the event bit of the other side */
#define KEEL_HC_PART_INFO	24	/* (handle, pa buffer: struct keel_part_info) */
#define KEEL_HC_PART_STATS	25	/* (handle, pa buffer: struct keel_part_stats) */
#define KEEL_HC_PART_CONS_READ	26	/* (handle, pa, len) -> bytes; control right */
#define KEEL_HC_PART_CONS_WRITE	27	/* (handle, pa, len) -> bytes; control right */
#define KEEL_HC_PART_CTL	28	/* (handle, KEEL_CTL_*); control right */
#define KEEL_HC_LOG_READ	29	/* (pa, len, position) -> bytes; needs KEEL_CAP_LOG. Positions
					 * count all bytes ever logged; the oldest still held is
					 * returned first if position is older. vcpu_page.ret1 =
					 * position after the bytes returned */
#define KEEL_HC_SET_XCR0	30	/* (value): must be a subset of what the machine allows */
#define KEEL_HC_FLUSH_FILL	31	/* (VA, #PF error code): drop VA, then FILL (COW in one entry) */
#define KEEL_HC_VCPU_START	32	/* (APIC id, VA, cr3, value): start a vCPU of the own partition that is
					 * off: RIP = VA (ring 1), RDI = value, vif 0, no stack; entry points and
					 * IDT are the caller's, all else as after a partition's start */
#define KEEL_HC_PCI_READ	33	/* (address, bytes 1|2|4) -> value: configuration space, filtered
					 * as ports 0xcf8..0xcff. Address: bus << 16 | device << 11 |
					 * function << 8 | register */
#define KEEL_HC_PCI_WRITE	34	/* (address, bytes, value) */
#define KEEL_HC_VCPU_STOP	35	/* (): the calling vCPU is off until it is started again; does not
					 * return. The last one: as SHUTDOWN_EXIT */
#define KEEL_HC_VCPU_STATE	36	/* (APIC id) -> KEEL_VCPU_*; -KEEL_EINVAL: there is no such vCPU */
#define KEEL_HC_IPI_SET		37	/* (vector, set): IPI to each vCPU of the own partition in the set,
					 * bit n: vcpu_id n; those that are off or do not exist are left out */
#define KEEL_HC_FLUSH_SET	38	/* (set, KEEL_FLUSH_*, cr3, VA, npages<=512): on each vCPU of the set, the
					 * caller too if named; lower half: of PCIDs whose table is cr3's. When it
					 * returns all have dropped, or will before they run on */
#define KEEL_HC_YIELD		39	/* (vcpu_id or -1): let others run; this vCPU of the own partition
					 * first, if it is ready and waits for a CPU */
/*
 * Partitions at run time, by who has the control right. CREATE, GIVE, CHAN_CREATE and CHAN_OFFER, START; the
 * creator is told of the end by KEEL_EV_PARTITION; RECLAIM. Content of what is given stays as it is until START.
 */
#define KEEL_HC_PART_CREATE	40	/* (pa buffer: struct keel_part_create) -> handle, INFO and CONTROL rights.
					 * ret1: pages of quota it needs, also with -KEEL_ENOMEM: too few */
#define KEEL_HC_PART_GIVE	41	/* (handle, pa, npages<=KEEL_GIVE_MAX): page-aligned own memory becomes that
					 * of a partition made by CREATE and not started, content included;
					 * KEEL_PART_EXTENTS times at most */
#define KEEL_HC_CHAN_CREATE	42	/* (handle as for GIVE, max_bytes) -> handle of a channel with the caller as
					 * server and that partition as client, whose handle for it is 1.
					 * Of the channels at run time one that has no control right has KEEL_PART_CHANS at most */
#define KEEL_HC_PART_START	43	/* (handle as for GIVE, pa buffer: struct keel_part_start) */
#define KEEL_HC_PART_RECLAIM	44	/* (handle made by CREATE): what was given, channel window and quota
					 * too, is the caller's again, zeroed; handle and channel are void.
					 * -KEEL_EBUSY: it is started and has not ended */
/*
 * Call and reply: the client of a channel runs on when a server has answered; who serves runs on the caller's turn, at
 * its priority. Four words each way in RSI, RDX, R10, R8, which are results here and not kept.
 */
#define KEEL_HC_CALL		45	/* (handle, words): client side. -> 0 and the answer's words */
#define KEEL_HC_REPLY_WAIT	46	/* (KEEL_REPLY_*, words): answer the caller whose call this vCPU has, if
					 * any, and wait for the next on any channel the partition serves.
					 * -> handle it came by, and its words; -KEEL_EAGAIN: an event */
#define KEEL_HC_PART_BUDGET	48	/* (handle, budget_ns, period_ns): each of its vCPUs runs for budget_ns in
					 * any stretch of period_ns at most; 0, 0: no limit. Control right */
/*
 * Capabilities. What a handle stands for can be handed to a partition that the caller has control over, with as many
 * rights or fewer. Who handed it out takes it back, and with it what was made of it there, at any depth.
 */
#define KEEL_HC_CAP_GRANT	49	/* (handle, handle of a partition with CONTROL, rights) -> a handle there, derived from
					 * the first. Of a channel only the client's end: its own handle is KEEL_CAP_LENT until
					 * REVOKE, or until the other drops it; that one cannot lend it on */
#define KEEL_HC_CAP_REVOKE	50	/* (handle): all that is derived from it is void, everywhere, and no call
					 * that began with it is still going on */
#define KEEL_HC_CAP_DROP	51	/* (handle): it is void, and what is derived from it. Not 0, not of a channel that was not
					 * lent, not what CREATE made */
/* Channels between any two partitions that the caller has control over; 0 is itself, and is always allowed. */
#define KEEL_HC_CHAN_CONNECT	52	/* (handle of the server, of the client, max_bytes) -> the server's handle of
					 * the channel | the client's << 32, each in its own table */
#define KEEL_HC_CHAN_CLOSE	53	/* (handle of one side, its handle of the channel): both handles are void, and rung; the
					 * window is the server's again, zeroed. Not of the manifest's, and
					 * one of the caller's own only by its own handle */
/*
 * More and less memory while it runs. GROW zeroes a piece and makes it the partition's; it gets KEEL_EV_MEMORY. It
 * gives back whole pieces, one by MEM_RELEASE, of which KEEL_EV_PARTITION tells the creator, who takes it by SHRINK.
 */
#define KEEL_HC_PART_GROW	54	/* (handle as for GIVE, pa, npages<=KEEL_GIVE_MAX): page-aligned own memory becomes that
					 * of a partition that runs */
#define KEEL_HC_MEM_INFO	55	/* (n) -> pa of the n-th piece of memory that GIVE or GROW gave to the caller's
					 * partition; ret1: pages, 0: it is on its way. The order changes */
#define KEEL_HC_MEM_RELEASE	56	/* (pa): the piece that begins there is no longer the caller's partition's */
#define KEEL_HC_PART_SHRINK	57	/* (handle as for GIVE, pa): the released piece that begins there is the caller's
					 * again, zeroed. -KEEL_EBUSY: it is not released */
#define KEEL_HC_PART_MEMORY	58	/* (handle as for GIVE, bytes): asks the partition to get along with so many: its
					 * vCPU 0's mem_target, and KEEL_EV_MEMORY */
/*
 * Memory that several partitions have: an extent of the caller's own, which stays in the caller's reach with all that is in it, but
 * is no longer its own outright (no buffers, no page tables, no GIVE). CAP_GRANT gives it to others, with KEEL_RIGHT_WRITE
 * or to read only; they map window_pa of CHAN_INFO. REVOKE: they fault from then on. CHAN_CLOSE (0, handle) ends it.
 */
#define KEEL_HC_MEM_SHARE	59	/* (pa, npages<=KEEL_GIVE_MAX) -> handle of an extent, KEEL_CAP_MEMORY; only with
					 * `control` in the manifest */
/*
 * A part of the devices, by who has `devices` and `control` in the manifest, for CAP_GRANT (KEEL_RIGHT_USE). Ports: who has a handle
 * executes IN and OUT in ring 1. Interrupts: all who were given a handle are rung there, the giver no more; IRQ_DONE then.
 */
#define KEEL_HC_DEVICE_MAKE	60	/* (KEEL_CAP_PORTS, first port, ports) or (KEEL_CAP_IRQ, vector 0x20..0xef, vcpu_id it
					 * comes to) -> handle; DROP of it ends both. Not of ports that are judged one by one */
#define KEEL_HC_IRQ_DONE	61	/* (handle): its line, if it is level-triggered, may interrupt again */
#define KEEL_HC_NR		62

#define KEEL_REPLY_NONE		1	/* only wait; -KEEL_EBUSY: there is a caller without an answer */

#define KEEL_GIVE_MAX		4096	/* pages in one GIVE: 16 MiB */
#define KEEL_PART_EXTENTS	64
#define KEEL_PART_CHANS		16
#define KEEL_MIN_BUDGET_NS	10000
#define KEEL_MIN_PERIOD_NS	100000
#define KEEL_MAX_PERIOD_NS	10000000000
#define KEEL_MIN_SHADOW_PAGES	64
#define KEEL_MAX_SHADOW_PAGES	65536

/* KEEL_HC_SET_ENTRY: ring-1 entry points of the partition (VAs in its upper half). */
#define KEEL_ENTRY_SYSCALL	0	/* SYSCALL from ring 3. RSP: landing area, RCX/R11 as the CPU
					 * left them, user RSP in vcpu_page.user_rsp, vif 0, GS user's */
#define KEEL_ENTRY_PF_USER	1	/* #PF from ring 3 on a lower-half address, no metakernel
					 * entry: frame in vcpu_page.pf, cr2 set, GS user's */
#define KEEL_ENTRY_EVENT_USER	2	/* any other event from ring 3: frame in vcpu_page.event,
					 * all registers but RSP the user's, GS user's */
#define KEEL_ENTRY_EVENT_KERNEL	3	/* event in ring 1: as above, RSP = interrupted RSP rounded
					 * down to 16, GS unchanged */
/*
 * The return-to-user tail: RIPs of four consecutive labels and three fix-up entries. When an event
 * must be delivered while RIP is in the tail, the metakernel moves RIP (nothing else):
 *   [TAIL_TEST, TAIL_POP)  -> TAIL_TEST      (test of pending and GS switch, restartable)
 *   TAIL_POP               -> FIX_POP        (GS is the user's, RSP -> saved rdi, orig_rax, frame)
 *   TAIL_SKIP              -> FIX_SKIP       (rdi popped, RSP -> orig_rax, frame)
 *   TAIL_IRET              -> FIX_IRET       (RSP -> frame). A fault of the iretq itself instead goes
 *                                             to BAD_IRET with vcpu_page.event.{vector,error,handler}
 *                                             set, RSP -> frame, all other registers the user's.
 *                                             user_gs is right, GS itself may be either.
 */
#define KEEL_ENTRY_TAIL_TEST	4
#define KEEL_ENTRY_TAIL_POP	5
#define KEEL_ENTRY_TAIL_SKIP	6
#define KEEL_ENTRY_TAIL_IRET	7
#define KEEL_ENTRY_FIX_POP	8
#define KEEL_ENTRY_FIX_SKIP	9
#define KEEL_ENTRY_FIX_IRET	10
#define KEEL_ENTRY_BAD_IRET	11
/*
 * Ring-1 code in [TEXT_BEGIN, TEXT_END) works on the vCPU page: an NMI-like event (IPI with vector 2), which
 * virtual IF does not hold back, waits until RIP is elsewhere. Without TEXT_END it waits for virtual IF or ring 3.
 */
#define KEEL_ENTRY_TEXT_BEGIN	12
#define KEEL_ENTRY_TEXT_END	13
#define KEEL_ENTRY_NR		14

#define KEEL_FLUSH_USER		0	/* all non-global entries of the current PCID */
#define KEEL_FLUSH_ALL		1	/* everything, all PCIDs */
#define KEEL_FLUSH_RANGE	2	/* npages 4 KiB pages from VA: current PCID, and if VA is in
					 * the upper half every PCID */

#define KEEL_SHUTDOWN_POWEROFF	0	/* status 0..127 becomes the emulator's exit status */
#define KEEL_SHUTDOWN_REBOOT	1
#define KEEL_SHUTDOWN_CRASH	2	/* "I panicked": the partition ends, the machine runs on */
#define KEEL_SHUTDOWN_EXIT	3	/* a peer's normal end, status kept in its part_info */

#define KEEL_CTL_DESTROY	0	/* end the partition */
#define KEEL_CTL_RESTART	1	/* end it, reload its image, start it again */
#define KEEL_CTL_ATTACH		2	/* for a second its output is not shown on the serial port */
#define KEEL_CTL_DETACH		3	/* it is again */

/* Vector the metakernel uses to tell a Linux-like partition that vcpu_page.events has bits
 * (Linux: X86_PLATFORM_IPI_VECTOR). Peers without an IDT poll events and use KEEL_HC_BLOCK. */
#define KEEL_EVENT_VECTOR	0xf7

/*
 * Bits of vcpu_page.events. Bits 0..47 are channel handles. Of those from KEEL_EV_DIRECT on the bit is in
 * vcpu_page.chan_events, by handle, and KEEL_EV_CHANNEL is set after it: take `events` first.
 */
#define KEEL_EV_DIRECT		48
#define KEEL_EV_MEMORY		58	/* memory has come (KEEL_HC_MEM_INFO), or some is asked for (mem_target) */
#define KEEL_EV_BUDGET		59	/* some partition used its budget up (control right) */
#define KEEL_EV_CHANNEL		60
#define KEEL_EV_TIMER		61
#define KEEL_EV_PARTITION	62	/* some partition changed state (control right) */
#define KEEL_EV_CONSOLE		63	/* console input is waiting */

/* ---- Errors: values equal Linux errno --------------------------------------------------------- */
#define KEEL_EPERM	1
#define KEEL_ENOENT	2
#define KEEL_EIO	5
#define KEEL_E2BIG	7
#define KEEL_EBADF	9
#define KEEL_EAGAIN	11
#define KEEL_ENOMEM	12
#define KEEL_EACCES	13
#define KEEL_EFAULT	14
#define KEEL_EBUSY	16
#define KEEL_EEXIST	17
#define KEEL_EINVAL	22
#define KEEL_ENOSPC	28
#define KEEL_EPIPE	32
#define KEEL_ENOSYS	38

/* ---- Entry counters (struct keel_part_stats.count) ---------------------------------------------- */
#define KEEL_STAT_TOTAL		0	/* entries into the metakernel */
#define KEEL_STAT_PF_FILL	1	/* #PF resolved by a shadow fill */
#define KEEL_STAT_PF_GUEST	2	/* #PF delivered to the partition */
#define KEEL_STAT_FILL		3	/* FILL and FLUSH_FILL hypercalls */
#define KEEL_STAT_CR3_FLUSH	4
#define KEEL_STAT_CR3_KEEP	5
#define KEEL_STAT_FLUSH_USER	6
#define KEEL_STAT_FLUSH_ALL	7
#define KEEL_STAT_FLUSH_RANGE	8
#define KEEL_STAT_IRQ_WINDOW	9
#define KEEL_STAT_BLOCK		10
#define KEEL_STAT_IRET		11
#define KEEL_STAT_IRQ		12	/* physical interrupts */
#define KEEL_STAT_EXC		13	/* exceptions other than #PF delivered */
#define KEEL_STAT_EMUL_IO	14
#define KEEL_STAT_EMUL_MSR	15
#define KEEL_STAT_EMUL_OTHER	16
#define KEEL_STAT_TIMER		17	/* TIMER hypercalls */
#define KEEL_STAT_LOAD_GS	18
#define KEEL_STAT_DESC		19
#define KEEL_STAT_KICK		20
#define KEEL_STAT_HC_OTHER	21
#define KEEL_STAT_NMI		22
#define KEEL_STAT_CALL		23	/* CALL hypercalls */
#define KEEL_STAT_NR		32
#define KEEL_STAT_NAMES { "total", "pf_fill", "pf_guest", "fill", "cr3_flush", "cr3_keep", \
	"flush_user", "flush_all", "flush_range", "irq_window", "block", "iret", "irq", "exc", \
	"emul_io", "emul_msr", "emul_other", "timer", "load_gs", "desc", "kick", "hc_other", "nmi", \
	"call" }

/* ---- vCPU page: offsets for assembly (asserted below) ------------------------------------------- */
#define KEEL_VP_FLAGS		0x00	/* byte 1 (bit 9 of the word) is the virtual IF */
#define KEEL_VP_VIF		0x01	/* 0 or 2, so that the word reads like RFLAGS.IF */
#define KEEL_VP_PENDING		0x08
#define KEEL_VP_CR2		0x10
#define KEEL_VP_USER_RSP	0x18
#define KEEL_VP_USER_GS		0x20
#define KEEL_VP_KERNEL_GS	0x28
#define KEEL_VP_CR3		0x30
#define KEEL_VP_CR4		0x38
#define KEEL_VP_EVENT		0x40
#define KEEL_VP_EV_HANDLER	0x40
#define KEEL_VP_EV_RIP		0x48
#define KEEL_VP_EV_CS		0x50
#define KEEL_VP_EV_RFLAGS	0x58
#define KEEL_VP_EV_RSP		0x60
#define KEEL_VP_EV_SS		0x68
#define KEEL_VP_EV_ERROR	0x70
#define KEEL_VP_EV_VECTOR	0x78	/* low byte vector; bit 8: an error code belongs on the stack */
#define KEEL_VP_PF		0x80
#define KEEL_VP_PF_ERROR	0x80
#define KEEL_VP_PF_RIP		0x88
#define KEEL_VP_PF_CS		0x90
#define KEEL_VP_PF_RFLAGS	0x98
#define KEEL_VP_PF_RSP		0xa0
#define KEEL_VP_PF_SS		0xa8
#define KEEL_VP_IRET		0xc0
#define KEEL_VP_LEVEL_ISR	0xf0
#define KEEL_VP_EVENTS		0x100
#define KEEL_VP_RET1		0x108
#define KEEL_VP_CHAN_EVENTS	0x148
#define KEEL_VP_MEM_TARGET	0xf38
#define KEEL_VP_SIZE		4096
#define KEEL_EV_HAS_ERROR	0x100

/* ELF note in a Linux-like image: owner "Keel", type 1, descriptor struct keel_elf_start. */
#define KEEL_ELF_NOTE_START	1
/* And in a peer's: type 2, struct keel_elf_peer (keel/note.h). Images of version 1 have none. */
#define KEEL_ELF_NOTE_PEER	2
/* Type 3, without a descriptor: a peer that never asks for the machine address of its code, which may so be an extent that others
 * read, too. Wherever it is not loaded so, it means nothing. */
#define KEEL_ELF_NOTE_SHARED	3

/* A peer's memory is mapped linearly: VA = KEEL_PEER_VA + (pa - start_info.mem_pa). Images are
 * linked at KEEL_PEER_VA. Everything below is unmapped; above the memory, all is the peer's. */
#define KEEL_PEER_VA		0x400000

#define KEEL_START_MAGIC	0x54524154534c454b	/* "KELSTART" little endian: K E L S T A R T */
#define KEEL_NAME_LEN		32	/* bytes, zero-terminated */
#define KEEL_MAX_HANDLES	256
#define KEEL_MAX_MODULES	8

#define KEEL_CAP_NONE		0
#define KEEL_CAP_PARTITION	1
#define KEEL_CAP_CHANNEL	2
#define KEEL_CAP_LOG		3	/* the metakernel's log; KEEL_RIGHT_INFO */
#define KEEL_CAP_MEMORY		4	/* an extent of somebody's memory (MEM_SHARE) */
#define KEEL_CAP_LENT		5	/* the client's end of a channel, while another has it (CAP_GRANT) */
#define KEEL_CAP_PORTS		6	/* a range of I/O ports */
#define KEEL_CAP_IRQ		7	/* a device's interrupt */
#define KEEL_RIGHT_INFO		1	/* may read its information */
#define KEEL_RIGHT_CONTROL	2	/* may stop it, use its console */
#define KEEL_RIGHT_SERVE	4	/* channel: server side (gives the window) */
#define KEEL_RIGHT_USE		8	/* channel: client side */
#define KEEL_RIGHT_READ		16	/* extent: may map it */
#define KEEL_RIGHT_WRITE	32	/* extent: and write to it */

#define KEEL_CHAN_SERVER_UP	1	/* bits of keel_chan_info.state */
#define KEEL_CHAN_CLIENT_UP	2
#define KEEL_CHAN_WINDOW	4	/* a window has been given */

#define KEEL_VCPU_OFF		0	/* result of KEEL_HC_VCPU_STATE */
#define KEEL_VCPU_ON		1

#define KEEL_PART_EMPTY		0	/* keel_part_info.state */
#define KEEL_PART_RUNNING	1	/* some vCPU runs or can run */
#define KEEL_PART_BLOCKED	2	/* all vCPUs wait for an event */
#define KEEL_PART_EXITED	3	/* ended by itself, see status */
#define KEEL_PART_FAULTED	4	/* ended by the metakernel, see fault and reason */
#define KEEL_PART_CRASHED	5	/* reported its own panic */
#define KEEL_PART_DESTROYED	6	/* ended by a control call */

#ifndef __ASSEMBLER__

/* A ring-3 or ring-1 return frame, in the order IRETQ pops it. */
struct keel_frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

/*
 * The words that a vCPU and the metakernel share on hot paths; at KEEL_VCPU_VA while the vCPU runs.
 * The partition may write all of it: the metakernel trusts nothing it reads here (I6).
 */
struct keel_vcpu_page {
	uint64_t flags;		/* virtual RFLAGS.IF: bit 9. Written as a byte by ring 1 */
	uint64_t pending;	/* byte 0 != 0: an interrupt waits for vif; written by ring 0 only */
	uint64_t cr2;
	uint64_t user_rsp;	/* stored by the SYSCALL entry */
	uint64_t user_gs;	/* user GS base while ring 1 runs */
	uint64_t kernel_gs;	/* for ring 1's own use */
	uint64_t cr3;		/* last value loaded, bit 63 clear */
	uint64_t cr4;		/* virtual CR4 */
	struct {
		uint64_t handler;	/* VA from the gate, to jump to */
		struct keel_frame frame;
		uint64_t error;
		uint64_t vector;	/* low byte, | KEEL_EV_HAS_ERROR */
	} event;
	struct {
		uint64_t error;
		struct keel_frame frame;
		uint64_t reserved[2];
	} pf;
	struct keel_frame iret;		/* argument of KEEL_HC_IRET; user_gs is loaded too */
	uint64_t reserved0;
	uint64_t level_isr;	/* level-triggered interrupts in service: EOI by hypercall if != 0 */
	uint64_t reserved1;
	uint64_t events;	/* bits KEEL_EV_*; set by the metakernel, cleared by ring 1 (xchg) */
	uint64_t ret1;		/* second result of some hypercalls */
	uint64_t tsc_khz;	/* constant */
	uint64_t wall_ns;	/* Unix time, ns, at TSC value wall_tsc (from the CMOS clock) */
	uint64_t wall_tsc;
	uint64_t apic_id;	/* of this vCPU: with devices that of its CPU, else vcpu_id */
	uint64_t vcpu_id;	/* its number in the partition, 0 .. nvcpus - 1 */
	uint64_t nvcpus;	/* how many the partition has, off ones too */
	uint64_t steal_tsc;	/* ticks it was ready while others ran on its CPU */
	uint64_t chan_events[KEEL_MAX_HANDLES / 64];	/* of KEEL_EV_CHANNEL: a bit each handle; taken by xchg */
	uint64_t reserved2[442];
	uint64_t mem_target;	/* vCPU 0: bytes the creator wants it to get along with; 0: it has not said */
	uint64_t landing[24];	/* stack for entry instructions before ring 1 loads its own RSP */
};

#define KEEL_OFF(s, f, o) static_assert(offsetof(struct s, f) == (o), #f)
KEEL_OFF(keel_vcpu_page, flags, KEEL_VP_FLAGS);
KEEL_OFF(keel_vcpu_page, pending, KEEL_VP_PENDING);
KEEL_OFF(keel_vcpu_page, cr2, KEEL_VP_CR2);
KEEL_OFF(keel_vcpu_page, user_rsp, KEEL_VP_USER_RSP);
KEEL_OFF(keel_vcpu_page, user_gs, KEEL_VP_USER_GS);
KEEL_OFF(keel_vcpu_page, kernel_gs, KEEL_VP_KERNEL_GS);
KEEL_OFF(keel_vcpu_page, cr3, KEEL_VP_CR3);
KEEL_OFF(keel_vcpu_page, cr4, KEEL_VP_CR4);
KEEL_OFF(keel_vcpu_page, event.handler, KEEL_VP_EV_HANDLER);
KEEL_OFF(keel_vcpu_page, event.frame.ss, KEEL_VP_EV_SS);
KEEL_OFF(keel_vcpu_page, event.error, KEEL_VP_EV_ERROR);
KEEL_OFF(keel_vcpu_page, event.vector, KEEL_VP_EV_VECTOR);
KEEL_OFF(keel_vcpu_page, pf.error, KEEL_VP_PF_ERROR);
KEEL_OFF(keel_vcpu_page, pf.frame.ss, KEEL_VP_PF_SS);
KEEL_OFF(keel_vcpu_page, iret, KEEL_VP_IRET);
KEEL_OFF(keel_vcpu_page, level_isr, KEEL_VP_LEVEL_ISR);
KEEL_OFF(keel_vcpu_page, events, KEEL_VP_EVENTS);
KEEL_OFF(keel_vcpu_page, ret1, KEEL_VP_RET1);
KEEL_OFF(keel_vcpu_page, mem_target, KEEL_VP_MEM_TARGET);
KEEL_OFF(keel_vcpu_page, chan_events, KEEL_VP_CHAN_EVENTS);
static_assert(sizeof(struct keel_vcpu_page) == KEEL_VP_SIZE, "vcpu page size");

/* Descriptor of the ELF note KEEL_ELF_NOTE_START. 24 bytes. */
struct keel_elf_start {
	uint32_t abi_version;
	uint32_t reserved;	/* 0 */
	uint64_t entry_va;	/* ring-1 entry: RSI = pa of struct boot_params, vif 0, no stack */
	uint64_t cr3_pa;	/* page tables to start with, in the loaded image */
};
static_assert(sizeof(struct keel_elf_start) == 24, "keel_elf_start size");

/* Descriptor of the ELF note KEEL_ELF_NOTE_PEER. 8 bytes. */
struct keel_elf_peer {
	uint32_t abi_version;
	uint32_t reserved;	/* 0 */
};
static_assert(sizeof(struct keel_elf_peer) == 8, "keel_elf_peer size");

/*
 * What a peer finds at the VA in RDI when it starts (RSP = 16-aligned top of a 16 KiB stack, vif 0).
 * The page tables in CR3 lie in the peer's own memory and are the peer's to change. 4096 bytes.
 */
struct keel_start_info {
	uint64_t magic;		/* KEEL_START_MAGIC */
	uint32_t version;	/* KEEL_ABI_VERSION */
	uint32_t size;		/* of this structure */
	uint64_t mem_pa;	/* machine address of the memory */
	uint64_t mem_bytes;	/* all of it, mapped at KEEL_PEER_VA */
	uint64_t free_va;	/* first byte not used by image, tables, stack; page-aligned, mapped
				 * read-write no-execute up to the end of the memory */
	uint64_t cr3_pa;
	uint64_t tsc_khz;
	uint64_t xcr0;		/* extended states enabled */
	char	 name[KEEL_NAME_LEN];
	char	 cmdline[2048];	/* zero-terminated */
	uint32_t nmodules;	/* files the manifest hands over, copied into the memory */
	uint32_t reserved0;
	struct keel_module {
		uint64_t va, bytes;
		char	 name[KEEL_NAME_LEN];
	} modules[KEEL_MAX_MODULES];
	uint8_t	 reserved[4096 - 64 - 32 - 2048 - 8 - 48 * KEEL_MAX_MODULES];
};
static_assert(sizeof(struct keel_start_info) == 4096, "keel_start_info size");

struct keel_cap_info {		/* 48 bytes */
	uint32_t type;		/* KEEL_CAP_* */
	uint32_t rights;	/* KEEL_RIGHT_* */
	uint64_t reserved;
	char	 name[KEEL_NAME_LEN];
};
static_assert(sizeof(struct keel_cap_info) == 48, "keel_cap_info size");

struct keel_chan_info {		/* 80 bytes */
	uint32_t state;		/* KEEL_CHAN_* bits */
	uint32_t generation;	/* counts every change of state */
	uint64_t window_pa;
	uint64_t window_bytes;	/* size given; 0 before */
	uint64_t max_bytes;	/* from the manifest */
	uint64_t reserved[2];
	char	 name[KEEL_NAME_LEN];
};
static_assert(sizeof(struct keel_chan_info) == 80, "keel_chan_info size");

struct keel_part_info {		/* 256 bytes */
	char	 name[KEEL_NAME_LEN];
	uint32_t state;		/* KEEL_PART_* */
	uint32_t ring;		/* privilege ring its kernel runs in: 1 */
	uint32_t nvcpus;
	int32_t	 status;	/* exit status when EXITED */
	uint64_t mem_bytes;
	uint64_t shadow_pages, shadow_used;	/* 4 KiB pages */
	uint64_t cpu_ns;	/* time its vCPUs have run */
	uint32_t priority;
	uint32_t reserved0;
	struct {		/* when FAULTED */
		uint32_t vector;
		uint32_t reserved;
		uint64_t error, rip, rsp, cr2;
	} fault;
	char	 reason[64];	/* one line, zero-terminated */
	uint64_t exhausted;	/* how often a vCPU has had to wait for its budget */
	uint64_t budget_ns, period_ns;	/* of each vCPU; 0: no limit */
	uint64_t reserved[5];
};
KEEL_OFF(keel_part_info, exhausted, 192);
KEEL_OFF(keel_part_info, period_ns, 208);
static_assert(sizeof(struct keel_part_info) == 256, "keel_part_info size");

struct keel_part_create {	/* 128 bytes; argument of KEEL_HC_PART_CREATE */
	char	 name[KEEL_NAME_LEN];	/* as in a manifest; no other partition has it */
	uint32_t priority;	/* 0..31, without a budget not above the creator's */
	uint32_t nvcpus;	/* 1..64 */
	uint32_t shadow_pages;	/* KEEL_MIN_SHADOW_PAGES..MAX, of each vCPU */
	uint32_t flags;		/* 0 */
	uint64_t cpus;		/* vCPU n stays on the n-th CPU of the set, bit 0: the boot CPU; 0: anywhere */
	uint64_t quota_pa;	/* page-aligned own memory: what the metakernel keeps of it comes from here */
	uint64_t quota_pages;
	uint64_t budget_ns, period_ns;	/* as for KEEL_HC_PART_BUDGET */
	uint64_t reserved[5];	/* 0 */
};
KEEL_OFF(keel_part_create, budget_ns, 72);
static_assert(sizeof(struct keel_part_create) == 128, "keel_part_create size");

struct keel_part_start {	/* 64 bytes; of vCPU 0 at its start; the others are off */
	uint64_t rip, rsp, rdi;	/* VAs; all other registers 0, ring 1, vif 0 */
	uint64_t cr3_pa;	/* of tables in memory that was given */
	uint64_t reserved[4];	/* 0 */
};
static_assert(sizeof(struct keel_part_start) == 64, "keel_part_start size");

struct keel_part_stats {	/* 264 bytes */
	uint64_t count[KEEL_STAT_NR];
	uint64_t reserved;
};
static_assert(sizeof(struct keel_part_stats) == 264, "keel_part_stats size");

#endif /* !__ASSEMBLER__ */
#endif /* KEEL_ABI_H */
