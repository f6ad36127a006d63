// SPDX-License-Identifier: MIT
/*
 * runtime_machine.c - a metakernel for one unikernel, in a Linux process.
 *
 *   parent: metakernel + channel server            child: the guest, traced
 *   +---------------------------------+  ptrace   +--------------------------------+
 *   | vCPU page, console, CHAN_*, ... |<--------->| image at 0x400000, unmodified  |
 *   | memfd: guest memory | window    |=== mmap ==| window at the VA it chooses    |
 *   +---------------------------------+           +--------------------------------+
 *
 * In ring 3 of Linux the guest's `int $15` and its accesses to the vCPU page are faults; the parent
 * sees them, does what the metakernel would and moves RIP on. rt/machine.h promises that only three
 * instructions do that, so three are decoded. The guest's page tables are built in its memory as the
 * metakernel builds them, and obeyed: a page outside the image's linear map is mapped when the tables
 * allow it, to a frame of the guest or of the window, else the guest has faulted.
 *
 * Requests are served inside the KICK or BLOCK hypercall, or by a server in a thread (keeld's own
 * code: runtime_keeld_test.c). Time is real.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "runtime_machine.h"

#define PAGE		4096UL
#define LIMIT_S		60
#define STACK_BYTES	(16 * 1024UL)
#define PTE_P		1ULL
#define PTE_W		2ULL
#define PTE_US		4ULL
#define PTE_PS		0x80ULL
#define PTE_NX		(1ULL << 63)
#define LARGE		0x200000ULL
#define PTE_PA		0x000ffffffffff000ULL
#define HANDLES		64
#define HWCAP2_FSGSBASE_BIT	(1 << 1)

struct machine_priv {
	pid_t pid;
	int fd;				/* memfd: memory, then the window */
	int wake_fd;			/* eventfd: an event was set */
	uint8_t *mem;
	uint64_t cr3_pa;
	struct keel_vcpu_page vcpu;
	const char *input;
	int blocks;
	uint64_t limit;			/* CLOCK_MONOTONIC, ns */
	/* server */
	struct keel_dc_layout layout;
	uint32_t session;		/* generation of the open session, 0: none */
	struct keel_ring sq, cq;
	int files[HANDLES];		/* host descriptors, -1 free */
};

static void die(const char *what)
{
	perror(what);
	abort();
}

