// SPDX-License-Identifier: MIT
/*
 * Property: a manifest is read exactly as written, and everything that is not a correct manifest is
 * refused with the node and the property named, without a byte being read beyond its end.
 * Failure looks like: a wrong field in struct manifest, a bad tree accepted, a refusal that names the
 * wrong place, or a report of the address or undefined-behaviour sanitizer.
 */
#include "unit.h"

#include <libfdt.h>

#include "dts.h"
#include "manifest_unit.h"

/* ---- Accepted ----------------------------------------------------------------------------------- */

static void good_manifest_is_read_as_written(void **state)
{
	const struct manifest_part *p = m.parts;
	size_t len;
	void *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
	free(fdt);

	assert_int_equal(m.nparts, 3);
	assert_string_equal(p[0].name, "linux");
	assert_int_equal(p[0].kind, MANIFEST_LINUX);
	assert_string_equal(p[0].image, "vmlinux");
	assert_string_equal(p[0].initrd, "initramfs.cpio.gz");
	assert_string_equal(p[0].cmdline, "console=hvc0 quiet");
	assert_string_equal(p[0].console, "com1");
	assert_true(p[0].mem_rest && p[0].control && p[0].devices);
	assert_int_equal(p[0].mem_bytes, 0);
	assert_int_equal(p[0].priority, 8);
	assert_int_equal(p[0].shadow_pages, 2048);
	assert_int_equal(p[0].vcpus, 1);
	assert_int_equal(p[0].nmodules, 0);

	assert_string_equal(p[1].name, "lua");
	assert_int_equal(p[1].kind, MANIFEST_UNIKERNEL);
	assert_false(p[1].mem_rest || p[1].control || p[1].devices);
	assert_int_equal(p[1].mem_bytes, 0x200000);
	assert_int_equal(p[1].priority, 31);
	assert_string_equal(p[1].initrd, "");
	assert_string_equal(p[1].console, "");
	assert_int_equal(p[1].vcpus, 1);
	assert_int_equal(p[1].nmodules, 2);
	assert_string_equal(p[1].modules[0], "demo.lua");
	assert_string_equal(p[1].modules[1], "lib/Two+2.lua");

	assert_int_equal(p[2].kind, MANIFEST_TEST);
	assert_string_equal(p[2].image, "tests/probe.elf");
	assert_int_equal(p[2].mem_bytes, 0x80000);
	assert_string_equal(p[2].cmdline, "");

	assert_int_equal(m.nchans, 2);
	assert_string_equal(m.chans[0].name, "lua");
	assert_int_equal(m.chans[0].server, 0);
	assert_int_equal(m.chans[0].client, 1);
	assert_int_equal(m.chans[0].window, 0x100000);
	assert_int_equal(m.chans[1].server, 1);
	assert_int_equal(m.chans[1].client, 2);
}

static void what_follows_a_lost_control_is_one_of_three(void **state)
{
	static const char *const words[] = { "continue", "poweroff", "restart" };
	char to[64];
	size_t len;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		char *text;
		void *fdt;

		snprintf(to, sizeof(to), "on-control-lost = \"%s\"; partitions {", words[i]);
		text = dts_replace(dts_good, "partitions {", to);
		fdt = dts_compile(text, "", &len);
		assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
		assert_int_equal(m.control_lost, MANIFEST_CONTINUE + i);
		free(fdt);
		free(text);
	}
}

static void a_budget_is_read_as_written(void **state)
{
	char *text = dts_replace(dts_good, "vcpus = <1>", "budget = <200 1000>");
	size_t len;
	void *fdt = dts_compile(text, "", &len);

	(void)state;
	assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
	assert_int_equal(m.parts[0].budget_us[0], 200);
	assert_int_equal(m.parts[0].budget_us[1], 1000);
	assert_int_equal(m.parts[1].budget_us[1], 0);
	free(fdt);
	free(text);
}

