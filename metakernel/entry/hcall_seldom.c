// SPDX-License-Identifier: MIT
/*
 * hcall_seldom.c - the hypercalls that are not often made: setting up, ending, devices, consoles, control over others.
 * Compiled for size.
 *
 * Trusts: nothing. Buffers are single pages the caller owns outright, checked on each call; handles are looked up in
 *         the caller's own table.
 *
 * Locks:  LOCK_PORTS for configuration space, LOCK_LIFE for what hcall_locked() lists; what else is reached takes its own.
 */
#include <hal/cpu.h>
#include <hal/power.h>
#include <keel/atomic.h>
#include "entry/emul.h"
#include "entry/hcall.h"
#include "entry/pci.h"
#include "mm/frames.h"
#include "part/chan.h"
#include "part/console.h"
#include "part/device.h"
#include "part/made.h"
#include "part/part.h"
#include "part/promise.h"
#include "run/cpu.h"
#include "run/irq.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/string.h"

/* Of work in pieces -KEEL_EAGAIN is no result: the call is made again, with the registers it was made with. */
static int64_t finished(struct regs *r, int err)
{
	return err == -KEEL_EAGAIN ? hcall_again(r, r->rax) : err;
}

static int64_t hc_console_write(struct vcpu *v, struct regs *r)
{
	const char *buf = part_buffer(v->part, r->rdi, r->rsi);

	return buf ? console_write(v->part, buf, (unsigned int)r->rsi) : -KEEL_EFAULT;
}

static int64_t hc_console_read(struct vcpu *v, struct regs *r)
{
	char *buf = part_buffer(v->part, r->rdi, r->rsi);

	return buf ? console_read(v->part, buf, (unsigned int)r->rsi) : -KEEL_EFAULT;
}

static int64_t hc_set_entry(struct vcpu *v, struct regs *r)
{
	if (r->rdi >= KEEL_ENTRY_NR || !is_canonical(r->rsi) || r->rsi >= KEEL_HOLE_BASE)
		return -KEEL_EINVAL;
	v->entry[r->rdi] = r->rsi;
	if (r->rdi == KEEL_ENTRY_SYSCALL)
		v->ro->syscall.rip = r->rsi;
	if (r->rdi == KEEL_ENTRY_PF_USER) {
		v->ro->pf.rip = r->rsi;
		v->ro->pf_direct = r->rsi != 0;
	}
	return 0;
}

static int64_t hc_load_idt(struct vcpu *v, struct regs *r)
{
	if ((r->rdi & PAGE_MASK) || r->rsi > PAGE_MASK ||
	    frames_owner(r->rdi >> PAGE_SHIFT) != v->part->owner)
		return -KEEL_EFAULT;
	v->idt_pa = r->rdi;
	v->idt_limit = (uint32_t)r->rsi;
	return 0;
}

/* Reads and writes. */
static int64_t hc_pci(struct vcpu *v, struct regs *r)
{
	uint32_t address = (uint32_t)r->rdi;
	unsigned int size = (unsigned int)r->rsi;
	int64_t value = 0;

	if (!v->part->man->devices)
		return -KEEL_EPERM;
	if (!pci_access_ok(r->rdi, r->rsi))
		return -KEEL_EINVAL;
	lock_take(&ports_lock);
	if (r->rax == KEEL_HC_PCI_READ)
		value = pci_read(address, size) & (int64_t)(~0UL >> (64 - 8 * size));
	else
		pci_write(v, address, size, (uint32_t)r->rdx);
	lock_release(&ports_lock);
	return value;
}

static int64_t hc_shutdown(struct vcpu *v, struct regs *r)
{
	struct partition *p = v->part;
	bool machine = p->man->control;

	if (r->rdi > KEEL_SHUTDOWN_EXIT)
		return -KEEL_EINVAL;
	p->status = (int32_t)(r->rsi & 127);
	switch (r->rdi) {
	case KEEL_SHUTDOWN_POWEROFF:
		if (machine) {
			log_printf("%s: power off, status %d\n", p->man->name, p->status);
			hal_exit((uint8_t)p->status);
		}
		part_end(p, KEEL_PART_EXITED, "powered off, status %d", p->status);
		return 0;
	case KEEL_SHUTDOWN_REBOOT:
		if (machine) {
			log_printf("%s: reboot\n", p->man->name);
			hal_reset();
		}
		part_end(p, KEEL_PART_EXITED, "asked for a reboot");
		return 0;
	case KEEL_SHUTDOWN_CRASH:
		part_end(p, KEEL_PART_CRASHED, "reported a panic of its own");
		return 0;
	case KEEL_SHUTDOWN_EXIT:
		part_end(p, KEEL_PART_EXITED, "status %d", p->status);
		return 0;
	}
	return -KEEL_EINVAL;
}

