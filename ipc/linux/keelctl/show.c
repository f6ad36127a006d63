// SPDX-License-Identifier: MIT
/* show.c - keelctl's commands that ask once and print: ps, stats, log. */
#include "commands.h"
#include "device.h"
#include "show.h"
#include "visible.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FOLLOW_MS	200	/* between two looks at the log */

const struct option json_option[] = { { "json", no_argument, NULL, OPT_JSON }, { NULL, 0, NULL, 0 } };

int json_wanted(int argc, char **argv, int words)
{
	int opt, json = 0;

	while ((opt = getopt_long(argc, argv, "", json_option, NULL)) != -1) {
		if (opt != OPT_JSON)
			return -1;
		json = 1;
	}
	return optind == argc - words ? json : -1;
}

const char *const stat_names[] = KEEL_STAT_NAMES;
const unsigned int nstats = sizeof(stat_names) / sizeof(stat_names[0]);
static_assert(sizeof(stat_names) / sizeof(stat_names[0]) <= KEEL_STAT_NR, "a name for each counter");

const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[KEEL_PART_EMPTY] = "empty", [KEEL_PART_RUNNING] = "running",
		[KEEL_PART_BLOCKED] = "blocked", [KEEL_PART_EXITED] = "exited",
		[KEEL_PART_FAULTED] = "faulted", [KEEL_PART_CRASHED] = "crashed",
		[KEEL_PART_DESTROYED] = "stopped",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

const char *size_text(uint64_t bytes, char *text, size_t n)
{
	static const char units[] = "BKMGT";
	unsigned int u = 0;
	double v = (double)bytes;

	while (v >= 1000 && u + 2 < sizeof(units)) {
		v /= 1024;
		u++;
	}
	snprintf(text, n, v < 10 && u && v != (double)(int)v ? "%.1f%c" : "%.0f%c", v, units[u]);
	return text;
}

/* ---- ps -------------------------------------------------------------------------------------------- */

static void print_part(const struct keel_part_info *p)
{
	char mem[16], shadow[48], text[4 * sizeof(p->reason) + 1];

	snprintf(shadow, sizeof(shadow), "%" PRIu64 "/%" PRIu64, p->shadow_used, p->shadow_pages);
	printf("%-16s %-8s %4u %4u %4u %7s %11.3f %13s", visible_text(p->name, text, sizeof(text)),
	       state_name(p->state), p->ring,
	       p->nvcpus, p->priority, size_text(p->mem_bytes, mem, sizeof(mem)),
	       (double)p->cpu_ns / 1e9, shadow);
	if (p->state == KEEL_PART_EXITED)
		printf("  status %d", p->status);
	if (p->state >= KEEL_PART_EXITED && p->reason[0])
		printf("  %s", visible_text(p->reason, text, sizeof(text)));
	putchar('\n');
	if (p->state == KEEL_PART_FAULTED)
		printf("    fault: vector %u error %#" PRIx64 " rip %#" PRIx64 " rsp %#" PRIx64
		       " cr2 %#" PRIx64 "\n", p->fault.vector, p->fault.error, p->fault.rip,
		       p->fault.rsp, p->fault.cr2);
}

void json_part(struct json *j, const struct keel_part_info *p)
{
	bool ended = p->state >= KEEL_PART_EXITED;

	json_text(j, "name", p->name);
	json_text(j, "state", state_name(p->state));
	json_number(j, "ring", p->ring);
	json_number(j, "vcpus", p->nvcpus);
	json_number(j, "priority", p->priority);
	json_number(j, "memory_bytes", (int64_t)p->mem_bytes);
	json_number(j, "cpu_ns", (int64_t)p->cpu_ns);
	json_number(j, "shadow_pages", (int64_t)p->shadow_pages);
	json_number(j, "shadow_used", (int64_t)p->shadow_used);
	if (p->state == KEEL_PART_EXITED)
		json_number(j, "status", p->status);
	else
		json_text(j, "status", NULL);
	json_text(j, "reason", ended && p->reason[0] ? p->reason : NULL);
	if (p->state != KEEL_PART_FAULTED) {
		json_text(j, "fault", NULL);
		return;
	}
	json_open(j, "fault", '{');
	json_number(j, "vector", p->fault.vector);
	json_hex(j, "error", p->fault.error);
	json_hex(j, "rip", p->fault.rip);
	json_hex(j, "rsp", p->fault.rsp);
	json_hex(j, "cr2", p->fault.cr2);
	json_close(j, '}');
}

