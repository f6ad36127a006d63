// SPDX-License-Identifier: MIT
/*
 * Property: between a driver and a device that run beside each other, and sleep whenever there is nothing to do, every chain
 * comes with the bytes that were put into it and goes back with those of the answer, and no wake-up is lost; and a hostile side
 * that changes everything meanwhile makes the device use only what it has checked, and the driver lose nothing.
 * Failure looks like: a checksum that differs, a wait that does not end, a buffer outside the window, or a descriptor that is
 * neither free nor in flight.
 */
#include "unit.h"

#include <keel/virtqueue.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#define NUM	16u
#define CHAINS	200000u
#define ROUNDS	100000u			/* of a race, or as many as there is time for on a busy machine */
#define RACE_S	2
#define AREA	256u			/* of each request: head, data, answer */
#define HELD	5u			/* chains that the device has at most before it returns one */
#define WINDOW	(NUM * AREA)
#define LIMIT_S	60			/* a wait as long as this is a wake-up that was lost */

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	bool bell;
	uint32_t rings, sleeps;
};

struct request {
	uint32_t bytes;			/* of data, in two buffers */
	uint32_t sum;
	bool busy;
};

static uint8_t window[WINDOW], shared[2048] __attribute__((aligned(KEEL_VIRTQ_ALIGN)));
static struct keel_virtq q;
static const struct keel_virtq_window where = { .memory = window, .addr = 0, .bytes = WINDOW };
static struct bell at_device = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
static struct bell at_driver = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
static bool over, polls;		/* nobody sleeps, or asks to be rung */

