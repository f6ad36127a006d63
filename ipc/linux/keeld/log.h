/* SPDX-License-Identifier: MIT */
/* log.h - one-line messages of keeld, prefixed `keeld[NAME]:`. */
#ifndef KEELD_LOG_H
#define KEELD_LOG_H

#include <stdbool.h>

/* name: of the channel, NULL for the parent. to_syslog: else standard error. */
void log_init(const char *name, bool to_syslog);
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
