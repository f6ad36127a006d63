// SPDX-License-Identifier: GPL-2.0-only
/*
 * core.c - hand the metakernel's events to who listens; the exit status in sysfs; clean disks at the end.
 *
 * /sys/module/keel/parameters/exit_status exists on Keel only (a real module parameter of
 * built-in code would exist natively, too): what is written there ends up as the status of the
 * power-off hypercall, and under QEMU as the emulator's exit status.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include "keel.h"

#define KEEL_MAX_LISTENERS	4

static const struct keel_listener *keel_listeners[KEEL_MAX_LISTENERS];

static void keel_dispatch(u64 events)
{
	unsigned int i;

	for (i = 0; i < KEEL_MAX_LISTENERS; i++) {
		/* acquire; pairs with the release in keel_listen() */
		const struct keel_listener *l = smp_load_acquire(&keel_listeners[i]);

		if (l && (l->mask & events))
			l->notify(l->mask & events);
	}
}

void keel_listen(const struct keel_listener *listener)
{
	unsigned int i;

	for (i = 0; i < KEEL_MAX_LISTENERS; i++) {
		if (keel_listeners[i])
			continue;
		/* release; pairs with the acquire in keel_dispatch() */
		smp_store_release(&keel_listeners[i], listener);
		WRITE_ONCE(keel_event_handler, keel_dispatch);
		return;
	}
	WARN(1, "more than %d listeners", KEEL_MAX_LISTENERS);
}

static ssize_t exit_status_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", keel_exit_status);
}

static ssize_t exit_status_store(struct kobject *kobj, struct kobj_attribute *attr,
				 const char *buf, size_t count)
{
	unsigned int status;
	int err = kstrtouint(buf, 0, &status);

	if (err)
		return err;
	keel_exit_status = status & 0x7f;
	return count;
}

static struct kobj_attribute exit_status_attr = __ATTR_RW(exit_status);

/*
 * A program may power the machine off without unmounting anything. File systems on block devices
 * are made read-only then, so that they are clean; devices still work, they are shut down later.
 * One that cannot be, because its device hangs, holds the end up for KEEL_CLEAN_MS at most.
 */
#define KEEL_CLEAN_MS	10000
#define KEEL_LOOK_MS	10

static void keel_find_writable(struct super_block *sb, void *found)
{
	if (sb->s_bdev && !sb_rdonly(sb))
		*(bool *)found = true;
}

static int keel_reboot_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	unsigned int ms;
	bool found;

	emergency_remount();	/* only queues it: on which queue depends on the kernel's release */
	for (ms = 0; ms < KEEL_CLEAN_MS; ms += KEEL_LOOK_MS) {
		found = false;
		/* Takes s_umount, so it does not see a half-done one */
		iterate_supers(keel_find_writable, &found);
		if (!found)
			break;
		msleep(KEEL_LOOK_MS);
	}
	return NOTIFY_DONE;
}

static struct notifier_block keel_reboot_block = {
	.notifier_call	= keel_reboot_notify,
};

bool keel_usable(void)
{
	static long version = -1;

	if (!keel_guest())
		return false;
	if (version < 0) {
		version = keel_hypercall0(KEEL_HC_ABI_VERSION);
		if (version == KEEL_ABI_VERSION)
			pr_info("ABI version %ld\n", version);
		else
			pr_err("the metakernel has version %ld of the ABI, this kernel is made for %d: no /dev/keel\n",
			       version, KEEL_ABI_VERSION);
	}
	return version == KEEL_ABI_VERSION;
}

static int __init keel_core_init(void)
{
	struct kobject *module, *parameters;

	if (!keel_guest())
		return 0;

	register_reboot_notifier(&keel_reboot_block);
	keel_usable();

	module = kobject_create_and_add("keel", &module_kset->kobj);
	if (!module)
		return -ENOMEM;
	parameters = kobject_create_and_add("parameters", module);
	if (!parameters)
		return -ENOMEM;
	return sysfs_create_file(parameters, &exit_status_attr.attr);
}
device_initcall(keel_core_init);	/* module_kset exists from subsys on */
