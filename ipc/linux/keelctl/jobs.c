// SPDX-License-Identifier: MIT
/* jobs.c - keelctl's commands on what `keelctl run` leaves and needs: images, logs, wait, rm. */
#include "adopt.h"
#include "commands.h"
#include "device.h"
#include "job.h"
#include "logtail.h"
#include "show.h"
#include "visible.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLLOW_MS	200	/* between two looks at a log */

static void look(const char *command, const char *name, bool wait, struct job_state *state)
{
	int err = job_look(name, wait, state);

	if (err == -ENOENT)
		die("%s %s: no such detached partition", command, name);
	if (err)
		die("%s %s: %s", command, name, strerror(-err));
}

/* ---- images --------------------------------------------------------------------------------------- */

static int is_image(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot && dot != e->d_name && !strcmp(dot, ".elf");
}

/* One line, or one object, of an image. */
static void print_image(struct json *j, const char *name, long long bytes)
{
	char text[4 * NAME_MAX + 1];

	if (!j) {
		printf("%-24s %8lld\n", visible_text(name, text, sizeof(text)), bytes);
		return;
	}
	json_open(j, NULL, '{');
	json_text(j, "name", name);
	json_number(j, "bytes", bytes);
	json_close(j, '}');
}

static void print_images(struct json *j)
{
	char path[PATH_MAX];
	struct dirent **found;
	struct stat st;
	int i, n;

	n = scandir(IMAGES_DIR, &found, is_image, alphasort);
	if (n < 0)
		die("%s: %s", IMAGES_DIR, strerror(errno));
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", IMAGES_DIR, found[i]->d_name);
		found[i]->d_name[strlen(found[i]->d_name) - 4] = '\0';
		if (!stat(path, &st) && S_ISREG(st.st_mode))
			print_image(j, found[i]->d_name, (long long)st.st_size);
		free(found[i]);
	}
	free(found);
}

int cmd_images(int argc, char **argv)
{
	int json = json_wanted(argc, argv, 0);
	struct json j;

	if (json < 0)
		return usage_error();
	if (!json) {
		printf("%-24s %8s\n", "IMAGE", "BYTES");
		print_images(NULL);
		return 0;
	}
	json_begin(&j);
	json_open(&j, "images", '[');
	print_images(&j);
	json_close(&j, ']');
	json_end(&j);
	return 0;
}

/* ---- logs ----------------------------------------------------------------------------------------- */

/* All there is now. */
static void print_rest(struct logtail *log, struct visible *v)
{
	char text[4096];
	size_t n;

	while ((n = logtail_read(log, text, sizeof(text)))) {
		if (isatty(STDOUT_FILENO))
			visible_put(v, text, n, stdout);
		else
			fwrite(text, 1, n, stdout);
	}
	if (fflush(stdout) || ferror(stdout))
		die("standard output: %s", strerror(errno));
}

/* Whether nobody writes the log any more. */
static bool is_over(const char *name)
{
	struct job_state state;
	bool over = job_look(name, false, &state) || !state.running;

	if (over && !state.known)
		over = !adopt(name, false);
	job_forget(&state);
	return over;
}

int cmd_logs(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = FOLLOW_MS * 1000000L };
	struct visible v = { 0 };
	struct job_state state;
	struct logtail log;
	bool follow = false, over = true;
	int opt;

	while ((opt = getopt(argc, argv, "f")) != -1) {
		if (opt != 'f')
			return usage_error();
		follow = true;
	}
	if (optind != argc - 1)
		return usage_error();
	look("logs", argv[optind], false, &state);
	job_forget(&state);
	logtail_open(&log, argv[optind], true);
	for (;;) {
		/* Asked before the last look: what came between is printed. */
		if (follow)
			over = is_over(argv[optind]);
		print_rest(&log, &v);
		if (over)
			break;
		nanosleep(&pause, NULL);
	}
	logtail_close(&log);
	visible_end(&v, stdout);
	return 0;
}

/* ---- wait, rm ------------------------------------------------------------------------------------- */

int cmd_wait(int argc, char **argv)
{
	struct job_state state;

	if (argc != 2)
		return usage_error();
	/* Its process may be killed while we wait. */
	for (;;) {
		look("wait", argv[1], true, &state);
		if (state.known || !adopt(argv[1], false))
			break;
		job_forget(&state);
	}
	if (!state.known)
		die("wait %s: the process that looked after it was killed: nobody knows its status", argv[1]);
	printf("%d\n", state.status);
	return 0;
}

int cmd_rm(int argc, char **argv)
{
	struct job_state state;
	int i;

	if (argc < 2)
		return usage_error();
	for (i = 1; i < argc; i++) {
		look("rm", argv[i], false, &state);
		if (state.running)
			die("rm %s: it is running (keelctl stop %s)", argv[i], argv[i]);
		job_remove(argv[i]);
		job_forget(&state);
	}
	return 0;
}