static void shipped_manifest_is_accepted(void **state)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen("images/system.dts", "r");
	size_t len;
	void *fdt;

	(void)state;
	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	fdt = dts_compile(text, "", &len);
	if (manifest_parse(fdt, len, &m, &e))
		fail_msg("%s: %s: %s", e.node, e.prop, e.msg);
	free(fdt);
	free(text);
}

static void channels_may_be_missing(void **state)
{
	static const char text[] = "/dts-v1/; / { compatible = \"keel,system-1\"; partitions { a {"
				   "kind = \"test\"; image = \"a\"; memory-rest; priority = <1>;"
				   "shadow-pages = <64>; }; }; };";
	size_t len;
	void *fdt = dts_compile(text, "", &len);

	(void)state;
	assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
	assert_int_equal(m.nchans, 0);
	free(fdt);
}

#define UTF8	"gr\303\274n \342\202\254 \360\237\214\261"

static void every_allowed_character_is_accepted(void **state)
{
	static const char file[] = "AZaz09-_+/Z.z", name[] = "az09-_";
	char *a = dts_replace(dts_good, "tests/probe.elf", file);
	char *b = dts_replace(a, "probe {", "az09-_ {");
	char *c = dts_replace(b, "client = \"probe\"", "client = \"az09-_\"");
	char *text = dts_replace(c, "console=hvc0 quiet", " !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~ " UTF8);
	size_t len;
	void *fdt = dts_compile(text, "", &len);

	(void)state;
	if (manifest_parse(fdt, len, &m, &e))
		fail_msg("%s: %s: %s", e.node, e.prop, e.msg);
	assert_string_equal(m.parts[2].image, file);
	assert_string_equal(m.parts[2].name, name);
	assert_string_equal(m.parts[0].cmdline, " !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~ " UTF8);
	free(fdt);
	free(text);
	free(c);
	free(b);
	free(a);
}

/* Files in a cpio archive are only 4-byte aligned. */
static void alignment_does_not_matter(void **state)
{
	static struct manifest aligned;
	size_t len;
	void *fdt = dts_compile(dts_good, "", &len);
	char *block = malloc(len + 7);

	(void)state;
	assert_int_equal(manifest_parse(fdt, len, &aligned, &e), 0);
	for (unsigned int shift = 1; shift < 8; shift++) {
		memcpy(block + shift, fdt, len);
		assert_int_equal(manifest_parse(block + shift, len, &m, &e), 0);
		assert_memory_equal(&m, &aligned, sizeof(m));
	}
	free(block);
	free(fdt);
}

/* Bytes after the tree (a padded file) are not part of it. */
static void trailing_bytes_are_ignored(void **state)
{
	size_t len;
	char *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	fdt = realloc(fdt, len + 100);
	memset(fdt + len, 0xff, 100);
	assert_int_equal(manifest_parse(fdt, len + 100, &m, &e), 0);
	free(fdt);
}

/* ---- Refused: the good manifest with one text replaced ------------------------------------------ */

#define X32	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define TINY(n)	n " { kind = \"test\"; image = \"t\"; memory = /bits/ 64 <0x80000>;" \
		"priority = <0>; shadow-pages = <64>; };"
#define TCHAN(n) n " { server = \"lua\"; client = \"probe\"; window = /bits/ 64 <0x1000>; };"

