/* SPDX-License-Identifier: MIT */
/*
 * rt/rt.h - what the parts of the runtime offer each other.
 *
 * Everything runs on one thread in ring 1 with no interrupts: no locks anywhere.
 * Functions that stand for a system call return 0 or a count, or a negative errno.
 */
#ifndef RT_RT_H
#define RT_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <keel/abi.h>

#define PAGE_BYTES	4096UL

/* ---- start.c -------------------------------------------------------------------------------- */

extern const struct keel_start_info *rt_info;
extern int rt_max_c_calls;	/* how deep Lua may nest C calls on the stack there is */

/* Machine address of the partition's own memory at `va` (text, data, heap: all is linear). */
static inline uint64_t va_to_pa(const void *va)
{
	return (uint64_t)va - KEEL_PEER_VA + rt_info->mem_pa;
}

static inline void *pa_to_va(uint64_t pa)
{
	return (void *)(pa - rt_info->mem_pa + KEEL_PEER_VA);
}

/* End the partition: KEEL_SHUTDOWN_EXIT or _CRASH, with an exit status. */
_Noreturn void rt_shutdown(unsigned how, int status);

/* Write a line "runtime: ..." to the console, from pieces of text. */
#define rt_say(...)	rt_say_all((const char *const[]){ "runtime: ", __VA_ARGS__, NULL })
void rt_say_all(const char *const *words);
const char *rt_decimal(uint64_t n, char digits[24]);

/* Say why and end the partition as crashed. */
_Noreturn void rt_panic(const char *why);

/* ---- event.c: waiting ------------------------------------------------------------------------ */

#define RT_FOREVER	0	/* as a deadline: none */

/*
 * True if one of the event bits in `mask` has been set since the last call that saw it; clears
 * those bits. Bits outside the mask are remembered for whoever asks for them.
 */
bool event_take(uint64_t mask);

/*
 * Sleep until an event bit of `mask` is set (consumed: true) or the TSC passes `deadline_tsc`
 * (false; RT_FOREVER never). The caller tests its condition, then waits, in a loop.
 */
bool event_wait(uint64_t mask, uint64_t deadline_tsc);

/* The same, but the bit stays set for event_take(). */
bool event_sleep(uint64_t mask, uint64_t deadline_tsc);

/* ---- signal.c --------------------------------------------------------------------------------- */

#define RT_PID	1		/* the one process, its one thread, and both their groups */

/* Send the process a signal: if it is not blocked, its handler runs before this returns. */
void signal_raise(int sig);

/*
 * Sleep until the TSC passes the deadline (0), something happened on the console or one of `events` is set,
 * which stays set (1), or a handler ran (-EINTR; signal_restarts(): it was installed with SA_RESTART). The
 * caller tests its condition, then waits, in a loop.
 */
int signal_wait(uint64_t events, uint64_t deadline_tsc);
bool signal_restarts(void);

/* ---- clock.c --------------------------------------------------------------------------------- */

struct timespec;

void clock_init(uint64_t entry_tsc);	/* the partition's time counts from there */
uint64_t clock_deadline(uint64_t ns_from_now);

/* clock_nanosleep: 0, -EINVAL, -EINTR. */
long clock_sleep(int id, int flags, const struct timespec *req);

/* ---- heap.c ---------------------------------------------------------------------------------- */

/* Give [start, start + bytes) to the heap; ranges need not adjoin. */
void heap_add(void *start, size_t bytes);

/* Take a range back that heap_add() was given, if nothing of it is in use. */
bool heap_remove(void *start, size_t bytes);

/* `bytes` zeroed, page-aligned; NULL if there is no room. Freed with free(). */
void *heap_pages(size_t bytes);

/* Free bytes [from, to) of the block of `bytes` at p, whole pages; what is left stays where it is. */
void heap_free_part(void *p, size_t from, size_t to, size_t bytes);

/* ---- memory.c -------------------------------------------------------------------------------- */

/* Memory may have come, or be asked for. -> some has come, and is the heap's */
bool memory_look(void);

/* ---- paging.c -------------------------------------------------------------------------------- */

