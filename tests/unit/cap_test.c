// SPDX-License-Identifier: MIT
/*
 * Property: who is given a handle has no more rights by it than who gave it, and when that is taken back, all that was made
 * of it is void, whoever has it, and nothing else is. A place in a table that is used again is another handle.
 * Failure looks like: a right too many, a handle that outlives where it came from, one that goes with another's.
 */
#include "unit.h"

#include "metakernel/part/cap.c"
#include "extents.h"

#define LINUX	(&parts[0])

struct partition parts[MAX_PARTS];
static const struct manifest_part with_control = { .control = true }, without;
static unsigned int nasked;
static unsigned int nforgot[MAX_PARTS];	/* how often a partition was told to forget what it has mapped */

void cpus_ask(uint32_t what)
{
	assert_int_equal(what, WORK_FORGET);
	nasked++;
}

void part_raise(struct partition *p, unsigned int bit) { (void)p, (void)bit; abort(); }

uint64_t shoot_forget(struct partition *p)
{
	nforgot[p->index]++;
	return 0;
}

/* A Linux that controls all others, which have only themselves, and handles that are equal everywhere. */
static int start(void **state)
{
	unsigned int i;

	(void)state;
	memset(parts, 0, sizeof(parts));
	memset(grants, 0, sizeof(grants));
	for (i = 0; i < MAX_PARTS; i++) {
		parts[i].index = i;
		parts[i].nvcpus = 1;
		parts[i].man = i ? &without : &with_control;
		parts[i].creator = i ? LINUX : NULL;
		parts[i].handle = i;
		assert_int_equal(cap_add(&parts[i], KEEL_CAP_PARTITION, i ? KEEL_RIGHT_INFO : 3, i), 0);
	}
	for (i = 1; i < MAX_PARTS; i++)
		assert_int_equal(cap_add(LINUX, KEEL_CAP_PARTITION, 3, i), i);
	assert_int_equal(cap_add(LINUX, KEEL_CAP_LOG, KEEL_RIGHT_INFO, 0), MAX_PARTS);
	nasked = 0;
	memset(nforgot, 0, sizeof(nforgot));
	memset(chans, 0, sizeof(chans));
	return 0;
}

static unsigned int handles_of(const struct partition *p)
{
	unsigned int i, n = 0;

	for (i = 0; i < KEEL_MAX_HANDLES; i++)
		n += p->caps[i].word != 0;
	return n;
}

/* -> the handle there, which is new, of the same thing, with these rights */
static int give(unsigned int from, int handle, unsigned int to, unsigned int rights)
{
	int made = cap_grant(&parts[from], (uint64_t)handle, &parts[to], rights);

	assert_in_range(made, 1, KEEL_MAX_HANDLES - 1);
	assert_int_equal(parts[to].caps[made].type, parts[from].caps[handle].type);
	assert_int_equal(parts[to].caps[made].index, parts[from].caps[handle].index);
	assert_int_equal(parts[to].caps[made].rights, rights);
	return made;
}

static void rights_only_shrink(void **state)
{
	unsigned int had, want;

	(void)state;
	for (had = 1; had < 16; had++) {
		int handle = give(0, 5, 1, 3);

		parts[1].caps[handle].rights = (uint8_t)had;
		for (want = 0; want < 32; want++) {
			int made = cap_grant(&parts[1], (uint64_t)handle, &parts[2], want);

			if (!want)
				assert_int_equal(made, -KEEL_EINVAL);
			else if (want & ~had)
				assert_int_equal(made, -KEEL_EPERM);
			else
				assert_int_equal(parts[2].caps[made].rights, want);
		}
		assert_int_equal(cap_grant(&parts[1], (uint64_t)handle, &parts[2], (uint64_t)had | 1UL << 32), -KEEL_EPERM);
		assert_int_equal(cap_void(LINUX, 5, false), 0);
		assert_int_equal(handles_of(&parts[1]) + handles_of(&parts[2]), 2);
	}
}

