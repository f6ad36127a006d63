// SPDX-License-Identifier: MIT
/*
 * Property: no input makes the bundle reader read outside it or give out a file that is not inside.
 * Failure looks like: a sanitizer report, or a trap in PROMISE().
 */
#include "corpus.h"
#include "boot/bundle.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bundle_file f, g;
	struct parse_error e = { .msg = "" };
	size_t pos = 0, before = 0;
	bool good = !bundle_check(data, size, &e);
	int ret;

	PROMISE(good || (e.node[0] && e.msg[0]));
	while ((ret = bundle_next(data, size, &pos, &f, &e)) > 0) {
		const uint8_t *p = f.data;

		PROMISE(p >= data && f.size <= size && (size_t)(p - data) <= size - f.size);
		PROMISE(!((p - data) % 4));
		PROMISE(strlen(f.name) < BUNDLE_NAME_LEN);
		PROMISE(pos > before && pos <= size);
		before = pos;
		PROMISE(!bundle_find(data, size, f.name, &g));
		PROMISE(!good || g.data == f.data);
	}
	PROMISE(!good || !ret);
	return 0;
}
