// SPDX-License-Identifier: MIT
/*
 * Property: the load of a peer and the offer of a window are done in pieces of a bounded size, and the state between
 * any two is valid: nothing half made runs, is mapped or is lost, whoever ends there.
 * Failure looks like: a piece that touches more than it may, a window somebody is attached to before all of it is
 * zero, frames with the wrong owner, a second load that differs from an undisturbed one.
 */
#include "unit.h"

#include <keel/abi.h>

/* Windows of several pieces, in an arena of some MiB. */
#undef KEEL_GIVE_MAX
#define KEEL_GIVE_MAX	give_max
static uint64_t give_max;

/* The test has an offer() of its own. */
#define offer	chan_piece
#include "metakernel/part/chan.c"
#undef offer
#include "metakernel/part/peer.c"

#define PAGES(bytes)	((bytes) / PAGE_SIZE)
#define MEM		0x400000UL	/* of the peer */
#define MEM_BYTES	0x600000UL
#define WINDOW		(MEM + 0x101000UL)
#define WINDOW_BYTES	0x300000UL
#define ARENA		(MEM + MEM_BYTES + 0x200000UL)
#define OWNER		(FRAMES_PARTITION + 0)
#define MANY		10000
#define NVCPUS		3

char *unit_arena;
size_t unit_arena_bytes;
struct partition parts[MAX_PARTS];
unsigned int nparts = 2;
struct manifest manifest;
struct lock life_lock = LOCK_INIT(LOCK_LIFE);

static struct partition *const server = &parts[0], *const client = &parts[1];
static struct chan *const chan = &chans[0];
static struct vcpu vcpus[2][NVCPUS];
static struct regs regs;
static void *table, *before;
static uint8_t file[300000];
static unsigned int nflushes, nresets, nrings;
static uint64_t noted, obeyed;	/* vCPUs of the server, a bit each */

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

void mmu_flush_all(struct vcpu *v)
{
	assert_ptr_equal(v, server->vcpu);
	nflushes++;
}

/* What is noted before the bell rings has to be obeyed; here nobody does before the test says so. */
void shoot_note(struct vcpu *v, const struct shoot *what)
{
	assert_ptr_equal(v->part, server);
	assert_int_equal(what->what, SHOOT_ALL);
	assert_true(frames_count(chan->owner));	/* or it could be mapped anew behind the note */
	noted |= 1UL << (v - server->vcpu);
}

uint64_t shoot_ring(struct partition *p, uint64_t set)
{
	assert_ptr_equal(p, server);
	assert_int_equal(noted, set);
	noted = 0;
	return ++nrings;
}

#include "forget.h"

bool shoot_obeyed(const struct partition *p, uint64_t set, uint64_t ticket)
{
	assert_ptr_equal(p, server);
	assert_int_equal(ticket, nrings);
	return !(set & ~obeyed);
}

uint64_t shoot_everybody(const struct partition *p)
{
	return (1UL << p->nvcpus) - 1;
}

void part_raise(struct partition *p, unsigned int bit)
{
	(void)p, (void)bit;
}

void call_end(const struct chan *c, const struct vcpu *only) { (void)c, (void)only; }

void cpus_ask(uint32_t what)
{
	fail_msg("asks for %u", what);
}

bool cpus_asked(uint32_t what)
{
	fail_msg("asked for %u", what);
	return false;
}

void vcpu_reset(struct vcpu *v, paddr_t cr3)
{
	v->cr3 = cr3;
	nresets++;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	return (size_t)snprintf(dst, size, "%s", src);
}

/* What is kept of a peer: two segments of a file, of which one is larger than a piece, and what was laid out behind them. */
static void kept(void)
{
	static uint8_t laid_out[200000];

	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 7 + 1);
	memset(laid_out, 0x5a, sizeof(laid_out));
	peer_starts[0] = (struct peer_start) {
		.nruns = 3,
		.runs = { { 0, 0x1000, file }, { 0x1000, 0x45000, file + 0x1000 }, { 0x61000, sizeof(laid_out), laid_out } },
		.cr3_pa = MEM + 0x61000, .rip = KEEL_PEER_VA + 0x10, .rdi = KEEL_PEER_VA + 0x62000, .rsp = KEEL_PEER_VA + 0x64000,
	};
}

