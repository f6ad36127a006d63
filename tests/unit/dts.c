// SPDX-License-Identifier: MIT
/*
 * dts.c - compile device trees inside a test. dtc is told to go on after what it calls errors (-f):
 * the tests want the trees that a careless or hostile tool would make.
 */
#include "dts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char dts_good[] =
	"/dts-v1/;\n"
	"/ {\n"
	"	compatible = \"keel,system-1\";\n"
	"	partitions {\n"
	"		linux {\n"
	"			kind = \"linux\";\n"
	"			image = \"vmlinux\";\n"
	"			initrd = \"initramfs.cpio.gz\";\n"
	"			cmdline = \"console=hvc0 quiet\";\n"
	"			memory-rest;\n"
	"			priority = <8>;\n"
	"			shadow-pages = <2048>;\n"
	"			vcpus = <1>;\n"
	"			control;\n"
	"			devices;\n"
	"			console = \"com1\";\n"
	"		};\n"
	"		lua {\n"
	"			kind = \"unikernel\";\n"
	"			image = \"lua.elf\";\n"
	"			memory = /bits/ 64 <0x200000>;\n"
	"			priority = <31>;\n"
	"			shadow-pages = <64>;\n"
	"			cmdline = \"lua /boot/demo.lua\";\n"
	"			modules = \"demo.lua\", \"lib/Two+2.lua\";\n"
	"		};\n"
	"		probe {\n"
	"			kind = \"test\";\n"
	"			image = \"tests/probe.elf\";\n"
	"			memory = /bits/ 64 <0x80000>;\n"
	"			priority = <0>;\n"
	"			shadow-pages = <65536>;\n"
	"		};\n"
	"	};\n"
	"	channels {\n"
	"		lua {\n"
	"			server = \"linux\";\n"
	"			client = \"lua\";\n"
	"			window = /bits/ 64 <0x100000>;\n"
	"		};\n"
	"		back {\n"
	"			server = \"lua\";\n"
	"			client = \"probe\";\n"
	"			window = /bits/ 64 <0x1000>;\n"
	"		};\n"
	"	};\n"
	"};\n";

static void die(const char *what)
{
	perror(what);
	abort();
}

void *dts_compile(const char *text, const char *options, size_t *len)
{
	char path[] = "/tmp/keel-dts-XXXXXX", cmd[128];
	int fd = mkstemp(path);
	FILE *f;
	char *buf;
	ssize_t n;

	if (fd < 0)
		die(path);
	snprintf(cmd, sizeof(cmd), "dtc -q -q -f %s -I dts -O dtb -o %s -", options, path);
	f = popen(cmd, "w");
	if (!f || fputs(text, f) < 0 || pclose(f))
		die(cmd);
	buf = malloc(1 << 20);
	n = buf ? read(fd, buf, 1 << 20) : -1;
	if (n <= 0)
		die("empty device tree");
	close(fd);
	unlink(path);
	*len = (size_t)n;
	buf = realloc(buf, *len);	/* exact, for the address sanitizer */
	if (!buf)
		die("realloc");
	return buf;
}

char *dts_replace(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = NULL;

	if (!at || asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) < 0)
		die(from);
	return out;
}
