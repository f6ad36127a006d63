// SPDX-License-Identifier: MIT
/*
 * hcall_machine.c - the metakernel on a machine that is played.
 *
 *   pfn 256  peer-a (control)  384  peer-b  512 ......... 1536   linux (control, devices)   ...... 2048 the metakernel's
 *
 * Two CPUs take turns: a CPU runs from an entry into the metakernel until it leaves or sleeps, never both at once.
 * Whatever the metakernel writes lies in variables that are linked together (hcall_begin.c) or in the arena that is
 * its physical memory; both are put back before each input.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hcall.h"

#include <hal/boot.h>
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/entry.h>
#include <hal/hooks.h>
#include <hal/ioapic.h>
#include <hal/irq.h>
#include <hal/pci.h>
#include <hal/power.h>
#include "boot/load.h"
#include "boot/parts.h"
#include "entry/trap.h"
#include "mm/leaf.h"
#include "part/busmaster.h"
#include "run/cpu.h"
#include "run/irq.h"
#include "run/sched.h"
#include "lib/panic.h"
#include "lib/string.h"

#define LINUX_PFN	512U
#define LINUX_PAGES	1024U
#define PEER_PFN	256U
#define PEER_PAGES	128U
#define MMIO_PA		0xfd000000UL
#define IMAGE_BYTES	0x2000U
#define TSC_KHZ		1000000U
#define NENTRIES	24U
#define UPPER_TABLE	(PTE_P | PTE_W | PTE_U | PTE_A)
#define LEAF		(PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

extern char hcall_bss_begin[64], hcall_bss_end[64], hcall_data_begin[64], hcall_data_end[64];

char *unit_arena;
size_t unit_arena_bytes;
char *fuzz_cpu;
struct vcpu_ro fuzz_mk_ro;
struct fuzz_registers fuzz_registers;
uint64_t boot_wall_ns = 1, boot_wall_tsc = 1;
struct hal_cpu hal_cpu_info = { .xsave = true, .xsave_size = 832, .xcr0_mask = 7, .barrier = true };
/* Named by mm/check.c only. */
char __text_start[8], __tramp_text_end[8], __rodata_start[8], __rodata_end[8];

static char cpu_pages[NCPUS][PAGE_SIZE] __aligned(PAGE_SIZE);
static uint16_t frame_table[8192];
static bool called[NCPUS];
static uint64_t armed[NCPUS];
static uint32_t ioapic[NENTRIES * 2];
static uint32_t pci_command;
static uint8_t image[IMAGE_BYTES];
static paddr_t tramp_pa;

/* ---- What is not put back --------------------------------------------------------------------------- */

static __attribute__((section(".kept"))) jmp_buf asleep, over;
static __attribute__((section(".kept"))) char *kept_bss = (char *)1, *kept_data = (char *)1;

/* ---- Ends ------------------------------------------------------------------------------------------- */

void __noreturn panic_at(const char *file, int line, const struct panic_regs *regs, const char *fmt, ...)
{
	va_list ap;

	(void)regs;
	fprintf(stderr, "panic at %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

void hal_exit(uint8_t status) { (void)status; longjmp(over, 1); }
void hal_reset(void) { longjmp(over, 1); }
void fuzz_idle(void) { longjmp(asleep, 1); }

static void __noreturn never(const char *what)
{
	fprintf(stderr, "%s was called\n", what);
	abort();
}

void entry_start(void) { never(__func__); }
void mk_resume_db(struct regs *r, uint64_t cr3) { (void)r, (void)cr3; never(__func__); }
void hal_once_over(void) { never(__func__); }
paddr_t hal_boot_cr3(void) { never(__func__); }
bool entry_in_tramp(uint64_t rip) { (void)rip; return false; }
bool entry_in_stub(uint64_t rip, unsigned int vector) { (void)rip, (void)vector; return false; }

/* ---- The HAL ---------------------------------------------------------------------------------------- */

void *unit_pa_to_va(paddr_t pa)
{
	fprintf(stderr, "physical address %#lx is no memory\n", pa);
	abort();
}

paddr_t unit_va_to_pa(const void *va)
{
	uint64_t pa = (uint64_t)((const char *)va - unit_arena);

	if (pa >= unit_arena_bytes)
		never("va_to_pa of what is no memory");
	return pa;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src), n = len < size ? len : size - 1;

	memcpy(dst, src, n);
	dst[n] = 0;
	return len;
}

uint64_t hal_tsc_khz(void) { return TSC_KHZ; }
void hal_delay_us(uint64_t us) { (void)us; }
void hal_switch_barrier(void) { }
void hal_timer_arm_tsc(uint64_t deadline) { armed[this_cpu->index] = deadline; }
void hal_apic_eoi(void) { }
void hal_apic_nmi(uint32_t apic_id) { (void)apic_id; never(__func__); }
void hal_apic_nmi_self(void) { never(__func__); }
void hal_apic_ipi_self(uint8_t vector) { (void)vector; never(__func__); }
bool hal_apic_in_service(uint8_t vector) { (void)vector; return false; }

void hal_apic_ipi(uint32_t apic_id, uint8_t vector)
{
	if (vector != VEC_WORK || apic_id >= NCPUS)
		never("an interrupt to nobody");
	called[apic_id] = true;
}

unsigned int hal_ioapic_count(void) { return 1; }
unsigned int hal_ioapic_entries(unsigned int index) { return index ? 0 : NENTRIES; }

static uint32_t *ioapic_register(unsigned int index, uint8_t reg)
{
	unsigned int at = reg - IOAPIC_RTE(0U);

	return !index && at < NENTRIES * 2 ? &ioapic[at] : NULL;
}

uint32_t hal_ioapic_read(unsigned int index, uint8_t reg)
{
	const uint32_t *r = ioapic_register(index, reg);

	return r ? *r : 0;
}

void hal_ioapic_write(unsigned int index, uint8_t reg, uint32_t v)
{
	uint32_t *r = ioapic_register(index, reg);

	if (r)
		*r = v;
}

void hal_ioapic_mask(unsigned int index, unsigned int entry, bool masked)
{
	uint32_t *r = ioapic_register(index, (uint8_t)IOAPIC_RTE(entry));

	if (r)
		*r = masked ? *r | RTE_MASKED : *r & ~(uint32_t)RTE_MASKED;
}

bool hal_ioapic_find(uint32_t gsi, unsigned int *index, unsigned int *entry)
{
	*index = 0;
	*entry = gsi;
	return gsi < NENTRIES;
}

int hal_ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id)
{
	(void)irq, (void)vector, (void)apic_id;
	return 0;
}

