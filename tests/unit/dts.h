/* SPDX-License-Identifier: MIT */
/* dts.h - compile device trees inside a test, with dtc. */
#ifndef TESTS_DTS_H
#define TESTS_DTS_H

#include <stddef.h>

/* A manifest that uses every property, and is accepted. */
extern const char dts_good[];

/* Compile the text, with further dtc options or "". The caller frees the result. Aborts on failure. */
void *dts_compile(const char *text, const char *options, size_t *len);

/* `text` with the first `from` replaced by `to`; aborts if `from` is not in it. Caller frees. */
char *dts_replace(const char *text, const char *from, const char *to);

#endif /* TESTS_DTS_H */
