// SPDX-License-Identifier: MIT
/* runtime_boot.c - the played machine's boot: image, modules, start info and page tables in the memory. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "runtime_machine_priv.h"

static void *read_file(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		machine_die(path);
	p = malloc((size_t)st.st_size);
	if (!p || read(fd, p, (size_t)st.st_size) != st.st_size)
		machine_die(path);
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

uint8_t *machine_at(struct machine *m, uint64_t va)
{
	return m->priv->mem + (va - KEEL_PEER_VA);
}

uint64_t *machine_pte(struct machine *m, uint64_t va, int last, uint64_t *alloc)
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
			machine_finish(m, MACHINE_FAULT, "page-table entry with U bit");
		pa = *e & PTE_PA;
	}
}

/* Place a piece behind `free`; the guest's address of it. */
static uint64_t place(struct machine *m, uint64_t *free_va, const void *data, size_t bytes)
{
	uint64_t va = *free_va;

	*free_va = round_up(va + bytes);
	if (*free_va > KEEL_PEER_VA + m->cfg.mem_bytes) {
		machine_finish(m, MACHINE_FAULT, "image and modules do not fit the memory");
		*free_va = KEEL_PEER_VA;
		return KEEL_PEER_VA;
	}
	if (data)
		memcpy(machine_at(m, va), data, bytes);
	return va;
}

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
			machine_finish(m, MACHINE_FAULT, "segment does not fit");
			break;
		}
		memcpy(machine_at(m, ph[i].p_vaddr), p + ph[i].p_offset, ph[i].p_filesz);
		b->seg[b->nseg].va = ph[i].p_vaddr;
		b->seg[b->nseg].end = round_up(ph[i].p_vaddr + ph[i].p_memsz);
		b->seg[b->nseg++].prot = (ph[i].p_flags & PF_R ? PROT_READ : 0) |
			(ph[i].p_flags & PF_W ? PROT_WRITE : 0) | (ph[i].p_flags & PF_X ? PROT_EXEC : 0);
		*free_va = round_up(ph[i].p_vaddr + ph[i].p_memsz);
	}
	free(p);
}

int machine_prot(const struct boot *b, uint64_t va)
{
	for (int i = 0; i < b->nseg; i++)
		if (va >= b->seg[i].va && va < b->seg[i].end)
			return b->seg[i].prot;
	return PROT_READ | PROT_WRITE;
}

void machine_build(struct machine *m, struct boot *b)
{
	uint64_t free_va = KEEL_PEER_VA, tables, npages = m->cfg.mem_bytes / PAGE;
	struct keel_start_info *info;

	load_image(m, b, &free_va);
	b->info_va = place(m, &free_va, NULL, sizeof(*info));
	b->stack_top = place(m, &free_va, NULL, STACK_BYTES) + STACK_BYTES;
	tables = place(m, &free_va, NULL, (3 + npages / 512 + 2) * PAGE);
	if (m->end)
		return;

	info = (void *)machine_at(m, b->info_va);
	info->magic = KEEL_START_MAGIC;
	info->version = m->cfg.abi_version ? m->cfg.abi_version : KEEL_ABI_VERSION;
	info->size = sizeof(*info);
	info->mem_pa = MACHINE_MEM_PA;
	info->mem_bytes = m->cfg.mem_bytes;
	info->tsc_khz = machine_tsc_khz();
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
		int prot = machine_prot(b, va);

		step = large ? LARGE : PAGE;
		*machine_pte(m, va, large, &tables) = (va - KEEL_PEER_VA + MACHINE_MEM_PA) | PTE_P |
			(prot & PROT_WRITE ? PTE_W : 0) | (prot & PROT_EXEC ? 0 : PTE_NX) |
			(large ? PTE_PS : 0);
	}
	m->priv->vcpu.tsc_khz = machine_tsc_khz();
	m->priv->vcpu.wall_tsc = machine_rdtsc();
	m->priv->vcpu.wall_ns = (uint64_t)time(NULL) * 1000000000ULL;
}