static void what_cannot_be_given_is_refused(void **state)
{
	int chan = cap_add(LINUX, KEEL_CAP_CHANNEL, KEEL_RIGHT_SERVE, 3);

	(void)state;
	assert_int_equal(cap_grant(LINUX, 200, &parts[1], 1), -KEEL_EBADF);
	assert_int_equal(cap_grant(LINUX, UINT64_MAX, &parts[1], 1), -KEEL_EBADF);
	assert_int_equal(cap_grant(LINUX, (uint64_t)chan, &parts[1], KEEL_RIGHT_SERVE), -KEEL_EINVAL);
	assert_int_equal(cap_grant(LINUX, 3, LINUX, 1), -KEEL_EINVAL);
	parts[1].nvcpus = 0;
	assert_int_equal(cap_grant(LINUX, 3, &parts[1], 1), -KEEL_EBUSY);
	parts[1].nvcpus = 1;
	parts[3].nvcpus = 0;		/* what the handle is of */
	assert_int_equal(cap_grant(LINUX, 3, &parts[1], 1), -KEEL_EBUSY);
	assert_int_equal(handles_of(&parts[1]), 1);
	assert_int_equal(cap_void(LINUX, 200, false), -KEEL_EBADF);
	assert_int_equal(cap_void(LINUX, UINT64_MAX, true), -KEEL_EBADF);
	assert_int_equal(cap_void(LINUX, 0, true), -KEEL_EINVAL);
	assert_int_equal(cap_void(LINUX, (uint64_t)chan, true), -KEEL_EINVAL);
	assert_int_equal(cap_void(LINUX, 3, true), -KEEL_EBUSY);	/* its own making: RECLAIM */
	assert_int_equal(nasked, 0);
}

/* 1 has it from Linux, 2 from 1 and so on; in between each link something that is none of it. */
static void revocation_goes_to_any_depth(void **state)
{
	int handle[MAX_DEPTH + 1] = { 7 }, other[MAX_DEPTH + 1];
	unsigned int i;

	(void)state;
	for (i = 1; i <= MAX_DEPTH; i++) {
		handle[i] = give(i - 1, handle[i - 1], i, 3);
		other[i] = give(0, 8, i, 1);
	}
	assert_int_equal(cap_grant(&parts[MAX_DEPTH], (uint64_t)handle[MAX_DEPTH], &parts[20], 1), -KEEL_ENOSPC);
	assert_int_equal(cap_void(&parts[1], (uint64_t)handle[1], false), 0);
	assert_int_equal(parts[1].caps[handle[1]].index, 7);		/* what it was revoked from stays */
	for (i = 2; i <= MAX_DEPTH; i++)
		assert_int_equal(parts[i].caps[handle[i]].word, 0);
	assert_int_equal(nasked, 1);
	assert_int_equal(cap_void(&parts[1], (uint64_t)handle[1], false), 0);
	assert_int_equal(nasked, 1);		/* nothing to forget: nobody's CPU is interrupted */
	handle[2] = give(1, handle[1], 2, 1);
	assert_int_equal(cap_void(LINUX, 7, false), 0);
	assert_int_equal(parts[1].caps[handle[1]].word, 0);
	for (i = 1; i <= MAX_DEPTH; i++) {
		assert_int_equal(parts[i].caps[other[i]].index, 8);
		assert_int_equal(handles_of(&parts[i]), 2);
	}
}

static void revocation_goes_to_all_sides(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 1; i < MAX_PARTS; i++) {
		give(0, MAX_PARTS, i, KEEL_RIGHT_INFO);			/* the log */
		assert_true(cap_holds(&parts[i], KEEL_CAP_LOG));
		give(0, 1, i, KEEL_RIGHT_INFO);
	}
	assert_int_equal(cap_void(LINUX, MAX_PARTS, false), 0);
	for (i = 1; i < MAX_PARTS; i++) {
		assert_false(cap_holds(&parts[i], KEEL_CAP_LOG));
		assert_int_equal(handles_of(&parts[i]), 2);
	}
	assert_true(cap_holds(LINUX, KEEL_CAP_LOG));
}

