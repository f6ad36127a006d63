// SPDX-License-Identifier: MIT
/*
 * check_call.c - hypercalls with arguments they must refuse, and calls without the right.
 */
#include "hostile.h"

static uint64_t *page_a, *page_b;

static void pages(void)
{
	if (!page_a) {
		page_a = page_alloc(1);
		page_b = page_alloc(1);
	}
}

/* Physical addresses that are no buffer of this partition. */
const char *check_calls_refuse(void)
{
	const uint64_t mem = whole_pa, end = mem + whole_bytes;
	const uint64_t bad[] = {
		mem - 4096, mem - 1, end, end + 4096, 0x100000, 0x101000, 0xfee00000, 0xfec00000, 0xfffffffffffff000,
		~0UL, 0x8000000000000000, 0x0000800000000000, 1UL << 52, (1UL << 63) | mem, 0xffffffff80100000,
		KEEL_VCPU_VA, KEEL_STACK_VA, end - 1 + (1UL << 52), 0xffffffffffffffff - 4095,
	};
	static const struct { uint8_t call, arg; } takes_pa[] = {
		{ KEEL_HC_CONSOLE_WRITE, 0 }, { KEEL_HC_CONSOLE_READ, 0 }, { KEEL_HC_LOAD_IDT, 0 },
		{ KEEL_HC_CAP_INFO, 1 }, { KEEL_HC_PART_INFO, 1 }, { KEEL_HC_PART_STATS, 1 },
	};
	unsigned int i, j;

	pages();
	for (i = 0; i < sizeof(takes_pa) / sizeof(takes_pa[0]); i++)
		for (j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			int64_t e = takes_pa[i].arg ? hcall(takes_pa[i].call, 0, bad[j], 8)
						    : hcall(takes_pa[i].call, bad[j], 8, 0);

			EXPECT(e == -KEEL_EFAULT, "call %u with %lx: %ld", takes_pa[i].call, bad[j], e);
		}
	EXPECT(hcall(KEEL_HC_CONSOLE_WRITE, pa_of(page_a) + 1, 4096, 0) == -KEEL_EFAULT, "across a page");
	EXPECT(hcall(KEEL_HC_CONSOLE_WRITE, pa_of(page_a), 4097, 0) == -KEEL_EFAULT, "4097 bytes");
	EXPECT(hcall(KEEL_HC_CONSOLE_WRITE, pa_of(page_a), ~0UL, 0) == -KEEL_EFAULT, "-1 bytes");
	EXPECT(hcall(KEEL_HC_CONSOLE_READ, pa_of(page_a) + 8, ~0UL - 7, 0) == -KEEL_EFAULT, "a length that wraps");
	EXPECT(hcall(KEEL_HC_CAP_INFO, 0, pa_of(page_a) + 4080, 0) == -KEEL_EFAULT, "a structure across a page");
	EXPECT(hcall(KEEL_HC_PART_INFO, 0, pa_of(page_a) + 4000, 0) == -KEEL_EFAULT, "a structure across a page");
	EXPECT(hcall(KEEL_HC_LOAD_IDT, pa_of(page_a), 4096, 0) < 0, "an IDT of 4097 bytes");
	EXPECT(hcall(KEEL_HC_LOAD_IDT, pa_of(page_a) + 8, 7, 0) < 0, "an IDT off a page");
	EXPECT(hcall(KEEL_HC_FLUSH, 3, 0, 0) < 0 && hcall(KEEL_HC_FLUSH, ~0UL, 0, 0) < 0, "FLUSH of no kind");
	EXPECT(hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, 0, 513) < 0, "FLUSH of 513 pages");
	EXPECT(hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, 0, ~0UL) < 0, "FLUSH of -1 pages");
	EXPECT(hcall(KEEL_HC_SET_XCR0, 0, 0, 0) < 0, "XCR0 = 0");
	EXPECT(hcall(KEEL_HC_SET_XCR0, ~0UL, 0, 0) < 0, "XCR0 = -1");
	EXPECT(hcall(KEEL_HC_SET_XCR0, 5, 0, 0) < 0, "AVX without SSE");
	EXPECT(hcall(KEEL_HC_SET_XCR0, 1UL << 9 | 3, 0, 0) < 0, "PKRU");
	EXPECT(hcall(KEEL_HC_SET_XCR0, 3UL << 17 | 3, 0, 0) < 0, "AMX");
	EXPECT(hcall(KEEL_HC_REPLY_WAIT, 2, 0, 0) == -KEEL_EINVAL, "REPLY_WAIT of no kind");
	EXPECT(hcall(KEEL_HC_REPLY_WAIT, ~0UL, 0, 0) == -KEEL_EINVAL, "REPLY_WAIT -1");
	EXPECT(hcall(KEEL_HC_NR + 100, 0, 0, 0) == -KEEL_ENOSYS, "an unknown call");
	EXPECT(hcall(~0UL, 0, 0, 0) == -KEEL_ENOSYS, "call -1");
	EXPECT(hcall(1UL << 32 | KEEL_HC_ABI_VERSION, 0, 0, 0) == -KEEL_ENOSYS, "call 1 << 32");
	EXPECT(hcall(KEEL_HC_VCPU_START, 0, 0, 0) < 0, "VCPU_START");
	EXPECT(hcall(KEEL_HC_IPI, vcpu_page->apic_id, 15, 0) < 0, "IPI of vector 15");
	EXPECT(hcall(KEEL_HC_IPI, vcpu_page->apic_id, 256, 0) < 0, "IPI of vector 256");
	EXPECT(hcall(KEEL_HC_IPI, vcpu_page->nvcpus, 0x40, 0) < 0, "IPI to another CPU");
	return sanity();
}

