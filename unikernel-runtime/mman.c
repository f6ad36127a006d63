// SPDX-License-Identifier: MIT
/*
 * mman.c - anonymous mappings. They are blocks of the heap on page boundaries, so their protection
 * cannot be changed and they cannot be placed; a list says which they are, so that any part can be
 * unmapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <rt/calls.h>
#include <rt/rt.h>

struct mapping {
	struct mapping *next;
	uintptr_t start, end;
};

static struct mapping *mappings;

static bool mapping_add(uintptr_t start, uintptr_t end)
{
	struct mapping *m = malloc(sizeof(*m));

	if (!m)
		return false;
	*m = (struct mapping){ mappings, start, end };
	mappings = m;
	return true;
}

long sys_mmap(const long *a)
{
	size_t len = ((size_t)a[1] + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	void *p;

	if (!(a[3] & MAP_ANONYMOUS))
		return -ENODEV;
	if (a[3] & MAP_FIXED || !a[1])
		return -EINVAL;
	p = len ? heap_pages(len) : NULL;
	if (!p)
		return -ENOMEM;
	if (!mapping_add((uintptr_t)p, (uintptr_t)p + len)) {
		free(p);
		return -ENOMEM;
	}
	return (long)p;
}

/* Unmap [start, end), all of it inside m, which *link points to. */
static int unmap_part(struct mapping **link, uintptr_t start, uintptr_t end)
{
	struct mapping *m = *link;
	uintptr_t m_start = m->start, m_end = m->end;

	if (start > m_start && end < m_end && !mapping_add(end, m_end))
		return -ENOMEM;
	if (start > m_start) {
		m->end = start;
	} else if (end < m_end) {
		m->start = end;
	} else {
		*link = m->next;
		free(m);
	}
	heap_free_part((void *)m_start, start - m_start, end - m_start, m_end - m_start);
	return 0;
}

/* What is not mapped in the range does not matter, as on Linux. */
long sys_munmap(const long *a)
{
	uintptr_t start = (uintptr_t)a[0], end;
	size_t len = ((size_t)a[1] + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

	if (start & (PAGE_BYTES - 1) || !len || __builtin_add_overflow(start, len, &end))
		return -EINVAL;
	for (struct mapping **link = &mappings, *m; (m = *link);) {
		int err = 0;

		if (m->start < end && m->end > start)
			err = unmap_part(link, start > m->start ? start : m->start, end < m->end ? end : m->end);
		if (err)
			return err;
		if (*link == m)
			link = &m->next;
	}
	return 0;
}

/* Only MADV_DONTNEED of Linux's advice has an effect one can see: the pages read as zeros. */
long sys_madvise(const long *a)
{
	uintptr_t start = (uintptr_t)a[0], end;

	if (start & (PAGE_BYTES - 1) || __builtin_add_overflow(start, (size_t)a[1], &end))
		return -EINVAL;
	for (const struct mapping *m = mappings; m && a[2] == MADV_DONTNEED; m = m->next) {
		uintptr_t from = start > m->start ? start : m->start, to = end < m->end ? end : m->end;

		if (from < to)
			memset((void *)from, 0, to - from);
	}
	return 0;
}
