/* SPDX-License-Identifier: MIT */
/*
 * manifest_unit.h - what the tests of the manifest's reader share: the nodes of dts_good, and a look at a
 * refusal.
 */
#ifndef TESTS_MANIFEST_UNIT_H
#define TESTS_MANIFEST_UNIT_H

#include "unit.h"

#include "boot/manifest.h"

#define LINUX	"/partitions/linux"
#define LUA	"/partitions/lua"
#define PROBE	"/partitions/probe"
#define CHAN	"/channels/lua"

static struct manifest m;
static struct parse_error e;

static void assert_refused(int ret, const char *node, const char *prop, const char *msg)
{
	assert_true(ret < 0);
	assert_string_equal(e.node, node);
	assert_string_equal(e.prop, prop);
	if (!strstr(e.msg, msg))
		fail_msg("message \"%s\" has no \"%s\"", e.msg, msg);
}

#endif /* TESTS_MANIFEST_UNIT_H */
