// SPDX-License-Identifier: MIT
/*
 * Property: a channel between any two partitions is there for both or for none; when it is closed neither has a handle of it,
 * its window is zeroed only when all CPUs have left what they were at, and is the server's own again, whoever closes it
 * and whoever ends meanwhile. A partition without the control right takes no more of all channels than its share.
 * A client's end that is lent is one partition's at any moment, and comes back or goes with the channel.
 * Failure looks like: frames of a third owner, a byte written too early or left over, a handle too many, a doorbell lost.
 */
#include "unit.h"

#include <keel/abi.h>

/* Windows of several pieces, in an arena of some MiB. */
#undef KEEL_GIVE_MAX
#define KEEL_GIVE_MAX	give_max
static uint64_t give_max;

#define gone chan_gone
#include "metakernel/part/chan.c"
#undef gone

#define PAGES(bytes)	((bytes) / PAGE_SIZE)
#define ARENA		0x800000UL
#define MEM(i)		(0x200000UL * (i))
#define MEM_BYTES	0x200000UL
#define WINDOW		(MEM(1) + 0x10000)
#define WINDOW_BYTES	0x80000UL
#define NPARTS		4

char *unit_arena;
size_t unit_arena_bytes;
struct partition parts[MAX_PARTS];
unsigned int nparts = NPARTS;
struct manifest manifest;
struct lock life_lock = LOCK_INIT(LOCK_LIFE);

static struct partition *const linux_part = &parts[0], *const server = &parts[1], *const client = &parts[2], *const other = &parts[3];
static struct vcpu vcpus[NPARTS][2];
static void *table;
static bool left, forgot[NPARTS];
static unsigned int nasked, rung[NPARTS];

void *unit_pa_to_va(paddr_t pa)
{
	fail_msg("%#lx is no memory", pa);
	abort();
}

paddr_t unit_va_to_pa(const void *va)
{
	return (paddr_t)((const char *)va - unit_arena);
}

void panic_at(const char *at, int line, const struct panic_regs *r, const char *fmt, ...)
{
	(void)r;
	fail_msg("panic at %s:%d: %s", at, line, fmt);
	abort();
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	return (size_t)snprintf(dst, size, "%s", src);
}

static unsigned int nended;		/* times that calls by a channel were ended */

void call_end(const struct chan *c, const struct vcpu *only)
{
	(void)c, (void)only;
	nended++;
}

void shoot_note(struct vcpu *v, const struct shoot *what)
{
	assert_int_equal(what->what, SHOOT_ALL);
	assert_true(v == &v->part->vcpu[0] || v == &v->part->vcpu[1]);
}

uint64_t shoot_ring(struct partition *p, uint64_t set)
{
	assert_int_equal(set, 3);
	forgot[p - parts] = true;
	return 1;
}

#include "forget.h"

bool shoot_obeyed(const struct partition *p, uint64_t set, uint64_t ticket)
{
	(void)p, (void)set, (void)ticket;
	return true;
}

uint64_t shoot_everybody(const struct partition *p)
{
	return (1UL << p->nvcpus) - 1;
}

void part_raise(struct partition *p, unsigned int bit)
{
	assert_true(p->alive);
	rung[p - parts] = bit;
}

void cpus_ask(uint32_t what)
{
	assert_int_equal(what, WORK_FORGET);
	left = false;
	nasked++;
}

bool cpus_asked(uint32_t what)
{
	assert_int_equal(what, WORK_FORGET);
	return left;
}

