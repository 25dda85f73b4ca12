// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of cc_swiotlb= on the command line. What is wrong is refused one
 * token at a time, by name, and the rest is used.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <linux/ctype.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "options.h"

#define CC_ALL_CLASSES	GENMASK(CC_SLOT_MAX_SHIFT, CC_SLOT_MIN_SHIFT)
/* One slot in use and one to come: the mappings of all devices always progress. */
#define CC_CHUNK_MARK	2

/* The classes that a list of plain numbers stands for. */
static const u8 mark_shift[] = { 9, 11, 12, 14, 19, 21 };

/* What is left to the reserve if all marks are held; 0 also if they need more than there is. */
static unsigned long beside_marks(const struct cc_options *opts)
{
	u64 kept = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (opts->classes & BIT(CC_SLOT_MIN_SHIFT + i))
			kept += cc_mark_bytes(CC_SLOT_MIN_SHIFT + i, opts->mark[i]);
	return opts->max - min_t(u64, kept, opts->max);
}

/* Memory is shared in pieces of this size. */
static void round_options(struct cc_options *opts)
{
	opts->max = round_down(opts->max, BIT(CC_FRAME_SHIFT));
	opts->min = round_down(opts->min, BIT(CC_FRAME_SHIFT));
	opts->reserve = round_down(opts->reserve, BIT(CC_FRAME_SHIFT));
}

/**
 * cc_options_default() - what is used where the command line says nothing
 * @opts: receives the options
 * @ram: memory of the machine in bytes
 *
 * Context: any.
 */
void cc_options_default(struct cc_options *opts, unsigned long ram)
{
	*opts = (struct cc_options){
		.classes = CC_ALL_CLASSES,
		.max = ram / 4,
		.reserve = clamp(ram / 4096, SZ_8M, SZ_64M),
	};
	round_options(opts);
	opts->mark[CC_CHUNK_CLASS] = CC_CHUNK_MARK;
	opts->reserve = min(opts->reserve, beside_marks(opts));
}

/**
 * cc_parse_number() - read a decimal number, or a hexadecimal one that begins with 0x
 * @str: text; a zero in front makes nothing octal
 * @val: receives the number
 *
 * Context: any.
 * Return: 0, or what kstrtoul() says.
 */
int cc_parse_number(const char *str, unsigned long *val)
{
	return kstrtoul(str, strncasecmp(str, "0x", 2) ? 10 : 16, val);
}

/**
 * cc_parse_size() - read a number with K, M, G, T or P behind it
 * @str: text
 * @size: receives the number
 *
 * What does not fit is ULONG_MAX, and not something that does, as with memparse().
 *
 * Context: any.
 * Return: what follows in @str, or NULL if there is no such number.
 */
const char *cc_parse_size(const char *str, unsigned long *size)
{
	static const char units[] = "KMGTP";
	size_t len = strspn(str, "0123456789xXabcdefABCDEF");
	unsigned long val;
	const char *unit;
	char number[32];
	int err;

	if (len >= sizeof(number))
		return NULL;
	strscpy(number, str, len + 1);
	err = cc_parse_number(number, &val);
	if (err && err != -ERANGE)
		return NULL;
	str += len;
	unit = *str ? strchr(units, toupper(*str)) : NULL;
	if (err || check_shl_overflow(val, unit ? 10 * (unit - units + 1) : 0, size))
		*size = ULONG_MAX;
	return unit ? str + 1 : str;
}

/* A number of bytes, or of percent of @ram. */
static bool parse_bytes(const char *str, unsigned long ram,
			unsigned long *bytes)
{
	unsigned long val;

	str = cc_parse_size(str, &val);
	if (str && !strcmp(str, "%")) {
		if (val > 100)
			return false;
		*bytes = ram / 100 * val;
		return true;
	}
	if (!str || *str || val > ram)
		return false;
	*bytes = val;
	return true;
}

/* What drivers are told will work must be possible. */
static bool parse_max(const char *str, unsigned long ram, unsigned long *max)
{
	unsigned long bytes;

	if (!parse_bytes(str, ram, &bytes) || bytes < CC_MAX_LEAST)
		return false;
	*max = bytes;
	return true;
}

/* Slot sizes separated by colons. That of a chunk is always part of the table. */
static bool parse_classes(char *str, unsigned long *classes)
{
	unsigned long mask = BIT(CC_CHUNK_SHIFT);
	const char *size, *end;

	while ((size = strsep(&str, ":"))) {
		unsigned long val;

		end = cc_parse_size(size, &val);
		if (!end || *end || !is_power_of_2(val) ||
		    !(val & CC_ALL_CLASSES))
			return false;
		mask |= val;
	}
	*classes = mask;
	return true;
}

/* The @nr'th plain number: slots of the @nr'th class of mark_shift[]. */
static bool parse_mark(struct cc_options *opts, const char *str,
		       unsigned long ram, unsigned int nr)
{
	unsigned int shift;
	unsigned long val;

	if (nr >= ARRAY_SIZE(mark_shift) || cc_parse_number(str, &val))
		return false;
	shift = mark_shift[nr];
	if (val > ram >> shift || (!val && shift == CC_CHUNK_SHIFT))
		return false;
	opts->mark[shift - CC_SLOT_MIN_SHIFT] = val;
	return true;
}

/* The value of "key=value" or "key:value", if that is the key. */
static char *value_of(char *token, const char *key)
{
	size_t len = str_has_prefix(token, key);

	if (!len || (token[len] != '=' && token[len] != ':'))
		return NULL;
	return token + len + 1;
}