static void __attribute__((format(printf, 3, 4)))
finish(struct machine *m, enum machine_end end, const char *fmt, ...)
{
	va_list ap;

	if (m->end != MACHINE_RUNNING)
		return;
	m->end = end;
	va_start(ap, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static uint64_t rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

static uint64_t tsc_khz(void)
{
	static uint64_t khz;

	if (!khz) {
		uint64_t ns = now_ns(), tsc = rdtsc();

		while (now_ns() - ns < 10000000)
			;
		khz = (rdtsc() - tsc) * 1000000 / (now_ns() - ns);
	}
	return khz;
}

/* ---- ELF and memory ------------------------------------------------------------------------- */

static void *read_file(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	p = malloc((size_t)st.st_size);
	if (!p || read(fd, p, (size_t)st.st_size) != st.st_size)
		die(path);
	close(fd);
	*bytes = (size_t)st.st_size;
	return p;
}

uint64_t machine_symbol(const char *elf, const char *name)
{
	size_t bytes;
	uint8_t *p = read_file(elf, &bytes);
	const Elf64_Ehdr *eh = (const void *)p;
	const Elf64_Shdr *sh = (const void *)(p + eh->e_shoff);
	uint64_t found = 0;

	for (int i = 0; i < eh->e_shnum; i++) {
		const Elf64_Sym *sym = (const void *)(p + sh[i].sh_offset);
		const char *names;

		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		names = (const char *)p + sh[sh[i].sh_link].sh_offset;
		for (size_t k = 0; k < sh[i].sh_size / sizeof(*sym); k++)
			if (strcmp(names + sym[k].st_name, name) == 0)
				found = sym[k].st_value;
	}
	free(p);
	return found;
}

static uint64_t round_up(uint64_t v)
{
	return (v + PAGE - 1) & ~(PAGE - 1);
}

static uint8_t *at_va(struct machine *m, uint64_t va)
{
	return m->priv->mem + (va - KEEL_PEER_VA);
}

/* The entry for va at level `last` (0: 4 KiB, 1: 2 MiB), or a 2 MiB one met above it. */
static uint64_t *pte_of(struct machine *m, uint64_t va, int last, uint64_t *alloc)
{
	uint64_t pa = m->priv->cr3_pa;

	for (int level = 3; ; level--) {
		uint64_t *table, *e;

		if (pa < MACHINE_MEM_PA || pa >= MACHINE_MEM_PA + m->cfg.mem_bytes)
			return NULL;
		table = (uint64_t *)(void *)(m->priv->mem + (pa - MACHINE_MEM_PA));
		e = &table[va >> (12 + 9 * level) & 511];
		if (level == last || (level == 1 && *e & PTE_PS))
			return e;
		if (!(*e & PTE_P)) {
			if (!alloc)
				return NULL;
			*e = *alloc | PTE_P | PTE_W;
			*alloc += PAGE;
		}
		if (*e & PTE_US)
			finish(m, MACHINE_FAULT, "page-table entry with U bit");
		pa = *e & PTE_PA;
	}
}

/* Place a piece behind `free`; the guest's address of it. */
static uint64_t place(struct machine *m, uint64_t *free_va, const void *data, size_t bytes)
{
	uint64_t va = *free_va;

	*free_va = round_up(va + bytes);
	if (*free_va > KEEL_PEER_VA + m->cfg.mem_bytes) {
		finish(m, MACHINE_FAULT, "image and modules do not fit the memory");
		*free_va = KEEL_PEER_VA;
		return KEEL_PEER_VA;
	}
	if (data)
		memcpy(at_va(m, va), data, bytes);
	return va;
}

struct boot {
	uint64_t entry, info_va, stack_top;
	struct { uint64_t va, end; int prot; } seg[8];
	int nseg;
};

static void load_image(struct machine *m, struct boot *b, uint64_t *free_va)
{
	size_t bytes;
	uint8_t *p = read_file(m->cfg.image, &bytes);
	const Elf64_Ehdr *eh = (const void *)p;
	const Elf64_Phdr *ph = (const void *)(p + eh->e_phoff);

	b->entry = eh->e_entry;
	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		if (ph[i].p_vaddr & (PAGE - 1) ||
		    ph[i].p_vaddr + ph[i].p_memsz > KEEL_PEER_VA + m->cfg.mem_bytes) {
			finish(m, MACHINE_FAULT, "segment does not fit");
			break;
		}
		memcpy(at_va(m, ph[i].p_vaddr), p + ph[i].p_offset, ph[i].p_filesz);
		b->seg[b->nseg].va = ph[i].p_vaddr;
		b->seg[b->nseg].end = round_up(ph[i].p_vaddr + ph[i].p_memsz);
		b->seg[b->nseg++].prot = (ph[i].p_flags & PF_R ? PROT_READ : 0) |
			(ph[i].p_flags & PF_W ? PROT_WRITE : 0) | (ph[i].p_flags & PF_X ? PROT_EXEC : 0);
		*free_va = round_up(ph[i].p_vaddr + ph[i].p_memsz);
	}
	free(p);
}

static int prot_of(const struct boot *b, uint64_t va)
{
	for (int i = 0; i < b->nseg; i++)
		if (va >= b->seg[i].va && va < b->seg[i].end)
			return b->seg[i].prot;
	return PROT_READ | PROT_WRITE;
}

/* What the metakernel does before the first instruction: docs/abi.md, keel_start_info. */
static void build(struct machine *m, struct boot *b)
{
	uint64_t free_va = KEEL_PEER_VA, tables, npages = m->cfg.mem_bytes / PAGE;
	struct keel_start_info *info;

	load_image(m, b, &free_va);
	b->info_va = place(m, &free_va, NULL, sizeof(*info));
	b->stack_top = place(m, &free_va, NULL, STACK_BYTES) + STACK_BYTES;
	tables = place(m, &free_va, NULL, (3 + npages / 512 + 2) * PAGE);
	if (m->end)
		return;

	info = (void *)at_va(m, b->info_va);
	info->magic = KEEL_START_MAGIC;
	info->version = KEEL_ABI_VERSION;
	info->size = sizeof(*info);
	info->mem_pa = MACHINE_MEM_PA;
	info->mem_bytes = m->cfg.mem_bytes;
	info->tsc_khz = tsc_khz();
	info->xcr0 = 3;
	strcpy(info->name, "lua");
	snprintf(info->cmdline, sizeof(info->cmdline), "%s", m->cfg.cmdline);
	for (int i = 0; i < 4 && m->cfg.modules[i].name; i++) {
		const struct machine_module *mod = &m->cfg.modules[i];
		struct keel_module *to = &info->modules[info->nmodules++];

		to->va = place(m, &free_va, mod->data, mod->bytes);
		to->bytes = mod->bytes;
		snprintf(to->name, sizeof(to->name), "%s", mod->name);
	}
	info->free_va = free_va;

	m->priv->cr3_pa = tables - KEEL_PEER_VA + MACHINE_MEM_PA;
	info->cr3_pa = m->priv->cr3_pa;
	tables = m->priv->cr3_pa + PAGE;
	for (uint64_t va = KEEL_PEER_VA, end = va + m->cfg.mem_bytes, step; va < end; va += step) {
		bool large = va % LARGE == 0 && va >= b->seg[b->nseg - 1].end && end - va >= LARGE;
		int prot = prot_of(b, va);

		step = large ? LARGE : PAGE;
		*pte_of(m, va, large, &tables) = (va - KEEL_PEER_VA + MACHINE_MEM_PA) | PTE_P |
			(prot & PROT_WRITE ? PTE_W : 0) | (prot & PROT_EXEC ? 0 : PTE_NX) |
			(large ? PTE_PS : 0);
	}
	m->priv->vcpu.tsc_khz = tsc_khz();
	m->priv->vcpu.wall_tsc = rdtsc();
	m->priv->vcpu.wall_ns = (uint64_t)time(NULL) * 1000000000ULL;
}

/* ---- the child -------------------------------------------------------------------------------- */

extern const char machine_syscall_insn[];
__asm__(".text\n.globl machine_syscall_insn\nmachine_syscall_insn: syscall\nint3\n");

static void child(struct machine *m, const struct boot *b)
{
	for (uint64_t va = KEEL_PEER_VA; va < KEEL_PEER_VA + m->cfg.mem_bytes; va += PAGE)
		if (mmap((void *)va, PAGE, prot_of(b, va), MAP_SHARED | MAP_FIXED_NOREPLACE, m->priv->fd,
			 (off_t)(va - KEEL_PEER_VA)) == MAP_FAILED)
			_exit(99);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	_exit(98);
}

static void get_regs(struct machine *m, struct user_regs_struct *r)
{
	if (ptrace(PTRACE_GETREGS, m->priv->pid, 0, r) < 0)
		die("PTRACE_GETREGS");
}

static void set_regs(struct machine *m, struct user_regs_struct *r)
{
	if (ptrace(PTRACE_SETREGS, m->priv->pid, 0, r) < 0)
		die("PTRACE_SETREGS");
}

/* Make the child do a system call of Linux, then put it back where it was. */
static long inject(struct machine *m, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
		   uint64_t e, uint64_t f)
{
	struct user_regs_struct saved, r;
	int st;

	get_regs(m, &saved);
	r = saved;
	r.rip = (uint64_t)machine_syscall_insn;
	r.rax = (unsigned long long)nr;
	r.orig_rax = (unsigned long long)-1;
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	r.r10 = d;
	r.r8 = e;
	r.r9 = f;
	set_regs(m, &r);
	ptrace(PTRACE_CONT, m->priv->pid, 0, 0);
	if (waitpid(m->priv->pid, &st, 0) < 0 || !WIFSTOPPED(st) || WSTOPSIG(st) != SIGTRAP)
		die("injected call");
	get_regs(m, &r);
	set_regs(m, &saved);
	return (long)r.rax;
}

/* ---- the server: files below cfg.root, through the window ---------------------------------------- */

static void set_event(struct machine *m, unsigned bit)
{
	uint64_t one = 1;

	__atomic_fetch_or(&m->priv->vcpu.events, 1ULL << bit, __ATOMIC_SEQ_CST);
	if (write(m->priv->wake_fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

void machine_bell(struct machine *m)
{
	set_event(m, MACHINE_CHANNEL);
}

static void change_state(struct machine *m, uint32_t clear, uint32_t set)
{
	pthread_mutex_lock(&m->lock);
	m->chan_state = (m->chan_state & ~clear) | set;
	m->chan_generation++;
	pthread_mutex_unlock(&m->lock);
}

static void server_close_all(struct machine *m)
{
	for (int i = 0; i < HANDLES; i++) {
		if (m->priv->files[i] >= 0)
			close(m->priv->files[i]);
		m->priv->files[i] = -1;
	}
}

void machine_server_down(struct machine *m)
{
	server_close_all(m);
	m->priv->session = 0;
	change_state(m, KEEL_CHAN_SERVER_UP, 0);
	set_event(m, MACHINE_CHANNEL);
}

void machine_server_up(struct machine *m)
{
	change_state(m, 0, KEEL_CHAN_SERVER_UP | KEEL_CHAN_WINDOW);
	set_event(m, MACHINE_CHANNEL);
}

/* The client asks for a session: drivercall.h, "Generations". */
static void server_session(struct machine *m)
{
	struct machine_priv *p = m->priv;
	struct keel_dc_header *h = m->hdr;
	uint32_t want = keel_load_acquire(&h->client_generation);

	if (!(m->chan_state & KEEL_CHAN_SERVER_UP) || want == p->session || want != m->chan_generation)
		return;
	server_close_all(m);
	memset(&h->sq, 0, sizeof(h->sq));
	memset(&h->cq, 0, sizeof(h->cq));
	keel_dc_layout_choose(&p->layout, MACHINE_WINDOW);
	h->magic = KEEL_DC_MAGIC;
	h->version = KEEL_DC_VERSION;
	h->size = KEEL_DC_HEADER_BYTES;
	h->window_bytes = p->layout.window_bytes;
	h->sq_entries = p->layout.sq_entries;
	h->cq_entries = p->layout.cq_entries;
	h->sq_off = p->layout.sq_off;
	h->cq_off = p->layout.cq_off;
	h->buf_off = p->layout.buf_off;
	h->buf_bytes = p->layout.buf_bytes;
	keel_ring_init(&p->sq, &h->sq, p->layout.sq_entries);
	keel_ring_init(&p->cq, &h->cq, p->layout.cq_entries);
	p->session = want;
	keel_store_release(&h->generation, want);
	set_event(m, MACHINE_CHANNEL);
}

static void *in_window(struct machine *m, uint64_t off, uint64_t bytes)
{
	if (!keel_dc_range_ok(off, bytes, m->priv->layout.buf_off, m->priv->layout.buf_bytes)) {
		finish(m, MACHINE_FAULT, "request names [%#lx, +%#lx): not in the buffer area", off, bytes);
		return m->window + m->priv->layout.buf_off;
	}
	return m->window + off;
}

static const char *host_path(struct machine *m, uint64_t off, char out[2048])
{
	const char *path = in_window(m, off, 1);

	if (path[0] != '/' || strstr(path, "/../"))
		finish(m, MACHINE_FAULT, "bad path in request: %.64s", path);
	snprintf(out, 2048, "%s%.1024s", m->cfg.root, path);
	return out;
}

static int host_fd(struct machine *m, int32_t file)
{
	return file >= 0 && file < HANDLES ? m->priv->files[file] : -1;
}

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

static int serve_open(struct machine *m, const struct keel_sqe *s)
{
	char path[2048];
	int slot = 0, fd;

	if (s->op_flags & ~KEEL_DC_O_ALLOWED)
		return -EINVAL;
	while (slot < HANDLES && m->priv->files[slot] >= 0)
		slot++;
	if (slot == HANDLES)
		return -EMFILE;
	fd = open(host_path(m, s->addr, path), (int)s->op_flags | O_CLOEXEC, s->len);
	if (fd < 0)
		return -errno;
	m->priv->files[slot] = fd;
	return slot;
}

static int serve_one(struct machine *m, const struct keel_sqe *s)
{
	char path[2048], to[2048];
	int fd = host_fd(m, s->fd);

	if (s->flags || s->ioprio || s->buf_index || s->personality || s->file_index || s->addr3 ||
	    s->reserved)
		return -EINVAL;
	switch (s->opcode) {
	case KEEL_OP_OPENAT:
		return serve_open(m, s);
	case KEEL_OP_CLOSE:
		if (fd < 0)
			return -EBADF;
		m->priv->files[s->fd] = -1;
		return result(close(fd));
	case KEEL_OP_READ:
		return result(pread(fd, in_window(m, s->addr, s->len), s->len, (off_t)s->off));
	case KEEL_OP_WRITE:
		return result(pwrite(fd, in_window(m, s->addr, s->len), s->len, (off_t)s->off));
	case KEEL_OP_FSYNC:
		return result(fsync(fd));
	case KEEL_OP_FTRUNCATE:
		return result(ftruncate(fd, (off_t)s->off));
	case KEEL_OP_STATX:
		if (s->op_flags & KEEL_DC_AT_EMPTY_PATH)
			return result(statx(fd, "", AT_EMPTY_PATH, s->len,
					    in_window(m, s->off, KEEL_DC_STATX_BYTES)));
		return result(statx(AT_FDCWD, host_path(m, s->addr, path), (int)s->op_flags, s->len,
				    in_window(m, s->off, KEEL_DC_STATX_BYTES)));
	case KEEL_OP_UNLINKAT:
		return result(unlinkat(AT_FDCWD, host_path(m, s->addr, path), (int)s->op_flags));
	case KEEL_OP_RENAMEAT:
		return result(rename(host_path(m, s->addr, path), host_path(m, s->off, to)));
	case KEEL_OP_MKDIRAT:
		return result(mkdir(host_path(m, s->addr, path), s->len));
	}
	return -EINVAL;
}

static void server_poll(struct machine *m)
{
	struct machine_priv *p = m->priv;
	int n;

	if (!m->cfg.root || m->cfg.no_server || m->cfg.server)
		return;
	server_session(m);
	while (p->session && (n = keel_ring_avail(&p->sq)) > 0) {
		const struct keel_sqe *sqes = (const void *)(m->window + p->layout.sq_off);
		struct keel_cqe *cqes = (void *)(m->window + p->layout.cq_off);
		struct keel_sqe s = sqes[keel_ring_slot(&p->sq, p->sq.own)];
		int res = m->cfg.serve ? m->cfg.serve(m, &s) : SERVE_NORMALLY;

		m->requests++;
		if (!p->session)
			return;		/* the callback took the server down */
		keel_ring_consume(&p->sq, 1);
		if (res == SERVE_NEVER)
			continue;
		if (res == SERVE_NORMALLY)
			res = serve_one(m, &s);
		cqes[keel_ring_slot(&p->cq, p->cq.own)] = (struct keel_cqe){ s.user_data, res, 0 };
		keel_ring_publish(&p->cq, 1);
	}
	if (p->session && keel_ring_need_kick(&p->cq))
		set_event(m, MACHINE_CHANNEL);
	if (p->session && keel_ring_arm(&p->sq) > 0)
		server_poll(m);
}

/* ---- hypercalls ------------------------------------------------------------------------------------ */

/* A buffer the guest names by machine address: inside one page of its memory. */
static void *pa_buffer(struct machine *m, uint64_t pa, uint64_t bytes)
{
	if (pa < MACHINE_MEM_PA || pa - MACHINE_MEM_PA >= m->cfg.mem_bytes || bytes > PAGE ||
	    pa / PAGE != (pa + (bytes ? bytes - 1 : 0)) / PAGE) {
		finish(m, MACHINE_FAULT, "buffer pa %#lx, %lu bytes", pa, bytes);
		return NULL;
	}
	return m->priv->mem + (pa - MACHINE_MEM_PA);
}

static long console_write(struct machine *m, uint64_t pa, uint64_t len)
{
	char *p = pa_buffer(m, pa, len);

	/* Take less than offered now and then: callers must go on with the rest. */
	if (len > 100)
		len = 100;
	if (!p)
		return -KEEL_EFAULT;
	if (m->out_len + len >= MACHINE_OUTPUT) {
		finish(m, MACHINE_FAULT, "too much output");
		return -KEEL_EIO;
	}
	memcpy(m->out + m->out_len, p, len);
	m->out_len += len;
	if (m->cfg.echo && write(STDOUT_FILENO, p, len) < 0)
		return -KEEL_EIO;
	return (long)len;
}

static long console_read(struct machine *m, uint64_t pa, uint64_t len)
{
	char *p = pa_buffer(m, pa, len);
	size_t n = m->priv->input ? strlen(m->priv->input) : 0;

	if (!p)
		return -KEEL_EFAULT;
	/* Input arrives in small pieces. */
	if (n > len)
		n = len;
	if (n > 7)
		n = 7;
	if (n) {
		memcpy(p, m->priv->input, n);
		m->priv->input += n;
	}
	return (long)n;
}

/* Interactive: wait for a line. False at the end of input. */
static bool more_input(struct machine *m)
{
	static char buf[4096];

	if (m->priv->input && *m->priv->input)
		return true;
	if (!m->cfg.echo || !fgets(buf, sizeof(buf), stdin))
		return false;
	m->priv->input = buf;
	return true;
}

/* Sleep until some event is set, or so long that it will never be. */
static void wait_for_server(struct machine *m)
{
	struct pollfd p = { .fd = m->priv->wake_fd, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 10000) <= 0)
		finish(m, MACHINE_STUCK, "the server has been silent for 10 s");
	else if (read(m->priv->wake_fd, &n, sizeof(n)) != sizeof(n))
		die("eventfd");
}

static void block(struct machine *m, uint64_t deadline)
{
	struct keel_vcpu_page *v = &m->priv->vcpu;
	struct timespec ts;
	uint64_t now;

	if (__atomic_load_n(&v->events, __ATOMIC_SEQ_CST))
		return;
	if (m->cfg.server) {
		wait_for_server(m);
		return;
	}
	if (m->cfg.root && !m->cfg.no_server && !(m->chan_state & KEEL_CHAN_SERVER_UP) &&
	    m->hypercalls[KEEL_HC_CHAN_INFO]) {
		if (m->priv->blocks++ < m->cfg.server_after_blocks)
			return;		/* woken for nothing: that is allowed */
		machine_server_up(m);
	}
	server_poll(m);
	if (v->events)
		return;
	if (more_input(m)) {
		set_event(m, KEEL_EV_CONSOLE);
		return;
	}
	if (!deadline) {
		finish(m, MACHINE_STUCK, "blocked for ever");
		return;
	}
	now = rdtsc();
	if (deadline > now) {
		uint64_t ns = (deadline - now) * 1000 / tsc_khz() * 1000;

		ts.tv_sec = (time_t)(ns / 1000000000);
		ts.tv_nsec = (long)(ns % 1000000000);
		if (ts.tv_sec >= 5)
			finish(m, MACHINE_STUCK, "would sleep %ld s", (long)ts.tv_sec);
		else
			nanosleep(&ts, NULL);
	}
}

static long cap_info(struct machine *m, uint64_t handle, uint64_t pa)
{
	struct keel_cap_info *c = pa_buffer(m, pa, sizeof(*c));

	if (!c)
		return -KEEL_EFAULT;
	memset(c, 0, sizeof(*c));
	if (handle == 0) {
		c->type = KEEL_CAP_PARTITION;
		c->rights = KEEL_RIGHT_INFO;
	} else if (handle == MACHINE_CHANNEL && (m->cfg.root || m->cfg.server)) {
		c->type = KEEL_CAP_CHANNEL;
		c->rights = KEEL_RIGHT_USE;
	} else {
		return -KEEL_EBADF;
	}
	return 0;
}

static long chan_info(struct machine *m, uint64_t pa)
{
	struct keel_chan_info *c = pa_buffer(m, pa, sizeof(*c));

	if (!c)
		return -KEEL_EFAULT;
	memset(c, 0, sizeof(*c));
	pthread_mutex_lock(&m->lock);
	c->state = m->chan_state;
	c->generation = m->chan_generation;
	if (m->chan_state & KEEL_CHAN_WINDOW) {
		c->window_pa = MACHINE_WINDOW_PA;
		c->window_bytes = MACHINE_WINDOW;
	}
	c->max_bytes = MACHINE_WINDOW;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* Entries may have changed: what is mapped beside the image must be looked up again. */
static void flush(struct machine *m, uint64_t what, uint64_t va, uint64_t n)
{
	if (what != KEEL_FLUSH_RANGE)
		return;
	for (uint64_t i = 0; i < n; i++)
		inject(m, SYS_munmap, va + i * PAGE, PAGE, 0, 0, 0, 0);
}

static long hypercall(struct machine *m, const struct user_regs_struct *r)
{
	if (r->rax >= KEEL_HC_NR) {
		finish(m, MACHINE_FAULT, "hypercall %llu", r->rax);
		return -KEEL_ENOSYS;
	}
	m->hypercalls[r->rax]++;
	switch (r->rax) {
	case KEEL_HC_CONSOLE_WRITE:
		return console_write(m, r->rdi, r->rsi);
	case KEEL_HC_CONSOLE_READ:
		return console_read(m, r->rdi, r->rsi);
	case KEEL_HC_BLOCK:
		block(m, r->rsi);
		return 0;
	case KEEL_HC_FLUSH:
		flush(m, r->rdi, r->rsi, r->rdx);
		return 0;
	case KEEL_HC_SHUTDOWN:
		m->status = (int)r->rsi;
		finish(m, r->rdi == KEEL_SHUTDOWN_EXIT ? MACHINE_EXIT : MACHINE_CRASH, "shutdown");
		return 0;
	case KEEL_HC_CAP_INFO:
		return cap_info(m, r->rdi, r->rsi);
	case KEEL_HC_CHAN_STATE:
		if (!(m->chan_state & KEEL_CHAN_WINDOW))
			return -KEEL_EAGAIN;
		change_state(m, 0, KEEL_CHAN_CLIENT_UP);
		if (m->cfg.server)
			m->cfg.server->kick(m);
		return 0;
	case KEEL_HC_CHAN_INFO:
		return chan_info(m, r->rsi);
	case KEEL_HC_CHAN_KICK:
		if (m->cfg.server)
			m->cfg.server->kick(m);
		server_poll(m);
		return 0;
	}
	finish(m, MACHINE_FAULT, "unexpected hypercall %llu", r->rax);
	return -KEEL_ENOSYS;
}

/* ---- faults ------------------------------------------------------------------------------------------ */

/* Map the page if the guest's tables say so and the frame is one it may use. */
static bool fill(struct machine *m, uint64_t va)
{
	uint64_t *e = pte_of(m, va, 0, NULL), frame, off;
	int prot;

	if (!e || !(*e & PTE_P) || *e & PTE_US)
		return false;
	frame = *e & PTE_PA;
	if (*e & PTE_PS)
		frame += va % LARGE & ~(PAGE - 1);
	if (frame >= MACHINE_MEM_PA && frame < MACHINE_MEM_PA + m->cfg.mem_bytes)
		off = frame - MACHINE_MEM_PA;
	else if (frame >= MACHINE_WINDOW_PA && frame < MACHINE_WINDOW_PA + MACHINE_WINDOW && *e & PTE_NX)
		off = m->cfg.mem_bytes + frame - MACHINE_WINDOW_PA;
	else
		return false;
	prot = PROT_READ | (*e & PTE_W ? PROT_WRITE : 0) | (*e & PTE_NX ? 0 : PROT_EXEC);
	return inject(m, SYS_mmap, va & ~(PAGE - 1), PAGE, (uint64_t)prot,
		      MAP_SHARED | MAP_FIXED_NOREPLACE, (uint64_t)m->priv->fd, off) > 0;
}

/* The instruction at RIP is one that machine.h makes: do it. */
static bool emulate(struct machine *m, struct user_regs_struct *r, uint64_t addr)
{
	uint8_t code[8];
	struct iovec to = { code, sizeof(code) }, from = { (void *)r->rip, sizeof(code) };
	uint64_t *word, old;
	int32_t disp;

	if (process_vm_readv(m->priv->pid, &to, 1, &from, 1, 0) != sizeof(code))
		return false;
	if (code[0] == 0xcd && code[1] == KEEL_HC_VECTOR) {
		long ret = hypercall(m, r);

		r->rax = (unsigned long long)ret;
		r->rip += 2;
		return true;
	}
	memcpy(&disp, code + 4, sizeof(disp));
	if (code[0] != 0x48 || code[2] != 0x04 || code[3] != 0x25 || addr != (uint64_t)(int64_t)disp ||
	    addr < KEEL_VCPU_VA || addr > KEEL_VCPU_VA + PAGE - 8 || addr & 7)
		return false;
	word = (uint64_t *)(void *)((uint8_t *)&m->priv->vcpu + (addr - KEEL_VCPU_VA));
	old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	if (code[1] == 0x87)
		old = __atomic_exchange_n(word, r->rax, __ATOMIC_SEQ_CST);
	else if (code[1] != 0x8b)
		return false;
	r->rax = old;
	r->rip += 8;
	return true;
}

static void on_stop(struct machine *m, int sig)
{
	struct user_regs_struct r;
	siginfo_t si;

	if (ptrace(PTRACE_GETSIGINFO, m->priv->pid, 0, &si) < 0)
		die("PTRACE_GETSIGINFO");
	get_regs(m, &r);
	if (sig == SIGSEGV) {
		uint64_t addr = (uint64_t)si.si_addr;

		if (emulate(m, &r, addr)) {
			set_regs(m, &r);
			return;
		}
		if ((si.si_code == SEGV_MAPERR || si.si_code == SEGV_ACCERR) && fill(m, addr))
			return;
	}
	finish(m, MACHINE_FAULT, "signal %d, address %p, rip %#llx, rsp %#llx", sig, si.si_addr, r.rip, r.rsp);
}

static void trace(struct machine *m)
{
	bool step = m->cfg.stop_at != 0;
	int st;

	while (m->end == MACHINE_RUNNING) {
		if (step) {
			struct user_regs_struct r;

			get_regs(m, &r);
			if (r.rip == m->cfg.stop_at)
				step = false;
			else
				m->instructions++;
		}
		ptrace(step ? PTRACE_SINGLESTEP : PTRACE_CONT, m->priv->pid, 0, 0);
		if (waitpid(m->priv->pid, &st, 0) < 0)
			die("waitpid");
		if (!WIFSTOPPED(st)) {
			finish(m, MACHINE_FAULT, "the process ended, status %#x", st);
			return;
		}
		if (WSTOPSIG(st) != SIGTRAP || !step)
			on_stop(m, WSTOPSIG(st));
		if (now_ns() > m->priv->limit && !m->cfg.echo)
			finish(m, MACHINE_LIMIT, "still running after %d s", LIMIT_S);
	}
}

static size_t count_touched(struct machine *m)
{
	size_t n = m->cfg.mem_bytes / PAGE, touched = 0;
	static const uint8_t zero[PAGE];

	for (size_t i = 0; i < n; i++)
		touched += memcmp(m->priv->mem + i * PAGE, zero, PAGE) != 0;
	return touched;
}

static void start(struct machine *m, const struct boot *b)
{
	struct user_regs_struct r;
	int st;

	m->priv->pid = fork();
	if (m->priv->pid < 0)
		die("fork");
	if (m->priv->pid == 0)
		child(m, b);
	if (waitpid(m->priv->pid, &st, 0) < 0 || !WIFSTOPPED(st))
		die("child");
	ptrace(PTRACE_SETOPTIONS, m->priv->pid, 0, PTRACE_O_EXITKILL);
	get_regs(m, &r);
	r.rip = b->entry;
	r.rsp = b->stack_top;
	r.rdi = b->info_va;
	r.orig_rax = (unsigned long long)-1;
	r.eflags = 0x202;
	r.fs_base = 0;
	set_regs(m, &r);
}

const char *machine_impossible(void)
{
	pid_t pid;
	int st;

	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
		return "no FSGSBASE instructions in user mode";
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
			raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &st, 0) < 0 || !WIFSTOPPED(st))
		return "no ptrace";
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
	return NULL;
}

struct machine *machine_run(const struct machine_config *cfg)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct boot b = { 0 };
	size_t bytes;

	if (!m || !(m->priv = calloc(1, sizeof(*m->priv))) || !(m->out = calloc(1, MACHINE_OUTPUT)))
		die("calloc");
	m->cfg = *cfg;
	if (!m->cfg.mem_bytes)
		m->cfg.mem_bytes = 2 << 20;
	bytes = m->cfg.mem_bytes + MACHINE_WINDOW;
	m->priv->input = cfg->input;
	m->priv->limit = now_ns() + LIMIT_S * 1000000000ULL;
	memset(m->priv->files, -1, sizeof(m->priv->files));
	pthread_mutex_init(&m->lock, NULL);
	m->priv->wake_fd = eventfd(0, EFD_CLOEXEC);
	m->priv->fd = memfd_create("guest", MFD_CLOEXEC);
	if (m->priv->fd < 0 || ftruncate(m->priv->fd, (off_t)bytes) < 0)
		die("memfd");
	m->priv->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->priv->fd, 0);
	if (m->priv->mem == MAP_FAILED)
		die("mmap");
	m->window = m->priv->mem + m->cfg.mem_bytes;
	m->hdr = (void *)m->window;

	build(m, &b);
	if (m->end != MACHINE_RUNNING)
		return m;
	start(m, &b);
	if (m->cfg.server)
		m->cfg.server->start(m);
	trace(m);
	kill(m->priv->pid, SIGKILL);
	waitpid(m->priv->pid, NULL, 0);
	m->touched_pages = count_touched(m);
	return m;
}

bool machine_maps(struct machine *m, uint64_t va)
{
	const uint64_t *e = pte_of(m, va, 0, NULL);

	return e && *e & PTE_P;
}

size_t machine_zero_bytes(struct machine *m, uint64_t va)
{
	uint64_t end = KEEL_PEER_VA + m->cfg.mem_bytes, at = va;

	while (at < end && !*at_va(m, at))
		at++;
	return at - va;
}

void machine_free(struct machine *m)
{
	server_close_all(m);
	munmap(m->priv->mem, m->cfg.mem_bytes + MACHINE_WINDOW);
	close(m->priv->fd);
	close(m->priv->wake_fd);
	pthread_mutex_destroy(&m->lock);
	free(m->out);
	free(m->priv);
	free(m);
}
