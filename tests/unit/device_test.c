// SPDX-License-Identifier: MIT
/*
 * Property: only who holds the devices makes parts of them; who was given ports has these and no others, until that is taken
 * back; an interrupt rings all who were given it, and is the holder's when none of them is there.
 * Failure looks like: a port too many, a part that is another one's after its slot was used again, a doorbell to the wrong side.
 */
#include "unit.h"

#include "run/cpu.h"

static struct cpu two[2];
static unsigned int here;	/* which CPU this is */

#undef this_cpu
#define this_cpu	(&two[here])
#include "metakernel/part/device.c"
#include "no_ends.h"

#define LINUX	(&parts[0])
#define COM2	0x2f8
#define VECTOR	0x51

struct partition parts[MAX_PARTS];
struct cpu *cpus[MAX_CPUS] = { &two[0], &two[1] };
struct chan chans[MAX_CHANS];
bool lock_others;
static const struct manifest_part holder = { .control = true, .devices = true }, without, only_devices = { .devices = true };
static struct vcpu vcpus[2];
static bool all_left;
static unsigned int rung[MAX_PARTS], released_vector, released_cpu;

bool irq_vector_ok(uint64_t vector) { return vector >= 0x20 && vector <= 0xef; }

void irq_release(unsigned int vector, uint32_t apic_id)
{
	released_vector = vector;
	released_cpu = apic_id;
}

void part_raise(struct partition *p, unsigned int bit)
{
	assert_true(p->alive);
	rung[p - parts] = bit;
}

bool cpus_asked(uint32_t what) { assert_int_equal(what, WORK_FORGET); return all_left; }
void cpus_ask(uint32_t what) { assert_int_equal(what, WORK_FORGET); }
void chan_let(struct chan *c, const struct partition *p, unsigned int rights) { (void)c, (void)p, (void)rights; abort(); }
bool chan_lets(const struct chan *c, const struct partition *p) { (void)c, (void)p; abort(); }
uint64_t shoot_forget(struct partition *p) { (void)p; abort(); }

/* A holder with two vCPUs, on CPU 1 and on CPU 0, and three that have only themselves. */
static int start(void **state)
{
	(void)state;
	memset(parts, 0, sizeof(parts));
	memset(devices, 0, sizeof(devices));
	memset(rung, 0, sizeof(rung));
	nirqs = 0;
	for (unsigned int i = 0; i < 4; i++) {
		parts[i].index = i;
		parts[i].alive = true;
		parts[i].nvcpus = i ? 1 : 2;
		parts[i].vcpu = vcpus;
		parts[i].man = i ? &without : &holder;
		assert_int_equal(cap_add(&parts[i], KEEL_CAP_PARTITION, KEEL_RIGHT_INFO, i), 0);
	}
	vcpus[0].cpu = 1;
	vcpus[1].cpu = 0;
	two[0].index = 0;
	two[0].apic_id = 8;
	two[1].index = 1;
	two[1].apic_id = 9;
	here = 0;
	all_left = true;
	released_vector = released_cpu = 0;
	return 0;
}

static void only_the_holder_makes_parts(void **state)
{
	(void)state;
	assert_int_equal(device_make(&parts[1], KEEL_CAP_PORTS, COM2, 8), -KEEL_EPERM);
	parts[1].man = &only_devices;
	assert_int_equal(device_make(&parts[1], KEEL_CAP_PORTS, COM2, 8), -KEEL_EPERM);
	assert_int_equal(device_make(LINUX, KEEL_CAP_CHANNEL, 0, 1), -KEEL_EINVAL);
	assert_int_equal(device_make(LINUX, KEEL_CAP_IRQ, 0x1f, 0), -KEEL_EINVAL);
	assert_int_equal(device_make(LINUX, KEEL_CAP_IRQ, 0xf0, 0), -KEEL_EINVAL);
	assert_int_equal(device_make(LINUX, KEEL_CAP_IRQ, VECTOR, 2), -KEEL_EINVAL);
	assert_int_equal(device_make(LINUX, KEEL_CAP_IRQ, VECTOR, UINT64_MAX), -KEEL_EINVAL);
	for (unsigned int i = 0; i < MAX_DEVICES; i++)
		assert_int_equal(device_make(LINUX, KEEL_CAP_PORTS, COM2, 8), i + 1);
	assert_int_equal(device_make(LINUX, KEEL_CAP_PORTS, COM2, 8), -KEEL_ENOSPC);
}

