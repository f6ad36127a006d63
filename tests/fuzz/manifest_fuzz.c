// SPDX-License-Identifier: MIT
/*
 * Property: no input makes manifest_parse() read outside it or accept what manifest.h rules out.
 * Failure looks like: a sanitizer report, or a trap in PROMISE().
 */
#include "corpus.h"
#include "boot/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct manifest m;
	struct parse_error e = { .msg = "" };

	if (manifest_parse(data, size, &m, &e)) {
		PROMISE(e.node[0] == '/' && e.msg[0]);
		PROMISE(strnlen(e.msg, sizeof(e.msg)) < sizeof(e.msg));
		return 0;
	}
	PROMISE(m.nparts && m.nparts <= MANIFEST_MAX_PARTS && m.nchans <= MANIFEST_MAX_CHANS);
	for (unsigned int i = 0; i < m.nparts; i++) {
		const struct manifest_part *p = &m.parts[i];

		PROMISE(p->name[0] && strnlen(p->name, sizeof(p->name)) < sizeof(p->name));
		PROMISE(p->image[0] && strnlen(p->image, sizeof(p->image)) < sizeof(p->image));
		PROMISE(strnlen(p->cmdline, sizeof(p->cmdline)) < sizeof(p->cmdline));
		PROMISE(p->mem_rest ? !p->mem_bytes : p->mem_bytes >= MANIFEST_MIN_MEMORY);
		PROMISE(p->priority < MANIFEST_NPRIORITIES && p->vcpus <= MANIFEST_MAX_VCPUS);
		PROMISE(p->vcpus || p->kind == MANIFEST_LINUX);
		PROMISE(p->shadow_pages >= MANIFEST_MIN_SHADOW && p->nmodules <= MANIFEST_MAX_MODULES);
	}
	for (unsigned int i = 0; i < m.nchans; i++) {
		const struct manifest_chan *c = &m.chans[i];

		PROMISE(c->server < m.nparts && c->client < m.nparts && c->server != c->client);
		PROMISE(c->window && c->window <= MANIFEST_MAX_WINDOW && !(c->window % MANIFEST_PAGE));
	}
	for (unsigned int i = 0; i < m.nparts; i++)
		manifest_place(&m.parts[i], UINT64_MAX >> (unsigned int)size % MANIFEST_MAX_VCPUS);
	manifest_size_pools(&m, 1ull << 30);
	manifest_fits(&m, 1ull << 30, &e);
	return 0;
}