static const struct refusal {
	const char *what, *from, *to, *node, *prop, *msg;
} refusals[] = {
	/* the tree */
	{ "root_without_compatible", "compatible = \"keel,system-1\";", "", "/", "compatible", "missing" },
	{ "root_of_other_version", "keel,system-1", "keel,system-2", "/", "compatible", "should be" },
	{ "root_with_unknown_property", "partitions {", "model = \"x\"; partitions {", "/", "model",
	  "unknown property" },
	{ "root_with_unknown_node", "channels {", "chosen { }; channels {", "/chosen", "", "unknown node" },
	{ "memory_reservation", "/dts-v1/;", "/dts-v1/; /memreserve/ 0x1000 0x1000;", "/", "",
	  "reservations" },
	{ "property_of_partitions", "partitions {", "partitions { x;", "/partitions", "x",
	  "unknown property" },
	{ "property_of_channels", "channels {", "channels { #address-cells = <1>;", "/channels",
	  "#address-cells", "unknown property" },
	{ "unknown_end", "partitions {", "on-control-lost = \"sleep\"; partitions {", "/", "on-control-lost",
	  "unknown word: sleep" },
	{ "end_not_a_string", "partitions {", "on-control-lost = <1>; partitions {", "/", "on-control-lost",
	  "not one string" },
	{ "nodes_nested_too_deep", "\"com1\";", "\"com1\"; a { b { }; };", "/", "", "nested too deep" },
	{ "node_in_partition", "\"com1\";", "\"com1\"; cpu { };", LINUX, "", "unknown node in it: cpu" },
	{ "node_in_channel", "<0x100000>;", "<0x100000>; a { };", CHAN, "", "unknown node in it: a" },
	/* partitions: presence */
	{ "unknown_property", "control;", "contol;", LINUX, "contol", "unknown property" },
	{ "kind_missing", "kind = \"linux\";", "", LINUX, "kind", "missing" },
	{ "image_missing", "image = \"lua.elf\";", "", LUA, "image", "missing" },
	{ "priority_missing", "priority = <31>;", "", LUA, "priority", "missing" },
	{ "shadow_pages_missing", "shadow-pages = <64>;", "", LUA, "shadow-pages", "missing" },
	{ "memory_missing", "memory = /bits/ 64 <0x200000>;", "", LUA, "memory", "missing" },
	{ "memory_missing_for_test", "memory = /bits/ 64 <0x80000>;", "", PROBE, "memory", "missing" },
	{ "devices_missing_for_linux", "devices;", "", LINUX, "devices", "missing" },
	{ "memory_rest_missing_for_linux", "memory-rest;", "", LINUX, "memory-rest", "missing" },
	/* partitions: what a kind may have */
	{ "linux_with_fixed_memory", "memory-rest;", "memory-rest; memory = /bits/ 64 <0x200000>;", LINUX,
	  "memory", "not allowed" },
	{ "linux_with_modules", "memory-rest;", "memory-rest; modules = \"a\";", LINUX, "modules",
	  "not allowed" },
	{ "unikernel_with_initrd", "modules =", "initrd = \"x\"; modules =", LUA, "initrd", "not allowed" },
	{ "unikernel_with_devices", "modules =", "devices; modules =", LUA, "devices", "not allowed" },
	{ "unikernel_with_memory_rest", "memory = /bits/ 64 <0x200000>;",
	  "memory = /bits/ 64 <0x200000>; memory-rest;", LUA, "memory-rest", "not allowed" },
	{ "memory_and_memory_rest", "memory = /bits/ 64 <0x80000>;",
	  "memory = /bits/ 64 <0x80000>; memory-rest;", PROBE, "memory", "both" },
	{ "memory_rest_twice", "memory = /bits/ 64 <0x80000>;", "memory-rest;", PROBE, "memory-rest",
	  "already given to: linux" },
	{ "devices_twice", "priority = <0>;", "priority = <0>; devices;", PROBE, "devices",
	  "already given to: linux" },
	/* partitions: values */
	{ "kind_unknown", "\"unikernel\"", "\"windows\"", LUA, "kind", "unknown kind: windows" },
	{ "kind_not_a_string", "kind = \"test\"", "kind = <1>", PROBE, "kind", "not one string" },
	{ "kind_empty", "kind = \"test\"", "kind", PROBE, "kind", "not one string" },
	{ "kind_list", "kind = \"test\"", "kind = \"test\", \"linux\"", PROBE, "kind", "not one string" },
	{ "image_empty", "\"lua.elf\"", "\"\"", LUA, "image", "empty" },
	{ "image_too_long", "\"lua.elf\"", "\"" X32 "\"", LUA, "image", "too long" },
	{ "image_with_odd_character", "\"lua.elf\"", "\"lua elf\"", LUA, "image", "character" },
	{ "image_outside", "\"lua.elf\"", "\"../lua.elf\"", LUA, "image", "character" },
	{ "image_absolute", "\"lua.elf\"", "\"/lua.elf\"", LUA, "image", "character" },
	{ "image_directory", "\"lua.elf\"", "\"lua/\"", LUA, "image", "character" },
	{ "image_bytes", "\"lua.elf\"", "[01 02 03]", LUA, "image", "not one string" },
	{ "initrd_list", "\"initramfs.cpio.gz\"", "\"a\", \"b\"", LINUX, "initrd", "not one string" },
	{ "cmdline_with_control_character", "lua /boot", "lua\\n/boot", LUA, "cmdline", "character" },
	{ "cmdline_with_high_character", "lua /boot", "lua\\xff/boot", LUA, "cmdline", "character" },
	{ "cmdline_with_cut_character", "lua /boot", "lua \\xe2\\x82 /boot", LUA, "cmdline", "character" },
	{ "cmdline_with_c1_control", "lua /boot", "lua \\xc2\\x9b/boot", LUA, "cmdline", "character" },
	{ "cmdline_with_tab", "lua /boot", "lua\\t/boot", LUA, "cmdline", "character" },
	{ "cmdline_number", "\"lua /boot/demo.lua\"", "<7 8>", LUA, "cmdline", "not one string" },
	{ "console_too_long", "\"com1\"", "\"" X32 "\"", LINUX, "console", "too long" },
	{ "console_with_odd_character", "\"com1\"", "\"COM1\"", LINUX, "console", "character" },
	{ "memory_32_bits", "/bits/ 64 <0x200000>", "<0x200000>", LUA, "memory", "64-bit" },
	{ "memory_two_cells_too_many", "/bits/ 64 <0x200000>", "/bits/ 64 <0 0x200000>", LUA, "memory",
	  "64-bit" },
	{ "memory_empty", "memory = /bits/ 64 <0x200000>", "memory", LUA, "memory", "64-bit" },
	{ "memory_not_page_multiple", "<0x200000>", "<0x200001>", LUA, "memory", "multiple of 4096" },
	{ "memory_too_small", "<0x80000>", "<0x7f000>", PROBE, "memory", "too small" },
	{ "memory_zero", "<0x80000>", "<0>", PROBE, "memory", "too small" },
	{ "memory_too_large", "<0x200000>", "<0x10000001000>", LUA, "memory", "too large" },
	{ "memory_near_overflow", "<0x200000>", "<0xfffffffffffff000>", LUA, "memory", "too large" },
	{ "memory_rest_with_value", "memory-rest;", "memory-rest = <1>;", LINUX, "memory-rest",
	  "takes no value" },
	{ "control_with_value", "control;", "control = \"yes\";", LINUX, "control", "takes no value" },
	{ "priority_too_high", "<31>", "<32>", LUA, "priority", "too large; most is 31" },
	{ "priority_negative", "<31>", "<0xffffffff>", LUA, "priority", "too large" },
	{ "priority_64_bits", "<31>", "/bits/ 64 <31>", LUA, "priority", "32-bit" },
	{ "priority_text", "<31>", "\"31\"", LUA, "priority", "32-bit" },
	{ "shadow_pages_too_few", "<64>", "<63>", LUA, "shadow-pages", "too small; least is 64" },
	{ "shadow_pages_too_many", "<65536>", "<65537>", PROBE, "shadow-pages", "too large" },
	{ "vcpus_too_many", "vcpus = <1>", "vcpus = <65>", LINUX, "vcpus", "too large; most is 64" },
	{ "cpus_too_high", "vcpus = <1>", "cpus = <0 64>", LINUX, "cpus", "too large; most is 63" },
	{ "cpus_twice", "vcpus = <1>", "cpus = <1 2 1>", LINUX, "cpus", "twice the same CPU: 1" },
	{ "cpus_empty", "vcpus = <1>", "cpus", LINUX, "cpus", "list of 32-bit numbers" },
	{ "cpus_text", "vcpus = <1>", "cpus = \"all\"", LINUX, "cpus", "too large" },
	{ "budget_one", "vcpus = <1>", "budget = <200>", LINUX, "budget", "not two 32-bit numbers; bytes: 4" },
	{ "budget_above_period", "vcpus = <1>", "budget = <1001 1000>", LINUX, "budget", "the period is too short" },
	{ "budget_short_period", "vcpus = <1>", "budget = <20 99>", LINUX, "budget", "the period is too short" },
	{ "budget_small", "vcpus = <1>", "budget = <9 100>", LINUX, "budget", "too small; least is 10" },
	{ "budget_none", "vcpus = <1>", "budget = <0 1000>", LINUX, "budget", "too small; least is 10" },
	{ "budget_long_period", "vcpus = <1>", "budget = <10 10000001>", LINUX, "budget", "too large; most is 10000000" },
	{ "budget_huge", "vcpus = <1>", "budget = <0xffffffff 0xffffffff>", LINUX, "budget", "too large; most is 10000000" },
	{ "vcpus_none", "vcpus = <1>", "vcpus = <0>", LINUX, "vcpus", "too small" },
	{ "modules_too_many", "\"demo.lua\"", "\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"", LUA,
	  "modules", "too many" },
	{ "modules_twice_the_same", "lib/Two+2.lua", "demo.lua", LUA, "modules", "twice" },
	{ "modules_empty", "modules = \"demo.lua\", \"lib/Two+2.lua\"", "modules", LUA, "modules", "empty" },
	{ "modules_not_terminated", "\"lib/Two+2.lua\"", "[61 62]", LUA, "modules", "not terminated" },
	{ "modules_empty_name", "\"demo.lua\"", "\"\"", LUA, "modules", "empty" },
	{ "modules_name_too_long", "\"demo.lua\"", "\"" X32 "\"", LUA, "modules", "too long" },
	/* names */
	{ "name_too_long", "probe {", X32 " {", "/partitions/" X32, "", "name too long" },
	{ "name_with_unit_address", "probe {", "probe@1 {", "/partitions/probe@1", "", "character" },
	{ "name_with_upper_case", "probe {", "Probe {", "/partitions/Probe", "", "character" },
	{ "name_of_the_metakernel", "probe {", "keel {", "/partitions/keel", "", "metakernel's own" },
	{ "name_starts_with_dash", "probe {", "-probe {", "/partitions/-probe", "", "character" },
	{ "too_many_partitions", "probe {", TINY("a") TINY("b") TINY("c") TINY("d") TINY("e") TINY("f")
	  "probe {", "/partitions", "", "too many" },
	/* channels */
	{ "channel_unknown_property", "client = \"lua\";", "client = \"lua\"; size = <1>;", CHAN, "size",
	  "unknown property" },
	{ "channel_without_server", "server = \"linux\";", "", CHAN, "server", "missing" },
	{ "channel_without_client", "client = \"lua\";", "", CHAN, "client", "missing" },
	{ "channel_without_window", "window = /bits/ 64 <0x100000>;", "", CHAN, "window", "missing" },
	{ "channel_to_nobody", "client = \"lua\"", "client = \"luna\"", CHAN, "client",
	  "no such partition: luna" },
	{ "channel_from_nobody", "server = \"linux\"", "server = \"Linux\"", CHAN, "server",
	  "no such partition" },
	{ "channel_to_itself", "client = \"lua\"", "client = \"linux\"", CHAN, "client", "same partition" },
	{ "channel_server_number", "server = \"linux\"", "server = <0>", CHAN, "server", "not one string" },
	{ "window_zero", "<0x100000>", "<0>", CHAN, "window", "too small" },
	{ "window_not_page_multiple", "<0x100000>", "<0x100800>", CHAN, "window", "multiple of 4096" },
	{ "window_too_large", "<0x100000>", "<0x40001000>", CHAN, "window", "too large" },
	{ "window_32_bits", "/bits/ 64 <0x100000>", "<0x100000>", CHAN, "window", "64-bit" },
	{ "window_larger_than_server", "<0x1000>", "<0x200000>", "/channels/back", "window",
	  "server's memory" },
	{ "channel_name_odd", "back {", "back@0 {", "/channels/back@0", "", "character" },
	{ "too_many_channels", "back {", TCHAN("c1") TCHAN("c2") TCHAN("c3") TCHAN("c4") TCHAN("c5")
	  TCHAN("c6") TCHAN("c7") TCHAN("c8") TCHAN("c9") TCHAN("d1") TCHAN("d2") TCHAN("d3") TCHAN("d4")
	  TCHAN("d5") TCHAN("d6") "back {", "/channels", "", "too many" },
};

