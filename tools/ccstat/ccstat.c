// SPDX-License-Identifier: GPL-2.0-only
/*
 * ccstat: what the bounce buffers of cc-swiotlb do, live, as slabtop shows
 * what slab caches do.
 *
 * Reads the tables in /sys/kernel/debug/swiotlb/cc by the names in their
 * headers, so that it works with kernels whose tables have more columns. All
 * rates are differences between two samples of counters that only grow.
 */
#define _GNU_SOURCE
#include <err.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MIB		(1024.0 * 1024)
#define HISTORY		512
#define SUMMARY_LINES	6

/* What is read; the first two can be viewed. */
enum { CLASSES, CPUS, NR_VIEWS, KCCD = NR_VIEWS, NODES, BINS, SHARES, NR_TABLES };

struct sample {
	double time;		/* seconds; 0: nothing was sampled */
	struct table table[NR_TABLES];
};

/* Before RATE: as the kernel says. From there on: made of two samples. */
enum kind { VALUE, CLASS, RATE, MIB_RATE, HITS, WASTE };

struct column {
	const char *head;
	int width;
	enum kind kind;
	const char *field;	/* name in the file */
	const char *json;	/* name in our output */
};

static const struct column class_columns[] = {
	{ "CLASS", 5, CLASS, "class", NULL },
	{ "SLOTS", 7, VALUE, "slots", NULL },
	{ "IN_USE", 7, VALUE, "in_use", NULL },
	{ "HIGH", 7, VALUE, "high", NULL },
	{ "CACHED", 6, VALUE, "cached", NULL },
	{ "DEPOT", 6, VALUE, "depot", NULL },
	{ "MAPS/S", 9, RATE, "maps", "maps_per_second" },
	{ "HIT%", 5, HITS, "hits", "hit_percent" },
	{ "MIB/S", 7, MIB_RATE, "requested_bytes", "mib_per_second" },
	{ "WASTE", 5, WASTE, "slot_bytes", "waste" },
	{ "LARGER", 6, VALUE, "larger", NULL },
	{ "LEGACY", 6, VALUE, "legacy", NULL },
	{ "FAILED", 6, VALUE, "failed", NULL },
};

static const struct column cpu_columns[] = {
	{ "CPU", 5, VALUE, "cpu", NULL },
	{ "CLASS", 6, CLASS, "class", NULL },
	{ "LOADED", 6, VALUE, "loaded", NULL },
	{ "SPARE", 6, VALUE, "spare", NULL },
	{ "FOREIGN", 7, VALUE, "foreign", NULL },
	{ "MAPS/S", 9, RATE, "maps", "maps_per_second" },
	{ "UNMAPS/S", 9, RATE, "unmaps", "unmaps_per_second" },
	{ "HIT%", 5, HITS, "hits", "hit_percent" },
	{ "INBOX/S", 8, RATE, "inbox_hits", "inbox_hits_per_second" },
	{ "DEPOT/S", 8, RATE, "depot_hits", "depot_hits_per_second" },
	{ "POOL/S", 8, RATE, "pool_hits", "pool_hits_per_second" },
	{ "RESERVE", 8, VALUE, "reserve", NULL },
};

/* The first @keys columns of a view say what a row is about. */
static struct {
	const char *file;
	const struct column *col;
	unsigned int cols, keys, sort;
} view[NR_VIEWS] = {
	{ "stats", class_columns, ARRAY_SIZE(class_columns), 1, 0 },
	{ "percpu", cpu_columns, ARRAY_SIZE(cpu_columns), 2, 0 },
};

static struct {
	const char *dir;
	double delay;
	unsigned long count;	/* 0: until the user quits */
	int view;
	bool once, json, live, reverse, utf8;
} opt = { .dir = DEBUGFS "/swiotlb/cc", .delay = 1 };

static double shared_history[HISTORY], used_history[HISTORY];
static struct termios saved_termios;

static void read_view(struct sample *s, int v)
{
	read_table(&s->table[v], opt.dir, view[v].file);
	for (unsigned int i = 0; i < view[v].cols; i++)
		if (find_column(&s->table[v], view[v].col[i].field) < 0)
			errx(EXIT_FAILURE, "%s/%s: no column \"%s\": not of cc-swiotlb, or too old",
			     opt.dir, view[v].file, view[v].col[i].field);
}

static void sample_free(struct sample *s)
{
	for (unsigned int i = 0; i < NR_TABLES; i++)
		free(s->table[i].cell);
	memset(s, 0, sizeof(*s));
}

