/* SPDX-License-Identifier: MIT */
/*
 * ops.h - what server.c (the loop, sessions) and ops.c (the calls) share: the server's state.
 */
#ifndef KEELD_OPS_H
#define KEELD_OPS_H

#include "log.h"
#include "policy.h"
#include "transport.h"

#include <keel/drivercall.h>
#include <liburing.h>

#define MAX_REQUESTS	KEEL_DC_MAX_SQ		/* cq_entries is never larger */

enum file_state { FILE_FREE, FILE_OPEN, FILE_CLOSING };

struct file {
	enum file_state state;
	bool regular;
	bool special;		/* neither regular nor a directory */
	bool stream;		/* a standard stream: without positions of the client's */
	bool no_nowait;		/* its file system does not know RWF_NOWAIT */
	int fd;
};

struct request {
	bool busy;
	uint8_t opcode;
	int32_t file;		/* index into files: CLOSE */
	uint64_t user_data;
	uint32_t flags;		/* of the answer, if it is no error: KEEL_DC_OPENED_* */
	int dir_fd[2];		/* opened for this request, -1: none */
	char path[KEEL_DC_PATH_MAX];
	char path2[KEEL_DC_PATH_MAX];
};

struct server {
	const struct policy *policy;
	struct transport *t;
	struct io_uring uring;
	bool stop;
	uint32_t stdio_flags;	/* of the header; 0: sessions have no standard streams */
	int stdio_fds[3];

	bool event;		/* a doorbell or change of state since last looked at */
	bool unchecked;		/* the channel's state was not asked for since the last event */
	uint32_t client_seen;	/* client_generation when last looked at */

	bool open;		/* a session is */
	uint32_t generation;	/* of the session */
	struct keel_dc_header *hdr;
	struct keel_dc_layout layout;
	struct keel_sqe *sqes;
	struct keel_cqe *cqes;
	struct keel_ring sq, cq;
	bool stalled;		/* requests wait because the client does not take completions */
	struct log_limit denials, sessions;	/* lines about them */

	uint64_t told_tsc;	/* when the time was last told, by the TSC; 0: not yet */

	struct file files[KEEL_DC_MAX_FILES];
	struct request requests[MAX_REQUESTS];
	uint32_t in_flight;
};

/*
 * Begins a request that was copied out of the window; an answer may be published at once. A free
 * place must be there: in_flight < cq_entries.
 */
void ops_start(struct server *s, const struct keel_sqe *sqe);

/* io_uring has finished request `id` with res: publishes the answer (not once the session is closed). */
void ops_finish(struct server *s, uint64_t id, int res);

/* Tells the client Linux's wall clock, if that was not just done. */
void ops_tell_time(struct server *s);

/* A session begins: its standard streams, if there are to be any. */
void ops_open_stdio(struct server *s);

/* Closes every file of the session. Nothing is in flight. */
void ops_close_files(struct server *s);

/* An empty entry of the real io_uring whose completion will say `id`. */
struct io_uring_sqe *ops_uring_sqe(struct server *s, uint64_t id);

#endif