const char *check_handles(void)
{
	struct keel_cap_info *info;
	struct keel_part_info *part;
	unsigned int n, h;

	pages();
	info = (struct keel_cap_info *)page_a;
	part = (struct keel_part_info *)page_b;
	for (n = 0; n < KEEL_MAX_HANDLES && !hcall(KEEL_HC_CAP_INFO, n, pa_of(info), 0); n++) {
		EXPECT(!(info->rights & KEEL_RIGHT_CONTROL), "handle %u controls %s", n, info->name);
		EXPECT(n == 0 || info->type == KEEL_CAP_CHANNEL, "handle %u is %s", n, info->name);
	}
	EXPECT(n >= 1, "no handle");
	for (h = n; h < 300; h++) {
		EXPECT(hcall(KEEL_HC_CAP_INFO, h, pa_of(info), 0) == -KEEL_EBADF, "CAP_INFO %u", h);
		EXPECT(hcall(KEEL_HC_PART_INFO, h, pa_of(part), 0) == -KEEL_EBADF, "PART_INFO %u", h);
		EXPECT(hcall(KEEL_HC_PART_CTL, h, KEEL_CTL_DESTROY, 0) == -KEEL_EBADF, "PART_CTL %u", h);
		EXPECT(hcall(KEEL_HC_PART_BUDGET, h, 1000000, 1000000) == -KEEL_EBADF, "PART_BUDGET %u", h);
		EXPECT(hcall(KEEL_HC_CHAN_KICK, h, 0, 0) == -KEEL_EBADF, "CHAN_KICK %u", h);
		EXPECT(hcall(KEEL_HC_CALL, h, 0, 0) == -KEEL_EBADF, "CALL %u", h);
		EXPECT(hcall(KEEL_HC_CHAN_OFFER, h, pa_of(part), 1) == -KEEL_EBADF, "CHAN_OFFER %u", h);
		EXPECT(hcall(KEEL_HC_CAP_GRANT, 0, h, KEEL_RIGHT_INFO) == -KEEL_EBADF, "CAP_GRANT to %u", h);
		EXPECT(hcall(KEEL_HC_CAP_REVOKE, h, 0, 0) == -KEEL_EBADF, "CAP_REVOKE %u", h);
		EXPECT(hcall(KEEL_HC_CAP_DROP, h, 0, 0) == -KEEL_EBADF, "CAP_DROP %u", h);
		EXPECT(hcall(KEEL_HC_CHAN_CONNECT, 0, h, PAGE) == -KEEL_EBADF, "CHAN_CONNECT to %u", h);
		EXPECT(hcall(KEEL_HC_CHAN_CLOSE, 0, h, 0) == -KEEL_EBADF, "CHAN_CLOSE %u", h);
		EXPECT(hcall(KEEL_HC_CHAN_CLOSE, h, 0, 0) == -KEEL_EBADF, "CHAN_CLOSE of %u's", h);
	}
	for (h = 1; h < n; h++) {	/* channels of the manifest */
		EXPECT(hcall(KEEL_HC_CHAN_CLOSE, 0, h, 0) == -KEEL_EPERM, "CHAN_CLOSE %u", h);
		EXPECT(hcall(KEEL_HC_CAP_DROP, h, 0, 0) == -KEEL_EINVAL, "CAP_DROP %u", h);
	}
	/* Of itself it has no control, and what is behind a number is no way around a call's beginning. */
	EXPECT(hcall(KEEL_HC_CAP_GRANT, 0, 0, KEEL_RIGHT_INFO) == -KEEL_EINVAL, "CAP_GRANT to itself");
	EXPECT(hcall(KEEL_HC_CAP_DROP, 0, 0, 0) == -KEEL_EINVAL, "CAP_DROP of itself");
	EXPECT(hcall(KEEL_HC_CHAN_CONNECT, 0, 0, PAGE) == -KEEL_EINVAL, "CHAN_CONNECT with itself");
	EXPECT(hcall(1UL << 8 | KEEL_HC_CAP_DROP, 0, 0, 0) == 0 && !hcall(KEEL_HC_CAP_INFO, 0, pa_of(info), 0), "CAP_DROP's end");
	EXPECT(hcall(1UL << 8 | KEEL_HC_CAP_GRANT, 0, 0, 1) == -KEEL_ENOSYS, "CAP_GRANT of no kind");
	EXPECT(hcall(KEEL_HC_CAP_INFO, ~0UL, pa_of(info), 0) == -KEEL_EBADF, "handle -1");
	EXPECT(hcall(KEEL_HC_CAP_INFO, 1UL << 32, pa_of(info), 0) == -KEEL_EBADF, "handle 1 << 32");
	EXPECT(hcall(KEEL_HC_CHAN_KICK, 0, 0, 0) == -KEEL_EBADF, "a partition as a channel");
	EXPECT(hcall(KEEL_HC_CALL, 0, 0, 0) == -KEEL_EBADF, "a call to oneself");
	EXPECT(hcall(KEEL_HC_CALL, ~0UL, 0, 0) == -KEEL_EBADF, "a call to -1");
	/* Without the control right: */
	EXPECT(hcall(KEEL_HC_PART_CTL, 0, KEEL_CTL_RESTART, 0) == -KEEL_EPERM, "restart");
	EXPECT(hcall(KEEL_HC_PART_BUDGET, 0, 0, 0) == -KEEL_EPERM, "a budget of one's own");
	EXPECT(hcall(KEEL_HC_PART_CONS_READ, 0, pa_of(part), 16) == -KEEL_EPERM, "console");
	EXPECT(hcall(KEEL_HC_PART_CONS_WRITE, 0, pa_of(part), 16) == -KEEL_EPERM, "console");
	EXPECT(hcall(KEEL_HC_LOG_READ, pa_of(part), 16, 0) == -KEEL_EPERM, "log");
	EXPECT(hcall(KEEL_HC_IOAPIC_READ, 0, 0, 0) == -KEEL_EPERM, "IOAPIC");
	EXPECT(hcall(KEEL_HC_IOAPIC_WRITE, 0, 0x10, 0x20) == -KEEL_EPERM, "IOAPIC");
	EXPECT(hcall(KEEL_HC_PCI_READ, 0, 4, 0) == -KEEL_EPERM, "configuration space");
	EXPECT(hcall(KEEL_HC_PCI_WRITE, 4, 2, 0) == -KEEL_EPERM, "configuration space");
	return NULL;
}

