// SPDX-License-Identifier: MIT
/*
 * Property: whatever a partition puts into frames and descriptors, the IRETQ and the selector loads that
 * ring 0 does for it cannot fault (rule 10), and the frame has no right it should not have.
 * Failure looks like: a frame that passes and that the rules of IRETQ, written down here from the
 * manual (SDM vol. 2A), refuse; or a descriptor in the GDT that is no ring-3 data segment.
 */
#include "unit.h"

#include <hal/cpu.h>
#include "run/cpu.h"

static struct cpu here;
static struct vcpu_ro vcpu_ro, mk_ro;
static uint16_t gs_loaded;
static struct { uint16_t ds, es, fs; } loaded;

#undef this_cpu
#define this_cpu	(&here)
#undef KEEL_VCPU_RO_VA
#define KEEL_VCPU_RO_VA	(&mk_ro)
/* The x87 pointers as AMD's FXRSTOR handles them: from the image only when an exception is pending there. */
static uint64_t fip;
static void amd_fxrstor(const void *area)
{
	const uint8_t *image = area;

	if (image[2] & 0x80)
		memcpy(&fip, image + 8, sizeof(fip));
}
#define hal_fxrstor(a)	amd_fxrstor(a)
#define hal_fninit()	(fip = 0)
#define hal_write_gs(v)	(gs_loaded = (v))
#define hal_read_gs()	gs_loaded
#define hal_read_ds()	loaded.ds
#define hal_read_es()	loaded.es
#define hal_read_fs()	loaded.fs
#define hal_selectors()	((uint64_t)(loaded.ds | loaded.es | loaded.fs | gs_loaded))
#define hal_write_ds(v)	(loaded.ds = (v))
#define hal_write_es(v)	(loaded.es = (v))
#define hal_write_fs(v)	(loaded.fs = (v))
#define hal_fxsave(a)	((void)(a))
#define hal_rdfsbase()	0UL
#define hal_wrfsbase(v)	((void)(v))
#define hal_rdgsbase()	0x5000UL
#define hal_wrgsbase(v)	((void)(v))
/* Of the extended state one byte of an XMM register, which is saved and restored if XCR0 has SSE (SDM vol. 1, 13.7). */
static uint64_t xcr0_now;
static uint8_t xmm_now;
static void xsave(void *area)
{
	uint64_t *bv = (uint64_t *)area + 64;

	*bv = xcr0_now & XCR0_SSE;
	if (*bv)
		((uint8_t *)area)[160] = xmm_now;
}
static void xrstor(const void *area)
{
	if (xcr0_now & XCR0_SSE)
		xmm_now = ((const uint64_t *)area)[64] & XCR0_SSE ? ((const uint8_t *)area)[160] : 0;
}
#define hal_xsave(a, m)	xsave(a)
#define hal_xrstor(a, m) xrstor(a)
#define hal_xsetbv(n, value) (xcr0_now = (value))
#include "metakernel/run/vcpu.c"

#define DATA(dpl, type)	(0x00cf90000000ffffUL | (uint64_t)(dpl) << 45 | (uint64_t)(type) << 40)

bool lock_others;
char *unit_arena;
size_t unit_arena_bytes;
uint64_t boot_wall_ns, boot_wall_tsc;
struct cpu *cpus[MAX_CPUS];
static struct partition part;
static struct vcpu vcpu_memory;
static struct vcpu *const v = &vcpu_memory;
static struct keel_vcpu_page vp;
static unsigned int nfaults;
static uint64_t seed = 1;

/* What the linker wants and no test here calls. */
void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }
struct hal_cpu hal_cpu_info;
uint64_t hal_tsc_khz(void) { abort(); }
void seldom_load(const struct vcpu *w) { (void)w; abort(); }
int mmu_init_vcpu(struct vcpu *w) { (void)w; abort(); }
void mmu_load_cr3(struct vcpu *w, uint64_t value) { (void)w, (void)value; abort(); }
void shoot_init(struct shootdown *s) { (void)s; abort(); }
void shoot_loaded(struct vcpu *w) { (void)w; }
void entry_init_vcpu_ro(struct vcpu_ro *ro, uint64_t cr3) { (void)ro, (void)cr3; abort(); }
void entry_init_hole(uint64_t *pt, paddr_t ro, paddr_t vc, paddr_t st)
{
	(void)pt, (void)ro, (void)vc, (void)st;
	abort();
}

void part_fault(struct vcpu *w, const struct regs *r, uint64_t cr2, const char *why)
{
	(void)w, (void)r, (void)cr2, (void)why;
	nfaults++;
}

