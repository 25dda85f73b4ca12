// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a bounced mapping costs in real time: dma_map_single() and
 * dma_unmap_single() of a fake 64-bit device, all bounced. Runs at the end of
 * boot, prints lines "BENCH <name> <metric> <value>", powers off.
 *
 *	swiotlb_bench.run=	names of the parts to run, with commas
 *	swiotlb_bench.pool=	MiB that count as 100 % for the fill levels
 *
 * Every figure is the median of many short batches, so that a host which takes
 * the CPU away now and then does not disturb it. The copy is measured by batches
 * between those of the mappings, into the buffer that a mapping gets, because a copy
 * of 512 KiB takes some 100 ns more or less by where it goes; the median is of the
 * difference.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>
#include <linux/prandom.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/swiotlb.h>
#include <linux/vmalloc.h>

#include "bench.h"

#define FILL_SIZE	2048
#define BUF_SIZE	SZ_512K
#define NR_THREADS	2
#define RING		512
#define BURST		32
#define IN_FLIGHT	128

static char *run = "map,threads,remote,sync";
module_param(run, charp, 0400);
static unsigned int pool = 64;
module_param(pool, uint, 0400);

static const unsigned int sizes[] = {
	SZ_512, SZ_2K, SZ_4K, SZ_16K, SZ_64K, SZ_128K, SZ_256K, SZ_512K
};

struct device *bench_dev;
static char *bufs[NR_THREADS], *copies[NR_THREADS];
struct rnd_state bench_rnd;

static int compare(const void *a, const void *b)
{
	s64 x = *(const s64 *)a, y = *(const s64 *)b;

	return x < y ? -1 : x > y;
}

/* The median of @nr values, which are sorted by this. */
s64 bench_median(s64 *val, unsigned int nr)
{
	sort(val, nr, sizeof(*val), compare, NULL);
	return val[nr / 2];
}

/*
 * Operations that take long compared with the 256 ns that UML's clock counts in,
 * and short compared with what the host gives a CPU at once.
 */
static unsigned int batch_of(unsigned int size)
{
	return clamp(SZ_4M / size, 32U, 400U);
}

static u64 time_maps(unsigned int thread, unsigned int size, unsigned int nr,
		     unsigned int *failed)
{
	u64 start = ktime_get_ns();

	for (unsigned int i = 0; i < nr; i++) {
		dma_addr_t addr = dma_map_single_attrs(bench_dev, bufs[thread], size,
						       DMA_TO_DEVICE,
						       DMA_ATTR_NO_WARN);

		if (unlikely(dma_mapping_error(bench_dev, addr)))
			(*failed)++;
		else
			dma_unmap_single(bench_dev, addr, size, DMA_TO_DEVICE);
	}
	return ktime_get_ns() - start;
}

static u64 time_copies(void *to, unsigned int thread, unsigned int size,
		       unsigned int nr)
{
	u64 start = ktime_get_ns();

	for (unsigned int i = 0; i < nr; i++) {
		memcpy(to, bufs[thread], size);
		barrier();
	}
	return ktime_get_ns() - start;
}