static void bell_ring(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	b->bell = true;
	b->rings++;
	pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

static bool bell_wait(struct bell *b)
{
	struct timespec until;
	int err = 0;

	if (polls)
		return b->sleeps++ % 64 || !sched_yield();
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_S;
	pthread_mutex_lock(&b->lock);
	b->sleeps += !b->bell;
	while (!b->bell && !err)
		err = pthread_cond_timedwait(&b->rung, &b->lock, &until);
	b->bell = false;
	pthread_mutex_unlock(&b->lock);
	return !err;
}

static uint32_t sum_of(uint32_t sum, const void *data, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sum = (sum ^ ((const uint8_t *)data)[i]) * 16777619u;
	return sum;
}

/* ---- the device: answers with the sum of what it read, and with the data in reverse ------------------- */

static const char *answer(const struct keel_virtq_chain *c, const struct keel_virtq_buf *bufs)
{
	uint32_t sum = 2166136261u;

	if (c->nread != 2 || c->nwrite != 2 || bufs[2].len != sizeof(sum) || bufs[3].len != bufs[1].len)
		return "another chain than was added";
	for (uint32_t i = 0; i < c->nread; i++)
		sum = sum_of(sum, bufs[i].data, bufs[i].len);
	memcpy(bufs[2].data, &sum, sizeof(sum));
	for (uint32_t i = 0; i < bufs[3].len; i++)
		((uint8_t *)bufs[3].data)[i] = ((uint8_t *)bufs[1].data)[bufs[1].len - 1 - i];
	return NULL;
}

static void give_back(struct keel_virtq_device *v, struct keel_virtq_chain *held, uint32_t *n, uint32_t which)
{
	keel_virtq_return(v, held[which].head, (uint32_t)held[which].writable);
	held[which] = held[--*n];
	if (keel_virtq_device_need_kick(v))
		bell_ring(&at_driver);
}

static void *be_device(void *arg)
{
	struct keel_virtq_chain held[HELD];
	struct keel_virtq_buf bufs[NUM];
	uint64_t random_state = 88172645463325252u;
	struct keel_virtq_device v;
	uint8_t taken[NUM];
	uint32_t n = 0;
	const char *wrong;
	int got;

	(void)arg;
	keel_virtq_device_init(&v, &q, &where, taken);
	while (v.returned < CHAINS) {
		got = keel_virtq_take(&v, &held[n], bufs, NUM);
		if (got < 0)
			return (void *)"the device was given what cannot be";
		wrong = got ? answer(&held[n], bufs) : NULL;
		if (wrong)
			return (void *)wrong;
		n += (uint32_t)got;
		if (n == HELD || (n && !got)) {
			give_back(&v, held, &n, unit_below(&random_state, n));
			continue;
		}
		if (got || (!polls && keel_virtq_device_arm(&v)))
			continue;
		if (!bell_wait(&at_device))
			return (void *)"the device was not woken";
	}
	return NULL;
}

/* ---- the driver ---------------------------------------------------------------------------------------- */

static bool request_add(struct keel_virtq_driver *v, struct request *r, uint8_t *area, uint64_t *random_state)
{
	uint32_t bytes = 1 + unit_below(random_state, 100);
	struct keel_virtq_buf bufs[] = {
		{ area, 8 }, { area + 8, bytes }, { area + 108, 4 }, { area + 112, bytes },
	};

	if (v->nfree < NELEM(bufs))
		return false;
	for (uint32_t i = 0; i < 8 + bytes; i++)
		area[i] = (uint8_t)unit_random(random_state);
	memset(area + 108, 0, 4 + bytes);
	*r = (struct request){ .bytes = bytes, .busy = true, .sum = sum_of(2166136261u, area, 8 + bytes) };
	return keel_virtq_add(v, bufs, 2, 2, r) == 0;
}

static const char *request_done(struct request *r, const uint8_t *area, uint32_t written)
{
	uint32_t sum;

	memcpy(&sum, area + 108, sizeof(sum));
	if (!r->busy || written != 4 + r->bytes || sum != r->sum)
		return "an answer of another request";
	for (uint32_t i = 0; i < r->bytes; i++)
		if (area[112 + i] != area[8 + r->bytes - 1 - i])
			return "data that differ";
	r->busy = false;
	return NULL;
}

static const char *collect_all(struct keel_virtq_driver *v, struct request *requests)
{
	const char *wrong = NULL;
	struct request *r;
	uint32_t written;
	void *token;
	int n;

	while (!wrong && (n = keel_virtq_collect(v, &token, &written)) != 0) {
		r = token;
		wrong = n < 0 ? "the driver was given what cannot be" :
				request_done(r, window + AREA * (r - requests), written);
	}
	return wrong;
}

/* Adds some, unless there is no room or all were added. */
static void add_some(struct keel_virtq_driver *v, struct request *requests, uint64_t *random_state)
{
	uint32_t n = 1 + unit_below(random_state, 4);

	for (uint32_t i = 0; i < NUM && n && v->own < CHAINS; i++)
		if (!requests[i].busy)
			n -= request_add(v, &requests[i], window + AREA * i, random_state);
	if (keel_virtq_driver_need_kick(v))
		bell_ring(&at_device);
}

static const char *be_driver(void)
{
	static struct request requests[NUM];
	uint64_t random_state = 1234567;
	struct keel_virtq_note notes[NUM];
	struct keel_virtq_driver v;
	const char *wrong = NULL;

	keel_virtq_driver_init(&v, &q, &where, notes);
	while (!wrong && v.seen < CHAINS) {
		uint32_t before = v.own;

		add_some(&v, requests, &random_state);
		wrong = collect_all(&v, requests);
		if (wrong || v.own != before || v.seen == CHAINS || (v.nfree >= 4 && v.own < CHAINS))
			continue;
		if (!polls && keel_virtq_driver_arm(&v))
			continue;
		if (!bell_wait(&at_driver))
			wrong = "the driver was not woken";
	}
	return wrong;
}

static void two_threads(void)
{
	const char *wrong;
	pthread_t device;
	void *err;

	assert_in_range(keel_virtq_bytes(NUM), 0, sizeof(shared));
	memset(shared, 0, sizeof(shared));
	keel_virtq_place(&q, shared, NUM);
	assert_int_equal(pthread_create(&device, NULL, be_device, NULL), 0);
	wrong = be_driver();
	if (wrong)
		fail_msg("%s", wrong);
	pthread_join(device, &err);
	if (err)
		fail_msg("%s", (char *)err);
}

static void nothing_is_lost_between_two_that_poll(void **state)
{
	(void)state;
	polls = true;
	two_threads();
	polls = false;
	at_device.sleeps = at_device.rings = at_driver.sleeps = at_driver.rings = 0;
	at_device.bell = at_driver.bell = false;
}

static void nothing_is_lost_between_two_that_sleep(void **state)
{
	(void)state;
	two_threads();
	assert_true(at_device.sleeps && at_driver.sleeps);
	assert_in_range(at_device.rings, 1, CHAINS - 1);
	assert_in_range(at_driver.rings, 1, CHAINS - 1);
}

/* ---- the step that decides: one side makes something visible and looks at the event, the other arms and looks again, at once - */

static struct {
	struct keel_virtq_driver driver;
	struct keel_virtq_device device;
	struct keel_virtq_note notes[NUM];
	uint8_t taken[NUM];
	uint32_t head;
	bool (*publish)(void);		/* -> rang */
	bool rang, over;
	uint32_t at[2 * 16];		/* how far each of the two is, on a line of its own */
} race;

static bool publish_as_driver(void)
{
	struct keel_virtq_buf buf = { window, 8 };

	keel_virtq_add(&race.driver, &buf, 1, 0, NULL);
	return keel_virtq_driver_need_kick(&race.driver);
}

static bool publish_as_device(void)
{
	keel_virtq_return(&race.device, race.head, 0);
	return keel_virtq_device_need_kick(&race.device);
}

/* Until both are here, and a moment more: who came last would always be first otherwise. */
static void meet(uint32_t me, uint32_t where_now)
{
	__atomic_store_n(&race.at[16 * me], where_now, __ATOMIC_RELEASE);
	for (uint32_t i = 0; __atomic_load_n(&race.at[16 * !me], __ATOMIC_ACQUIRE) < where_now; i++)
		if (i > 1000)
			sched_yield();
	for (uint32_t i = where_now * (me ? 2654435761u : 2246822519u) >> 23; i; i--)
		__asm__ __volatile__("");
}

static void *publisher(void *arg)
{
	(void)arg;
	for (uint32_t i = 0;; i++) {
		meet(1, 2 * i + 1);
		if (race.over)
			return NULL;
		race.rang = race.publish();
		meet(1, 2 * i + 2);
	}
}

static void take_one(void)
{
	struct keel_virtq_chain c;
	struct keel_virtq_buf buf;

	assert_int_equal(keel_virtq_take(&race.device, &c, &buf, 1), 1);
	race.head = c.head;
}

static void collect_one(void)
{
	uint32_t written;
	void *token;

	assert_int_equal(keel_virtq_collect(&race.driver, &token, &written), 1);
}

static uint32_t lost_between(bool device_sleeps)
{
	time_t until = time(NULL) + RACE_S;
	uint32_t lost = 0;
	pthread_t other;
	int found;

	memset(&race, 0, sizeof(race));
	memset(shared, 0, sizeof(shared));
	keel_virtq_place(&q, shared, NUM);
	keel_virtq_driver_init(&race.driver, &q, &where, race.notes);
	keel_virtq_device_init(&race.device, &q, &where, race.taken);
	race.publish = device_sleeps ? publish_as_driver : publish_as_device;
	assert_int_equal(pthread_create(&other, NULL, publisher, NULL), 0);
	for (uint32_t i = 0;; i++) {
		if (!device_sleeps) {
			publish_as_driver();
			take_one();
		}
		race.over = i == ROUNDS || time(NULL) > until;
		meet(0, 2 * i + 1);
		if (race.over)
			break;
		found = device_sleeps ? keel_virtq_device_arm(&race.device) : keel_virtq_driver_arm(&race.driver);
		meet(0, 2 * i + 2);
		lost += !found && !race.rang;
		if (device_sleeps) {
			take_one();
			publish_as_device();
		}
		collect_one();
	}
	pthread_join(other, NULL);
	return lost;
}

static void one_of_the_two_sees_the_other(void **state)
{
	(void)state;
	assert_int_equal(lost_between(true), 0);
	assert_int_equal(lost_between(false), 0);
}

/* ---- somebody changes everything all the time ----------------------------------------------------------- */

static void *be_hostile(void *arg)
{
	uint64_t random_state = 42;

	(void)arg;
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		struct keel_virtq_desc *d = &q.desc[unit_below(&random_state, NUM)];
		bool good = unit_below(&random_state, 2);

		__atomic_store_n(&d->addr, good ? unit_below(&random_state, WINDOW / 2) : unit_random(&random_state), __ATOMIC_RELAXED);
		__atomic_store_n(&d->len, 1 + unit_below(&random_state, good ? WINDOW / 2 : 2 * WINDOW), __ATOMIC_RELAXED);
		__atomic_store_n(&d->flags, (uint16_t)unit_below(&random_state, 8), __ATOMIC_RELAXED);
		__atomic_store_n(&d->next, (uint16_t)unit_below(&random_state, NUM + 1), __ATOMIC_RELAXED);
		__atomic_store_n(&q.avail->ring[unit_below(&random_state, NUM)], (uint16_t)unit_below(&random_state, NUM + 2),
				 __ATOMIC_RELAXED);
		__atomic_fetch_add(&q.avail->idx, (uint16_t)(unit_below(&random_state, 8) == 0), __ATOMIC_RELAXED);
		__atomic_store_n(&q.used->ring[unit_below(&random_state, NUM)].id, unit_below(&random_state, NUM + 1), __ATOMIC_RELAXED);
		__atomic_fetch_add(&q.used->idx, (uint16_t)(unit_below(&random_state, 8) == 0), __ATOMIC_RELAXED);
	}
	return NULL;
}