static int start(void **state)
{
	unsigned int i;

	(void)state;
	unit_arena_bytes = ARENA;
	unit_arena = malloc(ARENA);
	table = malloc(frames_bytes(PAGES(ARENA)));
	memset(unit_arena, 0xa5, ARENA);
	frames_init(table, PAGES(ARENA));
	frames_add_ram(0, PAGES(ARENA));
	memset(parts, 0, sizeof(parts));
	memset(chans, 0, sizeof(chans));
	memset(&manifest, 0, sizeof(manifest));
	manifest.nparts = NPARTS;
	manifest.nchans = nchans = 1;
	for (i = 0; i < NPARTS; i++) {
		snprintf(manifest.parts[i].name, KEEL_NAME_LEN, "part-%u", i);
		parts[i].index = i;
		parts[i].owner = (uint16_t)(FRAMES_PARTITION + i);
		parts[i].man = &manifest.parts[i];
		parts[i].alive = true;
		parts[i].nvcpus = 2;
		parts[i].vcpu = vcpus[i];
		vcpus[i][0].part = vcpus[i][1].part = &parts[i];
		assert_int_equal(frames_claim(PAGES(MEM(i)), PAGES(MEM_BYTES), FRAMES_FREE, parts[i].owner), 0);
		assert_int_equal(cap_add(&parts[i], KEEL_CAP_PARTITION, KEEL_RIGHT_INFO, i), 0);
	}
	manifest.parts[0].control = true;
	/* the manifest's: 0 serves 1 */
	chans[0] = (struct chan) { .name = "fixed", .max_bytes = MEM_BYTES, .owner = FRAMES_CHANNEL, .side = { linux_part, server } };
	assert_int_equal(cap_add(linux_part, KEEL_CAP_CHANNEL, KEEL_RIGHT_SERVE, 0), 1);
	assert_int_equal(cap_add(server, KEEL_CAP_CHANNEL, KEEL_RIGHT_USE, 0), 1);
	life_lock = (struct lock)LOCK_INIT(LOCK_LIFE);
	chan_lock = (struct lock)LOCK_INIT(LOCK_CHAN);
	memset(forgot, 0, sizeof(forgot));
	memset(rung, 0, sizeof(rung));
	nasked = 0;
	left = true;
	give_max = 4096;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(unit_arena);
	free(table);
	return 0;
}

/* -> whether [at, at + bytes) is all `byte` */
static bool all(paddr_t at, uint64_t bytes, uint8_t byte)
{
	for (uint64_t i = 0; i < bytes; i++)
		if ((uint8_t)unit_arena[at + i] != byte)
			return false;
	return true;
}

static void open_window(uint64_t handle)
{
	int err;

	do
		err = chan_offer(server, handle, WINDOW, PAGES(WINDOW_BYTES));
	while (err == -KEEL_EAGAIN);
	assert_int_equal(err, 0);
	memset(unit_arena + WINDOW, 0x66, WINDOW_BYTES);
}

static void connect_both(uint64_t *ours, uint64_t *theirs)
{
	int64_t handles = chan_connect(server, client, WINDOW_BYTES);

	assert_true(handles > 0);
	*ours = (uint32_t)handles;
	*theirs = (uint64_t)handles >> 32;
}

static void both_sides_have_it(void **state)
{
	uint64_t ours, theirs;
	struct keel_chan_info info;

	(void)state;
	connect_both(&ours, &theirs);
	assert_int_equal(ours, 2);
	assert_int_equal(theirs, 1);
	assert_int_equal(part_cap(server, ours, KEEL_CAP_CHANNEL).rights, KEEL_RIGHT_SERVE);
	assert_int_equal(part_cap(client, theirs, KEEL_CAP_CHANNEL).rights, KEEL_RIGHT_USE);
	assert_int_equal(chan_info(client, theirs, &info), 0);
	assert_string_equal(info.name, "part-2");
	assert_int_equal(info.max_bytes, WINDOW_BYTES);
	assert_int_equal(chan_set_state(server, ours, 1), -KEEL_EAGAIN);
	open_window(ours);
	assert_true(chan_rights(FRAMES_CHANNEL | 1, server) && chan_rights(FRAMES_CHANNEL | 1, client));
	assert_false(chan_rights(FRAMES_CHANNEL | 1, other) || chan_rights(FRAMES_CHANNEL | 1, linux_part));
	assert_int_equal(chan_kick(client, theirs), 0);
	assert_int_equal(rung[1], ours);
	assert_int_equal(chan_kick(server, ours), 0);
	assert_int_equal(rung[2], theirs);
}