static void sample(struct sample *s)
{
	struct timespec ts;

	memset(s, 0, sizeof(*s));
	read_view(s, CLASSES);
	if (opt.view == CPUS || opt.live)
		read_view(s, CPUS);
	read_pairs(&s->table[KCCD], opt.dir, "kccd", NULL);
	read_table(&s->table[NODES], opt.dir, "nodes");
	if (opt.json) {
		read_pairs(&s->table[BINS], opt.dir, "histogram", "up_to");
		read_pairs(&s->table[SHARES], opt.dir, "histogram", "share_up_to");
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	s->time = ts.tv_sec + ts.tv_nsec / 1e9;
}

/* What the slots of a column add up to; the row "total" counts as 0. */
static double slot_bytes(const struct sample *s, const char *name)
{
	const struct table *t = &s->table[CLASSES];
	double bytes = 0;

	for (unsigned int i = 0; i < t->rows; i++)
		bytes += get(t, i, "class") * get(t, i, name);
	return bytes;
}

/* Rows of a view; the last one of the classes is their total. */
static unsigned int nr_rows(const struct table *t, int v)
{
	return t->rows - (v == CLASSES && t->rows);
}

/* How much a counter has grown; all of it if it was reset in between */
static double grown(const struct table *now, unsigned int row,
		    const struct table *was, unsigned int keys,
		    const char *field)
{
	double new = get(now, row, field), old;
	unsigned int i = 0;

	while (i < was->rows && memcmp(now->cell + row * now->cols,
				       was->cell + i * was->cols,
				       keys * sizeof(*now->cell)))
		i++;
	old = get(was, i, field);
	return new >= old ? new - old : new;
}

/* What stands in a column; NAN: nothing can be said */
static double value(int v, unsigned int col, const struct sample *s_now,
		    unsigned int row, const struct sample *s_was)
{
	const struct table *now = &s_now->table[v], *was = &s_was->table[v];
	const struct column *c = &view[v].col[col];
	double seconds = s_was->time ? s_now->time - s_was->time : 0, n, of;

	if (c->kind < RATE)
		return get(now, row, c->field);
	n = grown(now, row, was, view[v].keys, c->field);
	if (c->kind == HITS || c->kind == WASTE) {
		of = grown(now, row, was, view[v].keys,
			   c->kind == HITS ? "maps" : "requested_bytes");
		return of ? n / of * (c->kind == HITS ? 100 : 1) : NAN;
	}
	return seconds ? n / seconds / (c->kind == RATE ? 1 : MIB) : NAN;
}

/* The latest values as a line of bars, as many as fit; @max is a whole bar */
static void print_sparkline(const double *history, int width, double max)
{
	static const char * const bars[][9] = {
		{ " ", ".", ":", "-", "=", "+", "*", "#", "@" },
		{ " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" },
	};

	if (width > 0)
		fputs("  ", stdout);
	for (int i = width < HISTORY ? HISTORY - width : 0; i < HISTORY; i++)
		fputs(bars[opt.utf8][(int)(8 * history[i] / max + 0.5)], stdout);
}

static void note(double *history, double value)
{
	memmove(history, history + 1, (HISTORY - 1) * sizeof(*history));
	history[HISTORY - 1] = value;
}

static double mib(const struct sample *s, const char *name)
{
	return get(&s->table[KCCD], 0, name) / MIB;
}

/* Lines about NUMA nodes: none if there is one node */
static unsigned int nr_nodes(const struct sample *s)
{
	unsigned int nr = s->table[NODES].rows;

	return nr > 1 ? nr : 0;
}

static void print_node(const struct table *t, unsigned int row)
{
	printf("node %-4.0f%7.1f MiB  free %8.1f MiB  reserve %5.1f MiB\n",
	       get(t, row, "node"), get(t, row, "shared_bytes") / MIB,
	       get(t, row, "free_bytes") / MIB, get(t, row, "reserve_bytes") / MIB);
}

/* SUMMARY_LINES lines and those of nodes, on the right of them a history @space wide */
static void print_summary(const struct sample *s, int space)
{
	const struct table *t = &s->table[CLASSES], *kccd = &s->table[KCCD];
	unsigned int total = t->rows - 1;	/* the last row */
	double max = 1;

	for (int i = 0; i < HISTORY; i++)
		if (shared_history[i] > max)
			max = shared_history[i];
	printf("shared  %8.1f MiB  peak %8.1f MiB  max %9.1f MiB",
	       mib(s, "shared_bytes"), mib(s, "shared_peak_bytes"),
	       mib(s, "max_bytes"));
	print_sparkline(shared_history, space, max);
	printf("\nin use  %8.1f MiB  cached %6.1f MiB  depot %7.1f MiB",
	       slot_bytes(s, "in_use") / MIB, slot_bytes(s, "cached") / MIB,
	       slot_bytes(s, "depot") / MIB);
	print_sparkline(used_history, space, max);
	printf("\nreserve %8.1f MiB  target %6.1f MiB  min %9.1f MiB\n",
	       mib(s, "reserve_bytes"), mib(s, "reserve_target_bytes"),
	       mib(s, "reserve_min_bytes"));
	printf("kccd    grown %.1f, returned %.1f, lost %.1f MiB; ",
	       mib(s, "grown_bytes"), mib(s, "returned_bytes"),
	       mib(s, "quarantined_bytes"));
	printf("failures %.0f, backoff %.0f ms; drains %.0f\n",
	       get(kccd, 0, "grow_failed"), get(kccd, 0, "backoff_ms"),
	       get(kccd, 0, "drains"));
	printf("fallen back to a larger class %.0f, to the legacy pool %.0f; failed %.0f\n",
	       get(t, total, "larger"), get(t, total, "legacy"),
	       get(t, total, "failed"));
	for (unsigned int i = 0; i < nr_nodes(s); i++)
		print_node(&s->table[NODES], i);
	putchar('\n');
}

struct line {
	unsigned int row;
	double key;
};

/* Equal keys as in the file */
static int compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->row < y->row ? -1 : 1;
}

