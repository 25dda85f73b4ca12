// SPDX-License-Identifier: GPL-2.0-only
/* Tables in debugfs. A column that is not known here does no harm. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/stat.h>

#include "table.h"

/* Say what is in the way, and what to do about it. */
static noreturn void die_unreadable(const char *path, int error)
{
	struct stat debug, parent;

	if (error == EACCES || error == EPERM)
		errx(EXIT_FAILURE, "%s: permission denied: run ccstat as root", path);
	if (strncmp(path, DEBUGFS, strlen(DEBUGFS)))
		errx(EXIT_FAILURE, "%s: %s", path, strerror(error));
	if (stat(DEBUGFS, &debug) || stat(DEBUGFS "/..", &parent) ||
	    debug.st_dev == parent.st_dev)
		errx(EXIT_FAILURE, "debugfs is not mounted. As root:\n"
		     "\tmount -t debugfs none " DEBUGFS "\n"
		     "A kernel without CONFIG_DEBUG_FS has only the totals in\n"
		     "/sys/kernel/mm/cc_swiotlb.");
	errx(EXIT_FAILURE, "%s: not there, so cc-swiotlb does not run.\n"
	     "Boot a kernel that has CONFIG_CC_SWIOTLB=y with swiotlb=cc.\n"
	     "If that was done, this says why it does not run:\n"
	     "\tdmesg | grep cc-swiotlb", path);
}

void *not_null(void *p)
{
	if (!p)
		errx(EXIT_FAILURE, "out of memory");
	return p;
}

char *read_file(const char *dir, const char *name)
{
	size_t size = 16384;
	char *text = not_null(calloc(1, size)), path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f || (getdelim(&text, &size, '\0', f) < 0 && !feof(f)))
		die_unreadable(path, errno);
	fclose(f);
	return text;
}

/* A column too many is not known here, and left out. */
static void add_column(struct table *t, const char *name)
{
	if (t->cols < MAX_COLS)
		snprintf(t->name[t->cols++], MAX_NAME, "%s", name);
}

static double *add_row(struct table *t)
{
	size_t row = t->cols * sizeof(*t->cell);

	t->cell = not_null(realloc(t->cell, (t->rows + 1) * row));
	return memset(t->cell + t->rows++ * t->cols, 0, row);
}

void read_table(struct table *t, const char *dir, const char *file)
{
	char *text = read_file(dir, file), *next = text, *line, *save;

	while ((line = strsep(&next, "\n"))) {
		char *word = strtok_r(line, " ", &save);
		unsigned int col = 0;
		double *row;

		if (!t->cols) {
			for (; word; word = strtok_r(NULL, " ", &save))
				add_column(t, word);
			continue;
		}
		if (word)
			row = add_row(t);
		for (; word && col < t->cols; word = strtok_r(NULL, " ", &save))
			row[col++] = strtod(word, NULL);
	}
	free(text);
}

/* Lines "name value", or those "prefix name value" that have this prefix */
void read_pairs(struct table *t, const char *dir, const char *file,
		const char *prefix)
{
	char *text = read_file(dir, file), *next = text, *line;

	t->cell = not_null(calloc(MAX_COLS + 1, sizeof(*t->cell)));
	t->rows = 1;
	while ((line = strsep(&next, "\n"))) {
		char word[3][MAX_NAME];
		int n = sscanf(line, "%31s %31s %31s", word[0], word[1], word[2]);
		int name = prefix ? 1 : 0;

		if (n != name + 2 || (prefix && strcmp(word[0], prefix)))
			continue;
		t->cell[t->cols] = strtod(word[name + 1], NULL);
		add_column(t, word[name]);
	}
	free(text);
}

int find_column(const struct table *t, const char *name)
{
	for (unsigned int i = 0; i < t->cols; i++)
		if (!strcmp(t->name[i], name))
			return i;
	return -1;
}

/* 0 if there is no such row or column */
double get(const struct table *t, unsigned int row, const char *name)
{
	int col = find_column(t, name);

	return col < 0 || row >= t->rows ? 0 : t->cell[row * t->cols + col];
}