static void is_refused(void **state)
{
	const struct refusal *c = *state;
	char *text = dts_replace(dts_good, c->from, c->to);
	size_t len;
	void *fdt = dts_compile(text, "", &len);

	assert_refused(manifest_parse(fdt, len, &m, &e), c->node, c->prop, c->msg);
	free(fdt);
	free(text);
}

/* ---- Refused: what takes more than one text ----------------------------------------------------------- */

static void no_partition_is_refused(void **state)
{
	static const char *const texts[] = {
		"/dts-v1/; / { compatible = \"keel,system-1\"; };",
		"/dts-v1/; / { compatible = \"keel,system-1\"; partitions { }; };",
	};

	(void)state;
	for (size_t i = 0; i < NELEM(texts); i++) {
		size_t len;
		void *fdt = dts_compile(texts[i], "", &len);

		assert_refused(manifest_parse(fdt, len, &m, &e), "/partitions", "", "no partition");
		free(fdt);
	}
}

static void overlong_cmdline_is_refused(void **state)
{
	char *line = calloc(1, 2100), *text;
	size_t len;
	void *fdt;

	(void)state;
	for (size_t n = 2047; n <= 2048; n++) {
		memset(line, 'x', n);
		text = dts_replace(dts_good, "lua /boot/demo.lua", line);
		fdt = dts_compile(text, "", &len);
		if (n == 2047)
			assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
		else
			assert_refused(manifest_parse(fdt, len, &m, &e), LUA, "cmdline", "too long");
		free(fdt);
		free(text);
	}
	free(line);
}

