/* SPDX-License-Identifier: MIT */
/*
 * runtime_machine.h - runs an unchanged unikernel image in a Linux process and plays the metakernel
 * and the server of its channel. See runtime_machine.c.
 */
#ifndef RUNTIME_MACHINE_H
#define RUNTIME_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <keel/abi.h>
#include <keel/drivercall.h>

#define MACHINE_OUTPUT		(1 << 20)
#define MACHINE_WINDOW		(1 << 20)
#define MACHINE_MEM_PA		0x10000000ULL
#define MACHINE_WINDOW_PA	0x30000000ULL
#define MACHINE_CHANNEL		5	/* its handle, unless machine_config.chan says another one */

/* How the run ended. */
enum machine_end {
	MACHINE_RUNNING,
	MACHINE_EXIT,		/* SHUTDOWN EXIT: status */
	MACHINE_CRASH,		/* SHUTDOWN CRASH: status */
	MACHINE_FAULT,		/* an access the page tables do not allow, or an exception */
	MACHINE_STUCK,		/* blocked, and nothing will ever wake it */
	MACHINE_LIMIT,		/* took too long */
};

struct machine;

/*
 * What the server does with one request, in place of the real thing. `path` and `buf` point into
 * the window (not checked: tests know their client). Returns the result, or SERVE_NORMALLY.
 */
#define SERVE_NORMALLY	0x7fffffff
#define SERVE_NEVER	0x7ffffffe	/* no answer at all */
#define SERVE_LATE	0x7ffffffd	/* normally, but when the guest has slept; one at a time */
typedef int (*machine_serve)(struct machine *m, const struct keel_sqe *sqe);

/*
 * A server outside of this file, in a thread of its own. `start` is called before the guest runs,
 * `kick` at its doorbell or change of state. The thread calls machine_bell and machine_server_*.
 */
struct machine_server {
	void (*start)(struct machine *m);
	void (*kick)(struct machine *m);
};

struct machine_module {
	const char *name;
	const void *data;
	size_t bytes;
};

struct machine_config {
	const char *image;		/* path of the ELF file */
	size_t mem_bytes;		/* 0: 2 MiB */
	uint32_t abi_version;		/* of the machine; 0: ours */
	const char *cmdline;
	struct machine_module modules[4];
	const char *input;		/* console, given when the guest waits for it */
	bool input_pieces;		/* what goes up to a ^C, or past a line's end, at each wait */
	unsigned interrupt_at;		/* ^C comes when the guest looks at its events for the so-manieth time */
	const char *root;		/* directory the server serves as "/"; NULL: no channel at all */
	unsigned chan;			/* handle of the channel; 0: MACHINE_CHANNEL */
	uint32_t dc_flags;		/* KEEL_DC_STDIO, KEEL_DC_TTY: */
	int stdio[3];			/* host descriptors that are then files 0, 1 and 2 of the session */
	size_t (*portion)(size_t len);	/* how much of them one request moves; NULL: len */
	int server_after_blocks;	/* the server comes up when the guest has waited that often */
	bool time_flies;		/* what the guest sleeps has passed at once, on its clocks */
	bool server_up;			/* from the start */
	bool no_server;			/* a channel, but nobody at the other end */
	machine_serve serve;		/* may be NULL */
	const struct machine_server *server;	/* instead of the one in here; root is not used then */
	bool dumb_server;		/* its OPENAT tells nothing of the file */
	uint64_t cpu_ns;		/* how long the partition says it has run, from its second question on */
	uint64_t wall_ns;		/* the server tells this time with each request; 0: none */
	bool echo;			/* copy output to stdout, input from stdin: interactive */
	uint64_t stop_at;		/* count instructions from entry to this address */
};

struct machine {
	struct machine_config cfg;
	enum machine_end end;
	int status;
	char why[160];			/* FAULT, STUCK: what happened */
	unsigned frames;		/* FAULT: return addresses in the image, by frame pointers */

	char *out;			/* console output, zero-terminated */
	size_t out_len;
	unsigned hypercalls[KEEL_HC_NR];
	unsigned requests;		/* SQEs served */
	unsigned attached;		/* sessions */
	uint64_t instructions;		/* up to cfg.stop_at */
	size_t touched_pages;		/* of the guest's memory, by the end */

	/* the channel, under the lock */
	pthread_mutex_t lock;
	uint32_t chan_state, chan_generation;
	uint8_t *window;
	struct keel_dc_header *hdr;

	struct machine_priv *priv;
};

/* NULL, or why this host cannot run a machine: tests then skip. */
const char *machine_impossible(void);

/* A directory for machine_config.root, with /mnt in it: 0, or -1; and away with it and all that is in it. */
int machine_root_make(char root[64]);
int machine_root_remove(const char *root);

/* Runs to the end. The caller reads the result and calls machine_free. */
struct machine *machine_run(const struct machine_config *cfg);
void machine_free(struct machine *m);

/* After the run: whether the guest's tables map va; how many bytes from va on are zero. */
bool machine_maps(struct machine *m, uint64_t va);
size_t machine_zero_bytes(struct machine *m, uint64_t va);

/* The server's doorbell; any thread. */
void machine_bell(struct machine *m);

/* The server goes down or comes (back) up; the guest gets its event. Any thread. */
void machine_server_down(struct machine *m);
void machine_server_up(struct machine *m);

/* Address of a symbol in an ELF file with symbols; 0 if it has none of that name. */
uint64_t machine_symbol(const char *elf, const char *name);

#endif /* RUNTIME_MACHINE_H */