/* The same into a bounce buffer, if there is one to be had. */
static u64 time_bounces(unsigned int thread, unsigned int size, unsigned int nr)
{
	dma_addr_t addr = dma_map_single_attrs(bench_dev, bufs[thread], size,
					       DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
	u64 t;

	if (dma_mapping_error(bench_dev, addr))
		return time_copies(copies[thread], thread, size, nr);
	t = time_copies(phys_to_virt(dma_to_phys(bench_dev, addr)), thread, size, nr);
	dma_unmap_single(bench_dev, addr, size, DMA_TO_DEVICE);
	return t;
}

/* Tenths of a nanosecond per map and unmap, without the copy. */
static s64 overhead(unsigned int thread, unsigned int size, s64 *copy,
		    unsigned int *failed)
{
	unsigned int nr = batch_of(size), tries = 0;
	s64 *diff, *plain, res;

	diff = kvmalloc_array(2 * NR_BATCHES, sizeof(*diff), GFP_KERNEL);
	if (!diff)
		return 0;
	plain = diff + NR_BATCHES;
	*failed = 0;

	time_maps(thread, size, 1, failed);
	msleep(20);		/* let the allocator adapt to the size */
	*failed = 0;
	for (unsigned int i = 0; i < NR_BATCHES; i++) {
		u64 map = time_maps(thread, size, nr, failed);

		plain[i] = time_bounces(thread, size, nr);
		diff[i] = map - plain[i];
		tries += nr;
		/* Failures can take long: a few batches are enough. */
		if (*failed == tries && i == 2)
			break;
		if (i % 16 == 0)
			cond_resched();
	}
	if (*failed) {
		*failed = *failed * 100 / tries ?: 1;
		res = time_maps(thread, size, nr, &tries) * 10 / nr;
	} else {
		*copy = bench_median(plain, NR_BATCHES) * 10 / nr;
		res = bench_median(diff, NR_BATCHES) * 10 / nr;
	}
	kvfree(diff);
	return res;
}

static void print10(const char *name, unsigned int size, const char *metric,
		    s64 val)
{
	pr_info("%s-%u %s %s%lld.%lld\n", name, size, metric, val < 0 ? "-" : "",
		abs(val) / 10, abs(val) % 10);
}

/* Fill levels */

dma_addr_t *bench_filled;
unsigned int bench_nr_filled;

/* Map until the pool is full, in pieces of FILL_SIZE. */
void bench_fill(void)
{
	unsigned int nr = (unsigned long)pool * SZ_1M / FILL_SIZE, waits = 0;

	bench_filled = vmalloc_array(nr, sizeof(*bench_filled));
	if (!bench_filled)
		return;
	while (bench_nr_filled < nr) {
		dma_addr_t addr = dma_map_single_attrs(bench_dev, bufs[0], FILL_SIZE,
						       DMA_TO_DEVICE,
						       DMA_ATTR_NO_WARN);

		if (!dma_mapping_error(bench_dev, addr)) {
			bench_filled[bench_nr_filled++] = addr;
			if (bench_nr_filled % 256 == 0)
				cond_resched();
			continue;
		}
		if (waits++ > 100)	/* it will not grow any more */
			break;
		msleep(20);
	}
	pr_info("fill mapped_bytes %lu\n", (unsigned long)bench_nr_filled * FILL_SIZE);
	pr_info("fill waits %u\n", waits);
}

/* Free mappings at random until only this many are left. */
void bench_thin_out(unsigned int left)
{
	while (bench_nr_filled > left) {
		unsigned int i = prandom_u32_state(&bench_rnd) % bench_nr_filled;

		dma_unmap_single(bench_dev, bench_filled[i], FILL_SIZE, DMA_TO_DEVICE);
		bench_filled[i] = bench_filled[--bench_nr_filled];
	}
}

static void bench_map_at(unsigned int percent)
{
	char name[16];

	snprintf(name, sizeof(name), "fill%u", percent);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int failed;
		s64 copy = 0, ns = overhead(0, sizes[i], &copy, &failed);

		if (failed) {
			pr_info("%s-%u failed %u\n", name, sizes[i], failed);
			print10(name, sizes[i], "failed_ns", ns);
			continue;
		}
		print10(name, sizes[i], "ns", ns);
		if (!percent)
			print10(name, sizes[i], "copy_ns", copy);
	}
}

static void bench_map(void)
{
	static const unsigned int levels[] = { 99, 90, 50 };
	unsigned int all;

	bench_map_at(0);
	bench_fill();
	all = bench_nr_filled;
	for (unsigned int i = 0; i < ARRAY_SIZE(levels); i++) {
		bench_thin_out(all / 100 * levels[i]);
		msleep(50);
		bench_map_at(levels[i]);
	}
	bench_thin_out(0);
	vfree(bench_filled);
}

/* Both CPUs at once */

struct worker {
	unsigned int nr;
	unsigned int size;
	struct worker *other;
	s64 result;
	struct completion done;
	/* of remote completion: what this worker has mapped for the other */
	unsigned int put ____cacheline_aligned_in_smp;
	dma_addr_t ring[RING];
	unsigned int got ____cacheline_aligned_in_smp;
	unsigned long ops ____cacheline_aligned_in_smp;
};

static struct worker workers[NR_THREADS];
static atomic_t ready;
static bool stop;

static void rendezvous(unsigned int nr)
{
	atomic_inc(&ready);
	while (atomic_read(&ready) < nr)
		cond_resched();
}

static void start_workers(int (*fn)(void *arg), unsigned int nr,
			  unsigned int size)
{
	atomic_set(&ready, 0);
	WRITE_ONCE(stop, false);
	for (unsigned int i = 0; i < nr; i++) {
		struct worker *w = &workers[i];
		struct task_struct *t;

		w->nr = i;
		w->size = size;
		w->other = &workers[nr - 1 - i];
		w->put = 0;
		w->got = 0;
		w->ops = 0;
		init_completion(&w->done);
		t = kthread_create_on_cpu(fn, w, i, "bench/%u");
		if (!IS_ERR(t))
			wake_up_process(t);
	}
}

