/* SPDX-License-Identifier: MIT */
/* device.h - /dev/keel for keelctl: calls that end the program with a clear message when they fail. */
#ifndef KEELCTL_DEVICE_H
#define KEELCTL_DEVICE_H

#include <keel/ioctl.h>

#define EXIT_FAILED	1
#define EXIT_USAGE	2
/* `keelctl run`: its own, where others are the program's. As container tools have them. */
#define EXIT_RUN	125	/* keelctl could not do it */
#define EXIT_NO_RUN	126	/* the image cannot be run */
#define EXIT_NO_IMAGE	127	/* there is no such image */

extern int die_status;		/* EXIT_FAILED, unless a command says otherwise */

/* Prints "keelctl: ..." and exits with die_status. Before, once, who has asked for it gets the message. */
extern void (*die_also)(const char *message);
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

extern const char *device_path;	/* of what device_open() has opened */
void device_open(const char *path);
/* An ioctl; result >= 0, or negative errno. */
int device_call(unsigned long request, void *arg);

/* 1: *info filled; 0: no such handle. */
int device_cap(uint32_t handle, struct keel_cap_info *info);
/* The handle of the partition with that name; dies if there is none, or -ENOENT. */
uint32_t device_find(const char *name);
int device_find_try(const char *name);
/* 1: *info filled; 0: it has gone meanwhile, of which the other one dies. */
int device_part_try(uint32_t handle, struct keel_part_info *info);
void device_part(uint32_t handle, struct keel_part_info *info);

/* Names a failed call on a partition or the log: what errno means here. */
void die_call(const char *what, const char *name, int err) __attribute__((noreturn));

#endif