static void print_all(struct json *j)
{
	struct keel_part_info part;
	struct keel_cap_info cap;
	uint32_t h;

	for (h = 0; h < KEEL_MAX_HANDLES; h++) {
		if (!device_cap(h, &cap) || cap.type != KEEL_CAP_PARTITION || !device_part_try(h, &part))
			continue;
		if (!j) {
			print_part(&part);
			continue;
		}
		json_open(j, NULL, '{');
		json_part(j, &part);
		json_close(j, '}');
	}
}

int cmd_ps(int argc, char **argv)
{
	int json = json_wanted(argc, argv, 0);
	struct json j;

	if (json < 0)
		return usage_error();
	if (!json) {
		printf("%-16s %-8s %4s %4s %4s %7s %11s %13s  %s\n", "NAME", "STATE", "RING", "CPUS",
		       "PRIO", "MEMORY", "CPU-SECONDS", "SHADOW-PAGES", "ENDED");
		print_all(NULL);
		return 0;
	}
	json_begin(&j);
	json_open(&j, "partitions", '[');
	print_all(&j);
	json_close(&j, ']');
	json_end(&j);
	return 0;
}

/* ---- stats ----------------------------------------------------------------------------------------- */

static void print_stats(const struct keel_part_stats *stats, bool plain)
{
	unsigned int i;

	for (i = 0; i < nstats; i++) {
		if (plain)
			printf("%s=%" PRIu64 "\n", stat_names[i], stats->count[i]);
		else if (stats->count[i] || i == KEEL_STAT_TOTAL)
			printf("%-12s %14" PRIu64 "\n", stat_names[i], stats->count[i]);
	}
}

static void json_stats(const char *name, const struct keel_part_stats *stats)
{
	struct json j;
	unsigned int i;

	json_begin(&j);
	json_text(&j, "name", name);
	json_open(&j, "counters", '{');
	for (i = 0; i < nstats; i++)
		json_number(&j, stat_names[i], (int64_t)stats->count[i]);
	json_close(&j, '}');
	json_end(&j);
}

int cmd_stats(int argc, char **argv)
{
	struct keel_ioc_stats stats = { 0 };
	bool plain = false, json = false;
	const char *name;
	int opt, err;

	while ((opt = getopt_long(argc, argv, "p", json_option, NULL)) != -1) {
		if (opt != 'p' && opt != OPT_JSON)
			return usage_error();
		plain |= opt == 'p';
		json |= opt == OPT_JSON;
	}
	if (optind != argc - 1)
		return usage_error();
	name = argv[optind];
	stats.handle = device_find(name);
	err = device_call(KEEL_IOC_PART_STATS, &stats);
	if (err < 0)
		die_call("stats", name, err);
	if (json)
		json_stats(name, &stats.stats);
	else
		print_stats(&stats.stats, plain);
	return 0;
}

/* ---- log ------------------------------------------------------------------------------------------- */

int cmd_log(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = FOLLOW_MS * 1000000L };
	struct keel_ioc_buf buf = { 0 };
	struct visible v = { 0 };
	static char text[4096];
	bool follow = false;
	int opt, n;

	while ((opt = getopt(argc, argv, "f")) != -1) {
		if (opt != 'f')
			return usage_error();
		follow = true;
	}
	if (optind != argc)
		return usage_error();
	buf.addr = (uintptr_t)text;
	for (;;) {
		buf.len = sizeof(text);
		n = device_call(KEEL_IOC_LOG_READ, &buf);
		if (n < 0)
			die_call("log", "of the metakernel", n);
		if (n) {
			visible_put(&v, text, (size_t)n, stdout);
			continue;
		}
		if (!follow)
			visible_end(&v, stdout);
		if (fflush(stdout) || ferror(stdout))
			die("standard output: %s", strerror(errno));
		if (!follow)
			return 0;
		nanosleep(&pause, NULL);
	}
}