static int start(void **state)
{
	(void)state;
	unit_arena_bytes = ARENA;
	unit_arena = malloc(ARENA);
	before = malloc(ARENA);
	table = malloc(frames_bytes(PAGES(ARENA)));
	memset(unit_arena, 0xa5, ARENA);
	frames_init(table, PAGES(ARENA));
	frames_add_ram(0, PAGES(ARENA));
	assert_int_equal(frames_claim(PAGES(MEM), PAGES(MEM_BYTES), FRAMES_FREE, OWNER), 0);
	memset(parts, 0, sizeof(parts));
	memset(chans, 0, sizeof(chans));
	memset(loads, 0, sizeof(loads));
	memset(vcpus, 0, sizeof(vcpus));
	memset(&manifest, 0, sizeof(manifest));
	manifest.nchans = 1;
	manifest.chans[0] = (struct manifest_chan) { .name = "c", .server = 0, .client = 1, .window = WINDOW_BYTES };
	for (unsigned int i = 0; i < 2; i++) {
		parts[i].index = i;
		parts[i].owner = (uint16_t)(FRAMES_PARTITION + i);
		parts[i].man = &manifest.parts[i];
		parts[i].alive = true;
		parts[i].caps[1].type = KEEL_CAP_CHANNEL;
		parts[i].caps[1].rights = i ? KEEL_RIGHT_USE : KEEL_RIGHT_SERVE;
		parts[i].nvcpus = NVCPUS;
		parts[i].vcpu = vcpus[i];
		for (unsigned int n = 0; n < NVCPUS; n++)
			vcpus[i][n].part = &parts[i];
		parts[i].vcpu->regs = &regs;
	}
	server->mem_pa = MEM;
	server->mem_bytes = MEM_BYTES;
	chans[0].max_bytes = WINDOW_BYTES;
	chans[0].owner = FRAMES_CHANNEL;
	chans[0].side[0] = server;
	chans[0].side[1] = client;
	nchans = 1;
	give_max = 4096;
	kept();
	nflushes = nresets = nrings = 0;
	noted = 0;
	obeyed = UINT64_MAX;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(unit_arena);
	free(before);
	free(table);
	return 0;
}

/* Bytes that changed since the last call. */
static size_t changed(void)
{
	size_t n = 0;

	for (size_t i = 0; i < ARENA; i += 8)
		n += memcmp(unit_arena + i, (char *)before + i, 8) ? 8 : 0;
	memcpy(before, unit_arena, ARENA);
	return n;
}

/* ---- Offers ------------------------------------------------------------------------------------------ */

static int offer(void)
{
	return chan_offer(server, 1, WINDOW, PAGES(WINDOW_BYTES));
}

static bool anybody_attached(void)
{
	return chan_rights(chan->owner, server) || chan_rights(chan->owner, client);
}

static void a_window_is_offered_in_pieces(void **state)
{
	unsigned int n = 0;

	(void)state;
	changed();
	while (offer() == -KEEL_EAGAIN) {
		assert_true(changed() <= 32 * PAGE_SIZE);
		assert_true(++n < MANY);
	}
	assert_true(n >= WINDOW_BYTES / (32 * PAGE_SIZE));
	assert_int_equal(nrings, 1);
	assert_int_equal(chan->generation, 1);
	assert_true(chan_rights(chan->owner, server) && chan_rights(chan->owner, client));
	for (size_t i = 0; i < WINDOW_BYTES; i++)
		assert_int_equal(unit_arena[WINDOW + i], 0);
	assert_int_equal((uint8_t)unit_arena[WINDOW - 1], 0xa5);
	assert_int_equal((uint8_t)unit_arena[WINDOW + WINDOW_BYTES], 0xa5);
	assert_int_equal(offer(), -KEEL_EBUSY);
	assert_true(chan_window_given(server));
	assert_false(chan_window_given(client));
	assert_false(chan_take_back(server));
}

/* As long as one vCPU of the server may have a translation of a frame it keeps what it has there (I3). */
static void nothing_is_zeroed_before_every_vcpu_has_obeyed(void **state)
{
	(void)state;
	obeyed = 0;
	changed();
	assert_int_equal(offer(), -KEEL_EAGAIN);
	assert_int_equal(nrings, 1);
	for (unsigned int n = 0; n < NVCPUS; n++) {
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(offer(), -KEEL_EAGAIN);
		assert_int_equal(changed(), 0);
		assert_false(anybody_attached());
		obeyed |= 1UL << (NVCPUS - 1 - n);
	}
	assert_int_equal(offer(), -KEEL_EAGAIN);
	assert_true(changed());
	while (offer() == -KEEL_EAGAIN)
		;
	assert_int_equal(nrings, 1);
	assert_true(anybody_attached());
}