/* The partition a handle names, if it carries `right`. */
static struct partition *part_of(const struct vcpu *v, uint64_t handle, unsigned int right,
				 int64_t *err)
{
	union cap c = part_cap(v->part, handle, KEEL_CAP_PARTITION);

	*err = c.word ? -KEEL_EPERM : -KEEL_EBADF;
	return c.rights & right ? &parts[c.index] : NULL;
}

/* And if it is controlled, or is the caller itself. */
static struct partition *controlled(const struct vcpu *v, uint64_t handle, int64_t *err)
{
	return handle ? part_of(v, handle, KEEL_RIGHT_CONTROL, err) : v->part;
}

/* What a handle leads to. */
static void name_of(union cap c, char name[KEEL_NAME_LEN])
{
	if (c.type == KEEL_CAP_PORTS || c.type == KEEL_CAP_IRQ)
		device_name(c.index, name);
	else
		strlcpy(name, c.type == KEEL_CAP_LOG ? "log" : c.type == KEEL_CAP_PARTITION ? parts[c.index].man->name : chans[c.index].name,
			KEEL_NAME_LEN);
}

static int64_t hc_cap_info(struct vcpu *v, struct regs *r)
{
	struct keel_cap_info *info = part_buffer(v->part, r->rsi, sizeof(*info));
	int64_t err;
	const struct partition *p = controlled(v, r->rdi >> 32, &err);
	union cap c;

	if (!p)
		return err;
	c = cap_at(p, (uint32_t)r->rdi);
	if (!c.word)
		return -KEEL_EBADF;
	if (!info)
		return -KEEL_EFAULT;
	memset(info, 0, sizeof(*info));
	info->type = c.type;
	info->rights = c.rights;
	name_of(c, info->name);
	return 0;
}

static int64_t hc_chan_info(struct vcpu *v, struct regs *r)
{
	struct keel_chan_info *info = part_buffer(v->part, r->rsi, sizeof(*info));

	return info ? chan_info(v->part, r->rdi, info) : -KEEL_EFAULT;
}

/* Calls about another partition that read or fill a buffer. */
static int64_t hc_part_buffer(struct vcpu *v, struct regs *r, uint64_t n)
{
	bool cons = n == KEEL_HC_PART_CONS_READ || n == KEEL_HC_PART_CONS_WRITE;
	uint64_t bytes = cons ? r->rdx : n == KEEL_HC_PART_INFO ? sizeof(struct keel_part_info) : sizeof(struct keel_part_stats);
	void *buf = part_buffer(v->part, r->rsi, bytes);
	int64_t err;
	struct partition *p = part_of(v, r->rdi, cons ? KEEL_RIGHT_CONTROL : KEEL_RIGHT_INFO, &err);

	if (!p)
		return err;
	if (!buf)
		return -KEEL_EFAULT;
	if (n == KEEL_HC_PART_CONS_READ)
		return console_peer_read(p, buf, (unsigned int)bytes);
	if (n == KEEL_HC_PART_CONS_WRITE)
		return console_peer_write(p, buf, (unsigned int)bytes);
	if (n == KEEL_HC_PART_INFO)
		part_fill_info(p, buf);
	else
		part_fill_stats(p, buf);
	return 0;
}

static int64_t hc_part_ctl(struct vcpu *v, struct regs *r)
{
	int64_t err;
	struct partition *p = part_of(v, r->rdi, KEEL_RIGHT_CONTROL, &err);

	if (!p)
		return err;
	switch (r->rsi) {
	case KEEL_CTL_DESTROY:
		part_end(p, KEEL_PART_DESTROYED, "ended by %s", v->part->man->name);
		return 0;
	case KEEL_CTL_RESTART:
		return p == v->part ? -KEEL_EINVAL : finished(r, part_restart(p));
	case KEEL_CTL_ATTACH:
	case KEEL_CTL_DETACH:
		console_attach(p, r->rsi == KEEL_CTL_ATTACH);
		return 0;
	}
	return -KEEL_EINVAL;
}

