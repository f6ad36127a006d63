/* SPDX-License-Identifier: MIT */
/* bench_lua.h - what differs between a peer and a process: nop_peer.c, nop_process.c. */
#ifndef TESTS_BENCH_BENCH_LUA_H
#define TESTS_BENCH_BENCH_LUA_H

/* Hand over n requests that do nothing and wait for all answers: n, or -1. */
int bench_nop(int n);

#endif