/* Each measures itself while the other runs; the first to end runs on. */
static atomic_t running;

static int map_thread(void *arg)
{
	struct worker *w = arg;
	unsigned int nr = batch_of(w->size), failed = 0;
	s64 *t = kmalloc_array(NR_BATCHES, sizeof(*t), GFP_KERNEL);

	if (t) {
		rendezvous(atomic_read(&running));
		for (unsigned int i = 0; i < NR_BATCHES; i++) {
			t[i] = time_maps(w->nr, w->size, nr, &failed);
			if (i % 16 == 0)
				cond_resched();
		}
		w->result = bench_median(t, NR_BATCHES) * 10 / nr;
		kfree(t);
		atomic_dec(&running);
		while (atomic_read(&running)) {
			time_maps(w->nr, w->size, nr, &failed);
			cond_resched();
		}
	}
	complete(&w->done);
	return 0;
}

static s64 both(unsigned int nr, unsigned int size)
{
	s64 sum = 0;

	atomic_set(&running, nr);
	start_workers(map_thread, nr, size);
	for (unsigned int i = 0; i < nr; i++) {
		wait_for_completion(&workers[i].done);
		sum += workers[i].result;
	}
	return sum / nr;
}

static void bench_threads(void)
{
	static const unsigned int s[] = { SZ_512, SZ_4K, SZ_16K };

	if (num_online_cpus() < 2)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(s); i++) {
		print10("threads1", s[i], "ns_with_copy", both(1, s[i]));
		print10("threads2", s[i], "ns_with_copy", both(2, s[i]));
	}
}

/*
 * Submit here, complete there: a worker maps and puts the address into its
 * ring, the other takes it out and unmaps. Alone, a worker serves itself. The
 * same number is in flight either way, so that the caches hold the same.
 *
 * With a size of 0 there is no mapping, but 32 bytes for each operation, as much
 * as a slot's record, written by one worker and then by the other: what any
 * allocator pays.
 */
static struct {
	u64 word[4];
} records[NR_THREADS][RING] ____cacheline_aligned_in_smp;

static dma_addr_t submit(struct worker *w, unsigned int nr)
{
	u64 *word = records[w->nr][nr % RING].word;

	if (w->size)
		return dma_map_single_attrs(bench_dev, bufs[w->nr], w->size,
					    DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
	word[0]++;
	return (dma_addr_t)(uintptr_t)word;
}

static void complete_one(struct worker *w, dma_addr_t addr)
{
	u64 *word = (u64 *)(uintptr_t)addr;

	if (w->size)
		dma_unmap_single(bench_dev, addr, w->size, DMA_TO_DEVICE);
	else
		word[1] += word[0];
}

static int remote_thread(void *arg)
{
	struct worker *w = arg, *from = w->other;

	rendezvous(atomic_read(&running));
	while (!READ_ONCE(stop)) {
		unsigned int put = w->put, got;

		/* Pairs with the release of ->got: the entry has been read. */
		got = smp_load_acquire(&w->got);
		for (unsigned int i = 0; i < BURST && put - got < RING; i++) {
			dma_addr_t addr = submit(w, put);

			if (dma_mapping_error(bench_dev, addr))
				break;
			w->ring[put++ % RING] = addr;
		}
		/* Pairs with the acquire of ->put: the entries are written. */
		smp_store_release(&w->put, put);

		got = from->got;
		/* Pairs with the release of ->put. */
		put = smp_load_acquire(&from->put);
		for (; put - got > IN_FLIGHT; w->ops++)
			complete_one(w, from->ring[got++ % RING]);
		/* Pairs with the acquire of ->got. */
		smp_store_release(&from->got, got);
		cond_resched();
	}
	atomic_dec(&running);
	while (atomic_read(&running))
		cond_resched();
	while (w->got != w->put)
		complete_one(w, w->ring[w->got++ % RING]);
	complete(&w->done);
	return 0;
}

/*
 * Operations in a ms, of all workers: what one of ten short intervals exceeds. A
 * host that takes away the CPU of one stops both, and can only make it less.
 */
s64 bench_remote_rate(unsigned int nr, unsigned int size)
{
	enum { INTERVALS = 101 };
	static s64 rate[INTERVALS];
	unsigned long last = 0;
	u64 t0 = 0;

	atomic_set(&running, nr);
	start_workers(remote_thread, nr, size);
	for (int i = -2; i < INTERVALS; i++) {
		unsigned long ops = 0;
		u64 t;

		usleep_range(3000, 3100);
		t = ktime_get_ns();
		for (unsigned int j = 0; j < nr; j++)
			ops += READ_ONCE(workers[j].ops);
		if (i >= 0)
			rate[i] = (ops - last) * 1000000 / (t - t0);
		last = ops;
		t0 = t;
	}
	WRITE_ONCE(stop, true);
	for (unsigned int i = 0; i < nr; i++)
		wait_for_completion(&workers[i].done);
	sort(rate, INTERVALS, sizeof(*rate), compare, NULL);
	return rate[INTERVALS * 9 / 10];
}

static void bench_remote(void)
{
	static const unsigned int s[] = { 0, SZ_512, SZ_4K, SZ_16K };

	if (num_online_cpus() < 2)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(s); i++) {
		pr_info("remote1-%u ops_per_ms %lld\n", s[i], bench_remote_rate(1, s[i]));
		pr_info("remote2-%u ops_per_ms %lld\n", s[i], bench_remote_rate(2, s[i]));
	}
}

