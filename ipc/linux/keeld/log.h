/* SPDX-License-Identifier: MIT */
/*
 * log.h - one-line messages of keeld, prefixed `keeld[NAME]:`, in bounded number and space.
 *
 * What a peer does can make keeld say something at any rate. So a process says at most LOG_BURST
 * lines at once and one a second for long, and then how many it left out.
 */
#ifndef KEELD_LOG_H
#define KEELD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_BURST	32
#define LOG_FILE_BYTES	65536	/* of FILE, and of FILE.old */

/* A budget of lines: `burst` at once, one every `every_ms` after that. */
struct log_limit {
	unsigned int burst, every_ms;
	unsigned int left;
	bool started;
	uint64_t last_ms;	/* when `left` was last brought up to date */
	unsigned int dropped;	/* since the last line that was said */
};

/* Whether one more line may be said now; *dropped: how many were not, before it. */
bool log_allowed(struct log_limit *limit, uint64_t now_ms, unsigned int *dropped);

/*
 * name: of the channel, NULL for the parent. file: where to, NULL for standard error; a file that
 * has grown to LOG_FILE_BYTES becomes FILE.old. to_syslog instead of both. The budget is full again.
 */
void log_init(const char *name, const char *file, bool to_syslog);
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with a budget of its own beside the general one. */
void log_limited(struct log_limit *limit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

uint64_t log_now_ms(void);

#endif