/* By its own handle, by the other's, or by whoever controls one of them. */
static void closing_gives_the_window_back(void **state)
{
	const struct partition *by[] = { server, client, linux_part, linux_part };
	struct partition *named[] = { server, client, server, client };
	uint64_t ours, theirs;
	int err, pieces;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		start(NULL);
		connect_both(&ours, &theirs);
		open_window(ours);
		assert_int_equal(chan_close_handle(server, client, theirs), -KEEL_EPERM);	/* it has its own */
		assert_int_equal(chan_close_handle(client, server, ours), -KEEL_EPERM);
		assert_int_equal(chan_close_handle(by[i], named[i], named[i] == server ? ours : theirs), -KEEL_EAGAIN);
		assert_true(rung[1] == ours && rung[2] == theirs);
		assert_true(forgot[2] && nasked == 1);
		assert_true(chan_rights(FRAMES_CHANNEL | 1, server));		/* it will be its own */
		assert_false(chan_rights(FRAMES_CHANNEL | 1, client));
		assert_int_equal(chan_set_state(client, theirs, 1), -KEEL_EBADF);
		assert_int_equal(chan_offer(server, ours, MEM(1), 1), -KEEL_EBADF);
		for (pieces = 0; pieces < 3; pieces++)
			assert_int_equal(chan_close_handle(by[i], named[i], named[i] == server ? ours : theirs), -KEEL_EAGAIN);
		assert_true(all(WINDOW, WINDOW_BYTES, 0x66));
		left = true;
		for (; (err = chan_close_handle(by[i], named[i], named[i] == server ? ours : theirs)) == -KEEL_EAGAIN; pieces++)
			assert_int_equal(frames_count(server->owner), PAGES(MEM_BYTES - WINDOW_BYTES));
		assert_int_equal(err, 0);
		assert_true(pieces >= 3 + (int)PAGES(WINDOW_BYTES) / 24);	/* CLEAN_BYTES */
		assert_true(all(WINDOW, WINDOW_BYTES, 0));
		assert_true(all(MEM(1), 0x10000, 0xa5) && all(WINDOW + WINDOW_BYTES, PAGE_SIZE, 0xa5));
		assert_int_equal(frames_count(server->owner), PAGES(MEM_BYTES));
		assert_int_equal(chan_kick(server, ours), -KEEL_EBADF);
		assert_int_equal(chan_kick(client, theirs), -KEEL_EBADF);
		assert_int_equal(chan_close_handle(by[i], server, ours), -KEEL_EBADF);
		stop(NULL);
	}
	start(NULL);
}

/* Some at a time, and at no moment is there a frame of it that the server may not map. */
static void a_large_window_goes_back_in_pieces(void **state)
{
	uint64_t ours, theirs, pieces = 0, had = PAGES(WINDOW_BYTES), has;

	(void)state;
	give_max = 40;
	connect_both(&ours, &theirs);
	open_window(ours);
	assert_int_equal(chan_close_handle(server, server, ours), -KEEL_EAGAIN);
	left = true;
	while (chan_close_handle(server, server, ours) == -KEEL_EAGAIN) {
		has = frames_count(FRAMES_CHANNEL | 1);
		assert_in_range(had - has, 0, give_max);
		pieces += had != has;
		had = has;
		assert_true(!has || chan_rights(FRAMES_CHANNEL | 1, server));
		assert_false(chan_rights(FRAMES_CHANNEL | 1, client));
	}
	assert_int_equal(pieces, PAGES(WINDOW_BYTES) / give_max);	/* and the last */
	assert_int_equal(frames_count(server->owner), PAGES(MEM_BYTES));
	assert_true(all(WINDOW, WINDOW_BYTES, 0));
}

static void an_offer_under_way_comes_back_too(void **state)
{
	uint64_t ours, theirs;
	int err;

	(void)state;
	connect_both(&ours, &theirs);
	assert_int_equal(chan_offer(server, ours, WINDOW, PAGES(WINDOW_BYTES)), -KEEL_EAGAIN);
	assert_int_equal(chan_close_handle(client, client, theirs), -KEEL_EAGAIN);
	assert_false(chan_take_back(server));		/* not here */
	left = true;
	while ((err = chan_close_handle(client, client, theirs)) == -KEEL_EAGAIN)
		;
	assert_int_equal(err, 0);
	assert_true(all(WINDOW, WINDOW_BYTES, 0));
	assert_int_equal(frames_count(server->owner), PAGES(MEM_BYTES));
}

