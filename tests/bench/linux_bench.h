/* SPDX-License-Identifier: MIT */
/*
 * linux_bench.h - what the operations share. Each does its operation `n` times between begin() and
 * end(); what it needs for that is made before and thrown away after, untimed.
 */
#ifndef TESTS_BENCH_LINUX_BENCH_H
#define TESTS_BENCH_LINUX_BENCH_H

#include <stdint.h>
#include <sys/types.h>

#define PAGE	4096ul
#define NOTHING	"/bench/nothing"

struct bench_op {
	const char *name;		/* NULL ends the table */
	void (*run)(unsigned int n);
	unsigned int n;
};

extern const struct bench_op bench_ops[];

void must(int good, const char *what);
void begin(void);
void end(void);
void wait_for(pid_t pid);

/* ops_memory.c */
void op_page_fault(unsigned int n);
void op_page_fault_4k(unsigned int n);
void op_mmap_touch16(unsigned int n);
void op_mprotect(unsigned int n);
void op_prot_fault(unsigned int n);
void op_cow_fault(unsigned int n);

/* ops_process.c */
void op_fork_exit(unsigned int n);
void op_fork_exec(unsigned int n);
void op_thread(unsigned int n);
void op_ctx_switch(unsigned int n);
void op_signal(unsigned int n);
void op_nanosleep(unsigned int n);

/* ops_io.c */
void op_getppid(unsigned int n);
void op_read_zero(unsigned int n);
void op_stat(unsigned int n);
void op_open_close(unsigned int n);
void op_file_4k(unsigned int n);
void op_pipe_rt(unsigned int n);
void op_unix_rt(unsigned int n);
void op_tcp_rt(unsigned int n);

#endif /* TESTS_BENCH_LINUX_BENCH_H */