static int start(void **state)
{
	(void)state;
	memset(&part, 0, sizeof(part));
	memset(&vcpu_ro, 0, sizeof(vcpu_ro));
	memset(&mk_ro, 0, sizeof(mk_ro));
	v->part = &part;
	v->ro = &vcpu_ro;
	v->vp = &vp;
	vcpu_ro.gdt[2] = 0x00afbb000000ffff;	/* ring 1: code, data; ring 3: code32, data, code64 */
	vcpu_ro.gdt[3] = DATA(1, 3);
	vcpu_ro.gdt[4] = 0x00cffb000000ffff;
	vcpu_ro.gdt[5] = DATA(3, 3);
	vcpu_ro.gdt[6] = 0x00affb000000ffff;
	vcpu_ro.gdt[MK_CS / 8] = 0x00af9b000000ffff;
	vcpu_ro.gdt[MK_SS / 8] = DATA(0, 3);
	vcpu_ro.gdt[MK_TSS / 8] = 0x0000890000000067;
	here.current = v;
	nfaults = 0;
	return 0;
}

/* Would IRETQ in ring 0 load this SS for ring 3? */
static bool iretq_takes_ss(uint64_t sel)
{
	uint64_t d;

	if (sel > 0xffff || (sel & 4) || sel >> 3 >= MK_GDT_WORDS || (sel & 3) != 3 || sel < 4)
		return false;
	d = vcpu_ro.gdt[sel >> 3];
	return (d >> 45 & 3) == 3 && (d >> 44 & 1) && !(d >> 43 & 1) && (d >> 41 & 1) && (d >> 47 & 1);
}

static bool iretq_takes(uint64_t cs, uint64_t rip, uint64_t ss)
{
	if (cs != KEEL_CS_USER && cs != KEEL_CS_USER32)	/* the list of rule 10 */
		return false;
	if (cs == KEEL_CS_USER32 ? rip >> 32 : !is_canonical(rip))
		return false;
	return iretq_takes_ss(ss);
}

static uint64_t some_desc(void)
{
	uint64_t d = unit_random(&seed);

	return unit_below(&seed, 2) ? d | 0x0000f00000000000 : d;
}

static void only_data_segments_of_ring_3_get_into_the_gdt(void **state)
{
	unsigned int taken = 0;

	(void)state;
	for (unsigned int n = 0; n < 100000; n++) {
		uint64_t index = unit_below(&seed, 24), d = some_desc(), got;
		struct vcpu_ro before = vcpu_ro;
		int err = vcpu_set_desc(v, index, d);

		if (err) {
			assert_memory_equal(&before, &vcpu_ro, sizeof(before));
			continue;
		}
		assert_in_range(index, 12, 15);
		got = vcpu_ro.gdt[index];
		before.gdt[index] = got;
		assert_memory_equal(&before, &vcpu_ro, sizeof(before));
		if (got) {
			assert_int_equal(got, d | 1UL << 40);
			assert_int_equal(got >> 43 & 0x1f, 0x1e);	/* present, DPL 3, S, data */
			taken++;
		}
		/* a selector load in the metakernel sees the same (it once panicked there) */
		vcpu_load_gs(v, 0x63);
		if (gs_loaded)
			assert_memory_equal(&mk_ro.gdt[12], &vcpu_ro.gdt[12], 32);
	}
	assert_true(taken > 100);
	assert_int_equal(vcpu_set_desc(v, 1UL << 32 | 12, DATA(3, 3)), -KEEL_EINVAL);
	assert_int_equal(vcpu_set_desc(v, UINT64_MAX, DATA(3, 3)), -KEEL_EINVAL);
}

/* Whoever loaded a selector last: the next load sees its own descriptors, and none of the other's. */
static void a_load_sees_no_other_vcpus_descriptors(void **state)
{
	static struct vcpu_ro other_ro;
	static struct vcpu other;

	(void)state;
	other.part = &part;
	other.ro = &other_ro;
	other.vp = &vp;
	assert_int_equal(vcpu_set_desc(v, 12, DATA(3, 3)), 0);
	assert_int_equal(vcpu_set_desc(&other, 13, DATA(3, 3)), 0);
	vcpu_load_gs(v, 0x63);
	assert_int_equal(gs_loaded, 0x63);
	assert_int_equal(mk_ro.gdt[13], 0);
	vcpu_load_gs(&other, 0x63);
	assert_int_equal(gs_loaded, 0);
	vcpu_load_gs(&other, 0x6b);
	assert_int_equal(gs_loaded, 0x6b);
	assert_memory_equal(&mk_ro.gdt[12], &other_ro.gdt[12], 32);
}

static uint64_t some_sel(void)
{
	static const uint64_t odd[] = { 0x1002b, 0x100000063, UINT64_MAX, 0x8000000000000033 };

	return unit_below(&seed, 50) ? unit_below(&seed, 0x100) : odd[unit_below(&seed, NELEM(odd))];
}