static pthread_t hostile_begin(void)
{
	pthread_t t;

	memset(shared, 0, sizeof(shared));
	keel_virtq_place(&q, shared, NUM);
	__atomic_store_n(&over, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&t, NULL, be_hostile, NULL), 0);
	return t;
}

static void hostile_end(pthread_t t)
{
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
}

static void check_taken(const struct keel_virtq_chain *c, const struct keel_virtq_buf *bufs)
{
	assert_in_range(c->head, 0, NUM - 1);
	assert_in_range(c->nread + c->nwrite, 1, NUM);
	for (uint32_t i = 0; i < c->nread + c->nwrite; i++) {
		uint64_t offset = (uintptr_t)bufs[i].data - (uintptr_t)window;

		assert_in_range(offset, 0, WINDOW - 1);
		assert_in_range(bufs[i].len, 1, WINDOW - offset);
	}
}

static void what_changes_meanwhile_is_used_as_it_was_checked(void **state)
{
	struct keel_virtq_buf bufs[NUM];
	struct keel_virtq_device v;
	struct keel_virtq_chain c;
	uint32_t good = 0, bad = 0;
	uint8_t taken[NUM];
	pthread_t hostile;

	(void)state;
	hostile = hostile_begin();
	keel_virtq_device_init(&v, &q, &where, taken);
	while (good < 20000) {
		int n = keel_virtq_take(&v, &c, bufs, NUM);

		if (n == 1) {
			check_taken(&c, bufs);
			keel_virtq_return(&v, c.head, 0);
			good++;
		} else if (n) {
			assert_int_equal(n, KEEL_RING_BAD);
			bad++;
			v.own = v.peer = v.returned = __atomic_load_n(&q.avail->idx, __ATOMIC_RELAXED);
		}
	}
	hostile_end(hostile);
	assert_true(bad);
}

