// SPDX-License-Identifier: MIT
/*
 * bundle.c - reader of cpio "newc" archives.
 *
 *   +--------------------+----------------+-----+--------------+-----+
 *   | header, 110 bytes  | name, namesize | pad | data, size   | pad | next header ...
 *   +--------------------+----------------+-----+--------------+-----+
 *   ^ multiple of 4                             ^ multiple of 4      ^ multiple of 4
 *
 * The header is "070701" and 13 fields of eight hexadecimal digits.
 *
 * Invariants: pos <= len. A size is compared with what is left before it is added, so nothing
 *             overflows; fields are below 2^32 and size_t has 64 bits.
 * Trusts:     nothing in the archive. Each field is decoded once.
 */
#include "boot/bundle.h"

#include <string.h>

#include "keel/abi.h"

#define HEADER_BYTES	110
#define MAGIC		"070701"
#define MAGIC_BYTES	6
#define FIELD_BYTES	8
#define TRAILER		"TRAILER!!!"

#define MODE_FORMAT	0170000u
#define MODE_FILE	0100000u
#define MODE_DIR	0040000u

enum field {
	F_INO, F_MODE, F_UID, F_GID, F_NLINK, F_MTIME, F_FILESIZE, F_DEVMAJOR, F_DEVMINOR,
	F_RDEVMAJOR, F_RDEVMINOR, F_NAMESIZE, F_CHECK, NR_FIELDS
};

static const char *const field_names[NR_FIELDS] = {
	"c_ino", "c_mode", "c_uid", "c_gid", "c_nlink", "c_mtime", "c_filesize", "c_devmajor",
	"c_devminor", "c_rdevmajor", "c_rdevminor", "c_namesize", "c_check",
};

static_assert(HEADER_BYTES == MAGIC_BYTES + NR_FIELDS * FIELD_BYTES, "cpio header size");
static_assert(sizeof(size_t) == 8, "sums of 32-bit fields fit");

static int refuse(struct parse_error *e, const char *name, const char *field, const char *msg)
{
	return parse_fail(e, -KEEL_EINVAL, name, field, msg);
}

/* As refuse(), for what has no name yet: says where in the archive. */
static int refuse_at(struct parse_error *e, size_t pos, const char *field, const char *msg)
{
	refuse(e, "bundle", field, msg);
	parse_msg(e, " at byte ");
	parse_msg_dec(e, pos);
	return -KEEL_EINVAL;
}

static bool hex_field(const char *p, uint32_t *value)
{
	uint32_t v = 0;

	for (int i = 0; i < FIELD_BYTES; i++) {
		uint32_t digit;

		if (p[i] >= '0' && p[i] <= '9')
			digit = (uint32_t)(p[i] - '0');
		else if (p[i] >= 'a' && p[i] <= 'f')
			digit = (uint32_t)(p[i] - 'a' + 10);
		else if (p[i] >= 'A' && p[i] <= 'F')
			digit = (uint32_t)(p[i] - 'A' + 10);
		else
			return false;
		v = v << 4 | digit;
	}
	*value = v;
	return true;
}

static int read_header(const char *p, size_t pos, uint32_t *field, struct parse_error *e)
{
	if (memcmp(p, MAGIC, MAGIC_BYTES))
		return refuse_at(e, pos, "c_magic", "no cpio newc header");
	for (int i = 0; i < NR_FIELDS; i++)
		if (!hex_field(p + MAGIC_BYTES + i * FIELD_BYTES, &field[i]))
			return refuse_at(e, pos, field_names[i], "not hexadecimal");
	return 0;
}

/* What a member may be. Hard links hide their data in another member, so they are refused too. */
static int check_kind(const uint32_t *field, const char *name, struct parse_error *e)
{
	if ((field[F_MODE] & MODE_FORMAT) == MODE_DIR) {
		if (field[F_FILESIZE])
			return refuse(e, name, field_names[F_FILESIZE], "directory with data");
		return 0;
	}
	if ((field[F_MODE] & MODE_FORMAT) != MODE_FILE)
		return refuse(e, name, field_names[F_MODE], "neither file nor directory");
	if (field[F_NLINK] != 1)
		return refuse(e, name, field_names[F_NLINK], "hard link");
	return 0;
}

