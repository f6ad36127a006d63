/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/atomic.h - the only home of acquire, release and full ordering on memory that two
 * partitions share.
 *
 * Everything shared is loaded once into a private variable, checked there, and then used: these
 * macros make "once" true for the compiler. Inside Linux they are the kernel's own primitives.
 */
#ifndef KEEL_ATOMIC_H
#define KEEL_ATOMIC_H

#ifdef __KERNEL__
# include <linux/types.h>
# include <linux/compiler.h>
# include <asm/barrier.h>

# define keel_load_relaxed(p)		READ_ONCE(*(p))
# define keel_store_relaxed(p, v)	WRITE_ONCE(*(p), (v))
# define keel_load_acquire(p)		smp_load_acquire(p)
# define keel_store_release(p, v)	smp_store_release((p), (v))
# define keel_full_fence()		smp_mb()
# define keel_copied()			barrier()
#else
# include <stdbool.h>
# include <stddef.h>
# include <stdint.h>

# define keel_load_relaxed(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
# define keel_store_relaxed(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)
# define keel_load_acquire(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
# define keel_store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
# define keel_full_fence()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
/* What was copied before is used from the copy: the compiler must not read it again where the peer may write. */
# define keel_copied()			__asm__ __volatile__("" : : : "memory")
#endif

/* Same, for words reached through another type (struct copies). */
typedef uint64_t __attribute__((__may_alias__)) keel_word_t;

/*
 * Copies nwords 64-bit words, each loaded exactly once. Both pointers are 8-aligned. After it, no
 * later store of the peer can change what was copied.
 */
static inline void keel_copy_words(void *dst, const void *src, unsigned int nwords)
{
	keel_word_t *to = (keel_word_t *)dst;
	const volatile keel_word_t *from = (const volatile keel_word_t *)src;
	unsigned int i;

	for (i = 0; i < nwords; i++)
		to[i] = from[i];
}

#endif /* KEEL_ATOMIC_H */
