/* SPDX-License-Identifier: MIT */
/*
 * keeld_fixture.h - keeld's server behind a channel of the host's, for keeld_server_test.c and
 * keeld_session_test.c. See keeld_fixture.c.
 */
#ifndef KEELD_FIXTURE_H
#define KEELD_FIXTURE_H

#include "unit.h"
#include "policy.h"

#include <keel/drivercall_client.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WINDOW	(1u << 20)
#define DATA	(client.layout.buf_off + 4 * KEEL_DC_PATH_MAX)	/* for contents, in the window */

/* What the metakernel and the Linux driver know of the channel. */
extern struct channel {
	pthread_mutex_t lock;
	uint32_t generation;
	bool server_up, client_up, stop;
	unsigned int server_ups, states;	/* calls so far */
	void *window;
	int server_event, client_event;
} chan;

extern struct policy policy;
extern struct keel_dc_client client;
extern char root[64], outside[64];	/* directories: granted, and not */

extern const int *server_stdio;		/* three descriptors: standard streams of the next setup() */

/* Each test has a session; root is the same for all of a program. */
int setup(void **state);
int teardown(void **state);
int fixture_run(const char *name, const struct CMUnitTest *tests, size_t n);
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- channel ---- */
void ring_fd(int fd);
/* Moves &chan.server_up or &chan.client_up, and the generation with it. */
void set_up(bool *side, bool up);
uint32_t channel_generation(bool *server_up);

/* ---- client ---- */
/* Waits for the client's event; false after two seconds of silence. */
bool client_wait(void);
/* Opens a session of the channel's generation. */
void client_attach(void);
void submit(struct keel_sqe q);
/* The next completion, or the error that ended the session. */
int next(struct keel_cqe *cqe);
int call(struct keel_sqe q);
/* Path i in the buffer area: overwritten when there is a new one. */
uint64_t path_at(unsigned int i, const char *dir, const char *name);
uint64_t in_root(const char *name);
int open_file(const char *name, uint32_t flags);

/* ---- server ---- */
/* The policy of the next requests: fmt with a and b. */
void policy_write(const char *fmt, const char *a, const char *b);
/* What has been logged from position `from` on. */
const char *log_text(long from);
bool logged(const char *what);
/* Processor time the server's thread uses in the next wall_ms. */
uint64_t server_cpu_ns(int wall_ms);

#endif /* KEELD_FIXTURE_H */
