/* SPDX-License-Identifier: MIT */
/*
 * promise.h - budgets of partitions: what was asked for, and whether the CPUs have it.
 *
 * A partition's budget is of each of its vCPUs. Of each CPU at most MOST is promised to those that stay on it, and of all
 * together at most that of all, whatever their priorities. So who has a budget gets it, unless somebody of higher priority has
 * none; and the rest is for those without: who controls the others, and ends them, is one.
 */
#ifndef METAKERNEL_PART_PROMISE_H
#define METAKERNEL_PART_PROMISE_H

#include "part/part.h"

/*
 * Instead of what p had; 0, 0: no limit. Under LOCK_LIFE. -KEEL_EINVAL: that is no budget; -KEEL_ENOSPC: there is not so
 * much; then nothing has changed.
 */
int promise(struct partition *p, uint64_t budget_ns, uint64_t period_ns);

#endif