/* Map `npages` pages at `va`, read-write no-execute, to machine frames from `pa` on. 0 or -ENOMEM. */
int paging_map(uint64_t va, uint64_t pa, size_t npages);

/* The same with 2 MiB pages; and take such pages away again. */
int paging_map_large(uint64_t va, uint64_t pa, size_t n);
void paging_unmap_large(uint64_t va, size_t n);

/* Make the page at `va` fault. False if there was no memory for a page table. */
bool paging_guard(uint64_t va);

/* First address above the memory where a window can go: a multiple of 2 MiB, with a gap below. */
uint64_t paging_window_va(void);

/* ---- console.c ------------------------------------------------------------------------------- */

ssize_t console_read(void *buf, size_t len);
ssize_t console_write(const void *buf, size_t len);
bool console_readable(void);

/* Take what has been typed from the metakernel; ^C in it is SIGINT. */
void console_pump(void);

/* ---- fd.c, file.c: open files, their numbers, and paths ----------------------------------------- */

#define RT_FILES	64	/* open at once, the console included; so many numbers, too */

struct file;
struct iovec;
struct stat;

struct file_ops {
	/* At least `need` bytes of what the pieces hold, unless the file ends before. */
	ssize_t (*read)(struct file *f, const struct iovec *iov, int n, uint64_t off, size_t need);
	ssize_t (*write)(struct file *f, const struct iovec *iov, int n, uint64_t off);
	int (*stat)(struct file *f, struct stat *st);
	int (*seekable)(struct file *f);	/* 0 or -ESPIPE; NULL: never */
	int (*truncate)(struct file *f, uint64_t len);
	int (*sync)(struct file *f);
	int (*close)(struct file *f);
};

/* One open file; several descriptors may share it (dup). */
struct file {
	const struct file_ops *ops;
	unsigned refs;			/* descriptors; 0: free */
	int flags;			/* O_* of open */
	uint64_t pos;			/* of read and write; kept here, not by the server */
	union {
		const struct keel_module *module;
		struct stream *stream;
		struct {
			int32_t handle;		/* the server's number for it */
			uint32_t generation;	/* of the server that gave it */
			uint32_t opened;	/* KEEL_DC_OPENED_* */
			uint64_t next;		/* where the last read ended */
			uint32_t run;		/* reads that followed each other up to there */
			uint64_t end_until;	/* TSC: that long, that place is known to be the end */
			uint64_t end_epoch;	/* and while remote.c's epoch is this */
			struct ahead *ahead;	/* read-ahead buffer */
		} remote;
	};
};

extern const struct file_ops tty_ops;

void file_init(void);

/* ---- stream.c: standard streams of whoever started the partition --------------------------------- */

#define RT_STREAMS	3		/* 0, 1 and 2 */

/* Make files[n], on the console so far, those streams. False: there are none, nothing has changed. */
bool stream_init(struct file files[RT_STREAMS]);

bool is_stream(const struct file *f);
bool stream_is_tty(const struct file *f);

/* Whether a read gives something, the end or an error at once; else what to wait for is added to *events. */
bool stream_readable(struct file *f, uint64_t *events);

void cwd_init(const char *dir);	/* ignored if it is not absolute */

/* An open file that no descriptor holds yet: free again unless fd_new() follows. NULL: too many. */
struct file *file_new(void);
bool fd_left(void);
int fd_new(struct file *f);
int file_stat(long fd, struct stat *st);

/* ---- session.c, remote.c: files behind the driver-call channel ---------------------------------- */

/* Linux's wall clock: `ns` at TSC `tsc`. False: no server has told it yet. */
bool session_wall(uint64_t *ns, uint64_t *tsc);

/* What was read ahead may be old: something has come in from outside. */
void remote_forget(void);

int remote_open(struct file *f, const char *path, int flags, mode_t mode);
int remote_stat_path(const char *path, bool follow, struct stat *st);
int remote_unlink(const char *path, int flags);
int remote_rename(const char *from, const char *to);
int remote_mkdir(const char *path, mode_t mode);

#endif /* RT_RT_H */