/* One device, with a BAR that answers nothing. */
uint32_t hal_pci_read(uint32_t address, unsigned int size)
{
	uint32_t v = 0;

	if (address >> 11 != 1 || address & 0x700)
		return 0xffffffffU >> (32 - 8 * size);
	switch (address & 0xfc) {
	case PCI_ID: v = 0x10001af4; break;
	case PCI_COMMAND: v = pci_command; break;
	case PCI_CLASS: v = 0x01000000; break;
	}
	return v >> 8 * (address & 3) & 0xffffffffU >> (32 - 8 * size);
}

void hal_pci_write(uint32_t address, unsigned int size, uint32_t value)
{
	if (address == (1 << 11 | PCI_COMMAND) && size >= 2)
		pci_command = value & 0xffff;
}

size_t hal_console_room(void) { return 16; }
void hal_console_send(const char *s, size_t len) { (void)s, (void)len; }
void hal_console_putc(char c) { (void)c; }
int hal_console_getc(void) { return -1; }
void hal_console_want_room(bool on) { (void)on; }
void hal_console_want_input(bool on) { (void)on; }
void hal_console_irq_end(void) { }

void entry_init_vcpu_ro(struct vcpu_ro *ro, uint64_t mk_cr3)
{
	ro->mk_cr3 = mk_cr3;
	ro->syscall.cs = ro->pf.cs = KEEL_CS_RING1;
	ro->syscall.ss = ro->pf.ss = KEEL_SS_RING1;
}

void entry_init_hole(uint64_t *hole_pt, paddr_t ro_pa, paddr_t vcpu_pa, paddr_t stack_pa)
{
	hole_pt[0x00] = tramp_pa | PTE_P;
	hole_pt[0x20] = ro_pa | PTE_P | PTE_NX;
	hole_pt[0x30] = vcpu_pa | PTE_P | PTE_W | PTE_NX;
	hole_pt[0x40] = stack_pa | PTE_P | PTE_W | PTE_NX;
}

/* ---- Boot ------------------------------------------------------------------------------------------- */

static void on(unsigned int cpu)
{
	fuzz_cpu = cpu_pages[cpu];
}

static void boot_cpus(void)
{
	ncpus = NCPUS;
	lock_others = true;
	for (unsigned int i = 0; i < NCPUS; i++) {
		struct cpu *c = (struct cpu *)cpu_pages[i];

		cpus[i] = c;
		c->index = c->apic_id = i;
		c->mk_cr3 = (i + 1) * PAGE_SIZE;
		c->armed_tsc = c->age_tsc = UINT64_MAX;
		c->lock = (struct lock)LOCK_INIT(LOCK_RUNQ);
		c->seldom = SELDOM_BARRIER;
		runq_init(&c->runq);
	}
	on(0);
	lock_ranks_start();
}

