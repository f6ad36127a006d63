/* SPDX-License-Identifier: MIT */
/* device.h - /dev/keel for keelctl: calls that end the program with a clear message when they fail. */
#ifndef KEELCTL_DEVICE_H
#define KEELCTL_DEVICE_H

#include <keel/ioctl.h>

#define EXIT_FAILED	1
#define EXIT_USAGE	2

/* Prints "keelctl: ..." and exits with EXIT_FAILED. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

void device_open(const char *path);
/* An ioctl; result >= 0, or negative errno. */
int device_call(unsigned long request, void *arg);

/* 1: *info filled; 0: no such handle. */
int device_cap(uint32_t handle, struct keel_cap_info *info);
/* The handle of the partition with that name; dies if there is none. */
uint32_t device_find(const char *name);
void device_part(uint32_t handle, struct keel_part_info *info);

/* Names a failed call on a partition or the log: what errno means here. */
void die_call(const char *what, const char *name, int err) __attribute__((noreturn));

#endif