static uint64_t some_rip(void)
{
	static const uint64_t rips[] = { 0x401000, 0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000,
					 0xffff7fffffffffff, 0xffff800000000000, UINT64_MAX, 0 };

	return rips[unit_below(&seed, NELEM(rips))];
}

static void frames_to_ring_3_are_what_iretq_takes(void **state)
{
	unsigned int good = 0;

	(void)state;
	for (unsigned int n = 0; n < 500000; n++) {
		struct keel_frame f = { some_rip(), some_sel(), unit_random(&seed), unit_random(&seed), some_sel() };

		if (unit_below(&seed, 2))
			f.cs = unit_below(&seed, 2) ? KEEL_CS_USER : KEEL_CS_USER32;
		if (unit_below(&seed, 2))
			f.ss = unit_below(&seed, 2) ? KEEL_SS_USER : 0x63 + 8 * unit_below(&seed, 4);
		if (!unit_below(&seed, 10))
			vcpu_set_desc(v, 12 + unit_below(&seed, 4), some_desc());
		if (vcpu_user_frame_ok(v, &f)) {
			assert_true(iretq_takes(f.cs, f.rip, f.ss));
			good++;
		} else {	/* the CPU number's entry is no stack, though IRETQ would take it */
			assert_true(!iretq_takes(f.cs, f.rip, f.ss) || f.ss >> 3 == KEEL_GDT_CPUNODE);
		}
	}
	assert_true(good > 1000);
}

static void nothing_leaves_unchecked(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 500000; n++) {
		struct regs r = { .rip = some_rip(), .cs = some_sel(), .rflags = unit_random(&seed),
				  .rsp = unit_random(&seed), .ss = some_sel() };
		bool user = (r.cs & 3) == 3, canonical = is_canonical(r.rip), ok;
		uint64_t flags = r.rflags;

		if (!unit_below(&seed, 10))
			vcpu_set_desc(v, 12 + unit_below(&seed, 4), some_desc());
		ok = vcpu_sanitize(v, &r);
		assert_int_equal(r.rflags & (RFLAGS_IF | RFLAGS_FIXED), RFLAGS_IF | RFLAGS_FIXED);
		assert_int_equal(r.rflags & ~(RFLAGS_IF | RFLAGS_FIXED | 0x250dd5UL), 0);
		assert_int_equal(r.rflags & 0x250dd5, flags & 0x250dd5);
		if (user && r.cs == KEEL_CS_USER32)
			canonical = true;	/* cut to 32 bits */
		assert_int_equal(ok, canonical);	/* else nothing leaves by this frame */
		if (!ok)
			continue;
		if (user)
			assert_true(iretq_takes(r.cs, r.rip, r.ss));
		else	/* never ring 0, never ring 2 */
			assert_true(r.cs == KEEL_CS_RING1 && (r.ss == KEEL_SS_RING1 || r.ss == 1));
	}
}

static void load_gs_takes_what_a_load_takes(void **state)
{
	(void)state;
	assert_int_equal(vcpu_set_desc(v, 12, DATA(3, 1)), 0);		/* read-only is fine here */
	for (uint64_t sel = 0; sel < 0x200; sel++) {
		bool ok = sel < 4 || sel == KEEL_SS_USER || sel == 0x63;
		uint64_t base = vcpu_load_gs(v, sel | 0xabcd0000);

		assert_int_equal(gs_loaded, ok ? sel : 0);
		assert_int_equal(base, gs_loaded < 4 ? 0 : 0x5000);
		assert_int_equal(vp.user_gs, base);
	}
}

static void the_x87_pointers_of_the_partition_before_are_gone(void **state)
{
	static uint8_t image[512];

	(void)state;
	hal_cpu_info = (struct hal_cpu) { .amd = true, .x87_pointers_stay = true };
	v->xstate = image;
	fip = 0x401234;		/* of who ran before */
	xstate_load(v);
	assert_int_equal(fip, 0);
	image[2] = 0x80;	/* and its own come back */
	image[8] = 0x55;
	xstate_load(v);
	assert_int_equal(fip, 0x55);
}

static void all_selectors_are(uint16_t sel)
{
	assert_int_equal(loaded.ds, sel);
	assert_int_equal(loaded.es, sel);
	assert_int_equal(loaded.fs, sel);
	assert_int_equal(gs_loaded, sel);
}

