// SPDX-License-Identifier: MIT
/* drivercall_none.c - in a Linux process there are no driver calls by themselves. */
#include "drivercall.h"

void bench_raw(void)
{
}