/* What was derived from a handle that is void is void with it, also when the place has another tenant at once. */
static void a_place_used_again_is_another_handle(void **state)
{
	int first = give(0, 7, 1, 3), derived = give(1, first, 2, 3), second;

	(void)state;
	assert_int_equal(cap_void(&parts[1], (uint64_t)first, true), 0);
	assert_int_equal(parts[2].caps[derived].word, 0);
	second = give(0, 9, 1, 3);
	assert_int_equal(second, first);
	derived = give(1, second, 3, 1);
	assert_int_equal(cap_void(LINUX, 7, false), 0);			/* of which it was once */
	assert_int_equal(parts[3].caps[derived].index, 9);
	assert_int_equal(parts[1].caps[second].index, 9);
	assert_int_equal(cap_void(LINUX, 9, false), 0);
	assert_int_equal(parts[3].caps[derived].word, 0);
	assert_int_equal(handles_of(&parts[1]), 1);
}

/* As a partition is taken apart: its table is emptied, and what others have of it or from it goes. */
static void the_end_of_a_table_is_the_end_of_what_came_from_it(void **state)
{
	int held = give(0, 7, 1, 3), passed = give(1, held, 2, 1), of_it = give(0, 1, 3, 3), deeper = give(3, of_it, 4, 1);

	(void)state;
	memset(parts[1].caps, 0, sizeof(parts[1].caps));
	cap_revoke(LINUX, parts[1].handle);
	assert_int_equal(parts[2].caps[passed].word, 0);
	assert_int_equal(parts[3].caps[of_it].word, 0);
	assert_int_equal(parts[4].caps[deeper].word, 0);
	for (unsigned int i = 0; i < MAX_GRANTS; i++)
		assert_int_equal(grants[i].to, 0);
}

/* Whoever has no control right finds half of the records, and Linux the other half, whatever they do. */
static void records_run_out_and_come_back(void **state)
{
	unsigned int i, n = 0;
	int made;

	(void)state;
	give(0, 5, 1, 3);
	for (i = 2; i < MAX_PARTS; i++)
		while ((made = cap_grant(&parts[1], 1, &parts[i], 1)) > 0 && ++n < MAX_GRANTS)
			;
	assert_int_equal(made, -KEEL_ENOSPC);
	assert_int_equal(n, MAX_GRANTS / 2 - 1);
	for (i = 0; i < MAX_GRANTS / 2; i++)
		give(0, 6, 70, 1);
	assert_int_equal(cap_grant(LINUX, 6, &parts[71], 1), -KEEL_ENOSPC);
	assert_int_equal(handles_of(&parts[71]), handles_of(&parts[72]));
	assert_int_equal(cap_void(LINUX, 5, false), 0);
	assert_int_equal(handles_of(&parts[70]), 1 + MAX_GRANTS / 2);
	assert_int_equal(give(0, 6, 71, 1), 1);
}

/* A full table takes no handle and costs no record. */
static void a_full_table_takes_no_more(void **state)
{
	(void)state;
	while (cap_add(&parts[1], KEEL_CAP_CHANNEL, KEEL_RIGHT_USE, 9) > 0)
		;
	assert_int_equal(cap_grant(LINUX, 5, &parts[1], 1), -KEEL_ENOSPC);
	for (unsigned int i = 0; i < MAX_GRANTS; i++)
		assert_int_equal(grants[i].to, 0);
}

/* ---- Any order of calls, against a list that remembers every parent -------------------------------- */

static struct { unsigned int part, parent, rights; int handle; bool live; } model[5000];
static unsigned int nmodel;

static void model_void(unsigned int root, bool itself)
{
	unsigned int i;

	model[root].live = !itself;
	for (i = root + 1; i < nmodel; i++)		/* parents come first */
		if (model[i].parent == root || !model[model[i].parent].live)
			model[i].live = false;
}