/* Each of them alone, too: a switch looks at all four at once, and most often they are null. */
static void selectors_go_and_come_with_their_vcpu(void **state)
{
	static uint8_t image[512], other_image[512];
	static struct vcpu_ro other_ro;
	static struct keel_vcpu_page other_vp;
	static struct vcpu other;
	uint16_t *const each[] = { &loaded.ds, &loaded.es, &loaded.fs, &gs_loaded };
	unsigned int i, n;

	(void)state;
	hal_cpu_info = (struct hal_cpu) { .amd = true };
	v->xstate = image;
	other = (struct vcpu) { .part = &part, .ro = &other_ro, .vp = &other_vp, .xstate = other_image };
	for (i = 0; i < 4; i++) {
		vcpu_save(v, 0);	/* all null */
		vcpu_load(&other, 0);
		*each[i] = KEEL_SS_USER;
		vcpu_save(&other, 0);
		vcpu_load(v, 0);
		all_selectors_are(0);
		vcpu_save(v, 0);
		vcpu_load(&other, 0);
		for (n = 0; n < 4; n++)
			assert_int_equal(*each[n], n == i ? KEEL_SS_USER : 0);
		*each[i] = 0;
		vcpu_save(&other, 0);
		vcpu_load(v, 0);
		all_selectors_are(0);
	}
}

/* A guest that sets XCR0 to 1, or turns XSAVE off, still has its programs use SSE. */
static void sse_is_switched_whatever_xcr0_is(void **state)
{
	static uint64_t areas[2][512];
	static struct vcpu other;

	(void)state;
	hal_cpu_info = (struct hal_cpu) { .xsave = true, .xcr0_mask = 7, .xsave_size = sizeof(areas[0]) };
	memset(areas, 0, sizeof(areas));
	other = (struct vcpu) { .part = &part, .ro = &vcpu_ro, .vp = &vp, .xstate = areas[1], .xcr0 = 7 };
	v->xstate = areas[0];
	v->xcr0 = 7;
	vcpu_load(v, 1);
	assert_int_equal(vcpu_set_xcr0(v, XCR0_X87), 0);
	xmm_now = 0x5a;
	vcpu_save(v, 2);
	vcpu_load(&other, 2);
	assert_int_equal(xcr0_now, 7);
	assert_int_equal(xmm_now, 0);
	xmm_now = 0x77;
	vcpu_save(&other, 3);
	vcpu_load(v, 3);
	assert_int_equal(xmm_now, 0x5a);
	hal_cpu_info = (struct hal_cpu) { 0 };
	v->xcr0 = here.xcr0 = 0;
}

static bool is_special(void)
{
	vcpu_note_special(v);
	return v->special;
}

/* What fast.c leaves to vcpu_load(): each of these alone. */
static void what_only_a_load_switches_is_special(void **state)
{
	static uint64_t area[512];

	(void)state;
	hal_cpu_info = (struct hal_cpu) { .xsave = true, .xcr0_mask = 0x207, .xsave_size = sizeof(area) };
	memset(area, 0, sizeof(area));
	v->xstate = area;
	v->xcr0 = 7;
	v->seldom = v->tsc_aux = 0;
	v->plain = true;
	assert_false(is_special());
	v->plain = false;		/* it has a budget */
	assert_true(is_special());
	v->plain = true;
	v->tsc_aux = 1;
	assert_true(is_special());
	v->tsc_aux = 0;
	v->seldom = SELDOM_TSD;
	assert_true(is_special());
	v->seldom = 0;
	v->xcr0 = 3;
	assert_true(is_special());
	v->xcr0 = 7;
	area[64] = 0x200;		/* was in use when XCR0 had it, and stays in the area */
	assert_true(is_special());
	area[64] = 7;
	hal_cpu_info.barrier = true;
	assert_true(is_special());
	hal_cpu_info.barrier = false;
	hal_cpu_info.xsave = false;
	assert_true(is_special());
	hal_cpu_info.xsave = true;
	lock_others = true;
	assert_true(is_special());
	lock_others = false;
	assert_int_equal(vcpu_set_xcr0(v, 3), 0);
	assert_int_not_equal(v->special, 0);
	assert_int_equal(vcpu_set_xcr0(v, 7), 0);
	assert_int_equal(v->special, 0);
	hal_cpu_info = (struct hal_cpu) { 0 };
	v->xcr0 = here.xcr0 = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_data_segments_of_ring_3_get_into_the_gdt, start),
		cmocka_unit_test_setup(a_load_sees_no_other_vcpus_descriptors, start),
		cmocka_unit_test_setup(frames_to_ring_3_are_what_iretq_takes, start),
		cmocka_unit_test_setup(nothing_leaves_unchecked, start),
		cmocka_unit_test_setup(the_x87_pointers_of_the_partition_before_are_gone, start),
		cmocka_unit_test_setup(selectors_go_and_come_with_their_vcpu, start),
		cmocka_unit_test_setup(load_gs_takes_what_a_load_takes, start),
		cmocka_unit_test_setup(sse_is_switched_whatever_xcr0_is, start),
		cmocka_unit_test_setup(what_only_a_load_switches_is_special, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
