// SPDX-License-Identifier: MIT
/*
 * run.c - keelctl run: a partition of the user's own, from an image and a command line to an exit status.
 *
 * All that can be wrong with what was asked for is found before anything is made. Then: memory from Linux, the image laid out in it, a
 * worker that serves the channel, and the start. The descriptor of the partition is ours alone: whatever ends
 * this process ends the partition, and Linux has its memory again. But a detached one is kept (KEEL_IOC_PART_KEEP) as soon as
 * NAME.job tells another process how to go on with it.
 */
#include "commands.h"
#include "device.h"
#include "run.h"
#include "supervise.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_BYTES	(512ul << 10)
#define NAME_TRIES	1000
#define AGAIN_TRIES	50
#define STATES		7u	/* in XCR0: x87, SSE, AVX */

/* ---- what was asked for ---------------------------------------------------------------------------- */

static void __attribute__((noreturn)) no_image(int status, const char *image, const char *why)
{
	die_status = status;
	die("%s: %s", image, why);
}

static int open_image(const struct run_options *o)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	if (strchr(o->image, '/'))
		snprintf(path, sizeof(path), "%s", o->image);
	else
		snprintf(path, sizeof(path), "%s/%s.elf", IMAGES_DIR, o->image);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		no_image(EXIT_NO_IMAGE, o->image, strchr(o->image, '/') ? "there is no such file" :
			 "there is no such image (keelctl images lists them)");
	if (fd < 0 || fstat(fd, &st) < 0)
		no_image(EXIT_NO_RUN, o->image, strerror(errno));
	if (!S_ISREG(st.st_mode))
		no_image(EXIT_NO_RUN, o->image, "not a file");
	return fd;
}

/* The file itself; a copy, if it may be needed when somebody has changed the file. */
static void *image_data(const struct run *r, int fd, size_t bytes)
{
	bool again = r->o.restart.when != RESTART_NO || r->o.detach;
	void *data = mmap(NULL, bytes, PROT_READ | (again ? PROT_WRITE : 0), MAP_PRIVATE | (again ? MAP_ANONYMOUS : 0),
			  again ? -1 : fd, 0);

	if (data == MAP_FAILED || (again && pread(fd, data, bytes, 0) != (ssize_t)bytes))
		no_image(EXIT_NO_RUN, r->o.image, strerror(errno));
	return data;
}

static void load_image(struct run *r)
{
	int fd = open_image(&r->o);
	off_t bytes = lseek(fd, 0, SEEK_END);
	const char *why = NULL;
	void *data;

	if (bytes <= 0)
		no_image(EXIT_NO_RUN, r->o.image, "not an ELF image: it is empty");
	text_know(&r->text, fd);
	data = image_data(r, fd, (size_t)bytes);
	close(fd);
	why = image_check(&r->image, data, (size_t)bytes);
	if (why)
		no_image(EXIT_NO_RUN, r->o.image, why);
}

/* What -v names; without it the current directory, which is no place to write to if it is all of Linux. */
static void grant_files(struct run *r, const char *here)
{
	const struct run_grant *g;
	char why[PATH_MAX + 128];
	unsigned int i;

	for (i = 0; i < r->o.ngrants; i++) {
		g = r->o.grants[i];
		if (policy_add(&r->policy, g->writable, g->host, g->path, "-v", why, sizeof(why)))
			die("%s", why);
	}
	if (!r->o.ngrants &&
	    policy_add(&r->policy, strcmp(here, "/"), here, here, "the current directory", why, sizeof(why)))
		die("%s", why);
}

/* -w must be a directory that it can see. */
static void check_dir(const struct run *r)
{
	struct policy_path where;
	char path[PATH_MAX];
	struct stat st;
	int fd;

	strcpy(path, r->o.dir);
	fd = policy_find(&r->policy, path, &where);
	if (!fd)
		fd = policy_open_path(&where, true);
	if (fd == -EACCES)
		die("-w %s: not in a directory that it may use (-v)", r->o.dir);
	if (fd < 0 || fstat(fd, &st) < 0)
		die("-w %s: %s", r->o.dir, strerror(fd < 0 ? -fd : errno));
	close(fd);
	if (!S_ISDIR(st.st_mode))
		die("-w %s: not a directory", r->o.dir);
}

static void write_cmdline(struct run *r, const char *here)
{
	struct cmdline *c = &r->cmdline;
	const char *value;
	char name[256];
	unsigned int i;
	int arg;

	/* Before PWD: the first of a name counts. */
	for (i = 0; i < r->o.nenv; i++) {
		value = strchr(r->o.env[i], '=');
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(r->o.env[i], "="), r->o.env[i]);
		value = value ? value + 1 : getenv(name);
		if (value)
			cmdline_assign(c, name, value);
	}
	cmdline_assign(c, "PWD", r->o.dir[0] ? r->o.dir : here);
	cmdline_add(c, r->o.image);
	for (arg = 0; arg < r->o.nargs; arg++)
		cmdline_add(c, r->o.args[arg]);
	if (c->full)
		die("arguments and environment are longer than %zu bytes", sizeof(c->text) - 1);
}

void run_prepare(struct run *r, const char *here)
{
	load_image(r);
	grant_files(r, here);
	if (r->o.dir[0])
		check_dir(r);
	write_cmdline(r, here);
}

/* ---- making it -------------------------------------------------------------------------------------- */