/* Neither side may map a frame of it, no other offer is begun, and nobody is told of an address. */
static void half_a_window_is_nobodys(void **state)
{
	struct keel_chan_info info;
	unsigned int n = 0;

	(void)state;
	while (offer() == -KEEL_EAGAIN) {
		assert_false(anybody_attached());
		assert_int_equal(frames_owner(PAGES(WINDOW)), chan->owner);
		assert_int_equal(frames_owner(PAGES(WINDOW + WINDOW_BYTES) - 1), chan->owner);
		assert_int_equal(chan_offer(server, 1, WINDOW, PAGES(WINDOW_BYTES) - 1), -KEEL_EBUSY);
		assert_int_equal(chan_offer(server, 1, MEM, 1), -KEEL_EBUSY);
		assert_int_equal(chan_set_state(client, 1, 1), -KEEL_EAGAIN);
		assert_int_equal(chan_info(client, 1, &info), 0);
		assert_int_equal(info.window_pa | info.window_bytes | info.state, 0);
		assert_true(++n < MANY);
	}
	assert_int_equal(chan_info(client, 1, &info), 0);
	assert_int_equal(info.window_pa, WINDOW);
	assert_int_equal(info.window_bytes, WINDOW_BYTES);
}

/* Frames change owner some at a time; nobody forgets, and nothing is zeroed, before all have. */
static void a_large_window_changes_owner_in_pieces(void **state)
{
	uint64_t had = 0, has;

	(void)state;
	give_max = 100;
	changed();
	while (had < PAGES(WINDOW_BYTES)) {
		assert_int_equal(nrings, 0);
		assert_int_equal(offer(), -KEEL_EAGAIN);
		has = frames_count(chan->owner);
		assert_in_range(has - had, 1, give_max);
		had = has;
		assert_int_equal(changed(), 0);
		assert_false(anybody_attached());
		assert_int_equal(chan_offer(server, 1, WINDOW, PAGES(WINDOW_BYTES) - 1), -KEEL_EBUSY);
		assert_int_equal(chan_offer(server, 1, MEM, 1), -KEEL_EBUSY);
		assert_int_equal(chan_set_state(client, 1, 1), -KEEL_EAGAIN);
	}
	assert_int_equal(nrings, 1);
	while (offer() == -KEEL_EAGAIN)
		assert_true(changed() <= 32 * PAGE_SIZE);
	assert_true(anybody_attached());
	for (size_t i = 0; i < WINDOW_BYTES; i++)
		assert_int_equal(unit_arena[WINDOW + i], 0);
}

/* The server ends when any number of pieces has changed owner: they come back a piece at a time, with what is in them. */
static void a_part_of_a_window_comes_back_in_pieces(void **state)
{
	unsigned int pieces, n;

	(void)state;
	give_max = 100;
	for (pieces = 1; pieces <= PAGES(WINDOW_BYTES) / 100 + 1; pieces++) {
		for (n = 0; n < pieces; n++)
			assert_int_equal(offer(), -KEEL_EAGAIN);
		for (n = 0; chan_take_back(server); n++)
			assert_in_range(frames_count(chan->owner), 0, PAGES(WINDOW_BYTES) - 100 * (n + 1) + 100);
		assert_int_equal(n, pieces);
		assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES));
		assert_false(chan_window_given(server));
	}
	assert_int_equal(changed() && changed(), 0);
	while (offer() == -KEEL_EAGAIN)
		;
	assert_true(anybody_attached());
}

/* A frame in the last piece is another's: refused, and those before it are the server's own again. */
static void a_large_offer_is_refused_as_a_whole(void **state)
{
	int err;

	(void)state;
	give_max = 100;
	assert_int_equal(frames_claim(PAGES(WINDOW + WINDOW_BYTES) - 1, 1, OWNER, FRAMES_MK), 0);
	changed();
	while ((err = offer()) == -KEEL_EAGAIN)
		assert_false(anybody_attached());
	assert_int_equal(err, -KEEL_EFAULT);
	assert_int_equal(changed(), 0);
	assert_int_equal(nrings, 0);
	assert_int_equal(frames_count(chan->owner), 0);
	assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES) - 1);
	while ((err = chan_offer(server, 1, WINDOW, PAGES(WINDOW_BYTES) - 1)) == -KEEL_EAGAIN)
		;
	assert_int_equal(err, 0);
}

static void a_server_that_ends_halfway_gets_its_frames_back(void **state)
{
	(void)state;
	for (unsigned int pieces = 1; pieces < 10; pieces++) {
		for (unsigned int i = 0; i < pieces; i++)
			assert_int_equal(offer(), -KEEL_EAGAIN);
		chan_part_died(server);
		assert_false(anybody_attached());
		assert_int_equal(frames_owner(PAGES(WINDOW)), chan->owner);
		assert_false(chan_window_given(server));
		assert_false(chan_take_back(client));
		assert_true(chan_take_back(server));
		assert_false(chan_take_back(server));
		assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES));
		assert_int_equal(frames_count(chan->owner), 0);
	}
	/* another one, elsewhere, is not disturbed by what was there */
	while (chan_offer(server, 1, MEM, 16) == -KEEL_EAGAIN)
		;
	assert_int_equal(chan->window_bytes, 16 * PAGE_SIZE);
	assert_true(chan_rights(chan->owner, client));
}

