// SPDX-License-Identifier: MIT
/* drivercall_raw.c - driver calls without the runtime's files: one at a time, and NOPs in batches. */
#include "drivercall.h"

#include <rt/machine.h>
#include <rt/rt.h>
#include <rt/session.h>
#include <string.h>

#define FILE_IN	"/mnt/words.txt"
#define BATCH	32

static int32_t call(struct keel_sqe q)
{
	int32_t res = 0;

	check(session_call(&q, &res, 1) == 0, "call");
	return res;
}

static uint64_t raw_nop(unsigned int n)
{
	uint64_t start = now_tsc();

	while (n--)
		check(call(keel_dc_sqe(KEEL_OP_NOP, 0, 0)) == 0, "nop");
	return now_tsc() - start;
}

/* The handle of the channel that the runtime uses. */
static uint64_t channel(void)
{
	static struct keel_cap_info cap __attribute__((aligned(128)));
	uint64_t h;

	for (h = 0; h < KEEL_MAX_HANDLES; h++)
		if (!hc2(KEEL_HC_CAP_INFO, h, va_to_pa(&cap)) && cap.type == KEEL_CAP_CHANNEL)
			break;
	return h;
}

/* BATCH requests and one doorbell, then their answers. */
static uint64_t raw_nop_batch(unsigned int n)
{
	uint64_t handle = channel(), start = now_tsc();
	struct keel_cqe cqe;
	unsigned int i;

	for (; n >= BATCH; n -= BATCH) {
		for (i = 0; i < BATCH; i++) {
			struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, i);

			check(keel_dc_submit(&session, &q) == 0, "submit");
		}
		if (keel_dc_need_kick(&session))
			hc1(KEEL_HC_CHAN_KICK, handle);
		for (i = 0; i < BATCH;) {
			event_take(1ULL << handle);
			if (keel_dc_poll(&session, &cqe) == 1)
				i++;
			else if (keel_dc_may_sleep(&session))
				event_wait(1ULL << handle, RT_FOREVER);
		}
	}
	return now_tsc() - start;
}

static uint64_t raw_read(unsigned int n, uint32_t bytes)
{
	uint64_t path = keel_dc_alloc(&session, KEEL_DC_PATH_MAX), buf = keel_dc_alloc(&session, 65536);
	uint64_t start, end;
	int32_t file;

	check(path && buf, "memory of the window");
	strcpy(keel_dc_ptr(&session, path), FILE_IN);
	file = call(keel_dc_open(path, KEEL_DC_O_RDONLY, 0, 0));
	check(file >= 0, FILE_IN);
	start = now_tsc();
	while (n--)
		check(call(keel_dc_read(file, buf, bytes, 65536, 0)) == (int32_t)bytes, "read");
	end = now_tsc();
	call(keel_dc_close(file, 0));
	keel_dc_free(&session, path, KEEL_DC_PATH_MAX);
	keel_dc_free(&session, buf, 65536);
	return end - start;
}

static uint64_t raw_read_1(unsigned int n)
{
	return raw_read(n, 1);
}

static uint64_t raw_read_64k(unsigned int n)
{
	return raw_read(n, 65536);
}

static uint64_t raw_open_close(unsigned int n)
{
	uint64_t path = keel_dc_alloc(&session, KEEL_DC_PATH_MAX), start, end;

	check(path != 0, "memory of the window");
	strcpy(keel_dc_ptr(&session, path), FILE_IN);
	start = now_tsc();
	while (n--)
		call(keel_dc_close(call(keel_dc_open(path, KEEL_DC_O_RDONLY, 0, 0)), 0));
	end = now_tsc();
	keel_dc_free(&session, path, KEEL_DC_PATH_MAX);
	return end - start;
}

void bench_raw(void)
{
	static const struct bench_op ops[] = {
		{ "raw_nop", raw_nop, 1000 },
		{ "raw_nop_batch", raw_nop_batch, 3200 },
		{ "raw_open_close", raw_open_close, 500 },
		{ "raw_read_1", raw_read_1, 500 },
		{ "raw_read_64k", raw_read_64k, 100 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		bench_run(&ops[i]);
}