static void second_linux_is_refused(void **state)
{
	char *once = dts_replace(dts_good, "\"test\"", "\"linux\"");
	char *text = dts_replace(once, "memory = /bits/ 64 <0x80000>;", "memory-rest; devices;");
	size_t len;
	void *fdt = dts_compile(text, "", &len);

	(void)state;
	assert_refused(manifest_parse(fdt, len, &m, &e), PROBE, "kind", "second linux beside: linux");
	free(fdt);
	free(text);
	free(once);
}

/* ---- Does it fit? ------------------------------------------------------------------------------- */

static void oversized_memory_is_refused(void **state)
{
	uint64_t parts = 0x200000 + 0x80000 + (2048ull + 64 + 65536) * 4096;
	size_t len;
	void *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
	free(fdt);
	assert_int_equal(manifest_fits(&m, parts + MANIFEST_MIN_REST, &e), 0);
	assert_int_equal(manifest_fits(&m, parts + MANIFEST_MIN_REST - 1, &e), -KEEL_ENOMEM);
	assert_refused(-1, LINUX, "memory-rest", "needs 65536 KiB, left are 65535 KiB");
	assert_int_equal(manifest_fits(&m, parts - 1, &e), -KEEL_ENOMEM);
	assert_refused(-1, PROBE, "shadow-pages", "not enough memory");
	assert_int_equal(manifest_fits(&m, 0x200000, &e), -KEEL_ENOMEM);
	assert_refused(-1, LINUX, "shadow-pages", "not enough memory");
	assert_int_equal(manifest_fits(&m, 2048 * 4096 + 0x1ff000, &e), -KEEL_ENOMEM);
	assert_refused(-1, LUA, "memory", "needs 2048 KiB, left are 2044 KiB");
	assert_int_equal(manifest_fits(&m, 0, &e), -KEEL_ENOMEM);

	/* The shadow pages are each vCPU's. */
	m.parts[2].vcpus = 2;
	assert_int_equal(manifest_fits(&m, parts + MANIFEST_MIN_REST, &e), -KEEL_ENOMEM);
	parts += (uint64_t)m.parts[2].shadow_pages * 4096;
	assert_int_equal(manifest_fits(&m, parts + MANIFEST_MIN_REST, &e), 0);
	assert_int_equal(manifest_fits(&m, parts + MANIFEST_MIN_REST - 1, &e), -KEEL_ENOMEM);

	/* Eight times a terabyte must not wrap into something small. */
	for (unsigned int i = 0; i < m.nparts; i++)
		m.parts[i].mem_bytes = UINT64_MAX - 4095;
	assert_int_equal(manifest_fits(&m, UINT64_MAX, &e), -KEEL_ENOMEM);
}