/* Each descriptor is free or of one chain in flight. */
static void check_notes(const struct keel_virtq_driver *v)
{
	uint32_t seen = 0, at = v->free;

	for (uint32_t i = 0; i < v->nfree; i++, at = v->notes[at].next)
		seen += 1u << at;
	for (uint32_t head = 0; head < NUM; head++) {
		at = head;
		for (uint32_t i = 0; i < v->notes[head].count; i++, at = v->notes[at].next)
			seen += 1u << at;
	}
	assert_int_equal(seen, (1u << NUM) - 1);
}

static void the_driver_keeps_its_descriptors(void **state)
{
	const struct keel_virtq_buf bufs[] = { { window, 8 }, { window, 8 }, { window, 8 }, { window, 8 } };
	struct keel_virtq_note notes[NUM];
	struct keel_virtq_driver v;
	pthread_t hostile;
	uint32_t written;
	void *token;

	(void)state;
	hostile = hostile_begin();
	keel_virtq_driver_init(&v, &q, &where, notes);
	while (v.seen < 20000) {
		while (keel_virtq_add(&v, bufs, 1 + v.own % 4, 0, NULL) == 0)
			;
		check_notes(&v);
		if (keel_virtq_collect(&v, &token, &written) < 0) {
			v.peer = v.seen;
			__atomic_store_n(&q.used->idx, (uint16_t)v.seen, __ATOMIC_RELAXED);
		}
		check_notes(&v);
	}
	hostile_end(hostile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_between_two_that_poll),
		cmocka_unit_test(nothing_is_lost_between_two_that_sleep),
		cmocka_unit_test(one_of_the_two_sees_the_other),
		cmocka_unit_test(what_changes_meanwhile_is_used_as_it_was_checked),
		cmocka_unit_test(the_driver_keeps_its_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
