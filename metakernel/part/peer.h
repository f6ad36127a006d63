/* SPDX-License-Identifier: MIT */
/*
 * peer.h - a peer's memory as it is when the peer starts, and filling it so.
 */
#ifndef METAKERNEL_PART_PEER_H
#define METAKERNEL_PART_PEER_H

#include <stddef.h>
#include "part/part.h"

#define PEER_MAX_RUNS	17	/* ELF_MAX_SEGMENTS, and what boot/load_peer.c lays out behind them */

/* What is not zero at the start. */
struct peer_run {
	uint64_t at, bytes;		/* inside the peer's memory */
	const uint8_t *data;		/* kept in memory of the metakernel's */
};

struct peer_start {
	unsigned int nruns;
	struct peer_run runs[PEER_MAX_RUNS];
	paddr_t cr3_pa;
	uint64_t rip, rdi, rsp;		/* of vCPU 0 */
};

extern struct peer_start peer_starts[MANIFEST_MAX_PARTS];	/* by partition, of the manifest's; written at boot */

/* Fill a peer's memory afresh and reset its vCPU, a piece a call: -KEEL_EAGAIN, then 0. The peer does not run meanwhile. */
int peer_load(struct partition *p);
bool peer_loading(const struct partition *p);
void peer_load_abandon(const struct partition *p);	/* the next peer_load() begins anew */

#endif
