/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "cli.h"

uint64_t value_get(const struct ks_field_desc *field, const void *record, size_t size, unsigned i)
{
	size_t at = field->offset + (size_t)i * field->bytes;
	uint64_t value = 0;
	unsigned unused = 64 - 8 * field->bytes;

	if (field->bytes > 8 || at + field->bytes > size)
		return 0;
	memcpy(&value, (const char *)record + at, field->bytes);
	if (field->is_signed && unused)
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	return value;
}

int value_known(const struct ks_field_desc *field, uint64_t valid)
{
	return (valid & field->valid) == field->valid;
}

static const char *scaled(char *buf, size_t size, double value, const char *const *units,
			  double step, const char *gap)
{
	unsigned i = 0;

	/* Use the next unit for 999.96, which would be printed as 1000.0. */
	for (; units[i + 1] && fabs(value) >= step - step / 20000; i++)
		value /= step;
	if (i)
		snprintf(buf, size, "%.1f%s%s", value, gap, units[i]);
	else
		snprintf(buf, size, "%.0f%s%s", value, gap, units[i]);
	return buf;
}

const char *value_human(char *buf, size_t size, double value, unsigned unit, const char *gap)
{
	static const char *const times[] = { "ns", "us", "ms", "s", NULL };
	static const char *const sizes[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", NULL };

	switch (unit) {
	case KS_UNIT_NS:
		return scaled(buf, size, value, times, 1000, gap);
	case KS_UNIT_BYTES:
		return scaled(buf, size, value, sizes, 1024, gap);
	}
	snprintf(buf, size, "%.0f", value);
	return buf;
}

const char *value_short(char *buf, size_t size, double value, unsigned unit)
{
	static const char *const times[] = { "ns", "us", "ms", "s", NULL };
	static const char *const sizes[] = { "B", "K", "M", "G", "T", "P", NULL };
	static const char *const counts[] = { "", "K", "M", "G", "T", "P", NULL };
	const char *const *units = unit == KS_UNIT_NS    ? times :
				   unit == KS_UNIT_BYTES ? sizes :
							   counts;
	double step = unit == KS_UNIT_BYTES ? 1024 : 1000;
	unsigned i = 0;

	if (value < 0.5 || (units == counts && value < 99999.5)) {
		snprintf(buf, size, "%.0f", value);
		return buf;
	}
	for (; units[i + 1] && value >= step - 0.5; i++)
		value /= step;
	snprintf(buf, size, "%.*f%s",
		 !i || value >= 99.95 ? 0 :
		 value >= 9.995       ? 1 :
					2,
		 value, units[i]);
	return buf;
}

const char *value_name(char *buf, size_t size, const struct ks_field_desc *field)
{
	size_t length = strlen(field->name);

	if (field->unit == KS_UNIT_NS && length > 3 && !strcmp(field->name + length - 3, "_ns"))
		length -= 3;
	snprintf(buf, size, "%.*s", (int)length, field->name);
	return buf;
}

const char *value_grouped(char *buf, size_t size, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value), i;
	size_t at = 0;

	for (i = 0; i < n && at + 2 < size; i++) {
		if (i && (n - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = 0;
	return buf;
}

const char *value_clock(char *buf, size_t size, struct ks *ks, uint64_t time_ns)
{
	uint64_t mono = 0;
	int64_t wall = 0;
	struct tm tm;
	time_t seconds;
	char day[16];

	ks_read_clock(ks, &mono, &wall);
	wall += (int64_t)(time_ns - mono);
	seconds = (time_t)(wall / 1000000000);
	localtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%06d", day, (int)(wall % 1000000000 / 1000));
	return buf;
}