static void boot_memory(void)
{
	if (frames_bytes(MACHINE_PAGES) > sizeof(frame_table))
		never("a machine with more memory than its table");
	frames_init(frame_table, MACHINE_PAGES);
	frames_add_ram(PEER_PFN, MACHINE_PAGES - PEER_PFN);
	leaf_allow_mmio(MMIO_PA, 0x400000, true);
	leaf_allow_mmio(0xe0000, 0x20000, false);
	tramp_pa = frames_alloc_mk(1);
}

static void name(char *to, const char *what)
{
	strlcpy(to, what, KEEL_NAME_LEN);
}

/* All of one priority: they take turns, and the input says when. */
static void boot_manifest(void)
{
	struct manifest_part *m = manifest.parts;

	manifest.nparts = 3;
	m[0] = (struct manifest_part) { .kind = MANIFEST_LINUX, .control = true, .devices = true, .vcpus = NCPUS };
	m[1] = m[2] = (struct manifest_part) { .kind = MANIFEST_UNIKERNEL, .vcpus = 1, .mem_bytes = PEER_PAGES * PAGE_SIZE };
	m[1].control = true;
	m[2].vcpus = 2;
	for (unsigned int i = 0; i < manifest.nparts; i++) {
		m[i].priority = 8;
		m[i].shadow_pages = MANIFEST_MIN_SHADOW;
	}
	name(m[0].name, "linux");
	name(m[1].name, "peer-a");
	name(m[2].name, "peer-b");
	manifest.nchans = 3;
	manifest.chans[0] = (struct manifest_chan) { .server = 0, .client = 1, .window = 16 * PAGE_SIZE };
	manifest.chans[1] = (struct manifest_chan) { .server = 1, .client = 2, .window = 8 * PAGE_SIZE };
	manifest.chans[2] = (struct manifest_chan) { .server = 0, .client = 2, .window = 8 * PAGE_SIZE };
	for (unsigned int i = 0; i < manifest.nchans; i++)
		name(manifest.chans[i].name, "chan");
}

static const struct elf_info peer_image = {
	.image = image, .len = IMAGE_BYTES, .nsegments = 1, .vaddr_end = KEEL_PEER_VA + IMAGE_BYTES, .entry = KEEL_PEER_VA,
	.segments = { { .vaddr = KEEL_PEER_VA, .memsz = IMAGE_BYTES, .filesz = IMAGE_BYTES, .flags = ELF_PF_R | ELF_PF_X } },
};

void load_refuse(const char *fmt, ...)
{
	never(fmt);
}

static void claim(paddr_t base, uint64_t npages, uint16_t owner)
{
	if (frames_claim(base >> PAGE_SHIFT, npages, FRAMES_FREE, owner))
		never("memory that is not free");
}

struct range machine_memory(const struct partition *p)
{
	if (p->creator)
		return check_given(p);
	if (!p->index)
		return (struct range) { LINUX_PFN * PAGE_SIZE, LINUX_PAGES };
	return (struct range) { (PEER_PFN + (p->index - 1) * PEER_PAGES) * PAGE_SIZE, PEER_PAGES };
}

/* 512 pages at most. */
void machine_lay_out(struct range r)
{
	uint64_t *t = pa_to_va(r.base);

	if (r.npages < 5)
		return;
	memset(t, 0, 4 * PAGE_SIZE);
	t[MEMORY_VA >> 39] = (r.base + PAGE_SIZE) | UPPER_TABLE;
	t[512 + (MEMORY_VA >> 30)] = (r.base + 2 * PAGE_SIZE) | UPPER_TABLE;
	t[1024 + (MEMORY_VA >> 21)] = (r.base + 3 * PAGE_SIZE) | UPPER_TABLE;
	for (unsigned int i = 0; i < r.npages && i < 512; i++)
		t[1536 + i] = (r.base + i * PAGE_SIZE) | LEAF;
}

/* Its kernel's map of all memory, in large pages: what is not its own is refused page by page. */
static void lay_out_upper(paddr_t base)
{
	uint64_t *t = pa_to_va(base);

	memset(t + 2048, 0, 2 * PAGE_SIZE);
	t[(DIRECT_VA >> 39) & 511] = (base + 4 * PAGE_SIZE) | UPPER_TABLE;
	t[2048] = (base + 5 * PAGE_SIZE) | UPPER_TABLE;
	for (unsigned int i = 0; i < MACHINE_PAGES / 512; i++)
		t[2560 + i] = (i * LARGE_BYTES) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
}

static void boot_partition(struct partition *p)
{
	struct range r = machine_memory(p);

	claim(r.base, r.npages, p->owner);
	memset(pa_to_va(r.base), 0xa5, r.npages * PAGE_SIZE);
	if (p->man->kind == MANIFEST_LINUX) {
		machine_lay_out(r);
		lay_out_upper(r.base);
		vcpu_reset(p->vcpu, r.base);
		p->vcpu->regs->rip = CALL_RIP;
	} else {
		p->mem_pa = r.base;
		p->mem_bytes = r.npages * PAGE_SIZE;
		load_peer(p, &peer_image, NULL);
	}
	part_start(p);
}

