// SPDX-License-Identifier: MIT
/*
 * rtc.c - the MC146818 clock in CMOS.
 *
 * We read twice until both agree and no update is under way, instead of trusting one read.
 */
#include <hal/cpu.h>
#include <hal/rtc.h>

#define CMOS_INDEX	0x70
#define CMOS_DATA	0x71
#define REG_A		0x0a
#define REG_A_UPDATE	0x80
#define REG_B		0x0b
#define REG_B_BINARY	0x04
#define REG_B_24H	0x02
#define TRIES		1000
#define UPDATE_SPINS	100000		/* an update takes up to 2 ms */

struct fields {
	uint8_t sec, min, hour, day, month, year;
};

static uint8_t cmos(uint8_t reg)
{
	hal_outb(CMOS_INDEX, reg);
	return hal_inb(CMOS_DATA);
}

static struct fields read_once(void)
{
	struct fields f;

	for (unsigned int i = 0; i < UPDATE_SPINS && (cmos(REG_A) & REG_A_UPDATE); i++)
		hal_pause();
	f.sec = cmos(0);
	f.min = cmos(2);
	f.hour = cmos(4);
	f.day = cmos(7);
	f.month = cmos(8);
	f.year = cmos(9);
	return f;
}

static bool same(const struct fields *a, const struct fields *b)
{
	return a->sec == b->sec && a->min == b->min && a->hour == b->hour &&
	       a->day == b->day && a->month == b->month && a->year == b->year;
}

static unsigned int number(uint8_t v, bool binary)
{
	return binary ? v : (v >> 4) * 10u + (v & 15);
}

/* Days since 1970-01-01 of a date 2000..2099, where every fourth year is a leap year. */
static uint64_t days(unsigned int year, unsigned int month, unsigned int day)
{
	static const uint16_t before[12] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};
	unsigned int y = year - 2000;

	return 10957 + y * 365 + (y + 3) / 4 + before[month - 1] +
	       (month > 2 && y % 4 == 0) + day - 1;
}

static uint64_t seconds(const struct fields *f, uint8_t reg_b)
{
	bool binary = (reg_b & REG_B_BINARY) != 0;
	unsigned int hour = number(f->hour & 0x7f, binary);
	unsigned int month = number(f->month, binary), day = number(f->day, binary);

	if (!(reg_b & REG_B_24H))
		hour = hour % 12 + (f->hour & 0x80 ? 12 : 0);
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23)
		return 0;
	return days(2000 + number(f->year, binary), month, day) * 86400 +
	       hour * 3600 + number(f->min, binary) * 60 + number(f->sec, binary);
}

uint64_t hal_rtc_unix_seconds(void)
{
	struct fields a = read_once();

	for (unsigned int i = 0; i < TRIES; i++) {
		struct fields b = read_once();

		if (same(&a, &b))
			return seconds(&a, cmos(REG_B));
		a = b;
	}
	return 0;
}
