// SPDX-License-Identifier: GPL-2.0
/*
 * Reads that fail must leave the buffer alone.
 *
 *   poison fill <disk> <MiB>
 *   poison read <disk> <MiB> <threads> <seconds> [<sector> [<shift>]]
 *   poison command <disk> <MiB> <threads> <seconds>
 *   poison metadata <disk> <MiB> <threads> <seconds>
 *   poison blocks <disk> <MiB> <threads> <seconds>
 *   poison format <controller> <number of the format>
 *
 * fill writes to each word of the disk what tells its place. read makes direct reads
 * of random ranges of sectors (512 bytes), one request each, into pieces of memory that
 * it has poisoned and that begin shift bytes after a page does. If a read succeeds, all
 * of it must be what is on the disk there; if it fails, not a byte of the poison may
 * have changed. Around the pieces none may ever change. The poison is another one each
 * time, so that what an earlier one has left somewhere is seen.
 *
 * command has a disk of NVMe execute commands that transfer less than they have memory
 * for, or nothing. What they do not transfer must stay poison. metadata does the same with
 * more memory for metadata than a command has. blocks makes direct reads of 4096 bytes of a
 * disk that is all zeroes, and of which the kernel may not know that its blocks are smaller
 * by now: what is not zero then has to be poison.
 *
 * They print how many succeeded, failed, had wrong data, and changed what they must not,
 * and in the case of the last three how many really left out a part. They fail if a byte is
 * wrong.
 *
 * format has the controller format its first namespace. It fails only if that cannot be
 * asked for: the command may have been made fail on its way back.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_PIECES	6
#define MAX_PIECE	(24 << 10)	/* all pieces: one request of NVMe */
#define MEM_SIZE	(MAX_PIECES * 2 * MAX_PIECE)
#define MAX_THREADS	64
#define MAX_MEMORY	(64 << 10)	/* of a command */
#define METADATA	4096		/* the same for metadata */

static const char *disk;
static uint64_t size_of_disk;
static size_t sector = 512, shift;
static time_t end;
static atomic_ulong done, failed, wrong, leaked, cut_short;

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

/* Never what is on the disk in the place of a word's lowest byte */
static char new_poison(unsigned int *seed)
{
	return rand_r(seed) >> 8 << 1;
}

static int is_poison(const char *from, const char *to, char poison)
{
	for (; from < to; from++)
		if (*from != poison)
			return 0;
	return 1;
}

