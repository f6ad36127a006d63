// SPDX-License-Identifier: MIT
/*
 * top.c - keelctl top: partitions by the CPU time they use, again and again.
 *
 * Two looks at the counters and the time between them make a table. A partition that came or went between them is in the next one. On a
 * terminal each table replaces the one before; elsewhere they follow each other, one empty line between.
 */
#include "commands.h"
#include "device.h"
#include "show.h"
#include "visible.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLEAR	"\033[H\033[J"

struct look {
	uint64_t at_ns;
	unsigned int n;
	struct row {
		struct keel_part_info part;
		uint64_t entries;
		/* since the look before */
		double cpu_percent, entries_per_s;
	} row[KEEL_MAX_HANDLES];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void take_look(struct look *l)
{
	struct keel_ioc_stats stats;
	struct keel_cap_info cap;
	uint32_t h;

	l->at_ns = now_ns();
	l->n = 0;
	for (h = 0; h < KEEL_MAX_HANDLES; h++) {
		stats = (struct keel_ioc_stats) { .handle = h };
		if (!device_cap(h, &cap) || cap.type != KEEL_CAP_PARTITION || !device_part_try(h, &l->row[l->n].part) ||
		    device_call(KEEL_IOC_PART_STATS, &stats) < 0)
			continue;
		l->row[l->n++].entries = stats.stats.count[KEEL_STAT_TOTAL];
	}
}

/* A name that was made anew has counters that are lower. */
static bool same(const struct row *now, const struct row *then)
{
	return !strcmp(now->part.name, then->part.name) && now->part.cpu_ns >= then->part.cpu_ns &&
	       now->entries >= then->entries;
}

static void compare(struct look *now, const struct look *then)
{
	double ns = (double)(now->at_ns - then->at_ns);
	unsigned int i, k;

	for (i = 0; i < now->n; i++) {
		struct row *r = &now->row[i];

		r->cpu_percent = r->entries_per_s = 0;
		for (k = 0; k < then->n; k++) {
			if (!same(r, &then->row[k]))
				continue;
			r->cpu_percent = (double)(r->part.cpu_ns - then->row[k].part.cpu_ns) * 100 / ns;
			r->entries_per_s = (double)(r->entries - then->row[k].entries) * 1e9 / ns;
		}
	}
}

/* Most CPU time first; then as the handles are. */
static int by_cpu(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return (x->cpu_percent < y->cpu_percent) - (x->cpu_percent > y->cpu_percent);
}

static void print_table(const struct look *l)
{
	char text[4 * KEEL_NAME_LEN + 1], mem[16], shadow[48];
	unsigned int i;

	printf("%-16s %-8s %4s %6s %11s %7s %13s %10s\n", "NAME", "STATE", "PRIO", "CPU-%", "CPU-SECONDS", "MEMORY", "SHADOW-PAGES",
	       "ENTRIES/S");
	for (i = 0; i < l->n; i++) {
		const struct keel_part_info *p = &l->row[i].part;

		snprintf(shadow, sizeof(shadow), "%" PRIu64 "/%" PRIu64, p->shadow_used, p->shadow_pages);
		printf("%-16s %-8s %4u %6.1f %11.3f %7s %13s %10.0f\n", visible_text(p->name, text, sizeof(text)), state_name(p->state),
		       p->priority, l->row[i].cpu_percent, (double)p->cpu_ns / 1e9, size_text(p->mem_bytes, mem, sizeof(mem)), shadow,
		       l->row[i].entries_per_s);
	}
	if (fflush(stdout) || ferror(stdout))
		die("standard output cannot be written");
}

static void json_table(const struct look *l, uint64_t ns)
{
	struct json j;
	unsigned int i;

	json_begin(&j);
	json_number(&j, "interval_ms", (int64_t)(ns / 1000000));
	json_open(&j, "partitions", '[');
	for (i = 0; i < l->n; i++) {
		json_open(&j, NULL, '{');
		json_part(&j, &l->row[i].part);
		json_number(&j, "cpu_permille", (int64_t)(l->row[i].cpu_percent * 10 + 0.5));
		json_number(&j, "entries_per_s", (int64_t)(l->row[i].entries_per_s + 0.5));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_end(&j);
}

static double number(const char *option, const char *text, double least, double most)
{
	char *end;
	double n = strtod(text, &end);

	if (*end || end == text || !(n >= least && n <= most))
		die("top %s %s: expected a number, %g to %g", option, text, least, most);
	return n;
}

/* Tables every `seconds`, so many of them; 0: until somebody ends it. */
static void show_tables(unsigned long count, double seconds, bool json)
{
	const struct timespec pause = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
	bool clear = !json && count != 1 && isatty(STDOUT_FILENO);
	static struct look looks[2];
	unsigned long i;

	take_look(&looks[0]);
	for (i = 1; ; i++) {
		struct look *now = &looks[i % 2], *then = &looks[(i + 1) % 2];

		nanosleep(&pause, NULL);
		take_look(now);
		compare(now, then);
		qsort(now->row, now->n, sizeof(now->row[0]), by_cpu);
		if (json) {
			json_table(now, now->at_ns - then->at_ns);
		} else {
			fputs(clear ? CLEAR : i > 1 ? "\n" : "", stdout);
			print_table(now);
		}
		if (i == count)
			return;
	}
}

int cmd_top(int argc, char **argv)
{
	unsigned long count = 0;
	double seconds = 1;
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "n:d:", json_option, NULL)) != -1) {
		switch (opt) {
		case 'n':
			count = (unsigned long)number("-n", optarg, 1, 1e9);
			break;
		case 'd':
			seconds = number("-d", optarg, 0.01, 3600);
			break;
		case OPT_JSON:
			json = true;
			break;
		default:
			return usage_error();
		}
	}
	if (optind != argc)
		return usage_error();
	show_tables(count ? count : json, seconds, json);
	return 0;
}