/* What a network driver pays per packet in a page that stays mapped. */
static void bench_sync(void)
{
	static const unsigned int s[] = { 64, 256, 1500 };
	dma_addr_t addr = dma_map_single(bench_dev, bufs[0], SZ_4K, DMA_FROM_DEVICE);
	static s64 diff[NR_BATCHES], plain[NR_BATCHES];
	const unsigned int nr = 500, offset = 128;

	if (dma_mapping_error(bench_dev, addr))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(s); i++) {
		for (unsigned int j = 0; j < NR_BATCHES; j++) {
			u64 start = ktime_get_ns();

			for (unsigned int k = 0; k < nr; k++)
				dma_sync_single_range_for_cpu(bench_dev, addr, offset,
							      s[i], DMA_FROM_DEVICE);
			diff[j] = ktime_get_ns() - start;
			plain[j] = time_copies(copies[0], 0, s[i], nr);
			diff[j] -= plain[j];
			if (j % 16 == 0)
				cond_resched();
		}
		print10("sync", s[i], "ns", bench_median(diff, NR_BATCHES) * 10 / nr);
		print10("sync", s[i], "copy_ns", bench_median(plain, NR_BATCHES) * 10 / nr);
	}
	dma_unmap_single(bench_dev, addr, SZ_4K, DMA_FROM_DEVICE);
}

static const struct {
	const char *name;
	void (*fn)(void);
} parts[] = {
	{ "map", bench_map },
	{ "threads", bench_threads },
	{ "remote", bench_remote },
	{ "sync", bench_sync },
	{ "magazine", bench_magazine },
	{ "scheme", bench_scheme },
	{ "lookup", bench_lookup },
	{ "index", bench_index },
	{ "depot", bench_depot },
	{ "block", bench_block },
};

static bool __init wanted(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = run; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, name, len) && (!p[len] || p[len] == ','))
			return true;
	}
	return false;
}

static DECLARE_COMPLETION(finished);

static int bench_thread(void *unused)
{
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		bufs[i] = (void *)__get_free_pages(GFP_KERNEL, get_order(BUF_SIZE));
		copies[i] = (void *)__get_free_pages(GFP_KERNEL, get_order(BUF_SIZE));
		if (!bufs[i] || !copies[i])
			goto out;
	}
	prandom_seed_state(&bench_rnd, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
		if (wanted(parts[i].name))
			parts[i].fn();
out:
	pr_info("end\n");
	complete(&finished);
	return 0;
}

static int __init swiotlb_bench_init(void)
{
	struct platform_device *pdev;
	struct task_struct *t;

	pdev = platform_device_register_simple("swiotlb-bench", -1, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	bench_dev = &pdev->dev;
	dma_coerce_mask_and_coherent(bench_dev, DMA_BIT_MASK(64));
	t = kthread_create_on_cpu(bench_thread, NULL, 0, "bench");
	if (IS_ERR(t))
		return PTR_ERR(t);
	wake_up_process(t);
	wait_for_completion(&finished);
	kernel_power_off();
	return 0;
}
late_initcall_sync(swiotlb_bench_init);