/* The quota is the most; a machine that needs less gives less, and only to who has what is left. */
static void pools_are_sized_by_memory(void **state)
{
	static const struct { uint64_t ram; uint32_t pages; } cases[] = {
		{ 0, 256 }, { 64UL << 20, 256 }, { 1UL << 30, 384 }, { 4UL << 30, 1536 }, { 8UL << 30, 2048 },
		{ 1UL << 40, 2048 }, { UINT64_MAX, 2048 },
	};
	struct manifest sized = { .nparts = 3 };

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		sized.parts[0] = (struct manifest_part) { .mem_rest = true, .shadow_pages = 2048, .vcpus = 1 };
		sized.parts[1] = (struct manifest_part) { .mem_bytes = 1 << 21, .shadow_pages = 2048, .vcpus = 2 };
		sized.parts[2] = (struct manifest_part) { .mem_rest = true, .shadow_pages = 64, .vcpus = 64 };
		manifest_size_pools(&sized, cases[i].ram);
		assert_int_equal(sized.parts[0].shadow_pages, cases[i].pages);
		assert_int_equal(sized.parts[1].shadow_pages, 2048);
		assert_int_equal(sized.parts[2].shadow_pages, 64);
	}
}

/* What one vCPU would get is shared by several, but none gets less than the least. */
static void pools_are_shared_by_vcpus(void **state)
{
	static const struct { uint32_t vcpus, pages; } cases[] = {
		{ 1, 1536 }, { 2, 768 }, { 4, 384 }, { 6, 256 }, { 7, 256 }, { 64, 256 },
	};
	struct manifest sized = { .nparts = 1 };

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		sized.parts[0] = (struct manifest_part) { .mem_rest = true, .shadow_pages = 2048, .vcpus = cases[i].vcpus };
		manifest_size_pools(&sized, 4UL << 30);
		assert_int_equal(sized.parts[0].shadow_pages, cases[i].pages);
	}
}