static void random_calls_match_the_model(void **state)
{
	unsigned int i, step, live, refused = 0;
	uint64_t rnd = 7;

	(void)state;
	model[0].live = true;
	model[0].handle = 9;
	model[0].rights = 3;
	for (nmodel = 1, step = 0; step < 4000; step++) {
		unsigned int from, to = 1 + unit_below(&rnd, 6), rights = 1 + unit_below(&rnd, 3);
		const struct partition *p;
		int made, handle;

		do
			from = unit_below(&rnd, nmodel);
		while (!model[from].live);
		p = &parts[model[from].part];
		handle = model[from].handle;
		if (!unit_below(&rnd, 12)) {
			bool itself = from && unit_below(&rnd, 2);

			assert_int_equal(cap_void(&parts[model[from].part], (uint64_t)handle, itself), 0);
			model_void(from, itself);
		} else if (to != model[from].part) {
			made = cap_grant(p, (uint64_t)handle, &parts[to], rights);
			refused += made < 0;
			assert_true(made > 0 || made == (rights & ~model[from].rights ? -KEEL_EPERM : -KEEL_ENOSPC));
			if (made > 0) {
				model[nmodel].part = to, model[nmodel].parent = from, model[nmodel].rights = rights;
				model[nmodel].handle = made, model[nmodel].live = true;
				nmodel++;
			}
		}
		for (i = 1, live = 0; i < nmodel; i++) {
			if (!model[i].live)
				continue;
			live++;
			assert_int_equal(parts[model[i].part].caps[model[i].handle].rights, model[i].rights);
		}
		for (i = 1; i < 7; i++)
			live -= handles_of(&parts[i]) - 1;
		assert_int_equal(live, 0);
	}
	assert_true(refused > 100 && nmodel > 500);
}

/* Who loses a handle of an extent forgets what it has mapped of it; nobody else does. */
static void an_extent_is_forgotten_with_its_handle(void **state)
{
	const unsigned int both = KEEL_RIGHT_READ | KEEL_RIGHT_WRITE;
	int own, first, second;

	(void)state;
	chans[3].side[0] = LINUX;
	own = cap_add(LINUX, KEEL_CAP_MEMORY, both, 3);
	chans[3].handle[0] = (uint16_t)own;
	first = give(0, own, 1, both);
	second = give(1, first, 2, KEEL_RIGHT_READ);
	give(0, own, 3, KEEL_RIGHT_READ);
	assert_int_equal(cap_grant(&parts[2], (uint64_t)second, &parts[4], KEEL_RIGHT_WRITE), -KEEL_EPERM);
	assert_int_equal(cap_grant(LINUX, (uint64_t)own, &parts[2], KEEL_RIGHT_WRITE), -KEEL_EBUSY);	/* it has one */
	assert_int_equal(cap_grant(&parts[2], (uint64_t)second, LINUX, KEEL_RIGHT_READ), -KEEL_EBUSY);
	assert_int_equal(cap_void(LINUX, (uint64_t)own, true), -KEEL_EBUSY);	/* CHAN_CLOSE ends an extent */
	assert_int_equal(cap_void(&parts[1], (uint64_t)first, true), 0);
	assert_int_equal(nforgot[1], 1);
	assert_int_equal(nforgot[2], 1);
	assert_int_equal(nforgot[3] + nforgot[0], 0);
	assert_int_equal(chans[3].readers[0], bit64(3));
	assert_int_equal(cap_void(LINUX, (uint64_t)own, false), 0);
	assert_int_equal(nforgot[3], 1);
	assert_int_equal(nforgot[0] + nforgot[1] + nforgot[2], 2);
	assert_int_equal(LINUX->caps[own].rights, both);
	assert_int_equal(chans[3].readers[0], 0);
	/* While it is being closed nobody new gets in: its frames are about to be somebody's own. */
	chans[3].closer = LINUX;
	assert_int_equal(cap_grant(LINUX, (uint64_t)own, &parts[1], both), -KEEL_EBADF);
	chans[3].closer = NULL;
	give(0, own, 1, both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rights_only_shrink, start),
		cmocka_unit_test_setup(what_cannot_be_given_is_refused, start),
		cmocka_unit_test_setup(revocation_goes_to_any_depth, start),
		cmocka_unit_test_setup(revocation_goes_to_all_sides, start),
		cmocka_unit_test_setup(a_place_used_again_is_another_handle, start),
		cmocka_unit_test_setup(the_end_of_a_table_is_the_end_of_what_came_from_it, start),
		cmocka_unit_test_setup(records_run_out_and_come_back, start),
		cmocka_unit_test_setup(a_full_table_takes_no_more, start),
		cmocka_unit_test_setup(random_calls_match_the_model, start),
		cmocka_unit_test_setup(an_extent_is_forgotten_with_its_handle, start),
	};

	return cmocka_run_group_tests_name("cap", tests, NULL, NULL);
}
