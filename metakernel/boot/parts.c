// SPDX-License-Identifier: MIT
/*
 * parts.c - the manifest's partitions and channels as objects. What they are loaded with: load.c.
 */
#include "boot/parts.h"
#include "mm/frames.h"
#include "part/chan.h"
#include "run/cpu.h"
#include "run/event.h"
#include "lib/string.h"

/* Handle 0 is the partition itself; then, for a controller, the others; then channels; then, for a controller, the log. */
static void caps_init(struct partition *p)
{
	unsigned int i;

	cap_add(p, KEEL_CAP_PARTITION,
		KEEL_RIGHT_INFO | (p->man->control ? KEEL_RIGHT_CONTROL : 0), p->index);
	for (i = 0; p->man->control && i < manifest.nparts; i++)
		if (i != p->index)
			cap_add(p, KEEL_CAP_PARTITION, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, i);
	for (i = 0; i < manifest.nchans; i++) {
		const struct manifest_chan *c = &manifest.chans[i];

		unsigned int side = c->server == p->index ? 0 : 1;
		int handle;

		if (side && c->client != p->index)
			continue;
		handle = cap_add(p, KEEL_CAP_CHANNEL, side ? KEEL_RIGHT_USE : KEEL_RIGHT_SERVE, i);
		chans[i].handle[side] = (uint16_t)handle;
		chans[i].event[side] = event_of_handle((unsigned int)handle);
	}
	if (p->man->control)
		cap_add(p, KEEL_CAP_LOG, KEEL_RIGHT_INFO, 0);
}

static int vcpus_create(struct partition *p)
{
	unsigned int i;

	if (part_take_vcpus(p, p->man->vcpus ? p->man->vcpus : ncpus))
		return -KEEL_ENOMEM;
	for (i = 0; i < p->nvcpus; i++)
		if (part_make_vcpu(p, i))
			return -KEEL_ENOMEM;
	return 0;
}

struct partition *parts_create(const struct manifest_part *man)
{
	struct partition *p = &parts[nparts];

	p->index = nparts++;
	p->owner = (uint16_t)(FRAMES_PARTITION + p->index);
	p->man = man;
	p->log_second = UINT64_MAX;	/* none yet; the TSC may be within its first second */
	caps_init(p);
	if (part_take_console(p) || vcpus_create(p))
		return NULL;
	if (man->devices) {
		p->ones_pa = frames_alloc_mk(1);	/* its own when memory is handed out */
		if (!p->ones_pa)
			return NULL;
		memset(pa_to_va(p->ones_pa), 0xff, PAGE_SIZE);
	}
	return p;
}

void parts_channels(void)
{
	unsigned int i;

	nchans = manifest.nchans;
	for (i = 0; i < nchans; i++) {
		struct chan *c = &chans[i];

		const struct manifest_chan *man = &manifest.chans[i];

		strlcpy(c->name, man->name, sizeof(c->name));
		c->max_bytes = man->window;
		c->owner = (uint16_t)(FRAMES_CHANNEL | i);
		c->side[0] = &parts[man->server];
		c->side[1] = &parts[man->client];
	}
}