/* ---- Rule 26: ports, from ring 1; ring 3 is among the privileged instructions -------------------------- */

const char *check_ports(void)
{
	/* 0xf4 ends QEMU, 0x3f8 would show, 0xcf9, 0x64 and 0x92 reset the machine. */
	static const uint16_t ports[] = { 0xf4, 0x3f8, 0x3f9, 0x20, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x64, 0x70,
					  0x71, 0x92, 0xb2, 0xb3, 0xcf8, 0xcf9, 0xcfc, 0x510, 0x604, 0x8900, 0xffff };
	unsigned int i;

	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		if (!attempt(port_in8, ports[i], 0, 0))
			EXPECT((happened.result & 0xff) == 0xff, "port %x reads %lx", ports[i], happened.result & 0xff);
		attempt(port_out8, ports[i], 0xfe, 0);
		attempt(port_out8, ports[i], 0x06, 0);
		attempt(port_out32, ports[i], 0x2001, 0);
	}
	return sanity();
}

/* Entry points in odd places are refused, or harm only their owner. */
const char *check_entries(void)
{
	static const uint64_t bad[] = { 0x0000800000000000, 0x8000000000000000, 0xffff7fffffffffff, KEEL_HOLE_BASE,
					KEEL_TRAMP_VA + 0x1000, ~0UL };
	unsigned int e, i;

	for (e = 0; e < KEEL_ENTRY_NR; e++)
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			EXPECT(hcall(KEEL_HC_SET_ENTRY, e, bad[i], 0) < 0, "entry %u = %lx", e, bad[i]);
	for (e = KEEL_ENTRY_NR; e < 100; e++)
		EXPECT(hcall(KEEL_HC_SET_ENTRY, e, 0x400000, 0) < 0, "entry %u", e);
	EXPECT(hcall(KEEL_HC_SET_ENTRY, ~0UL, 0x400000, 0) < 0, "entry -1");
	/* The direct #PF path, also with an address of the upper half and with CR2 in the hole. */
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_PF_USER, (uint64_t)ev_pf_user, 0);
	for (i = 0; i < 4; i++) {
		static const uint64_t at[] = { 0x123456000, 0xffff888000000000, KEEL_STACK_VA, 0x8000000000000000 };
		struct user_regs u;

		user_init(&u, u_read);
		u.rdi = at[i];
		go_user(&u);
		EXPECT(happened.how == (i ? HOW_USER : HOW_PF), "#PF at %lx: how %u", at[i], happened.how);
		if (!i)
			EXPECT(vcpu_page->cr2 == at[0] && vcpu_page->pf.frame.cs == KEEL_CS_USER,
			       "CR2 %lx CS %lx", vcpu_page->cr2, vcpu_page->pf.frame.cs);
	}
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_PF_USER, 0, 0);
	return sanity();
}
