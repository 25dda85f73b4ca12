/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables in debugfs, by the names in their headers. What cannot be read ends ccstat. */
#ifndef CCSTAT_TABLE_H
#define CCSTAT_TABLE_H

#define DEBUGFS		"/sys/kernel/debug"
#define MAX_COLS	32
#define MAX_NAME	32

/* A file; "name value" lines are taken as the columns of a single row. */
struct table {
	unsigned int cols, rows;
	char name[MAX_COLS][MAX_NAME];
	double *cell;		/* the first one is 0 in the row "total" */
};

void *not_null(void *p);
char *read_file(const char *dir, const char *name);
void read_table(struct table *t, const char *dir, const char *file);
void read_pairs(struct table *t, const char *dir, const char *file,
		const char *prefix);
int find_column(const struct table *t, const char *name);
double get(const struct table *t, unsigned int row, const char *name);

#endif
