// SPDX-License-Identifier: MIT
/*
 * locks.c - instead of lib/lock.c: a machine of several CPUs from the start, so that locks are taken.
 */
#include "lib/lock.h"

bool lock_others = true;
