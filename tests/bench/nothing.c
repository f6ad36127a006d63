// SPDX-License-Identifier: MIT
/* nothing.c - the smallest program: what is left is the cost of starting and ending one. */
__attribute__((noreturn)) void _start(void);

void _start(void)
{
	for (;;)
		__asm__ volatile("syscall" : : "a"(60), "D"(0) : "rcx", "r11", "memory");
}