/* One of its vCPUs is in the call while another one's fault ends the partition. */
static void who_has_ended_does_not_come_up(void **state)
{
	struct keel_chan_info info;

	(void)state;
	while (offer() == -KEEL_EAGAIN)
		;
	assert_int_equal(chan_set_state(server, 1, 1), 0);
	server->alive = false;
	chan_part_died(server);
	assert_int_equal(chan_set_state(server, 1, 1), -KEEL_EPIPE);
	assert_int_equal(chan_info(client, 1, &info), 0);
	assert_false(info.state & KEEL_CHAN_SERVER_UP);
}

static void a_refused_offer_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(chan_offer(server, 1, MEM + MEM_BYTES - PAGE_SIZE, 2), -KEEL_EFAULT);
	assert_int_equal(chan_offer(server, 1, WINDOW + 1, 1), -KEEL_EINVAL);
	assert_int_equal(chan_offer(server, 1, WINDOW, 0), -KEEL_EINVAL);
	assert_int_equal(chan_offer(server, 1, WINDOW, PAGES(WINDOW_BYTES) + 1), -KEEL_EINVAL);
	assert_int_equal(chan_offer(client, 1, WINDOW, 1), -KEEL_EPERM);
	assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES));
	assert_int_equal(chan->window_bytes, 0);
	assert_int_equal(offer(), -KEEL_EAGAIN);
}

/* ---- Loads --------------------------------------------------------------------------------------------- */

/* -> so many pieces, and one more */
static unsigned int load(void)
{
	unsigned int n = 0;

	while (peer_load(server) == -KEEL_EAGAIN) {
		assert_true(peer_loading(server));
		assert_int_equal(nresets, 0);		/* not runnable yet */
		assert_true(++n < MANY);
	}
	assert_false(peer_loading(server));
	assert_int_equal(nresets, 1);
	nresets = 0;
	return n;
}

static void a_peer_is_loaded_in_pieces(void **state)
{
	unsigned int n = 0;

	(void)state;
	changed();
	while (peer_load(server) == -KEEL_EAGAIN) {
		assert_true(changed() <= 0x20000 + PAGE_SIZE);
		assert_true(++n < MANY);
	}
	assert_true(n >= MEM_BYTES / 0x20000);
	assert_int_equal(nresets, 1);
	assert_int_equal(server->vcpu->cr3, MEM + 0x61000);
	assert_int_equal(regs.rip, KEEL_PEER_VA + 0x10);
	assert_int_equal(regs.rdi, KEEL_PEER_VA + 0x62000);
	assert_int_equal(regs.rsp, KEEL_PEER_VA + 0x64000);
	assert_memory_equal(unit_arena + MEM, file, 0x46000);
	for (size_t i = 0x46000; i < MEM_BYTES; i++)
		assert_int_equal(unit_arena[MEM + i], i >= 0x61000 && i < 0x61000 + 200000 ? 0x5a : 0);
	assert_int_equal((uint8_t)unit_arena[MEM - 1], 0xa5);
	assert_int_equal((uint8_t)unit_arena[MEM + MEM_BYTES], 0xa5);
}

/* At any piece: the next load is as one that nothing came before. */
static void an_abandoned_load_begins_anew(void **state)
{
	static uint8_t good[MEM_BYTES];
	unsigned int all;

	(void)state;
	all = load();
	memcpy(good, unit_arena + MEM, MEM_BYTES);
	for (unsigned int pieces = 1; pieces <= all; pieces++) {
		memset(unit_arena + MEM, 0xa5, MEM_BYTES);
		for (unsigned int i = 0; i < pieces; i++)
			assert_int_equal(peer_load(server), -KEEL_EAGAIN);
		peer_load_abandon(server);
		assert_false(peer_loading(server));
		memset(unit_arena + MEM, 0x77, MEM_BYTES);
		load();
		assert_memory_equal(unit_arena + MEM, good, MEM_BYTES);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(a_window_is_offered_in_pieces),
		T(nothing_is_zeroed_before_every_vcpu_has_obeyed),
		T(half_a_window_is_nobodys),
		T(a_server_that_ends_halfway_gets_its_frames_back),
		T(a_large_window_changes_owner_in_pieces),
		T(a_part_of_a_window_comes_back_in_pieces),
		T(a_large_offer_is_refused_as_a_whole),
		T(who_has_ended_does_not_come_up),
		T(a_refused_offer_changes_nothing),
		T(a_peer_is_loaded_in_pieces),
		T(an_abandoned_load_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