/* Who closes ends in the middle of it: what is left is found by what takes it apart, and by what takes the server apart. */
static void a_closer_that_ends_leaves_nothing(void **state)
{
	uint64_t ours, theirs;

	(void)state;
	connect_both(&ours, &theirs);
	open_window(ours);
	assert_ptr_equal(chan_with(server, false), &chans[1]);
	assert_ptr_equal(chan_with(client, false), &chans[1]);
	assert_int_equal(chan_close_handle(other, server, ours), -KEEL_EAGAIN);
	assert_null(chan_with(server, false));
	assert_null(chan_with(client, false));
	assert_ptr_equal(chan_with(other, true), &chans[1]);
	assert_ptr_equal(chan_with(server, true), &chans[1]);
	assert_null(chan_with(client, true));
	chan_part_died(other);
	while (!chan_return(&chans[1]))
		;
	assert_null(chan_with(server, true));
	assert_int_equal(frames_count(server->owner), PAGES(MEM_BYTES));
	assert_int_equal(chan_kick(client, theirs), -KEEL_EBADF);
	connect_both(&ours, &theirs);			/* the place is free */
	assert_ptr_equal(chan_with(server, false), &chans[1]);
	open_window(ours);
}

static void wrong_requests_are_refused(void **state)
{
	(void)state;
	assert_int_equal(chan_connect(server, client, 0), -KEEL_EINVAL);
	assert_int_equal(chan_connect(server, client, PAGE_SIZE + 1), -KEEL_EINVAL);
	assert_int_equal(chan_connect(server, client, MANIFEST_MAX_WINDOW + PAGE_SIZE), -KEEL_EINVAL);
	assert_int_equal(chan_connect(server, client, UINT64_MAX & ~0xfffUL), -KEEL_EINVAL);
	assert_int_equal(chan_connect(server, server, PAGE_SIZE), -KEEL_EINVAL);
	client->nvcpus = 0;
	assert_int_equal(chan_connect(server, client, PAGE_SIZE), -KEEL_EBUSY);
	assert_int_equal(chan_connect(client, server, PAGE_SIZE), -KEEL_EBUSY);
	assert_int_equal(chan_close_handle(linux_part, server, 1), -KEEL_EPERM);	/* the manifest's */
	assert_int_equal(chan_close_handle(linux_part, server, 0), -KEEL_EBADF);	/* a partition */
	assert_int_equal(chan_close_handle(linux_part, server, UINT64_MAX), -KEEL_EBADF);
	assert_int_equal(nasked, 0);
	assert_int_equal(nchans, 1);
}

static void nobody_takes_more_than_a_share(void **state)
{
	unsigned int i, n;

	(void)state;
	for (i = 0; i < KEEL_PART_CHANS; i++)
		assert_true(chan_connect(i % 2 ? server : client, i % 2 ? client : server, PAGE_SIZE) > 0);
	assert_int_equal(chan_connect(server, client, PAGE_SIZE), -KEEL_ENOSPC);
	assert_int_equal(chan_connect(linux_part, client, PAGE_SIZE), -KEEL_ENOSPC);
	for (n = 0; n < KEEL_PART_CHANS; n++)
		assert_true(chan_connect(linux_part, other, PAGE_SIZE) > 0);
	assert_int_equal(chan_connect(linux_part, other, PAGE_SIZE), -KEEL_ENOSPC);
	manifest.parts[3].control = true;		/* as Linux has it: all there are */
	for (; chan_connect(linux_part, other, PAGE_SIZE) > 0; n++)
		;
	assert_int_equal(n + KEEL_PART_CHANS + manifest.nchans, MAX_CHANS);
	/* A table without room leaves no half of one. */
	assert_int_equal(chan_close_handle(linux_part, server, 2), -KEEL_EAGAIN);
	left = true;
	assert_int_equal(chan_close_handle(linux_part, server, 2), 0);
	while (cap_add(client, KEEL_CAP_LOG, KEEL_RIGHT_INFO, 0) > 0)
		;
	assert_int_equal(chan_connect(linux_part, client, PAGE_SIZE), -KEEL_ENOSPC);
	for (i = 0, n = 0; i < KEEL_MAX_HANDLES; i++)
		n += linux_part->caps[i].type == KEEL_CAP_CHANNEL && chans[linux_part->caps[i].index].side[1] == client;
	assert_int_equal(n, 0);
}

/* ---- Ends that are lent ------------------------------------------------------------------------------- */

