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
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "runtime_machine_priv.h"

#define LIMIT_S		60
#define HWCAP2_FSGSBASE_BIT	(1 << 1)

_Noreturn void machine_die(const char *what)
{
	perror(what);
	abort();
}

void machine_finish(struct machine *m, enum machine_end end, const char *fmt, ...)
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

uint64_t machine_tsc_khz(void)
{
	static uint64_t khz;

	if (!khz) {
		uint64_t ns = now_ns(), tsc = machine_rdtsc();

		while (now_ns() - ns < 10000000)
			;
		khz = (machine_rdtsc() - tsc) * 1000000 / (now_ns() - ns);
	}
	return khz;
}
/* ---- the child -------------------------------------------------------------------------------- */

extern const char machine_syscall_insn[];
__asm__(".text\n.globl machine_syscall_insn\nmachine_syscall_insn: syscall\nint3\n");

static void child(struct machine *m, const struct boot *b)
{
	for (uint64_t va = KEEL_PEER_VA; va < KEEL_PEER_VA + m->cfg.mem_bytes; va += PAGE)
		if (mmap((void *)va, PAGE, machine_prot(b, va), MAP_SHARED | MAP_FIXED_NOREPLACE, m->priv->fd,
			 (off_t)(va - KEEL_PEER_VA)) == MAP_FAILED)
			_exit(99);
	if (m->cfg.time_flies && prctl(PR_SET_TSC, PR_TSC_SIGSEGV))
		_exit(97);
	/* The other ends of pipes are the test's alone. */
	close_range(3, (unsigned)m->priv->fd - 1, 0);
	close_range((unsigned)m->priv->fd + 1, ~0u, 0);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	_exit(98);
}

static void get_regs(struct machine *m, struct user_regs_struct *r)
{
	if (ptrace(PTRACE_GETREGS, m->priv->pid, 0, r) < 0)
		machine_die("PTRACE_GETREGS");
}

static void set_regs(struct machine *m, struct user_regs_struct *r)
{
	if (ptrace(PTRACE_SETREGS, m->priv->pid, 0, r) < 0)
		machine_die("PTRACE_SETREGS");
}

long machine_inject(struct machine *m, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		    uint64_t f)
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
		machine_die("injected call");
	get_regs(m, &r);
	set_regs(m, &saved);
	return (long)r.rax;
}
/* ---- faults ------------------------------------------------------------------------------------------ */

/* Map the page if the guest's tables say so and the frame is one it may use. */
static bool fill(struct machine *m, uint64_t va)
{
	uint64_t *e = machine_pte(m, va, 0, NULL), frame, off;
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
	return machine_inject(m, SYS_mmap, va & ~(PAGE - 1), PAGE, (uint64_t)prot,
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
		long ret = machine_hypercall(m, r);

		r->rax = (unsigned long long)ret;
		r->rip += 2;
		return true;
	}
	if (code[0] == 0x0f && code[1] == 0x31 && m->cfg.time_flies) {	/* rdtsc */
		old = machine_guest_tsc(m);
		r->rax = (uint32_t)old;
		r->rdx = old >> 32;
		r->rip += 2;
		return true;
	}
	memcpy(&disp, code + 4, sizeof(disp));
	if (code[0] != 0x48 || code[2] != 0x04 || code[3] != 0x25 || addr != (uint64_t)(int64_t)disp ||
	    addr < KEEL_VCPU_VA || addr > KEEL_VCPU_VA + PAGE - 8 || addr & 7)
		return false;
	if (addr == KEEL_VCPU_VA + KEEL_VP_EVENTS && ++m->priv->looks == m->cfg.interrupt_at) {
		m->priv->input = "\003";
		machine_event(m, KEEL_EV_CONSOLE);
	}
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

/* As the metakernel's backtrace of a partition does it: frames with an address in the image. */
static unsigned count_frames(struct machine *m, uint64_t rbp)
{
	uint64_t frame[2], end = KEEL_PEER_VA + m->cfg.mem_bytes;
	unsigned n = 0;

	while (n < 16 && rbp >= KEEL_PEER_VA && rbp < end - sizeof(frame) && rbp % 8 == 0) {
		memcpy(frame, machine_at(m, rbp), sizeof(frame));
		n += frame[1] > KEEL_PEER_VA && frame[1] < end;
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
	return n;
}

static void on_stop(struct machine *m, int sig)
{
	struct user_regs_struct r;
	siginfo_t si;

	if (ptrace(PTRACE_GETSIGINFO, m->priv->pid, 0, &si) < 0)
		machine_die("PTRACE_GETSIGINFO");
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
	m->frames = count_frames(m, r.rbp);
	machine_finish(m, MACHINE_FAULT, "signal %d, address %p, rip %#llx, rsp %#llx", sig, si.si_addr, r.rip, r.rsp);
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
			machine_die("waitpid");
		if (!WIFSTOPPED(st)) {
			machine_finish(m, MACHINE_FAULT, "the process ended, status %#x", st);
			return;
		}
		if (WSTOPSIG(st) != SIGTRAP || !step)
			on_stop(m, WSTOPSIG(st));
		if (now_ns() > m->priv->limit && !m->cfg.echo)
			machine_finish(m, MACHINE_LIMIT, "still running after %d s", LIMIT_S);
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
		machine_die("fork");
	if (m->priv->pid == 0)
		child(m, b);
	if (waitpid(m->priv->pid, &st, 0) < 0 || !WIFSTOPPED(st))
		machine_die("child");
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
		machine_die("calloc");
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
		machine_die("memfd");
	m->priv->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->priv->fd, 0);
	if (m->priv->mem == MAP_FAILED)
		machine_die("mmap");
	m->window = m->priv->mem + m->cfg.mem_bytes;
	m->hdr = (void *)m->window;

	machine_build(m, &b);
	if (m->end != MACHINE_RUNNING)
		return m;
	start(m, &b);
	if (m->cfg.server_up)
		machine_server_up(m);
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
	const uint64_t *e = machine_pte(m, va, 0, NULL);

	return e && *e & PTE_P;
}

size_t machine_zero_bytes(struct machine *m, uint64_t va)
{
	uint64_t end = KEEL_PEER_VA + m->cfg.mem_bytes, at = va;

	while (at < end && !*machine_at(m, at))
		at++;
	return at - va;
}

void machine_free(struct machine *m)
{
	machine_server_close(m);
	munmap(m->priv->mem, m->cfg.mem_bytes + MACHINE_WINDOW);
	close(m->priv->fd);
	close(m->priv->wake_fd);
	pthread_mutex_destroy(&m->lock);
	free(m->out);
	free(m->priv);
	free(m);
}

int machine_root_make(char root[64])
{
	char path[128];

	strcpy(root, "/tmp/keel-runtime-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/mnt", root);
	return mkdir(path, 0755);
}

int machine_root_remove(const char *root)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	return system(cmd);
}
