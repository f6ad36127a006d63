// SPDX-License-Identifier: MIT
/*
 * ops_linux.c - the operations of linux_bench.
 */
#include <stddef.h>
#include "linux_bench.h"

const struct bench_op bench_ops[] = {
	{ "getppid", op_getppid, 5000 },
	{ "read_zero", op_read_zero, 5000 },
	{ "stat", op_stat, 2000 },
	{ "open_close", op_open_close, 2000 },
	{ "file_4k", op_file_4k, 1000 },
	{ "signal", op_signal, 2000 },
	{ "page_fault", op_page_fault, 2000 },
	{ "page_fault_4k", op_page_fault_4k, 2000 },
	{ "cow_fault", op_cow_fault, 1000 },
	{ "prot_fault", op_prot_fault, 2000 },
	{ "mprotect", op_mprotect, 2000 },
	{ "mmap_touch16", op_mmap_touch16, 500 },
	{ "thread", op_thread, 300 },
	{ "fork_exit", op_fork_exit, 100 },
	{ "fork_exec", op_fork_exec, 100 },
	{ "ctx_switch", op_ctx_switch, 2000 },
	{ "pipe_rt", op_pipe_rt, 1000 },
	{ "unix_rt", op_unix_rt, 1000 },
	{ "tcp_rt", op_tcp_rt, 500 },
	{ "nanosleep", op_nanosleep, 500 },
	{ NULL, NULL, 0 },
};