static int64_t hc_part_budget(struct vcpu *v, struct regs *r)
{
	int64_t err;
	struct partition *p = part_of(v, r->rdi, KEEL_RIGHT_CONTROL, &err);

	if (!p)
		return err;
	if (!p->alive)
		return -KEEL_EBUSY;
	if (!r->rsi && p->creator && p->man->priority > p->creator->man->priority)
		return -KEEL_EINVAL;	/* it has that priority because it has a budget */
	return promise(p, r->rsi, r->rdx);
}

/* What goes on in pieces is named by the bits of RAX above the number. */
static int64_t hc_part_create(struct vcpu *v, struct regs *r)
{
	uint64_t slot = r->rax >> HCALL_BITS, need = 0;
	const struct keel_part_create *want;
	struct keel_part_create copy;
	int64_t err;

	if (slot) {
		err = made_go_on(v->part, slot);
		return err == -KEEL_EAGAIN ? hcall_again(r, r->rax) : err;
	}
	want = part_buffer(v->part, r->rdi, sizeof(*want));
	if (!v->part->man->control)
		return -KEEL_EPERM;
	if (!want)
		return -KEEL_EFAULT;
	keel_copy_words(&copy, want, sizeof(copy) / 8);
	err = made_begin(v->part, &copy, &need);
	v->vp->ret1 = need;
	return err < 0 ? err : hcall_again(r, (uint64_t)err << HCALL_BITS | KEEL_HC_PART_CREATE);
}

static int64_t hc_part_start(struct vcpu *v, struct regs *r)
{
	const struct keel_part_start *start = part_buffer(v->part, r->rsi, sizeof(*start));
	struct keel_part_start copy;

	if (!start)
		return -KEEL_EFAULT;
	keel_copy_words(&copy, start, sizeof(copy) / 8);
	return finished(r, made_start(v->part, r->rdi, &copy));
}

static int64_t hc_mem_info(struct vcpu *v, struct regs *r)
{
	uint64_t npages = 0;
	paddr_t pa = 0;
	int64_t err = made_extent(v->part, r->rdi, &pa, &npages);

	v->vp->ret1 = npages;
	return err ? err : (int64_t)pa;
}

static int64_t hc_log_read(struct vcpu *v, struct regs *r)
{
	char *buf = part_buffer(v->part, r->rdi, r->rsi);
	uint64_t pos = r->rdx;
	size_t n;

	if (!cap_holds(v->part, KEEL_CAP_LOG))
		return -KEEL_EPERM;
	if (!buf)
		return -KEEL_EFAULT;
	n = log_read(buf, (size_t)r->rsi, &pos);
	v->vp->ret1 = pos;
	return (int64_t)n;
}

static int64_t hc_device_make(struct vcpu *v, struct regs *r)
{
	uint64_t first = r->rsi, n = r->rdx;

	if (r->rdi == KEEL_CAP_PORTS && (n - 1 > 0xffff || first > 0x10000 - n || !emul_ports_pass((uint32_t)first, (uint32_t)(first + n - 1))))
		return -KEEL_EINVAL;
	return finished(r, device_make(v->part, r->rdi, first, n));
}

/* Of CAP_DROP the handle goes, too. What is behind the number says that all that is left is to wait. */
static int64_t hc_cap_void(struct vcpu *v, struct regs *r)
{
	int err;

	if (r->rax >> HCALL_BITS)
		return cpus_asked(WORK_FORGET) ? 0 : hcall_again(r, r->rax);
	err = cap_void(v->part, r->rdi, r->rax == KEEL_HC_CAP_DROP);
	return err ? err : hcall_again(r, 1UL << HCALL_BITS | r->rax);
}

/* CAP_GRANT, CHAN_CREATE, CHAN_CONNECT, CHAN_CLOSE: each names a partition that the caller controls. */
static int64_t hc_join(struct vcpu *v, struct regs *r)
{
	struct partition *p, *by = v->part;
	int64_t err;

	p = controlled(v, r->rax == KEEL_HC_CAP_GRANT ? r->rsi : r->rdi, &err);
	if (!p)
		return err;
	switch (r->rax) {
	case KEEL_HC_CAP_GRANT: return cap_grant(by, r->rdi, p, r->rdx);
	case KEEL_HC_CHAN_CREATE: return (int)chan_connect(by, p, r->rsi);	/* its lower half */
	case KEEL_HC_CHAN_CLOSE: return finished(r, chan_close_handle(by, p, r->rsi));
	}
	by = controlled(v, r->rsi, &err);
	return by ? chan_connect(p, by, r->rdx) : err;
}

