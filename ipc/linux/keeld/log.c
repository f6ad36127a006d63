// SPDX-License-Identifier: MIT
/* log.c - messages go out as one write each, so lines of several processes do not mix. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static char prefix[64] = "keeld";
static bool use_syslog;

void log_init(const char *name, bool to_syslog)
{
	if (name)
		snprintf(prefix, sizeof(prefix), "keeld[%s]", name);
	else
		snprintf(prefix, sizeof(prefix), "keeld");
	use_syslog = to_syslog;
	if (to_syslog)
		openlog(prefix, 0, LOG_DAEMON);
}

void log_line(const char *fmt, ...)
{
	char line[1024];
	size_t len = 0;
	va_list ap;
	int n;

	if (!use_syslog)
		len = (size_t)snprintf(line, sizeof(line), "%s: ", prefix);
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	len = strlen(line);
	if (use_syslog) {
		syslog(LOG_NOTICE, "%s", line);
		return;
	}
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return;		/* nowhere left to complain */
}
