/* SPDX-License-Identifier: MIT */
/*
 * ptrace.h - a traced child that has stopped itself, and its registers.
 */
#ifndef STRESS_PTRACE_H
#define STRESS_PTRACE_H

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include "stress.h"

static inline void wait_first_stop(pid_t pid)
{
	int status;

	NEED(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

static inline struct user_regs_struct registers(pid_t pid)
{
	struct user_regs_struct regs;

	NEED(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
	return regs;
}

#endif
