// SPDX-License-Identifier: MIT
/* options.c - see options.h. */
#include "options.h"
#include "commands.h"
#include "device.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_CPUS	64
#define MAX_PRIORITY	31

bool options_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return n && !name[n] && n < KEEL_NAME_LEN && name[0] != '-' && name[0] != '_';
}

uint64_t options_size(const char *text)
{
	static const char units[] = "KMG";
	unsigned int shift = 0;
	const char *unit;
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-' || *text == '+')
		return 0;
	unit = *end ? strchr(units, *end & ~0x20) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
	}
	return *end || n > UINT64_MAX >> shift ? 0 : n << shift;
}

/* A number up to max from *at on, which moves behind it; -1: there is none. */
static int number(const char **at, unsigned long max)
{
	unsigned long n;
	char *end;

	if (**at < '0' || **at > '9')
		return -1;
	n = strtoul(*at, &end, 10);
	*at = end;
	return n > max ? -1 : (int)n;
}

uint64_t options_cpus(const char *text)
{
	uint64_t set = 0;
	int from, to;

	for (;;) {
		from = to = number(&text, MAX_CPUS - 1);
		if (from >= 0 && *text == '-') {
			text++;
			to = number(&text, MAX_CPUS - 1);
		}
		if (from < 0 || to < from)
			return 0;
		for (; from <= to; from++)
			set |= 1ull << from;
		if (!*text)
			return set;
		if (*text++ != ',')
			return 0;
	}
}

/* "200us" from *at on, which moves behind it; 0: there is none. */
static uint64_t duration_ns(const char **at)
{
	static const struct { const char *name; uint64_t ns; } units[] = {
		{ "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 },
	};
	int n = number(at, KEEL_MAX_PERIOD_NS / 1000);
	unsigned int i;

	for (i = 0; n > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strncmp(*at, units[i].name, strlen(units[i].name)))
			continue;
		*at += strlen(units[i].name);
		return (uint64_t)n * units[i].ns;
	}
	return 0;
}

bool options_budget(const char *text, uint64_t *budget_ns, uint64_t *period_ns)
{
	*budget_ns = duration_ns(&text);
	if (*text++ != '/')
		return false;
	*period_ns = duration_ns(&text);
	return !*text && *budget_ns >= KEEL_MIN_BUDGET_NS && *budget_ns <= *period_ns &&
	       *period_ns >= KEEL_MIN_PERIOD_NS && *period_ns <= KEEL_MAX_PERIOD_NS;
}

void options_absolute(char out[PATH_MAX], const char *path)
{
	char here[PATH_MAX], joined[2 * PATH_MAX];

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		die("the current directory: %s", strerror(errno));
	if (path[0] == '/')
		snprintf(joined, sizeof(joined), "%s", path);
	else
		snprintf(joined, sizeof(joined), "%s%s%s", here, here[1] ? "/" : "", path);
	/* What a peer calls it has no `..`; who does, gets the directory's own name. */
	if (strstr(joined, "/..") || !strcmp(path, ".")) {
		if (!realpath(joined, here))
			die("%s: %s", path, strerror(errno));
		strcpy(joined, here);
	}
	if (strlen(joined) >= PATH_MAX)
		die("%s: the path is too long", path);
	strcpy(out, joined);
}

/* DIR[:PATH[:ro|rw]], DIR[:ro|rw] */
static void add_grant(struct run_options *o, const char *text)
{
	struct run_grant *g = calloc(1, sizeof(*g));
	char *copy = strdup(text), *rest, *path, *mode = NULL;

	if (!g || !copy)
		die("no memory");
	if (o->ngrants == RUN_MAX_LIST)
		die("-v: more than %d", RUN_MAX_LIST);
	path = strchr(copy, ':');
	if (path)
		*path++ = '\0';
	if (path && path[0] != '/') {
		mode = path;
		path = NULL;
	} else if (path) {
		rest = strchr(path, ':');
		if (rest) {
			*rest++ = '\0';
			mode = rest;
		}
	}
	if (!copy[0] || (mode && strcmp(mode, "ro") && strcmp(mode, "rw")))
		die("-v %s: expected DIR[:PATH[:ro]]", text);
	options_absolute(g->host, copy);
	if (path && strlen(path) >= sizeof(g->path))
		die("-v %s: the path is too long", text);
	strcpy(g->path, path ? path : g->host);
	g->writable = !mode || mode[1] == 'w';
	o->grants[o->ngrants++] = g;
	free(copy);
}