static bool parse_token(struct cc_options *opts, char *token,
			unsigned long ram, unsigned int *nr_marks)
{
	char *val;

	if (*token >= '0' && *token <= '9')
		return parse_mark(opts, token, ram, (*nr_marks)++);
	val = value_of(token, "max");
	if (val)
		return parse_max(val, ram, &opts->max);
	val = value_of(token, "min");
	if (val)
		return parse_bytes(val, ram, &opts->min);
	val = value_of(token, "reserve");
	if (val)
		return parse_bytes(val, ram, &opts->reserve);
	val = value_of(token, "classes");
	if (val)
		return parse_classes(val, &opts->classes);
	return false;
}

/* What is used instead of a token that was refused. */
static void print_kept(char *buf, size_t size, const struct cc_options *opts,
		       char *token, unsigned int nr_marks)
{
	unsigned int shift, len = 0;

	strscpy(buf, "nothing", size);
	if (*token >= '0' && *token <= '9') {
		if (nr_marks > ARRAY_SIZE(mark_shift))
			return;
		shift = mark_shift[nr_marks - 1];
		scnprintf(buf, size, "%lu slots of %lu bytes",
			  opts->mark[shift - CC_SLOT_MIN_SHIFT], BIT(shift));
	} else if (value_of(token, "max")) {
		scnprintf(buf, size, "max=%luK", opts->max >> 10);
	} else if (value_of(token, "min")) {
		scnprintf(buf, size, "min=%luK", opts->min >> 10);
	} else if (value_of(token, "reserve")) {
		scnprintf(buf, size, "reserve=%luK", opts->reserve >> 10);
	} else if (value_of(token, "classes")) {
		len = scnprintf(buf, size, "classes=");
		for_each_set_bit(shift, &opts->classes, CC_SLOT_MAX_SHIFT + 1)
			len += scnprintf(buf + len, size - len, "%s%lu",
					 buf[len - 1] == '=' ? "" : ":",
					 BIT(shift));
	}
}

/**
 * cc_options_parse() - read the value of cc_swiotlb=
 * @opts: defaults in, options out
 * @str: comma-separated tokens; is modified
 * @ram: memory of the machine in bytes
 *
 * Logs one line for each token that is refused.
 *
 * Context: any.
 * Return: number of tokens refused.
 */
int cc_options_parse(struct cc_options *opts, char *str, unsigned long ram)
{
	unsigned int nr_marks = 0;
	char *token, name[48], kept[96];
	bool reserve_set = false;
	int refused = 0;

	while ((token = strsep(&str, ","))) {
		strscpy(name, token);
		if (parse_token(opts, token, ram, &nr_marks)) {
			reserve_set |= !!value_of(token, "reserve");
			continue;
		}
		print_kept(kept, sizeof(kept), opts, token, nr_marks);
		pr_warn("cc_swiotlb=: \"%s\" refused, used instead: %s; known are up to 6 numbers of slots, classes=512:..:2M, max= (2M to all RAM), min=, reserve= in bytes or %% of RAM\n",
			name, kept);
		refused++;
	}
	round_options(opts);
	/* Others must be left beside what is kept of these, and blocks must be to be had. */
	if (opts->mark[CC_NR_CLASSES - 1] &&
	    (opts->max < CC_LARGE_MAX || !(opts->classes & BIT(CC_SLOT_MAX_SHIFT)) ||
	     PAGE_SHIFT + MAX_PAGE_ORDER < CC_BLOCK_SHIFT)) {
		pr_warn("cc_swiotlb=: slots of 2M can be kept with max=%dM at least, if classes= has 2M and the page allocator so much in one piece; used instead: 0\n",
			CC_LARGE_MAX >> 20);
		opts->mark[CC_NR_CLASSES - 1] = 0;
		refused++;
	}
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		unsigned int shift = CC_SLOT_MIN_SHIFT + i;

		if (!opts->mark[i] || (opts->classes & BIT(shift)))
			continue;
		pr_warn("cc_swiotlb=: %lu slots of %lu bytes cannot be kept, since classes= has none of this size; used instead: 0\n",
			opts->mark[i], BIT(shift));
		opts->mark[i] = 0;
		refused++;
	}
	if (opts->min > opts->max) {
		pr_warn("cc_swiotlb=: min=%luK is more than max=%luK, and is lowered to it\n",
			opts->min >> 10, opts->max >> 10);
		opts->min = opts->max;
		refused++;
	}
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		unsigned int shift = CC_SLOT_MIN_SHIFT + i, instead;

		if (opts->mark[i] <= opts->max >> shift)
			continue;
		instead = i == CC_CHUNK_CLASS ? CC_CHUNK_MARK : 0;
		pr_warn("cc_swiotlb=: %lu slots of %lu bytes are more than max=%luK; used instead: %u\n",
			opts->mark[i], BIT(shift), opts->max >> 10, instead);
		opts->mark[i] = instead;
		refused++;
	}
	if (!beside_marks(opts)) {
		memset(opts->mark, 0, sizeof(opts->mark));
		opts->mark[CC_CHUNK_CLASS] = CC_CHUNK_MARK;
		pr_warn("cc_swiotlb=: the slots that are kept leave nothing of max=%luK; used instead: %u of 512K\n",
			opts->max >> 10, CC_CHUNK_MARK);
		refused++;
	}
	/* What nobody has asked for is lowered in silence. */
	if (!reserve_set)
		opts->reserve = min(opts->reserve, beside_marks(opts));
	if (opts->reserve > beside_marks(opts)) {
		pr_warn("cc_swiotlb=: max=%luK leaves no reserve=%luK beside the slots that are kept; used instead: reserve=%luK\n",
			opts->max >> 10, opts->reserve >> 10, beside_marks(opts) >> 10);
		opts->reserve = beside_marks(opts);
		refused++;
	}
	return refused;
}