static void a_handle_is_its_ports_and_no_others(void **state)
{
	int mine = device_make(LINUX, KEEL_CAP_PORTS, COM2, 8), other = device_make(LINUX, KEEL_CAP_PORTS, 0xfff0, 16);

	(void)state;
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[1], KEEL_RIGHT_USE), 1);
	assert_int_equal(cap_grant(LINUX, (uint64_t)other, &parts[2], KEEL_RIGHT_USE), 1);
	assert_int_equal(cap_grant(LINUX, (uint64_t)other, &parts[2], KEEL_RIGHT_USE | KEEL_RIGHT_INFO), -KEEL_EPERM);
	for (unsigned int size = 1; size <= 4; size *= 2)
		for (unsigned int port = 0; port <= 0xffff; port++) {
			assert_int_equal(device_ports(&parts[1], (uint16_t)port, size), port >= COM2 && port + size <= COM2 + 8);
			assert_int_equal(device_ports(&parts[2], (uint16_t)port, size), port >= 0xfff0 && port + size <= 0x10000);
		}
	assert_false(device_ports(&parts[3], COM2, 1));
}

/* Handed on, and taken back where it came from. */
static void what_is_taken_back_is_nobodys(void **state)
{
	int mine = device_make(LINUX, KEEL_CAP_PORTS, COM2, 8), on;

	(void)state;
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[1], KEEL_RIGHT_USE), 1);
	on = cap_grant(&parts[1], 1, &parts[2], KEEL_RIGHT_USE);
	assert_true(on > 0 && device_ports(&parts[2], COM2, 1));
	assert_int_equal(cap_void(&parts[2], (uint64_t)on, true), 0);		/* dropped: the part stays */
	assert_true(device_ports(&parts[1], COM2, 1) && !device_ports(&parts[2], COM2, 1));
	assert_int_equal(cap_grant(&parts[1], 1, &parts[2], KEEL_RIGHT_USE), on);
	assert_int_equal(cap_void(LINUX, (uint64_t)mine, false), 0);
	assert_false(device_ports(&parts[1], COM2, 1) || device_ports(&parts[2], COM2, 1));
	assert_true(device_ports(LINUX, COM2, 1));
	assert_int_equal(cap_void(LINUX, (uint64_t)mine, true), 0);
	assert_int_equal(devices[0].type, KEEL_CAP_NONE);
}

/* Its slot is another part's only when nobody can still look at it as what it was. */
static void a_slot_waits_for_who_looks(void **state)
{
	int mine = device_make(LINUX, KEEL_CAP_PORTS, COM2, 8);

	(void)state;
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[1], KEEL_RIGHT_USE), 1);
	assert_int_equal(cap_void(LINUX, (uint64_t)mine, true), 0);
	assert_false(device_ports(&parts[1], COM2, 1));
	all_left = false;
	assert_int_equal(device_make(LINUX, KEEL_CAP_PORTS, 0x300, 8), -KEEL_EAGAIN);
	assert_int_equal(devices[0].type, KEEL_CAP_NONE);
	all_left = true;
	assert_int_equal(device_make(LINUX, KEEL_CAP_PORTS, 0x300, 8), mine);
	assert_int_equal(devices[0].first, 0x300);
}