/* What is before, between and after the pieces */
static int is_poison_around(const char *mem, const struct iovec *v, int n, char poison)
{
	const char *from = mem;

	for (int i = 0; i < n; i++) {
		if (!is_poison(from, v[i].iov_base, poison))
			return 0;
		from = (const char *)v[i].iov_base + v[i].iov_len;
	}
	return is_poison(from, mem + MEM_SIZE, poison);
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
		char poison = new_poison(&seed);
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
		memset(mem, poison, MEM_SIZE);
		got = preadv(fd, v, n, at);
		if (got == (ssize_t)size) {
			atomic_fetch_add(&done, 1);
			if (!is_data(v, n, at) || !is_poison_around(mem, v, n, poison))
				atomic_fetch_add(&wrong, 1);
		} else if (got < 0) {
			atomic_fetch_add(&failed, 1);
			if (!is_poison(mem, mem + MEM_SIZE, poison))
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

/* What it transfers: 0 if it is a flush, for which the kernel maps memory all the same */
static size_t command(int fd, char *mem, char *metadata, unsigned int *seed, uint64_t *at,
		      struct nvme_passthru_cmd *c)
{
	size_t sectors = rand_r(seed) % (4096 / sector) + 1;

	*c = (struct nvme_passthru_cmd) {
		.opcode = 2,
		.nsid = ioctl(fd, NVME_IOCTL_ID),
		.addr = (uintptr_t)mem,
		.data_len = 4096,
	};
	*at = ((uint64_t)rand_r(seed) << 16 ^ rand_r(seed)) % (size_of_disk / sector - sectors);
	c->cdw10 = *at;
	c->cdw11 = *at >> 32;
	c->cdw12 = sectors - 1;
	*at *= sector;
	if (metadata) {
		c->data_len = sectors * sector;
		c->metadata = (uintptr_t)metadata;
		c->metadata_len = METADATA;
	} else if (rand_r(seed) % 2) {
		c->data_len = (rand_r(seed) % (MAX_MEMORY / 4096) + 1) * 4096;
	}
	if (metadata || rand_r(seed) % 2)
		return sectors * sector;
	c->opcode = 0;
	c->cdw10 = c->cdw11 = c->cdw12 = 0;
	return 0;
}

static void *commander(void *arg, int with_metadata)
{
	unsigned int seed = (uintptr_t)arg;
	int fd = open(disk, O_RDONLY);
	char *mem = aligned_alloc(4096, MAX_MEMORY + METADATA);
	char *metadata = with_metadata ? mem + MAX_MEMORY : NULL;

	if (fd < 0 || !mem)
		die(disk);
	while (time(NULL) < end) {
		struct nvme_passthru_cmd c;
		uint64_t at;
		size_t size = command(fd, mem, metadata, &seed, &at, &c);
		char poison = new_poison(&seed);
		struct iovec v = { mem, size };
		int ok;

		memset(mem, poison, MAX_MEMORY + METADATA);
		ok = !ioctl(fd, NVME_IOCTL_IO_CMD, &c);
		atomic_fetch_add(ok ? &done : &failed, 1);
		/* One that is given up may have transferred its data before. */
		if (!is_data(&v, 1, at) && (ok || !is_poison(mem, mem + size, poison)))
			atomic_fetch_add(&wrong, 1);
		/* There are 8 bytes for each sector. */
		if (!is_poison(mem + size, mem + MAX_MEMORY, poison) ||
		    !is_poison(mem + MAX_MEMORY + (metadata ? size / sector * 8 : 0),
			       mem + MAX_MEMORY + METADATA, poison))
			atomic_fetch_add(&leaked, 1);
		if (ok && (metadata ? !is_poison(metadata, metadata + 8, poison) : size < c.data_len))
			atomic_fetch_add(&cut_short, 1);
	}
	close(fd);
	free(mem);
	return NULL;
}

static void *command_thread(void *arg)
{
	return commander(arg, 0);
}

static void *metadata_thread(void *arg)
{
	return commander(arg, 1);
}

static void *block_thread(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	int fd = open(disk, O_RDONLY | O_DIRECT);
	char *mem = aligned_alloc(4096, 4096);

	if (fd < 0 || !mem)
		die(disk);
	while (time(NULL) < end) {
		/* Another one than zero */
		char poison = new_poison(&seed) | 2;
		size_t zeroes = 0;

		memset(mem, poison, 4096);
		if (pread(fd, mem, 4096, rand_r(&seed) % (size_of_disk / 4096) * 4096) != 4096) {
			atomic_fetch_add(&failed, 1);
		} else {
			atomic_fetch_add(&done, 1);
			while (zeroes < 4096 && !mem[zeroes])
				zeroes++;
			atomic_fetch_add(&cut_short, zeroes < 4096);
		}
		if (!is_poison(mem + zeroes, mem + 4096, poison))
			atomic_fetch_add(&leaked, 1);
	}
	close(fd);
	free(mem);
	return NULL;
}

static void format(int number)
{
	struct nvme_passthru_cmd c = { .opcode = 0x80, .nsid = 1, .cdw10 = number };
	int fd = open(disk, O_RDONLY);

	if (fd < 0 || ioctl(fd, NVME_IOCTL_ADMIN_CMD, &c) < 0)
		die(disk);
	close(fd);
}

int main(int argc, char **argv)
{
	void *(*body)(void *) = reader;
	pthread_t thread[MAX_THREADS];
	int n;

	if (argc < 4)
		return 2;
	disk = argv[2];
	if (!strcmp(argv[1], "format")) {
		format(atoi(argv[3]));
		return 0;
	}
	size_of_disk = strtoull(argv[3], NULL, 0) << 20;
	if (!strcmp(argv[1], "fill")) {
		fill();
		return 0;
	}
	if (argc < 6)
		return 2;
	if (!strcmp(argv[1], "command"))
		body = command_thread;
	else if (!strcmp(argv[1], "metadata"))
		body = metadata_thread;
	else if (!strcmp(argv[1], "blocks"))
		body = block_thread;
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
		if (pthread_create(&thread[i], NULL, body, (void *)(uintptr_t)(i + 1)))
			die("thread");
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	printf("%lu %lu %lu %lu", atomic_load(&done), atomic_load(&failed),
	       atomic_load(&wrong), atomic_load(&leaked));
	if (body != reader)
		printf(" %lu", atomic_load(&cut_short));
	printf("\n");
	return wrong || leaked;
}
