// SPDX-License-Identifier: MIT
/*
 * printf.c - a small vsnprintf.
 */
#include <stdbool.h>
#include <stdint.h>
#include "printf.h"

struct out {
	char *buf;
	size_t size;
	size_t len;		/* what would have been written */
};

struct spec {
	bool left, zero, alt, has_precision;
	size_t width, precision;
	unsigned int longs;	/* 0: int, 1: long, long long or size_t */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, size_t used, size_t width)
{
	for (; used < width; used++)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *sp, const char *s, size_t len)
{
	if (!sp->left)
		pad(o, ' ', len, sp->width);
	for (size_t i = 0; i < len; i++)
		put(o, s[i]);
	if (sp->left)
		pad(o, ' ', len, sp->width);
}

static void put_string(struct out *o, const struct spec *sp, const char *s)
{
	size_t len = 0;

	if (!s)
		s = "(null)";
	while ((!sp->has_precision || len < sp->precision) && s[len])
		len++;
	put_text(o, sp, s, len);
}

/* prefix is "-", "0x" or "". */
static void put_number(struct out *o, const struct spec *sp, uint64_t v, unsigned int base,
		       const char *digits, const char *prefix)
{
	char tmp[24];
	size_t n = 0, plen = 0;

	do {
		tmp[n++] = digits[v % base];
		v /= base;
	} while (v);
	while (prefix[plen])
		plen++;
	if (!sp->left && !sp->zero)
		pad(o, ' ', n + plen, sp->width);
	for (size_t i = 0; i < plen; i++)
		put(o, prefix[i]);
	if (!sp->left && sp->zero)
		pad(o, '0', n + plen, sp->width);
	for (size_t i = n; i > 0; i--)
		put(o, tmp[i - 1]);
	if (sp->left)
		pad(o, ' ', n + plen, sp->width);
}

static const char *parse_digits(const char *p, size_t *v)
{
	*v = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (*v < 100000)	/* wide enough for everyone, and no overflow */
			*v = *v * 10 + (size_t)(*p - '0');
	return p;
}

/* Flags, width, precision and size; returns a pointer to the conversion letter. */
static const char *parse_spec(const char *p, struct spec *sp, va_list *ap)
{
	*sp = (struct spec){ 0 };
	for (; *p == '-' || *p == '0' || *p == '#'; p++) {
		sp->left |= *p == '-';
		sp->zero |= *p == '0';
		sp->alt |= *p == '#';
	}
	if (*p == '*') {
		int w = va_arg(*ap, int);

		sp->left |= w < 0;
		sp->width = w < 0 ? 0 - (size_t)w : (size_t)w;
		p++;
	} else {
		p = parse_digits(p, &sp->width);
	}
	if (*p == '.') {
		sp->has_precision = true;
		if (p[1] == '*') {
			int n = va_arg(*ap, int);

			sp->has_precision = n >= 0;
			sp->precision = n >= 0 ? (size_t)n : 0;
			p += 2;
		} else {
			p = parse_digits(p + 1, &sp->precision);
		}
	}
	for (; *p == 'l' || *p == 'z' || *p == 'h'; p++)
		sp->longs |= *p != 'h';
	return p;
}

static void put_signed(struct out *o, const struct spec *sp, int64_t v)
{
	uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	put_number(o, sp, magnitude, 10, "0123456789", v < 0 ? "-" : "");
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { buf, size, 0 };
	struct spec sp;
	va_list ap;
	char c;

	va_copy(ap, args);
	for (const char *p = fmt; *p; p++) {
		const char *start = p;

		if (*p != '%') {
			put(&o, *p);
			continue;
		}
		p = parse_spec(p + 1, &sp, &ap);
		switch (*p) {
		case 's':
			put_string(&o, &sp, va_arg(ap, const char *));
			break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_text(&o, &sp, &c, 1);
			break;
		case 'd':
		case 'i':
			put_signed(&o, &sp, sp.longs ? va_arg(ap, long) : va_arg(ap, int));
			break;
		case 'u':
			put_number(&o, &sp, sp.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				   10, "0123456789", "");
			break;
		case 'x':
			put_number(&o, &sp, sp.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				   16, "0123456789abcdef", sp.alt ? "0x" : "");
			break;
		case 'X':
			put_number(&o, &sp, sp.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				   16, "0123456789ABCDEF", "");
			break;
		case 'p':
			put_number(&o, &sp, (uintptr_t)va_arg(ap, void *), 16, "0123456789abcdef", "0x");
			break;
		case '%':
			put(&o, '%');
			break;
		default:	/* not ours: show it */
			for (; start < p; start++)
				put(&o, *start);
			if (!*p)
				goto done;
			put(&o, *p);
		}
	}
done:
	va_end(ap);
	if (size)
		buf[o.len < size ? o.len : size - 1] = '\0';
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