/* Linux gets a vCPU a CPU; who holds the devices at most that many, others as many as they want. */
static void vcpus_are_placed_on_the_cpus_there_are(void **state)
{
	static const struct { uint32_t kind; bool devices; uint32_t wants; unsigned int ncpus; uint32_t gets; bool fits; } cases[] = {
		{ MANIFEST_LINUX, true, 0, 1, 1, true }, { MANIFEST_LINUX, true, 0, 64, 64, true },
		{ MANIFEST_LINUX, true, 2, 4, 2, true }, { MANIFEST_LINUX, true, 4, 4, 4, true },
		{ MANIFEST_LINUX, true, 5, 4, 4, false }, { MANIFEST_TEST, true, 64, 1, 1, false },
		{ MANIFEST_UNIKERNEL, false, 1, 4, 1, true }, { MANIFEST_UNIKERNEL, false, 64, 1, 64, true },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct manifest_part p = { .kind = cases[i].kind, .devices = cases[i].devices, .vcpus = cases[i].wants };

		assert_int_equal(!manifest_place(&p, UINT64_MAX >> (64 - cases[i].ncpus)), cases[i].fits);
		assert_int_equal(p.vcpus, cases[i].gets);
	}
}

/* `cpus` says where: CPUs that are not there are named and left out; with devices one vCPU a CPU at most. */
static void cpus_are_those_that_there_are(void **state)
{
	static const struct {
		bool devices; uint32_t wants; uint64_t cpus; unsigned int ncpus; uint32_t gets; uint64_t on; const char *why;
	} cases[] = {
		{ true, 0, 0x5, 4, 2, 0x5, NULL }, { true, 2, 0x5, 4, 2, 0x5, NULL },
		{ true, 3, 0x5, 4, 2, 0x5, "vcpus: more than CPUs" }, { false, 3, 0x5, 4, 3, 0x5, NULL },
		{ true, 0, 0x5, 2, 1, 0x1, "cpus: some of them are not there" },
		{ false, 1, 0x8, 2, 1, 0, "cpus: some of them are not there" },
		{ false, 2, 1UL << 63, 64, 2, 1UL << 63, NULL },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct manifest_part p = { .devices = cases[i].devices, .vcpus = cases[i].wants, .cpus = cases[i].cpus };
		const char *why = manifest_place(&p, UINT64_MAX >> (64 - cases[i].ncpus));

		assert_true(!why == !cases[i].why && (!why || !strcmp(why, cases[i].why)));
		assert_int_equal(p.vcpus, cases[i].gets);
		assert_int_equal(p.cpus, cases[i].on);
	}
}