static void print_row(int v, const struct sample *now, unsigned int row,
		      const struct sample *was)
{
	for (unsigned int i = 0; i < view[v].cols; i++) {
		const struct column *col = &view[v].col[i];
		double n = value(v, i, now, row, was);
		char text[32] = "-";

		if (col->kind == CLASS && !n)
			snprintf(text, sizeof(text), "total");
		else if (col->kind == CLASS && n >= 1024)
			snprintf(text, sizeof(text), "%.0fK", n / 1024);
		else if (!isnan(n))
			snprintf(text, sizeof(text), "%.*f",
				 col->kind == WASTE ? 2 : col->kind > RATE, n);
		printf("%s%*s", i ? " " : "", col->width, text);
	}
	putchar('\n');
}

static void print_table(const struct sample *now, const struct sample *was,
			unsigned int room)
{
	int v = opt.view;
	const struct table *t = &now->table[v];
	unsigned int nr = nr_rows(t, v), sort = view[v].sort;
	struct line *lines = not_null(calloc(nr + 1, sizeof(*lines)));
	bool upwards = sort < view[v].keys;
	double key;

	for (unsigned int i = 0; i < view[v].cols; i++)
		printf("%s%s%*s%s", i ? " " : "",
		       opt.live && i == sort ? "\033[7m" : "",
		       view[v].col[i].width, view[v].col[i].head,
		       opt.live && i == sort ? "\033[m" : "");
	putchar('\n');
	for (unsigned int i = 0; i < nr; i++) {
		key = value(v, sort, now, i, was);
		/* What a row is about: upwards. How much of it: the most first */
		if (opt.reverse == upwards)
			key = -key;
		lines[i] = (struct line){ i, isnan(key) ? INFINITY : key };
	}
	qsort(lines, nr, sizeof(*lines), compare);
	for (unsigned int i = 0; i < nr && i < room; i++)
		print_row(v, now, lines[i].row, was);
	if (nr < t->rows && nr < room)
		print_row(v, now, t->rows - 1, was);
	free(lines);
}

/* Who holds what, most first, as the kernel says */
static void each_device(void (*print)(const char *name, const double n[4], bool first))
{
	char *text = read_file(opt.dir, "devices"), *next = text, *line;
	bool first = true;

	strsep(&next, "\n");
	while ((line = strsep(&next, "\n"))) {
		char name[64];
		double n[4];

		if (sscanf(line, "%63s %lf %lf %lf %lf", name, &n[0], &n[1], &n[2], &n[3]) != 5)
			continue;
		print(name, n, first);
		first = false;
	}
	free(text);
}

static void print_device(const char *name, const double n[4], bool first)
{
	if (first)
		printf("\n%-32s %8s %10s %10s %8s\n", "DEVICE", "SLOTS", "MAPPED_MIB",
		       "SLOTS_MIB", "LARGEST");
	printf("%-32s %8.0f %10.1f %10.1f %8.0f\n", name, n[0], n[1] / (1 << 20),
	       n[2] / (1 << 20), n[3]);
}