static void __attribute__((noreturn)) not_made(const struct run *r, int err)
{
	switch (err) {
	case -EEXIST:
		die("%s: the name is in use (keelctl ps)", r->name);
	case -ENOMEM:
		die("%s: Linux has no %luK of memory in one piece to give away", r->name, r->o.mem_bytes >> 10);
	case -ENOSPC:
		die("%s: no more partitions", r->name);
	case -EINVAL:
		die("%s: the metakernel does not take it: --cpus, --vcpus, or --prio above Linux's without a --budget", r->name);
	case -ENOTTY:
	case -ENOSYS:
		die("this Linux, or its metakernel, cannot make partitions");
	}
	die_call("making", r->name, err);
}

static int create(struct run *r)
{
	r->made = (struct keel_ioc_create) {
		.priority = r->o.priority, .nvcpus = r->o.nvcpus, .cpus = r->o.cpus, .mem_bytes = r->o.mem_bytes,
		.window_bytes = WINDOW_BYTES, .budget_ns = r->o.budget_ns, .period_ns = r->o.period_ns,
		/* One table a 2 MiB, and what all of them need. */
		.shadow_pages = (uint32_t)(KEEL_MIN_SHADOW_PAGES + r->o.mem_bytes / (2ul << 20)),
	};
	strcpy(r->made.name, r->name);
	return device_call(KEEL_IOC_PART_CREATE, &r->made);
}

/* IMAGE-1, or the next number that is free. */
static void make_up_name(const struct run *r, char name[KEEL_NAME_LEN], unsigned int number)
{
	const char *base = strrchr(r->o.image, '/');
	size_t i;

	base = base ? base + 1 : r->o.image;
	for (i = 0; i < KEEL_NAME_LEN - 8 && base[i] && strcmp(base + i, ".elf"); i++) {
		char c = base[i] >= 'A' && base[i] <= 'Z' ? (char)(base[i] | 0x20) : base[i];

		name[i] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (i && c == '_') ? c : i ? '-' : 'p';
	}
	snprintf(name + i, KEEL_NAME_LEN - i, "-%u", number);
}

/* The partition is ours alone. */
static void hold(struct run *r, int fd)
{
	r->fd = fd;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		die("%s: %s", r->name, strerror(errno));
}

/* Takes the name, where it is ours to keep, and the partition. */
void run_create(struct run *r)
{
	unsigned int i;
	int err = -EEXIST;

	for (i = 1; err == -EEXIST && i <= NAME_TRIES; i++) {
		if (r->o.name)
			strcpy(r->name, r->o.name);
		else
			make_up_name(r, r->name, i);
		err = r->o.detach ? job_take(&r->job, r->name) : job_free(r->name) ? 0 : -EEXIST;
		if (!err)
			err = create(r);
		if (err < 0 && r->o.detach)
			job_give_up(&r->job);
		if (r->o.name)
			break;
	}
	if (err < 0)
		not_made(r, err);
	hold(r, err);
}

/* The same name, the same way. What the one before had may still be on its way back. */
void run_create_again(struct run *r)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	int err, i;

	for (i = 0; i < AGAIN_TRIES; i++) {
		err = create(r);
		if (err >= 0) {
			hold(r, err);
			return;
		}
		nanosleep(&pause, NULL);
	}
	not_made(r, err);
}

/* The extended states a new vCPU has enabled: x87, SSE and AVX of those the machine has. */
static uint64_t start_xcr0(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_XSAVE))
		return 0;
	return __get_cpuid_count(0xd, 0, &a, &b, &c, &d) ? a & STATES : STATES & 3;
}

void run_lay_out(struct run *r, struct keel_part_start *start)
{
	struct image_start with = { .name = r->name, .cmdline = r->cmdline.text, .tsc_khz = r->made.tsc_khz,
				    .xcr0 = start_xcr0() };
	struct image_memory mem = { .pa = r->made.mem_pa, .bytes = r->o.mem_bytes };
	int err;

	mem.at = mmap(NULL, mem.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (mem.at == MAP_FAILED)
		die("%s: its memory: %s", r->name, strerror(errno));
	mem.text_pa = text_share(&r->text, &r->image, r->fd);
	err = image_lay_out(&r->image, &with, &mem, start);
	munmap(mem.at, mem.bytes);
	if (err)
		die("-m %luK is too little for %s: it takes %luK, and page tables, before it has any for itself",
		    mem.bytes >> 10, r->o.image, (r->image.end - KEEL_PEER_VA + 1023) >> 10);
}

void run_boot(const struct run *r, struct keel_part_start *start)
{
	int err;

	if (ioctl(r->fd, KEEL_IOC_PART_BOOT, start) < 0) {
		err = -errno;
		if (err == -ENOSPC)
			die("%s: --budget: the CPUs have not so much left (95 %% of each is to be had)", r->name);
		die("%s: starting it: %s", r->name, strerror(-err));
	}
}

/* ---- the command ------------------------------------------------------------------------------------- */

void run_open_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

int cmd_run(int argc, char **argv)
{
	static struct run r;
	char here[PATH_MAX];

	die_status = EXIT_RUN;
	run_open_streams();
	options_parse(&r.o, argc, argv);
	if (!getcwd(here, sizeof(here)))
		die("the current directory: %s", strerror(errno));
	run_prepare(&r, here);
	if (r.o.detach) {
		job_ask(&r.job, argv + 1, &r.o);
		job_detach(&r.job);	/* goes on in a process of its own */
	}
	r.signals = supervise_signals();
	run_create(&r);
	return run_life(&r, false);
}