/* A handle that the holder was given back is not who made the part. */
static void a_part_ends_with_its_makers_handle_only(void **state)
{
	int mine = device_make(LINUX, KEEL_CAP_PORTS, COM2, 8), back;

	(void)state;
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[1], KEEL_RIGHT_USE), 1);
	back = cap_grant(&parts[1], 1, LINUX, KEEL_RIGHT_USE);
	assert_true(back > mine);
	assert_int_equal(cap_void(LINUX, (uint64_t)back, true), 0);
	assert_int_equal(devices[0].type, KEEL_CAP_PORTS);
	assert_true(device_ports(&parts[1], COM2, 1));
}

static void an_interrupt_rings_who_has_it(void **state)
{
	int mine = device_make(LINUX, KEEL_CAP_IRQ, VECTOR, 1);

	(void)state;
	assert_true(mine > 0);
	assert_false(device_irq(VECTOR));		/* nobody was given it */
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[1], KEEL_RIGHT_USE), 1);
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[2], KEEL_RIGHT_USE), 1);
	assert_false(device_irq(VECTOR + 1));
	here = 1;
	assert_false(device_irq(VECTOR));		/* the holder's vCPU 1 is on CPU 0 */
	here = 0;
	assert_true(device_irq(VECTOR));
	assert_true(rung[1] == 1 && rung[2] == 1 && !rung[0] && !rung[3]);
	memset(rung, 0, sizeof(rung));
	parts[1].alive = false;
	assert_true(device_irq(VECTOR));
	assert_true(!rung[1] && rung[2]);
	parts[2].alive = false;
	assert_false(device_irq(VECTOR));
	parts[1].alive = true;
	assert_int_equal(cap_void(LINUX, (uint64_t)mine, false), 0);
	assert_false(device_irq(VECTOR));
	assert_int_equal(cap_void(LINUX, (uint64_t)mine, true), 0);
	assert_int_equal(nirqs, 0);
}

static void who_is_done_says_so(void **state)
{
	int mine = device_make(LINUX, KEEL_CAP_IRQ, VECTOR, 0), ports = device_make(LINUX, KEEL_CAP_PORTS, COM2, 8);

	(void)state;
	assert_int_equal(cap_grant(LINUX, (uint64_t)mine, &parts[1], KEEL_RIGHT_USE), 1);
	assert_int_equal(device_irq_done(&parts[2], 1), -KEEL_EBADF);
	assert_int_equal(device_irq_done(&parts[1], 0), -KEEL_EBADF);
	assert_int_equal(device_irq_done(LINUX, (uint64_t)ports), -KEEL_EBADF);
	assert_int_equal(device_irq_done(LINUX, UINT64_MAX), -KEEL_EBADF);
	assert_int_equal(released_vector, 0);
	assert_int_equal(device_irq_done(&parts[1], 1), 0);
	assert_true(released_vector == VECTOR && released_cpu == 9);
}

static void parts_have_names(void **state)
{
	char name[KEEL_NAME_LEN];

	(void)state;
	device_make(LINUX, KEEL_CAP_PORTS, COM2, 8);
	device_make(LINUX, KEEL_CAP_IRQ, VECTOR, 0);
	device_name(0, name);
	assert_string_equal(name, "0x2f8-0x2ff");
	device_name(1, name);
	assert_string_equal(name, "vector 0x51 of CPU 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_the_holder_makes_parts, start),
		cmocka_unit_test_setup(a_handle_is_its_ports_and_no_others, start),
		cmocka_unit_test_setup(what_is_taken_back_is_nobodys, start),
		cmocka_unit_test_setup(a_slot_waits_for_who_looks, start),
		cmocka_unit_test_setup(a_part_ends_with_its_makers_handle_only, start),
		cmocka_unit_test_setup(an_interrupt_rings_who_has_it, start),
		cmocka_unit_test_setup(who_is_done_says_so, start),
		cmocka_unit_test_setup(parts_have_names, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
