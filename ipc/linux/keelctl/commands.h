/* SPDX-License-Identifier: MIT */
/* commands.h - keelctl's commands: argv[0] is the command's name; each returns an exit status. */
#ifndef KEELCTL_COMMANDS_H
#define KEELCTL_COMMANDS_H

int cmd_ps(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_caps(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_memory(int argc, char **argv);
int cmd_budget(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_adopt(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_images(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_rm(int argc, char **argv);

#define IMAGES_DIR	"/usr/lib/keel/images"

/* Prints the usage text to standard error; EXIT_USAGE. */
int usage_error(void);

#endif