static void json_device(const char *name, const double n[4], bool first)
{
	printf("%s{\"device\":\"", first ? "" : ",");
	for (; *name; name++)
		printf(*name == '"' || *name == '\\' ? "\\%c" : "%c", *name);
	printf("\",\"slots\":%.0f,\"bytes\":%.0f,\"slot_bytes\":%.0f,\"largest\":%.0f}",
	       n[0], n[1], n[2], n[3]);
}

static void print_screen(const struct sample *now, const struct sample *was)
{
	struct winsize ws = { .ws_row = 24, .ws_col = 80 };
	unsigned int others = SUMMARY_LINES + nr_nodes(now) + 2;

	if (!opt.live) {
		print_summary(now, 0);
		print_table(now, was, -1);
		each_device(print_device);
		return;
	}
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	fputs("\033[H\033[J", stdout);
	print_summary(now, ws.ws_col > 58 ? ws.ws_col - 58 : 0);
	print_table(now, was, ws.ws_row > others ? ws.ws_row - others : 0);
	fputs("q quit  p per CPU  < > sort key  r reverse", stdout);
}

static void json_row(const struct table *t, unsigned int row)
{
	for (unsigned int i = 0; i < t->cols; i++)
		printf("%s\"%s\":%.16g", i ? "," : "", t->name[i],
		       t->cell[row * t->cols + i]);
	putchar('}');
}

static void json_rows(const char *name, int v, const struct sample *now,
		      const struct sample *was)
{
	const struct table *t = &now->table[v];

	printf("\"%s\":[", name);
	for (unsigned int i = 0; i < nr_rows(t, v); i++) {
		fputs(i ? ",{" : "{", stdout);
		for (unsigned int j = 0; j < view[v].cols; j++) {
			const char *rate = view[v].col[j].json;
			double d = value(v, j, now, i, was);

			if (rate && isnan(d))
				printf("\"%s\":null,", rate);
			else if (rate)
				printf("\"%s\":%.6g,", rate, d);
		}
		json_row(t, i);
	}
	fputs("],", stdout);
}

static void print_json(const struct sample *now, const struct sample *was)
{
	printf("{\"time\":%lld,\"seconds\":%.3f,\"used_bytes\":%.16g,",
	       (long long)time(NULL), was->time ? now->time - was->time : 0,
	       slot_bytes(now, "in_use"));
	json_rows("classes", CLASSES, now, was);
	if (opt.view == CPUS)
		json_rows("percpu", CPUS, now, was);
	fputs("\"nodes\":[", stdout);
	for (unsigned int i = 0; i < now->table[NODES].rows; i++) {
		fputs(i ? ",{" : "{", stdout);
		json_row(&now->table[NODES], i);
	}
	fputs("],\"devices\":[", stdout);
	each_device(json_device);
	fputs("],\"kccd\":{", stdout);
	json_row(&now->table[KCCD], 0);
	fputs(",\"histogram\":{\"up_to\":{", stdout);
	json_row(&now->table[BINS], 0);
	fputs(",\"share_up_to\":{", stdout);
	json_row(&now->table[SHARES], 0);
	puts("}}");
}

/* May be called by a signal handler. */
static void terminal(bool ours)
{
	/* The other screen, no cursor, no wrapped lines; or back from that */
	static const char * const set[] = {
		"\033[?7h\033[?25h\033[?1049l", "\033[?1049h\033[?25l\033[?7l"
	};
	struct termios t = saved_termios;

	if (ours)
		t.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
	if (write(STDOUT_FILENO, set[ours], strlen(set[ours])) < 0)
		_exit(EXIT_FAILURE);
}

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		return;
	terminal(false);
	if (sig != SIGTSTP)
		_exit(EXIT_SUCCESS);
	raise(SIGSTOP);
	terminal(true);
}

static void end_live(void)
{
	terminal(false);
}

static void start_live(void)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH };

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	tcgetattr(STDIN_FILENO, &saved_termios);
	for (unsigned int i = 0; i < ARRAY_SIZE(sigs); i++)
		signal(sigs[i], on_signal);
	terminal(true);
	atexit(end_live);
}

static void flush(void)
{
	if (fflush(stdout) || ferror(stdout))
		err(EXIT_FAILURE, "cannot write");
}