static void add_env(struct run_options *o, const char *text)
{
	size_t n = strcspn(text, "=");

	if (!n || memchr(text, '/', n))
		die("-e %s: expected NAME=VALUE", text);
	if (o->nenv == RUN_MAX_LIST)
		die("-e: more than %d", RUN_MAX_LIST);
	o->env[o->nenv++] = text;
}

static uint32_t numeric(const char *option, const char *text, uint32_t least, uint32_t most)
{
	const char *at = text;
	int n = number(&at, most);

	if (n < (int)least || *at)
		die("%s %s: expected a number, %u to %u", option, text, least, most);
	return (uint32_t)n;
}

static void set_memory(struct run_options *o, const char *text)
{
	o->mem_bytes = (options_size(text) + 4095) & ~4095ull;
	if (!o->mem_bytes || o->mem_bytes > RUN_MAX_MEM)
		die("-m %s: expected a size such as 64M, at most %luM", text, RUN_MAX_MEM >> 20);
}

static void set_name(struct run_options *o, const char *text)
{
	if (!options_name_ok(text))
		die("--name %s: expected at most %d of a-z, 0-9, - and _", text, KEEL_NAME_LEN - 1);
	o->name = text;
}

enum { OPT_NAME = 256, OPT_CPUS, OPT_VCPUS, OPT_PRIO, OPT_BUDGET, OPT_RM, OPT_RESTART, OPT_WATCHDOG };

static void take_option(struct run_options *o, int opt, const char *arg)
{
	switch (opt) {
	case 'i':
		o->interactive = true;
		break;
	case 't':
		o->tty = true;
		break;
	case 'd':
		o->detach = true;
		break;
	case 'm':
		set_memory(o, arg);
		break;
	case 'v':
		add_grant(o, arg);
		break;
	case 'e':
		add_env(o, arg);
		break;
	case 'w':
		options_absolute(o->dir, arg);
		break;
	case OPT_NAME:
		set_name(o, arg);
		break;
	case OPT_CPUS:
		o->cpus = options_cpus(arg);
		if (!o->cpus)
			die("--cpus %s: expected numbers of CPUs, such as 1-3 or 0,2", arg);
		break;
	case OPT_VCPUS:
		o->nvcpus = numeric("--vcpus", arg, 1, MAX_CPUS);
		break;
	case OPT_PRIO:
		o->priority = numeric("--prio", arg, 0, MAX_PRIORITY);
		break;
	case OPT_BUDGET:
		if (!options_budget(arg, &o->budget_ns, &o->period_ns))
			die("--budget %s: expected a time in a period, such as 2ms/10ms: 10us at least, in 100us to 10s", arg);
		break;
	case OPT_RM:
		o->remove = true;
		break;
	case OPT_RESTART:
		if (!restart_parse(&o->restart, arg))
			die("--restart %s: expected no, on-failure[:N] or always", arg);
		break;
	case OPT_WATCHDOG:
		if (!watchdog_parse(&o->watchdog, arg))
			die("--watchdog %s: expected seconds, such as 5, 5:log, 5:restart or 5:stop", arg);
		break;
	default:		/* getopt has said what is wrong */
		exit(EXIT_RUN);
	}
}

void options_parse(struct run_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, OPT_NAME },
		{ "cpus", required_argument, NULL, OPT_CPUS },
		{ "vcpus", required_argument, NULL, OPT_VCPUS },
		{ "prio", required_argument, NULL, OPT_PRIO },
		{ "budget", required_argument, NULL, OPT_BUDGET },
		{ "rm", no_argument, NULL, OPT_RM },
		{ "restart", required_argument, NULL, OPT_RESTART },
		{ "watchdog", required_argument, NULL, OPT_WATCHDOG },
		{ "detach", no_argument, NULL, 'd' },
		{ "interactive", no_argument, NULL, 'i' },
		{ "tty", no_argument, NULL, 't' },
		{ "memory", required_argument, NULL, 'm' },
		{ "volume", required_argument, NULL, 'v' },
		{ "env", required_argument, NULL, 'e' },
		{ "workdir", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	static char name[] = "keelctl run";
	int opt;

	*o = (struct run_options) { .mem_bytes = RUN_MEM_BYTES, .nvcpus = 1, .priority = RUN_PRIORITY };
	argv[0] = name;		/* in getopt's messages */
	while ((opt = getopt_long(argc, argv, "+itdm:v:e:w:", options, NULL)) != -1)
		take_option(o, opt, optarg);
	if (optind == argc)
		die("run: which image? (keelctl images lists them)");
	if (o->tty && (o->detach || !isatty(STDIN_FILENO)))
		die("run -t: %s", o->detach ? "not with -d" : "standard input is no terminal");
	o->image = argv[optind];
	o->args = argv + optind + 1;
	o->nargs = argc - optind - 1;
}