/* Without the address sanitizer: there are its red zones between variables. */
static void copy(char *to, const char *from, size_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static char *keep(const char *from, const char *end)
{
	char *kept = malloc((size_t)(end - from));

	if (!kept || end < from)
		never("no memory, or linked in another order");
	copy(kept, from, (size_t)(end - from));
	return kept;
}

/* Physical memory: private pages over a file, so that to forget them is to go back to what the file has. */
static void keep_arena(void)
{
	int fd = memfd_create("arena", 0);

	if (fd < 0 || write(fd, unit_arena, unit_arena_bytes) != (ssize_t)unit_arena_bytes ||
	    mmap(unit_arena, unit_arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		never("no file for the arena");
	close(fd);
}

void machine_boot(void)
{
	unit_arena_bytes = MACHINE_PAGES * PAGE_SIZE;
	unit_arena = mmap(NULL, unit_arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (unit_arena == MAP_FAILED)
		never("no memory");
	fuzz_registers.tsc = TSC_KHZ;
	boot_cpus();
	sched_init();
	boot_memory();
	boot_manifest();
	for (unsigned int i = 0; i < manifest.nparts; i++)
		if (!parts_create(&manifest.parts[i]))
			never("no memory for a partition");
	parts_channels();
	for (unsigned int i = 0; i < nparts; i++)
		boot_partition(&parts[i]);
	if (frames_claim(parts[0].ones_pa >> PAGE_SHIFT, 1, FRAMES_MK, parts[0].owner))
		never("the page of ones is not there");
	console_init(&parts[0], irq_init());
	if ((char *)parts < hcall_bss_begin || (char *)parts + sizeof(parts) > hcall_bss_end || (char *)chans < hcall_bss_begin ||
	    (char *)cpu_pages + sizeof(cpu_pages) > hcall_bss_end || (char *)&boot_wall_ns < hcall_data_begin || (char *)&boot_wall_tsc > hcall_data_end)
		never("variables outside of what is kept");
	kept_bss = keep(hcall_bss_begin, hcall_bss_end);
	kept_data = keep(hcall_data_begin, hcall_data_end);
	keep_arena();
}

void machine_reset(void)
{
	copy(hcall_bss_begin, kept_bss, (size_t)(hcall_bss_end - hcall_bss_begin));
	copy(hcall_data_begin, kept_data, (size_t)(hcall_data_end - hcall_data_begin));
	madvise(unit_arena, unit_arena_bytes, MADV_DONTNEED);
}

/* ---- Entries ---------------------------------------------------------------------------------------- */

/* What a CPU was given before it first ran nobody called it for: it would find that on its way to its first vCPU. */
bool machine_called(unsigned int cpu)
{
	return called[cpu] || (!cpus[cpu]->current && cpus[cpu]->work);
}

bool machine_timer_due(unsigned int cpu)
{
	return armed[cpu] && armed[cpu] <= fuzz_registers.tsc;
}

/* An interrupt ends the sleep; then the CPU looks at what became ready. */
static void wake(struct cpu *c, unsigned int vector)
{
	struct regs r = { .vector = vector };

	c->idle = true;
	if (vector >= 0x20)
		mk_trap_handle(&r);
	c->idle = false;
	cpu_work_here(WORK_RESCHED);
	if (trap_handle(NULL, false) != c->current->root_pa)
		never("a way out with tables of another");
}

static void trap(struct cpu *c, unsigned int vector, uint64_t error)
{
	struct regs *r = c->current->regs;
	uint64_t cr3 = 0;

	r->vector = vector;
	r->error = error;
	if (vector == KEEL_HC_VECTOR)		/* as tramp.S */
		cr3 = r->rax == KEEL_HC_CALL ? fast_call(r->rdi) : r->rax == KEEL_HC_REPLY_WAIT ? fast_reply_wait(r->rdi) :
		      r->rax == KEEL_HC_CHAN_KICK ? fast_kick(r->rdi) : 0;
	if (!cr3)
		cr3 = trap_handle((struct regs *)(KEEL_STACK_VA + STK_RSP0 - REGS_SIZE), vector == KEEL_HC_VECTOR);
	if (cr3 != c->current->root_pa)
		never("a way out with tables of another");
}

bool machine_enter(unsigned int cpu, unsigned int vector, uint64_t error)
{
	on(cpu);
	if (vector == VEC_WORK)
		called[cpu] = false;
	if (setjmp(over))
		return false;
	if (setjmp(asleep))
		return true;
	if (this_cpu->current)
		trap(this_cpu, vector, error);
	else
		wake(this_cpu, vector);
	return true;
}
