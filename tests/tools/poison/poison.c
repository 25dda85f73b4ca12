// SPDX-License-Identifier: GPL-2.0
/*
 * Reads that fail must leave the buffer alone.
 *
 *   poison fill <disk> <MiB>
 *   poison read <disk> <MiB> <threads> <seconds> [<sector> [<shift>]]
 *
 * fill writes to each word of the disk what tells its place. read makes direct reads
 * of random ranges of sectors (512 bytes), one request each, into pieces of memory that
 * it has poisoned and that begin shift bytes after a page does. If a read succeeds, all
 * of it must be what is on the disk there; if it fails, not a byte of the poison may
 * have changed. Around the pieces none may ever change. It prints the counts, and fails
 * if a byte is wrong.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_PIECES	6
#define MAX_PIECE	(24 << 10)	/* all pieces: one request of NVMe */
#define MEM_SIZE	(MAX_PIECES * 2 * MAX_PIECE)
#define MAX_THREADS	64
#define POISON		0x5a

static const char *disk;
static uint64_t size_of_disk;
static size_t sector = 512, shift;
static time_t end;
static atomic_ulong done, failed, wrong, leaked;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Never the poison: the lowest byte is odd. */
static uint64_t word_at(uint64_t offset)
{
	return (offset * 0x9e3779b97f4a7c15ULL) | 1;
}

static void fill(void)
{
	static _Alignas(4096) uint64_t buf[(1 << 20) / 8];
	int fd = open(disk, O_WRONLY | O_DIRECT);

	if (fd < 0)
		die(disk);
	for (uint64_t o = 0; o < size_of_disk; o += sizeof(buf)) {
		for (size_t i = 0; i < sizeof(buf) / 8; i++)
			buf[i] = word_at(o + i * 8);
		if (pwrite(fd, buf, sizeof(buf), o) != sizeof(buf))
			die("write");
	}
	close(fd);
}

static int is_data(const struct iovec *v, int n, uint64_t offset)
{
	for (int i = 0; i < n; i++) {
		const uint64_t *p = v[i].iov_base;

		for (size_t j = 0; j < v[i].iov_len / 8; j++, offset += 8)
			if (p[j] != word_at(offset))
				return 0;
	}
	return 1;
}

static int is_poison(const char *from, const char *to)
{
	for (; from < to; from++)
		if (*from != POISON)
			return 0;
	return 1;
}

/* What is before, between and after the pieces */
static int is_poison_around(const char *mem, const struct iovec *v, int n)
{
	const char *from = mem;

	for (int i = 0; i < n; i++) {
		if (!is_poison(from, v[i].iov_base))
			return 0;
		from = (const char *)v[i].iov_base + v[i].iov_len;
	}
	return is_poison(from, mem + MEM_SIZE);
}

static void *reader(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	int fd = open(disk, O_RDONLY | O_DIRECT);
	char *mem = aligned_alloc(4096, MEM_SIZE);

	if (fd < 0 || !mem)
		die(disk);
	while (time(NULL) < end) {
		int n = rand_r(&seed) % MAX_PIECES + 1;
		struct iovec v[MAX_PIECES];
		uint64_t at, size = 0;
		ssize_t got;

		for (int i = 0; i < n; i++) {
			/* Several segments are whole pages, but for both ends. */
			size_t len = ((size_t)rand_r(&seed) % (MAX_PIECE / 4096) + 1) * 4096;
			size_t cut = (size_t)rand_r(&seed) % (4096 / sector) * sector;

			v[i].iov_base = mem + i * 2 * MAX_PIECE + shift;
			v[i].iov_len = len;
			if (i == n - 1 && cut < len)
				v[i].iov_len -= cut;
			size += v[i].iov_len;
		}
		at = ((uint64_t)rand_r(&seed) << 16 ^ rand_r(&seed)) % ((size_of_disk - size) / sector);
		at *= sector;
		memset(mem, POISON, MEM_SIZE);
		got = preadv(fd, v, n, at);
		if (got == (ssize_t)size) {
			atomic_fetch_add(&done, 1);
			if (!is_data(v, n, at) || !is_poison_around(mem, v, n))
				atomic_fetch_add(&wrong, 1);
		} else if (got < 0) {
			atomic_fetch_add(&failed, 1);
			if (!is_poison(mem, mem + MEM_SIZE))
				atomic_fetch_add(&leaked, 1);
		} else {
			/* A part of one request cannot succeed. */
			atomic_fetch_add(&wrong, 1);
		}
	}
	close(fd);
	free(mem);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[MAX_THREADS];
	int n;

	if (argc < 4)
		return 2;
	disk = argv[2];
	size_of_disk = strtoull(argv[3], NULL, 0) << 20;
	if (!strcmp(argv[1], "fill")) {
		fill();
		return 0;
	}
	if (argc < 6)
		return 2;
	n = atoi(argv[4]);
	if (n > MAX_THREADS)
		n = MAX_THREADS;
	if (argc > 6)
		sector = strtoul(argv[6], NULL, 0);
	if (argc > 7)
		shift = strtoul(argv[7], NULL, 0);
	if (!sector || sector > 4096 || 4096 % sector || shift > MAX_PIECE)
		return 2;
	end = time(NULL) + atoi(argv[5]);
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, reader, (void *)(uintptr_t)(i + 1)))
			die("thread");
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	printf("%lu %lu %lu %lu\n", atomic_load(&done), atomic_load(&failed),
	       atomic_load(&wrong), atomic_load(&leaked));
	return wrong || leaked;
}