/* Of the channel between server and client, its window open: the client's end is other's. -> by which handle */
static uint64_t lend(uint64_t *ours, uint64_t *theirs)
{
	int made;

	connect_both(ours, theirs);
	open_window(*ours);
	assert_int_equal(chan_set_state(client, *theirs, 1), 0);
	memset(forgot, 0, sizeof(forgot));
	memset(rung, 0, sizeof(rung));
	nended = 0;
	made = cap_grant(client, *theirs, other, KEEL_RIGHT_USE);
	assert_int_equal(made, 1);
	return (uint64_t)made;
}

static void is_others(uint64_t ours, uint64_t theirs, uint64_t lent)
{
	assert_true(chan_rights(FRAMES_CHANNEL | 1, other) && !chan_rights(FRAMES_CHANNEL | 1, client));
	assert_int_equal(chan_kick(client, theirs), -KEEL_EBADF);
	assert_int_equal(chan_set_state(client, theirs, 1), -KEEL_EBADF);
	assert_int_equal(chan_close_handle(client, client, theirs), -KEEL_EBADF);
	assert_int_equal(part_cap(client, theirs, KEEL_CAP_LENT).index, 1);
	assert_int_equal(chan_kick(other, lent), 0);
	assert_int_equal(chan_kick(server, ours), 0);
	assert_true(rung[1] == ours && rung[3] == lent && !rung[2]);
}

static void is_at_home(uint64_t ours, uint64_t theirs, uint64_t lent)
{
	assert_true(chan_rights(FRAMES_CHANNEL | 1, client) && !chan_rights(FRAMES_CHANNEL | 1, other));
	assert_true(forgot[3]);
	assert_int_equal(other->caps[lent].word, 0);
	assert_false(chans[1].state & KEEL_CHAN_CLIENT_UP);
	memset(rung, 0, sizeof(rung));
	assert_int_equal(chan_kick(other, lent), -KEEL_EBADF);
	assert_int_equal(chan_kick(client, theirs), 0);
	assert_int_equal(chan_kick(server, ours), 0);
	assert_true(rung[1] == ours && rung[2] == theirs && !rung[3]);
	assert_ptr_equal(chan_with(client, false), &chans[1]);
	assert_null(chan_with(other, false));
}

/* By who lent it, by who has it, or because that one is taken apart. */
static void a_lent_end_comes_back(void **state)
{
	uint64_t ours, theirs, lent;
	uint32_t generation;

	(void)state;
	for (unsigned int how = 0; how < 3; how++) {
		start(NULL);
		lent = lend(&ours, &theirs);
		assert_true(forgot[2] && !forgot[3] && rung[1] == ours);
		assert_int_equal(nended, 1);
		assert_false(chans[1].state & KEEL_CHAN_CLIENT_UP);
		is_others(ours, theirs, lent);
		assert_int_equal(chan_set_state(other, lent, 1), 0);
		generation = chans[1].generation;
		if (how == 0)
			assert_int_equal(cap_void(client, theirs, false), 0);
		else if (how == 1)
			assert_int_equal(cap_void(other, lent, true), 0);
		else
			chan_close(chan_with(other, false), other);
		assert_int_equal(nended, 2);
		assert_int_equal(chans[1].generation, generation + 1);
		assert_int_equal(rung[2], theirs);		/* told that it has it again */
		is_at_home(ours, theirs, lent);
		assert_int_equal(chan_set_state(client, theirs, 1), 0);
		assert_int_equal(cap_grant(client, theirs, other, KEEL_RIGHT_USE), lent);	/* and again */
		stop(NULL);
	}
	start(NULL);
}

/* The server, or who lent it, closes the channel or is taken apart. */
static void a_lent_end_does_not_keep_a_channel(void **state)
{
	uint64_t ours, theirs, lent;

	(void)state;
	for (unsigned int how = 0; how < 3; how++) {
		start(NULL);
		lent = lend(&ours, &theirs);
		assert_int_equal(chan_close_handle(other, other, lent), -KEEL_EPERM);	/* not who was lent it */
		assert_int_equal(chan_close_handle(linux_part, other, lent), -KEEL_EPERM);
		if (how == 0)
			assert_int_equal(chan_close_handle(server, server, ours), -KEEL_EAGAIN);
		else
			chan_close(chan_with(how == 1 ? server : client, false), how == 1 ? server : client);
		assert_null(chans[1].home);
		assert_null(chan_with(other, false));
		assert_false(chan_rights(FRAMES_CHANNEL | 1, other));
		assert_int_equal(other->caps[lent].word, 0);
		while (!chan_return(&chans[1]))
			;
		assert_int_equal(client->caps[theirs].word | server->caps[ours].word, 0);
		assert_int_equal(frames_count(server->owner), PAGES(MEM_BYTES));
		assert_true(all(WINDOW, WINDOW_BYTES, 0));
		stop(NULL);
	}
	start(NULL);
}

