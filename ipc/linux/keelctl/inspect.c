// SPDX-License-Identifier: MIT
/*
 * inspect.c - keelctl inspect: all that is known of one name, from the metakernel and from the file that `keelctl run -d` keeps.
 *
 * A name may be known to one of them alone: partitions of the manifest and those of a run in the foreground have no file, and of a detached
 * one that has ended only the file is left.
 */
#include "commands.h"
#include "device.h"
#include "job.h"
#include "show.h"
#include "visible.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct found {
	const char *name;
	bool has_part, has_job;
	struct keel_part_info part;
	struct job_state job;
	struct run_options asked;	/* the job's */
};

static void find(struct found *f, const char *name)
{
	int h = device_find_try(name);

	f->name = name;
	f->has_part = h >= 0 && device_part_try((uint32_t)h, &f->part);
	f->has_job = !job_look(name, false, &f->job) && f->job.directory;
	if (!f->has_part && !f->has_job)
		die("inspect %s: no such partition (keelctl ps lists them), and no detached one that has ended", name);
	if (f->has_job)
		job_options(&f->asked, &f->job);
}

/* As ISO 8601 has it; NULL: never. */
static const char *time_text(int64_t at, char *text, size_t size)
{
	time_t t = (time_t)at;
	struct tm tm;

	if (!at || !gmtime_r(&t, &tm) || !strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return NULL;
	return text;
}

/* ---- for people ------------------------------------------------------------------------------------ */

static void line(const char *key, const char *value)
{
	char text[4 * PATH_MAX + 1];

	printf("%-12s %s\n", key, visible_text(value, text, sizeof(text)));
}

static void print_part(const struct keel_part_info *p)
{
	char mem[16];

	line("state", state_name(p->state));
	printf("%-12s %s\n", "memory", size_text(p->mem_bytes, mem, sizeof(mem)));
	printf("%-12s %u, priority %u\n", "vcpus", p->nvcpus, p->priority);
	printf("%-12s %.3f s\n", "cpu", (double)p->cpu_ns / 1e9);
	printf("%-12s %" PRIu64 " of %" PRIu64 "\n", "shadow", p->shadow_used, p->shadow_pages);
	if (p->state == KEEL_PART_EXITED)
		printf("%-12s %d\n", "status", p->status);
	if (p->state >= KEEL_PART_EXITED && p->reason[0])
		line("reason", p->reason);
	if (p->state == KEEL_PART_FAULTED)
		printf("%-12s vector %u error %#" PRIx64 " rip %#" PRIx64 " rsp %#" PRIx64 " cr2 %#" PRIx64 "\n", "fault",
		       p->fault.vector, p->fault.error, p->fault.rip, p->fault.rsp, p->fault.cr2);
}

static void print_job(const struct found *f)
{
	const struct job_state *job = &f->job;
	char text[2 * PATH_MAX + 16], at[32];
	unsigned int i;
	int n;

	line("image", f->asked.image);
	for (n = 0; n < f->asked.nargs; n++)
		line("argument", f->asked.args[n]);
	line("directory", job->directory);
	for (i = 0; i < f->asked.ngrants; i++) {
		snprintf(text, sizeof(text), "%s:%s%s", f->asked.grants[i]->host, f->asked.grants[i]->path,
			 f->asked.grants[i]->writable ? "" : ":ro");
		line("volume", text);
	}
	for (i = 0; i < f->asked.nenv; i++)
		line("environment", f->asked.env[i]);
	if (job->running)
		printf("%-12s %d\n", "keeper", job->pid);
	else
		line("keeper", "none");
	if (time_text(job->started, at, sizeof(at)))
		line("started", at);
	printf("%-12s %u\n", "restarts", job->restarts);
	if (!job->known)
		return;
	line("ended", time_text(job->ended, at, sizeof(at)) ? at : "?");
	printf("%-12s %d\n", "exit-status", job->status);
	if (job->said[0])
		line("said", job->said);
}

/* ---- for programs ---------------------------------------------------------------------------------- */

static void json_words(struct json *j, const char *key, const char *const *words, int n)
{
	int i;

	json_open(j, key, '[');
	for (i = 0; i < n; i++)
		json_text(j, NULL, words[i]);
	json_close(j, ']');
}

static void json_asked(struct json *j, const struct run_options *o)
{
	unsigned int i;

	json_text(j, "image", o->image);
	json_words(j, "arguments", (const char *const *)o->args, o->nargs);
	json_words(j, "environment", o->env, (int)o->nenv);
	json_open(j, "volumes", '[');
	for (i = 0; i < o->ngrants; i++) {
		json_open(j, NULL, '{');
		json_text(j, "host", o->grants[i]->host);
		json_text(j, "path", o->grants[i]->path);
		json_bool(j, "writable", o->grants[i]->writable);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_number(j, "memory_bytes", (int64_t)o->mem_bytes);
	json_number(j, "vcpus", o->nvcpus);
	json_number(j, "priority", o->priority);
	json_hex(j, "cpus", o->cpus);
}

static void json_job(struct json *j, const struct found *f)
{
	const struct job_state *job = &f->job;
	char at[32];

	json_open(j, "job", '{');
	json_asked(j, &f->asked);
	json_text(j, "directory", job->directory);
	json_bool(j, "running", job->running);
	if (job->running)
		json_number(j, "keeper", job->pid);
	else
		json_text(j, "keeper", NULL);
	json_number(j, "restarts", job->restarts);
	json_text(j, "started", time_text(job->started, at, sizeof(at)));
	json_text(j, "ended", job->known ? time_text(job->ended, at, sizeof(at)) : NULL);
	if (job->known)
		json_number(j, "status", job->status);
	else
		json_text(j, "status", NULL);
	json_text(j, "said", job->known && job->said[0] ? job->said : NULL);
	json_close(j, '}');
}

static void json_found(const struct found *f)
{
	struct json j;

	json_begin(&j);
	json_text(&j, "name", f->name);
	if (f->has_part) {
		json_open(&j, "partition", '{');
		json_part(&j, &f->part);
		json_close(&j, '}');
	} else {
		json_text(&j, "partition", NULL);
	}
	if (f->has_job)
		json_job(&j, f);
	else
		json_text(&j, "job", NULL);
	json_end(&j);
}

int cmd_inspect(int argc, char **argv)
{
	static struct found f;
	int json = json_wanted(argc, argv, 1);

	if (json < 0)
		return usage_error();
	find(&f, argv[optind]);
	if (json) {
		json_found(&f);
		return 0;
	}
	line("name", f.name);
	if (f.has_part)
		print_part(&f.part);
	if (f.has_job)
		print_job(&f);
	return 0;
}