static void a_list_of_cpus_is_read(void **state)
{
	char *text = dts_replace(dts_good, "vcpus = <1>;", "cpus = <3 0 63>;");
	size_t len;
	void *fdt = dts_compile(text, "", &len);

	(void)state;
	assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
	assert_int_equal(m.parts[0].cpus, 1UL << 63 | 9);
	assert_int_equal(m.parts[1].cpus, 0);
	free(fdt);
	free(text);
}

/* Who says nothing has one, but Linux has as many as the machine (manifest_place()). */
static void vcpus_may_be_missing(void **state)
{
	static const struct { const char *to; uint32_t count; } cases[] = { { "", 0 }, { "vcpus = <64>;", 64 } };

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		char *text = dts_replace(dts_good, "vcpus = <1>;", cases[i].to);
		size_t len;
		void *fdt = dts_compile(text, "", &len);

		assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
		for (unsigned int n = 0; n < m.nparts; n++)
			assert_int_equal(m.parts[n].vcpus, m.parts[n].kind == MANIFEST_LINUX ? cases[i].count : 1);
		free(fdt);
		free(text);
	}
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(good_manifest_is_read_as_written),
		cmocka_unit_test(what_follows_a_lost_control_is_one_of_three),
		cmocka_unit_test(a_budget_is_read_as_written),
		cmocka_unit_test(shipped_manifest_is_accepted),
		cmocka_unit_test(channels_may_be_missing),
		cmocka_unit_test(every_allowed_character_is_accepted),
		cmocka_unit_test(alignment_does_not_matter),
		cmocka_unit_test(trailing_bytes_are_ignored),
		cmocka_unit_test(no_partition_is_refused),
		cmocka_unit_test(overlong_cmdline_is_refused),
		cmocka_unit_test(second_linux_is_refused),
		cmocka_unit_test(oversized_memory_is_refused),
		cmocka_unit_test(pools_are_sized_by_memory),
		cmocka_unit_test(pools_are_shared_by_vcpus),
		cmocka_unit_test(vcpus_are_placed_on_the_cpus_there_are),
		cmocka_unit_test(cpus_are_those_that_there_are),
		cmocka_unit_test(a_list_of_cpus_is_read),
		cmocka_unit_test(vcpus_may_be_missing),
	};
	static struct CMUnitTest all[NELEM(fixed) + NELEM(refusals)];

	memcpy(all, fixed, sizeof(fixed));
	for (size_t i = 0; i < NELEM(refusals); i++)
		all[NELEM(fixed) + i] = (struct CMUnitTest){
			.name = refusals[i].what,
			.test_func = is_refused,
			.initial_state = (void *)(uintptr_t)&refusals[i],
		};
	return cmocka_run_group_tests(all, NULL, NULL) ? 1 : 0;
}
