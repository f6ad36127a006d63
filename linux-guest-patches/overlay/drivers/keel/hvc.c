// SPDX-License-Identifier: GPL-2.0-only
/*
 * hvc.c - hvc0, the partition's console in the metakernel.
 *
 * Locks:   keel_hvc_lock guards the two bounce pages: the metakernel takes a machine address
 *          inside one page, callers hand over any pointer.
 * Context: put_chars may be called from any context (printk). What does not fit waits: hvc_console calls
 *          again on -EAGAIN, printk at once, terminals from khvcd. On 0 only printk gives up.
 */
#include <linux/console.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/reboot.h>
#include <linux/printk.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/page.h>
#include "../tty/hvc/hvc_console.h"
#include "keel.h"

#define KEEL_HVC_COOKIE		0x4b65656c	/* "Keel" */
#define KEEL_HVC_UNSENT		2		/* in what hvc_poll() returns: HVC_POLL_WRITE */
#define KEEL_HVC_LAST_MS	3000
#define KEEL_HVC_PANIC_TRIES	1000000

static char keel_hvc_out[PAGE_SIZE] __page_aligned_bss;
static char keel_hvc_in[PAGE_SIZE] __page_aligned_bss;
static DEFINE_RAW_SPINLOCK(keel_hvc_lock);
static struct hvc_struct *keel_hvc;

/* In a panic the lock's holder may have been stopped for good: go on without it after a while. */
static bool keel_hvc_enter(unsigned long *flags)
{
	unsigned int tries;

	local_irq_save(*flags);
	if (!oops_in_progress) {
		raw_spin_lock(&keel_hvc_lock);
		return true;
	}
	for (tries = 0; tries < KEEL_HVC_PANIC_TRIES; tries++) {
		if (raw_spin_trylock(&keel_hvc_lock))
			return true;
		cpu_relax();
	}
	return false;
}

static void keel_hvc_leave(bool locked, unsigned long flags)
{
	if (locked)
		raw_spin_unlock(&keel_hvc_lock);
	local_irq_restore(flags);
}

static ssize_t keel_hvc_put_chars(u32 vtermno, const u8 *buf, size_t count)
{
	unsigned long flags;
	bool locked;
	ssize_t n;

	count = min_t(size_t, count, PAGE_SIZE);
	locked = keel_hvc_enter(&flags);
	memcpy(keel_hvc_out, buf, count);
	n = keel_console_put(__pa_symbol(keel_hvc_out), count);
	keel_hvc_leave(locked, flags);
	return n;
}

static ssize_t keel_hvc_get_chars(u32 vtermno, u8 *buf, size_t count)
{
	unsigned long flags;
	bool locked;
	ssize_t n;

	count = min_t(size_t, count, PAGE_SIZE);
	locked = keel_hvc_enter(&flags);
	n = keel_hypercall2(KEEL_HC_CONSOLE_READ, __pa_symbol(keel_hvc_in), count);
	if (n > 0)
		memcpy(buf, keel_hvc_in, min_t(size_t, n, count));
	keel_hvc_leave(locked, flags);
	return n;
}

/* Input is announced by an event: tell hvc_console not to poll for it. */
static int keel_hvc_notifier_add(struct hvc_struct *hp, int data)
{
	hp->irq_requested = 1;
	return 0;
}

static void keel_hvc_notifier_del(struct hvc_struct *hp, int data)
{
	hp->irq_requested = 0;
}

static const struct hv_ops keel_hvc_ops = {
	.get_chars		= keel_hvc_get_chars,
	.put_chars		= keel_hvc_put_chars,
	.notifier_add		= keel_hvc_notifier_add,
	.notifier_del		= keel_hvc_notifier_del,
	.notifier_hangup	= keel_hvc_notifier_del,
};

static void keel_hvc_notify(u64 events)
{
	if (hvc_poll(keel_hvc))
		hvc_kick();
}

static const struct keel_listener keel_hvc_listener = {
	.mask	= BIT_ULL(KEEL_EV_CONSOLE),
	.notify	= keel_hvc_notify,
};

/*
 * What terminals wrote goes out before the machine ends (the metakernel sends all it has taken), unless
 * nobody takes it.
 */
static int keel_hvc_reboot(struct notifier_block *nb, unsigned long event, void *unused)
{
	unsigned int ms;

	for (ms = 0; ms < KEEL_HVC_LAST_MS && hvc_poll(keel_hvc) & KEEL_HVC_UNSENT; ms++)
		usleep_range(1000, 1200);
	return NOTIFY_DONE;
}

static struct notifier_block keel_hvc_reboot_block = {
	.notifier_call	= keel_hvc_reboot,
};

static int __init keel_hvc_console_init(void)
{
	if (keel_guest())
		hvc_instantiate(KEEL_HVC_COOKIE, 0, &keel_hvc_ops);
	return 0;
}
console_initcall(keel_hvc_console_init);

static int __init keel_hvc_init(void)
{
	struct hvc_struct *hp;

	if (!keel_guest())
		return 0;

	hp = hvc_alloc(KEEL_HVC_COOKIE, 0, &keel_hvc_ops, PAGE_SIZE);
	if (IS_ERR(hp))
		return PTR_ERR(hp);
	keel_hvc = hp;
	keel_listen(&keel_hvc_listener);
	register_reboot_notifier(&keel_hvc_reboot_block);
	return 0;
}
device_initcall(keel_hvc_init);
