// SPDX-License-Identifier: MIT
/* budget.c - keelctl budget: how much time a partition that runs may use from now on. */
#include "commands.h"
#include "device.h"
#include "options.h"

#include <errno.h>
#include <string.h>

static void explain(const char *name, const char *text, int err)
{
	if (err == -ENOSPC)
		die("budget %s %s: the CPUs have not so much left (95 %% of each is to be had)", name, text);
	if (err == -EBUSY)
		die("budget %s: it does not run", name);
	if (err == -EINVAL)
		die("budget %s %s: without a budget its priority would be above Linux's", name, text);
	die_call("budget", name, err);
}

int cmd_budget(int argc, char **argv)
{
	struct keel_ioc_budget want = { 0 };
	int err;

	if (argc != 3)
		return usage_error();
	want.handle = device_find(argv[1]);
	if (strcmp(argv[2], "none") && !options_budget(argv[2], &want.budget_ns, &want.period_ns))
		die("budget %s %s: expected `none`, or a time in a period, such as 2ms/10ms: 10us at least, in 100us to 10s", argv[1], argv[2]);
	err = device_call(KEEL_IOC_PART_BUDGET, &want);
	if (err < 0)
		explain(argv[1], argv[2], err);
	return 0;
}