static void who_lent_its_end_may_end(void **state)
{
	uint64_t ours, theirs, lent;

	(void)state;
	lent = lend(&ours, &theirs);
	assert_int_equal(chan_set_state(server, ours, 1), 0);
	assert_int_equal(chan_set_state(other, lent, 1), 0);
	client->alive = false;
	chan_part_died(client);
	assert_int_equal(chans[1].state, KEEL_CHAN_SERVER_UP | KEEL_CHAN_CLIENT_UP | KEEL_CHAN_WINDOW);
	other->alive = false;
	chan_part_died(other);
	assert_int_equal(chans[1].state, KEEL_CHAN_SERVER_UP | KEEL_CHAN_WINDOW);
	assert_int_equal(cap_void(client, theirs, false), 0);	/* nobody there is rung */
	assert_ptr_equal(chans[1].side[1], client);
}

static void what_cannot_be_lent_is_refused(void **state)
{
	uint64_t ours, theirs, lent;
	unsigned int i;

	(void)state;
	lent = lend(&ours, &theirs);
	assert_int_equal(cap_grant(client, theirs, linux_part, KEEL_RIGHT_USE), -KEEL_EBUSY);
	assert_int_equal(cap_grant(other, lent, linux_part, KEEL_RIGHT_USE), -KEEL_EBUSY);	/* nor lent on */
	assert_int_equal(cap_grant(server, ours, other, KEEL_RIGHT_SERVE), -KEEL_EINVAL);
	assert_int_equal(cap_void(client, theirs, true), -KEEL_EINVAL);
	assert_int_equal(cap_void(client, theirs, false), 0);
	assert_int_equal(cap_grant(client, theirs, server, KEEL_RIGHT_USE), -KEEL_EINVAL);
	assert_int_equal(cap_grant(client, theirs, other, KEEL_RIGHT_SERVE), -KEEL_EPERM);
	assert_int_equal(cap_grant(client, theirs, other, KEEL_RIGHT_USE | KEEL_RIGHT_READ), -KEEL_EPERM);
	assert_int_equal(cap_void(client, theirs, true), -KEEL_EINVAL);		/* its own: CHAN_CLOSE */
	for (i = 0; i < KEEL_PART_CHANS; i++)
		assert_true(chan_connect(linux_part, other, PAGE_SIZE) > 0);
	assert_int_equal(cap_grant(client, theirs, other, KEEL_RIGHT_USE), -KEEL_ENOSPC);
	assert_ptr_equal(chans[1].side[1], client);
	/* a handle that is made and does not lead to the end yet, or no more */
	other->caps[100] = (union cap) { .type = KEEL_CAP_CHANNEL, .rights = KEEL_RIGHT_USE, .index = 1 };
	assert_int_equal(chan_set_state(other, 100, 1), -KEEL_EBADF);
	assert_int_equal(chan_close_handle(server, server, ours), -KEEL_EAGAIN);
	assert_int_equal(cap_grant(client, theirs, other, KEEL_RIGHT_USE), -KEEL_EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_sides_have_it, start, stop),
		cmocka_unit_test_setup_teardown(closing_gives_the_window_back, NULL, stop),
		cmocka_unit_test_setup_teardown(a_large_window_goes_back_in_pieces, start, stop),
		cmocka_unit_test_setup_teardown(an_offer_under_way_comes_back_too, start, stop),
		cmocka_unit_test_setup_teardown(a_closer_that_ends_leaves_nothing, start, stop),
		cmocka_unit_test_setup_teardown(wrong_requests_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(nobody_takes_more_than_a_share, start, stop),
		cmocka_unit_test_setup_teardown(a_lent_end_comes_back, NULL, stop),
		cmocka_unit_test_setup_teardown(a_lent_end_does_not_keep_a_channel, NULL, stop),
		cmocka_unit_test_setup_teardown(who_lent_its_end_may_end, start, stop),
		cmocka_unit_test_setup_teardown(what_cannot_be_lent_is_refused, start, stop),
	};

	return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
