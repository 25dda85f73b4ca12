// SPDX-License-Identifier: GPL-2.0
/*
 * cvm-mem: what a confidential guest does with its memory in the isolation test.
 *
 * cvm-mem shared|returned <log> [<ranges>]
 *	Ranges of pages ("start end", physical) that are shared now, or that were
 *	and are private again, according to a log of conversions with lines
 *	"decrypt|encrypt <address> <pages> <error> ..."; without those ranges.
 * cvm-mem leave <MiB> <string>
 *	Fill so much memory with the string and exit: free pages full of it.
 * cvm-mem hold <MiB> <string>
 *	The same, but stay. Prints "holding" when it is there.
 * cvm-mem fill <ranges>
 *	Fill memory with a pattern until all pages of the ranges are in use or hardly
 *	any is free, wait, verify it, and tell how many of those pages it had
 *	("pages <n> of <n> bad <n>"), and stay.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PAGE		4096UL
#define MAX_PFN		0x1000000UL	/* 64 GiB */

enum { NEVER, SHARED, RETURNED };

static unsigned char state[MAX_PFN];
static unsigned long end_pfn;	/* no page from here on has a state */

static void set_state(unsigned long start, unsigned long end, int wanted)
{
	if (end > MAX_PFN)
		errx(1, "page frame %#lx is above 64 GiB", end);
	if (end > end_pfn)
		end_pfn = end;
	while (start < end)
		state[start++] = wanted;
}

static void read_log(const char *path)
{
	unsigned long addr, pages;
	FILE *f = fopen(path, "r");
	char line[256], op[16];
	int error;

	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%15s %lx %lu %d", op, &addr, &pages, &error) != 4)
			continue;
		if (error)
			errx(1, "a conversion failed: %s", line);
		set_state(addr / PAGE, addr / PAGE + pages,
			  strcmp(op, "decrypt") ? RETURNED : SHARED);
	}
	fclose(f);
}

static void print_ranges(int wanted)
{
	unsigned long pfn, start = 0;

	for (pfn = 0; pfn <= end_pfn; pfn++) {
		int in = pfn < end_pfn && state[pfn] == wanted;

		if (in && !start)
			start = pfn;
		if (!in && start) {
			printf("%#lx %#lx\n", start * PAGE, pfn * PAGE);
			start = 0;
		}
	}
}

static void read_ranges(const char *path, int mark)
{
	unsigned long start, end;
	FILE *f = fopen(path, "r");

	if (!f)
		err(1, "%s", path);
	while (fscanf(f, "%lx %lx%*[^\n]", &start, &end) == 2)
		set_state(start / PAGE, end / PAGE, mark);
	fclose(f);
}

static char *take_memory(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "%zu bytes of memory", size);
	return p;
}

static char *take_filled(size_t size, const char *string)
{
	size_t i, len = strlen(string);
	char *p = take_memory(size);

	for (i = 0; i + len <= size; i += len)
		memcpy(p + i, string, len);
	return p;
}

static unsigned long pfn_of(int pagemap, const void *p)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)p / PAGE * 8) != sizeof(entry))
		err(1, "pagemap");
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

/* A word that no other place in memory has, and no page left behind. */
static uint64_t pattern(size_t offset)
{
	return (offset + 1) * 0x9e3779b97f4a7c15ULL;
}

/*
 * Pages that the kernel used for itself are the last that it gives to a process.
 * So take all, but keep the machine alive and the OOM killer asleep: what is free
 * stays above the mark where reclaim begins, 5/4 of the minimum, by 6 MiB.
 */
static unsigned long keep_free(void)
{
	FILE *f = fopen("/proc/sys/vm/min_free_kbytes", "r");
	unsigned long kbytes;

	if (!f || fscanf(f, "%lu", &kbytes) != 1)
		err(1, "/proc/sys/vm/min_free_kbytes");
	fclose(f);
	return kbytes * 1280 + (6UL << 20);
}

static bool more_memory(unsigned long keep)
{
	struct sysinfo info;

	return !sysinfo(&info) && info.freeram * info.mem_unit > keep;
}

static void fill(const char *ranges)
{
	unsigned long pages = 0, returned = 0, bad = 0, keep = keep_free(), i;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t off, word, size = 0;
	char *p;

	if (pagemap < 0)
		err(1, "/proc/self/pagemap");
	read_ranges(ranges, RETURNED);
	for (i = 0; i < end_pfn; i++)
		returned += state[i] == RETURNED;

	/* Address space for all; pages come as they are written to. */
	p = take_memory(MAX_PFN * PAGE);
	while (size < MAX_PFN * PAGE && more_memory(keep))
		for (i = 0; i < PAGE; i++, size += sizeof(uint64_t))
			*(uint64_t *)(p + size) = pattern(size);
	sleep(1);
	for (off = 0; off < size; off += PAGE) {
		unsigned long pfn = pfn_of(pagemap, p + off);

		if (pfn >= end_pfn || state[pfn] != RETURNED)
			continue;
		pages++;
		for (word = off; word < off + PAGE; word += sizeof(uint64_t)) {
			if (*(uint64_t *)(p + word) != pattern(word)) {
				bad++;
				break;
			}
		}
	}
	printf("pages %lu of %lu bad %lu\n", pages, returned, bad);
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) << 20 : 0;

	if (argc >= 3 && (!strcmp(verb, "shared") || !strcmp(verb, "returned"))) {
		read_log(argv[2]);
		if (argc > 3)
			read_ranges(argv[3], NEVER);
		print_ranges(!strcmp(verb, "shared") ? SHARED : RETURNED);
	} else if (argc == 4 && !strcmp(verb, "leave")) {
		take_filled(size, argv[3]);
	} else if (argc == 4 && !strcmp(verb, "hold")) {
		take_filled(size, argv[3]);
		puts("holding");
		fflush(stdout);
		pause();
	} else if (argc == 3 && !strcmp(verb, "fill")) {
		fill(argv[2]);
	} else {
		errx(2, "usage: see the head of cvm-mem.c");
	}
	return 0;
}