static int check_tail(const char *base, size_t len, size_t pos, struct parse_error *e)
{
	for (; pos < len; pos++)
		if (base[pos])
			return refuse_at(e, pos, "", "data after the end of the archive");
	return 0;
}

/* One member of any kind; *dir tells a directory. As bundle_next(). */
static int next_member(const char *base, size_t len, size_t *pos, struct bundle_file *file,
		       bool *dir, struct parse_error *e)
{
	uint32_t field[NR_FIELDS];
	size_t start = *pos, at = *pos, namesize, size, pad;
	const char *name;
	int err;

	if (at > len || len - at < HEADER_BYTES)
		return refuse_at(e, start, "", "archive ends without " TRAILER);
	err = read_header(base + at, start, field, e);
	if (err)
		return err;
	at += HEADER_BYTES;

	namesize = field[F_NAMESIZE];
	if (namesize < 2 || namesize > BUNDLE_NAME_LEN)
		return refuse_at(e, start, field_names[F_NAMESIZE], "name empty or too long");
	pad = -(at + namesize) & 3;
	if (len - at < namesize + pad)
		return refuse_at(e, start, field_names[F_NAMESIZE], "name beyond the end");
	name = base + at;
	if (strnlen(name, namesize) != namesize - 1)
		return refuse_at(e, start, field_names[F_NAMESIZE], "name not terminated there");
	at += namesize + pad;

	size = field[F_FILESIZE];
	if (!strcmp(name, TRAILER)) {
		if (size)
			return refuse(e, name, field_names[F_FILESIZE], "trailer with data");
		return check_tail(base, len, at, e);
	}
	err = check_kind(field, name, e);
	if (err)
		return err;
	pad = -size & 3;
	if (len - at < size + pad)
		return refuse(e, name, field_names[F_FILESIZE], "data beyond the end");

	if (name[0] == '.' && name[1] == '/' && name[2])
		name += 2;
	*dir = (field[F_MODE] & MODE_FORMAT) == MODE_DIR;
	*file = (struct bundle_file){ .name = name, .data = base + at, .size = size };
	*pos = at + size + pad;
	return 1;
}

int bundle_next(const void *base, size_t len, size_t *pos, struct bundle_file *file,
		struct parse_error *e)
{
	bool dir;
	int ret;

	do {
		ret = next_member(base, len, pos, file, &dir, e);
	} while (ret > 0 && dir);
	return ret;
}

int bundle_find(const void *base, size_t len, const char *name, struct bundle_file *file)
{
	struct bundle_file f;
	struct parse_error e;
	size_t pos = 0;
	int ret;

	while ((ret = bundle_next(base, len, &pos, &f, &e)) > 0) {
		if (!strcmp(f.name, name)) {
			*file = f;
			return 0;
		}
	}
	return ret ? ret : -KEEL_ENOENT;
}

/* Is the file at `pos` the first of its name? */
static bool first_of_name(const void *base, size_t len, const char *name, size_t pos)
{
	struct bundle_file f;
	struct parse_error e;
	size_t at = 0;

	while (bundle_next(base, len, &at, &f, &e) > 0 && at < pos)
		if (!strcmp(f.name, name))
			return false;
	return true;
}

int bundle_check(const void *base, size_t len, struct parse_error *e)
{
	struct bundle_file f;
	unsigned int nfiles = 0;
	size_t pos = 0;
	int ret;

	while ((ret = bundle_next(base, len, &pos, &f, e)) > 0) {
		if (++nfiles > BUNDLE_MAX_FILES)
			return parse_fail(e, -KEEL_E2BIG, f.name, "", "too many files");
		if (!first_of_name(base, len, f.name, pos))
			return refuse(e, f.name, "", "second file of this name");
	}
	if (!ret && !nfiles)
		return refuse(e, "bundle", "", "no file in it");
	return ret;
}