/* Wait for the next sample, or for a key; false: that to quit */
static bool wait_delay(void)
{
	struct pollfd fd = { .fd = opt.live ? STDIN_FILENO : -1,
			     .events = POLLIN };
	unsigned int *sort = &view[opt.view].sort, cols = view[opt.view].cols;
	char key;

	flush();
	if (poll(&fd, 1, opt.delay * 1000) <= 0)
		return true;
	if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')
		return false;
	if (key == 'p')
		opt.view = !opt.view;
	else if (key == 'r')
		opt.reverse = !opt.reverse;
	else if (key == '<')
		*sort = (*sort + cols - 1) % cols;
	else if (key == '>')
		*sort = (*sort + 1) % cols;
	return true;
}

static void run(void)
{
	struct sample now, was;

	/* What is wrong is to be seen on the screen that stays. */
	sample(&was);
	/* A screen is there at once; what is printed waits for its rates. */
	if (opt.live || !opt.delay)
		sample_free(&was);
	else
		wait_delay();
	if (opt.live)
		start_live();
	for (unsigned long n = 1;; n++) {
		sample(&now);
		note(shared_history, get(&now.table[KCCD], 0, "shared_bytes"));
		note(used_history, slot_bytes(&now, "in_use"));
		(opt.json ? print_json : print_screen)(&now, &was);
		sample_free(&was);
		was = now;
		if (n == opt.count || !wait_delay())
			break;
		if (!opt.live && !opt.json)
			putchar('\n');
	}
	sample_free(&was);
	flush();
}

static noreturn void usage(void)
{
	puts("Usage: ccstat [option...]: what the bounce buffers of cc-swiotlb do\n"
	     "  -d, --delay=SECONDS  between samples (default 1)\n"
	     "  -n, --count=N        end after N tables\n"
	     "  -o, --once           print one table, with the rates of one delay\n"
	     "  -j, --json           print one object per sample and line\n"
	     "  -c, --percpu         a row for each CPU and class\n"
	     "  -s, --sort=COLUMN    by its heading: class, in_use, maps/s, hit%, ...\n"
	     "  -r, --reverse        the other way round\n"
	     "  -p, --path=DIR       where the files are\n"
	     "  -h, --help           this text");
	flush();
	exit(EXIT_SUCCESS);
}

static void sort_by(const char *head)
{
	unsigned int *sort = &view[opt.view].sort;

	for (*sort = 0; *sort < view[opt.view].cols; ++*sort)
		if (!strcasecmp(view[opt.view].col[*sort].head, head))
			return;
	errx(EXIT_FAILURE, "--sort=%s: no such column; see the headings", head);
}

static double parse_delay(void)
{
	static const double max = 1e6;
	char *end;
	double n = strtod(optarg, &end);

	if (end == optarg || *end || !(n >= 0 && n <= max))
		errx(EXIT_FAILURE, "--delay=%s: not a number from 0 to %.0f",
		     optarg, max);
	return n;
}

static unsigned long parse_count(void)
{
	char *end;
	unsigned long n = strtoul(optarg, &end, 10);

	if (*optarg < '0' || *optarg > '9' || *end || !n || n > 1000000000)
		errx(EXIT_FAILURE, "--count=%s: not a whole number from 1 to 1000000000",
		     optarg);
	return n;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ "once", no_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "percpu", no_argument, NULL, 'c' },
		{ "sort", required_argument, NULL, 's' },
		{ "reverse", no_argument, NULL, 'r' },
		{ "path", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	const char *sort = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "d:n:ojcs:rp:h", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			opt.delay = parse_delay();
			break;
		case 'n':
			opt.count = parse_count();
			break;
		case 'o':
			opt.once = true;
			break;
		case 'j':
			opt.json = true;
			break;
		case 'c':
			opt.view = CPUS;
			break;
		case 's':
			sort = optarg;
			break;
		case 'r':
			opt.reverse = true;
			break;
		case 'p':
			opt.dir = optarg;
			break;
		case 'h':
			usage();
		default:
			exit(EXIT_FAILURE);
		}
	}
	if (optind < argc)
		errx(EXIT_FAILURE, "%s: not an option; see ccstat --help", argv[optind]);
	if (opt.once)
		opt.count = 1;
	if (opt.delay < 0.01 && opt.count != 1)
		errx(EXIT_FAILURE, "--delay below 0.01 s is for --once only");
	if (sort)
		sort_by(sort);
	opt.live = !opt.once && !opt.json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	opt.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	parse_options(argc, argv);
	run();
	return EXIT_SUCCESS;
}