/* What makes, ends and joins partitions, and handles for them. */
static int64_t hcall_locked(struct vcpu *v, struct regs *r, uint64_t n)
{
	switch (n <= INT64_MAX ? n & HCALL_MASK : KEEL_HC_NR) {
	case KEEL_HC_PART_CREATE: return hc_part_create(v, r);
	case KEEL_HC_CAP_REVOKE:
	case KEEL_HC_CAP_DROP: return hc_cap_void(v, r);
	}
	switch (n) {
	case KEEL_HC_PART_GIVE: return made_give(v->part, r->rdi, r->rsi, r->rdx);
	case KEEL_HC_PART_START: return hc_part_start(v, r);
	case KEEL_HC_PART_RECLAIM: return finished(r, made_reclaim(v->part, r->rdi));
	case KEEL_HC_PART_BUDGET: return hc_part_budget(v, r);
	case KEEL_HC_PART_GROW:
	case KEEL_HC_PART_SHRINK:
	case KEEL_HC_PART_MEMORY: return finished(r, made_resize(v->part, r->rdi, (unsigned int)n, r->rsi, r->rdx));
	case KEEL_HC_MEM_INFO: return hc_mem_info(v, r);
	case KEEL_HC_MEM_RELEASE: return made_release(v->part, r->rdi);
	case KEEL_HC_DEVICE_MAKE: return hc_device_make(v, r);
	case KEEL_HC_IRQ_DONE: return device_irq_done(v->part, r->rdi);
	case KEEL_HC_MEM_SHARE: return chan_share(v->part, r->rdi, r->rsi);
	case KEEL_HC_CAP_GRANT:
	case KEEL_HC_CHAN_CREATE:
	case KEEL_HC_CHAN_CONNECT:
	case KEEL_HC_CHAN_CLOSE: return hc_join(v, r);
	}
	return -KEEL_ENOSYS;
}

int64_t hcall_seldom(struct vcpu *v, struct regs *r, uint64_t n)
{
	int64_t result;

	switch (n) {
	case KEEL_HC_CONSOLE_WRITE: return hc_console_write(v, r);
	case KEEL_HC_CONSOLE_READ: return hc_console_read(v, r);
	case KEEL_HC_SET_ENTRY: return hc_set_entry(v, r);
	case KEEL_HC_LOAD_IDT: return hc_load_idt(v, r);
	case KEEL_HC_IOAPIC_READ: return irq_ioapic_read(v, r->rdi, r->rsi);
	case KEEL_HC_IOAPIC_WRITE: return irq_ioapic_write(v, r->rdi, r->rsi, r->rdx);
	case KEEL_HC_SHUTDOWN: return hc_shutdown(v, r);
	case KEEL_HC_CAP_INFO: return hc_cap_info(v, r);
	case KEEL_HC_CHAN_OFFER: return finished(r, chan_offer(v->part, r->rdi, r->rsi, r->rdx));
	case KEEL_HC_CHAN_STATE: return chan_set_state(v->part, r->rdi, r->rsi);
	case KEEL_HC_CHAN_INFO: return hc_chan_info(v, r);
	case KEEL_HC_PART_INFO:
	case KEEL_HC_PART_STATS:
	case KEEL_HC_PART_CONS_READ:
	case KEEL_HC_PART_CONS_WRITE: return hc_part_buffer(v, r, n);
	case KEEL_HC_PART_CTL: return hc_part_ctl(v, r);
	case KEEL_HC_LOG_READ: return hc_log_read(v, r);
	case KEEL_HC_SET_XCR0: return vcpu_set_xcr0(v, r->rdi);
	case KEEL_HC_PCI_READ:
	case KEEL_HC_PCI_WRITE: return hc_pci(v, r);
	case KEEL_HC_VCPU_START: return hc_vcpu_start(v, r);
	case KEEL_HC_VCPU_STOP: part_vcpu_stop(v); return 0;
	case KEEL_HC_VCPU_STATE: return hc_vcpu_state(v, r);
	}
	lock_take(&life_lock);
	result = hcall_locked(v, r, n);
	lock_release(&life_lock);
	return result;
}
