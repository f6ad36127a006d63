/* SPDX-License-Identifier: MIT */
/*
 * keel_seed.h - included before the two sources of Lua that take the time for a seed when a state is
 * made: the time-stamp counter does as well, and does not look for a Linux to tell the time.
 */
#ifndef KEEL_SEED_H
#define KEEL_SEED_H

#include <time.h>

#define time(unused)	((time_t)__builtin_ia32_rdtsc())

#endif
