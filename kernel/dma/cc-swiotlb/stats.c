// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people and tools can see: debugfs for all of it, sysfs for what
 * monitoring relies on. Counters are per CPU and summed up when read, so that
 * reading never touches what the fast path writes.
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "holders.h"
#include "options.h"
#include "slot.h"

/* The counters at the last reset: they belong to other CPUs' fast paths. */
static DEFINE_PER_CPU(unsigned long [CC_NR_CLASSES][CC_NR_COUNTERS], count_base);
static unsigned long bin_base[CC_NR_BINS];
static unsigned long coherent_base[CC_NR_COHERENT_COUNTERS];
static unsigned long loan_base[CC_NR_LOAN_COUNTERS];

static unsigned long raw_count(unsigned int nr, enum cc_counter counter)
{
	return cc_sum(&cc_cpu.mag[nr].count[counter]);
}

static unsigned long raw_bin(unsigned int bin)
{
	return cc_sum(&cc_cpu.bin[bin]);
}

/**
 * cc_count() - the value of a counter since boot or the last reset
 * @nr: number of the class
 * @counter: which one
 *
 * Context: any; not exact while mappings are made.
 * Return: the sum over all CPUs.
 */
unsigned long cc_count(unsigned int nr, enum cc_counter counter)
{
	unsigned long sum = raw_count(nr, counter);
	int cpu;

	for_each_possible_cpu(cpu)
		sum -= per_cpu(count_base, cpu)[nr][counter];
	return sum;
}

static unsigned long in_use(unsigned int nr)
{
	long n = raw_count(nr, CC_MAPS) - raw_count(nr, CC_UNMAPS);

	return max(n, 0L);
}

/**
 * cc_used_bytes() - bytes of all slots that are mapped or lent
 *
 * Context: any; not exact while mappings are made.
 * Return: bytes.
 */
unsigned long cc_used_bytes(void)
{
	unsigned long bytes = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		bytes += in_use(i) << cc_classes[i].shift;
	return bytes;
}

struct stats_row {
	unsigned long slots, in_use, high, cached, depot;
	unsigned long slot_bytes, hits;
	unsigned long count[CC_NR_COUNTERS];
};

/* What was taken from magazines of the CPU. */
static unsigned long hits(const unsigned long *count)
{
	long n = count[CC_MAPS];

	for (unsigned int i = CC_INBOX; i <= CC_REMOTE; i++)
		n -= count[i];
	/* What a device turns out not to reach is taken, but not mapped. */
	return max(n, 0L);
}

static void stats_row(unsigned int nr, struct stats_row *row)
{
	const struct cc_class *class = &cc_classes[nr], *lasting = &cc_classes[CC_LASTING];
	long cached;

	row->slots = READ_ONCE(class->nr_slots);
	row->in_use = in_use(nr);
	row->high = READ_ONCE(class->high);
	row->depot = cc_class_in_depots(class);
	cached = row->slots - cc_class_free(class) - row->in_use;
	if (nr == CC_PAGE_CLASS) {
		row->slots += READ_ONCE(lasting->nr_slots);
		row->high += READ_ONCE(lasting->high);
		cached += READ_ONCE(lasting->nr_slots) - cc_class_free(lasting);
	}
	row->cached = max(cached, 0L);
	for (unsigned int i = 0; i < CC_NR_COUNTERS; i++)
		row->count[i] = cc_count(nr, i);
	row->slot_bytes = row->count[CC_MAPS] << class->shift;
	row->hits = hits(row->count);
}

static void stats_print(struct seq_file *m, const struct stats_row *row)
{
	seq_printf(m, " %8lu %8lu %8lu %8lu %8lu %10lu %16lu %16lu %10lu",
		   row->slots, row->in_use, row->high, row->cached, row->depot,
		   row->count[CC_MAPS], row->count[CC_BYTES], row->slot_bytes,
		   row->hits);
	for (unsigned int i = CC_INBOX; i < CC_NR_COUNTERS; i++)
		seq_printf(m, " %10lu", row->count[i]);
	seq_putc(m, '\n');
}

static int stats_show(struct seq_file *m, void *unused)
{
	unsigned long total[sizeof(struct stats_row) / sizeof(long)] = { 0 };

	seq_printf(m, "%6s %8s %8s %8s %8s %8s %10s %16s %16s %10s %10s %10s %10s %10s %10s %10s %10s %10s\n",
		   "class", "slots", "in_use", "high", "cached", "depot",
		   "maps", "requested_bytes", "slot_bytes", "hits",
		   "inbox_hits", "depot_hits", "pool_hits", "reserve", "remote",
		   "larger", "legacy", "failed");
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		struct stats_row row;

		if (!cc_classes[i].enabled)
			continue;
		stats_row(i, &row);
		seq_printf(m, "%6u", 1U << cc_classes[i].shift);
		stats_print(m, &row);
		for (unsigned int j = 0; j < ARRAY_SIZE(total); j++)
			total[j] += ((unsigned long *)&row)[j];
	}
	seq_puts(m, " total");
	stats_print(m, (struct stats_row *)total);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int percpu_show(struct seq_file *m, void *unused)
{
	int cpu;

	seq_printf(m, "%4s %6s %6s %6s %7s %12s %12s %12s %10s %10s %10s %10s %10s\n",
		   "cpu", "class", "loaded", "spare", "foreign", "maps",
		   "unmaps", "hits", "inbox_hits", "depot_hits", "pool_hits",
		   "reserve", "remote");
	for_each_possible_cpu(cpu) {
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
			struct cc_magazine *mag = &per_cpu(cc_cpu, cpu).mag[i];
			unsigned long n[CC_NR_COUNTERS];

			for (unsigned int j = 0; j < CC_NR_COUNTERS; j++)
				n[j] = READ_ONCE(mag->count[j]) -
				       per_cpu(count_base, cpu)[i][j];
			if (!n[CC_MAPS] && !n[CC_UNMAPS])
				continue;
			seq_printf(m, "%4d %6u %6u %6u %7u %12lu %12lu %12lu %10lu %10lu %10lu %10lu %10lu\n",
				   cpu, 1U << cc_classes[i].shift,
				   cc_chain_count(READ_ONCE(mag->loaded)),
				   cc_chain_count(READ_ONCE(mag->spare)),
				   cc_chain_count(READ_ONCE(mag->foreign)),
				   n[CC_MAPS], n[CC_UNMAPS], hits(n), n[CC_INBOX],
				   n[CC_DEPOT], n[CC_POOL], n[CC_RESERVE], n[CC_REMOTE]);
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(percpu);

/* The share of mappings up to each of five sizes, as "%.1f". */
static void histogram_share(struct seq_file *m, const unsigned long *bins,
			    unsigned long all)
{
	static const u8 limit[] = { 9, 11, 12, 14, 19 };
	unsigned long sum = 0;
	unsigned int bin = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(limit); i++) {
		unsigned int permille;

		while (bin <= limit[i])
			sum += bins[bin++];
		permille = all ? div64_u64(1000ULL * sum, all) : 0;
		seq_printf(m, "share_up_to %u %u.%u%%\n", 1U << limit[i],
			   permille / 10, permille % 10);
	}
}

static int histogram_show(struct seq_file *m, void *unused)
{
	unsigned long bins[CC_NR_BINS], all = 0;

	for (unsigned int i = 0; i < CC_NR_BINS; i++) {
		bins[i] = raw_bin(i) - bin_base[i];
		all += bins[i];
		if (bins[i])
			seq_printf(m, "up_to %u %lu\n", 1U << i, bins[i]);
	}
	histogram_share(m, bins, all);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(histogram);

static const char *chunk_state(struct cc_chunk *chunk, unsigned long free)
{
	if (!chunk->class)
		return "reserve";
	if (cc_chunk_is_coherent(chunk))
		return "coherent";
	if (chunk->class == &cc_classes[CC_LASTING])
		return "lasting";
	return free == cc_chunk_slots(chunk) ? "empty" : "used";
}

static int chunks_show(struct seq_file *m, void *unused)
{
	struct cc_chunk *chunk;
	struct cc_block *block;

	seq_printf(m, "%18s %5s %7s %7s %8s %5s\n", "address", "order",
		   "class", "free", "state", "node");
	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		for (unsigned int i = 0; i < block->nr_chunks; i += cc_chunk_parts(chunk)) {
			unsigned long free;

			chunk = &block->chunks[i];
			free = chunk->class ? atomic_long_read(&chunk->gpc->avail) >>
					      chunk->shift : 0;
			seq_printf(m, "%#18llx %5u %7u %7lu %8s %5d\n",
				   (u64)chunk->pool.start,
				   ilog2(cc_chunk_bytes(chunk)) - PAGE_SHIFT,
				   chunk->class ? 1U << chunk->shift : 0, free,
				   chunk_state(chunk, free),
				   chunk->nid);
		}
		/* It comes again with a larger buffer. */
		if (seq_has_overflowed(m))
			break;
		cond_resched();
	}
	mutex_unlock(&cc_swiotlb.mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(chunks);

/* Bytes of the free slots that no CPU holds, on a node. */
static unsigned long node_free(int nid)
{
	unsigned long bytes = 0;

	for (unsigned int i = 0; i < CC_NR_OWNERS; i++) {
		struct cc_class_node *node = &cc_classes[i].node[nid];
		long slots = atomic_long_read(&node->pool_free);

		slots = max(slots, 0L) + READ_ONCE(node->depot.slots);
		bytes += slots << cc_classes[i].shift;
	}
	return bytes;
}

static int nodes_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%4s %4s %16s %16s %16s\n", "node", "used", "shared_bytes",
		   "reserve_bytes", "free_bytes");
	mutex_lock(&cc_swiotlb.mutex);
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		seq_printf(m, "%4u %4u %16lu %16lu %16lu\n", nid,
			   READ_ONCE(cc_swiotlb.node[nid].used), cc_swiotlb.node[nid].shared,
			   READ_ONCE(cc_swiotlb.node[nid].bytes), node_free(nid));
	mutex_unlock(&cc_swiotlb.mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(nodes);

static unsigned long coherent_count(enum cc_coherent_counter counter)
{
	return cc_coherent_sum(counter) - coherent_base[counter];
}

static int coherent_show(struct seq_file *m, void *unused)
{
	struct cc_class *class = &cc_classes[CC_COHERENT];

	seq_printf(m, "used_bytes %lu\n", cc_coherent_bytes());
	seq_printf(m, "used_peak_bytes %lu\n", READ_ONCE(class->high) << class->shift);
	seq_printf(m, "held_bytes %lu\n", READ_ONCE(cc_swiotlb.coherent_held.bytes));
	seq_printf(m, "free_bytes %lu\n", cc_class_free(class) << class->shift);
	seq_printf(m, "chunk_bytes %lu\n", READ_ONCE(class->nr_slots) << class->shift);
	seq_printf(m, "allocs %lu\n", coherent_count(CC_COHERENT_ALLOCS));
	seq_printf(m, "frees %lu\n", coherent_count(CC_COHERENT_FREES));
	seq_printf(m, "other %lu\n", coherent_count(CC_COHERENT_OTHER));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(coherent);

static unsigned long loan_count(enum cc_loan_counter counter)
{
	return cc_loan_sum(counter) - loan_base[counter];
}

static int loans_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "used_bytes %lu\n", cc_loan_bytes());
	seq_printf(m, "held_bytes %lu\n", READ_ONCE(cc_swiotlb.loans_held.bytes));
	seq_printf(m, "budget_bytes %lu\n", READ_ONCE(cc_swiotlb.max) / CC_LOAN_SHARE);
	seq_printf(m, "allocs %lu\n", loan_count(CC_LOAN_ALLOCS));
	seq_printf(m, "frees %lu\n", loan_count(CC_LOAN_FREES));
	seq_printf(m, "none %lu\n", loan_count(CC_LOAN_NONE));
	seq_printf(m, "over_budget %lu\n", loan_count(CC_LOAN_BUDGET));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(loans);

static int devices_show(struct seq_file *m, void *unused)
{
	const struct cc_holder *h;
	unsigned int nr;

	seq_printf(m, "%-32s %8s %16s %16s %8s\n", "device", "slots", "bytes",
		   "slot_bytes", "largest");
	mutex_lock(&cc_swiotlb.mutex);
	h = cc_holders_count(&nr);
	for (; nr--; h++)
		seq_printf(m, "%-32s %8lu %16lu %16lu %8lu\n", h->name, h->slots,
			   h->bytes, h->slot_bytes, h->largest);
	mutex_unlock(&cc_swiotlb.mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(devices);

static int kccd_show(struct seq_file *m, void *unused)
{
	struct cc_kccd_stats *s = &cc_kccd_stats;
	struct cc_convert_stats *c = &cc_convert_stats;

	mutex_lock(&cc_swiotlb.mutex);
	seq_printf(m, "shared_bytes %lu\n", cc_swiotlb.shared);
	seq_printf(m, "shared_peak_bytes %lu\n", cc_swiotlb.peak);
	seq_printf(m, "max_bytes %lu\n", cc_swiotlb.max);
	seq_printf(m, "min_bytes %lu\n", cc_swiotlb.min);
	seq_printf(m, "reserve_bytes %lu\n", cc_swiotlb.reserve_bytes);
	seq_printf(m, "reserve_min_bytes %lu\n", cc_swiotlb.reserve_min);
	seq_printf(m, "reserve_target_bytes %lu\n", cc_swiotlb.target);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_classes[i].mark)
			seq_printf(m, "mark_%lu %lu\n",
				   BIT(cc_classes[i].shift),
				   cc_classes[i].mark);
	seq_printf(m, "passes %lu\n", s->passes);
	seq_printf(m, "ticks %lu\n", s->ticks);
	seq_printf(m, "drains %lu\n", s->drains);
	seq_printf(m, "grown_bytes %lu\n", s->grown);
	seq_printf(m, "returned_bytes %lu\n", s->returned);
	seq_printf(m, "grow_failed %lu\n", s->grow_failed);
	seq_printf(m, "backoff_ms %u\n",
		   jiffies_to_msecs(cc_grow_backoff(jiffies)));
	seq_printf(m, "share_blocks %lu\n", c->blocks[true]);
	seq_printf(m, "share_ns %llu\n", c->ns[true]);
	seq_printf(m, "share_failed %lu\n", c->failed[true]);
	seq_printf(m, "unshare_blocks %lu\n", c->blocks[false]);
	seq_printf(m, "unshare_ns %llu\n", c->ns[false]);
	seq_printf(m, "unshare_failed %lu\n", c->failed[false]);
	seq_printf(m, "quarantined_bytes %lu\n", cc_swiotlb.quarantined);
	mutex_unlock(&cc_swiotlb.mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(kccd);

static int reset_set(void *data, u64 val)
{
	int cpu;

	if (val)
		return -EINVAL;
	mutex_lock(&cc_swiotlb.mutex);
	for_each_possible_cpu(cpu)
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
			memcpy(per_cpu(count_base, cpu)[i],
			       per_cpu(cc_cpu, cpu).mag[i].count,
			       sizeof(per_cpu(count_base, cpu)[i]));
	for (unsigned int i = 0; i < CC_NR_OWNERS; i++) {
		WRITE_ONCE(cc_classes[i].high, 0);
		cc_class_note_peak(&cc_classes[i]);
	}
	for (unsigned int i = 0; i < CC_NR_COHERENT_COUNTERS; i++)
		coherent_base[i] = cc_coherent_sum(i);
	for (unsigned int i = 0; i < CC_NR_LOAN_COUNTERS; i++)
		loan_base[i] = cc_loan_sum(i);
	for (unsigned int i = 0; i < CC_NR_BINS; i++)
		bin_base[i] = raw_bin(i);
	memset(&cc_kccd_stats, 0, sizeof(cc_kccd_stats));
	memset(&cc_convert_stats, 0, sizeof(cc_convert_stats));
	mutex_unlock(&cc_swiotlb.mutex);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(reset_fops, NULL, reset_set, "%llu\n");

static void debugfs_init(void)
{
	struct dentry *swiotlb, *dir;

	/* debugfs_lookup() would return an error pointer. */
	if (!IS_ENABLED(CONFIG_DEBUG_FS))
		return;
	swiotlb = debugfs_lookup("swiotlb", NULL);
	dir = debugfs_create_dir("cc", swiotlb);
	dput(swiotlb);
	debugfs_create_file("stats", 0400, dir, NULL, &stats_fops);
	debugfs_create_file("percpu", 0400, dir, NULL, &percpu_fops);
	debugfs_create_file("histogram", 0400, dir, NULL, &histogram_fops);
	debugfs_create_file("chunks", 0400, dir, NULL, &chunks_fops);
	debugfs_create_file("coherent", 0400, dir, NULL, &coherent_fops);
	debugfs_create_file("loans", 0400, dir, NULL, &loans_fops);
	debugfs_create_file("devices", 0400, dir, NULL, &devices_fops);
	debugfs_create_file("nodes", 0400, dir, NULL, &nodes_fops);
	debugfs_create_file("kccd", 0400, dir, NULL, &kccd_fops);
	debugfs_create_file_unsafe("reset", 0200, dir, NULL, &reset_fops);
}

static unsigned long raw_sum(enum cc_counter counter)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		sum += raw_count(i, counter);
	return sum;
}

static unsigned long map_failures(void)
{
	return raw_sum(CC_FAILED);
}

static unsigned long legacy_maps(void)
{
	return raw_sum(CC_LEGACY);
}

/* A file in sysfs: a number in cc_swiotlb, or one that is computed. */
struct cc_file {
	struct kobj_attribute attr;
	unsigned long *field;
	unsigned long (*get)(void);
};

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr,
		    char *buf)
{
	struct cc_file *a = container_of(attr, struct cc_file, attr);

	return sysfs_emit(buf, "%lu\n",
			  a->get ? a->get() : READ_ONCE(*a->field));
}

static ssize_t store(struct kobject *kobj, struct kobj_attribute *attr,
		     const char *buf, size_t count)
{
	struct cc_file *a = container_of(attr, struct cc_file, attr);
	const char *end;
	unsigned long val;

	end = cc_parse_size(buf, &val);
	if (!end || !sysfs_streq(end, ""))
		return -EINVAL;
	if (val > totalram_pages() << PAGE_SHIFT)
		return -ERANGE;
	return cc_kccd_set(a->field, val) ?: count;
}

static struct cc_file cc_files[] = {
	{ __ATTR(shared_bytes, 0444, show, NULL), &cc_swiotlb.shared },
	{ __ATTR(shared_peak_bytes, 0444, show, NULL), &cc_swiotlb.peak },
	{ __ATTR(used_bytes, 0444, show, NULL), .get = cc_used_bytes },
	{ __ATTR(coherent_bytes, 0444, show, NULL), .get = cc_coherent_bytes },
	{ __ATTR(loan_bytes, 0444, show, NULL), .get = cc_loan_bytes },
	{ __ATTR(map_failures, 0444, show, NULL), .get = map_failures },
	{ __ATTR(legacy_maps, 0444, show, NULL), .get = legacy_maps },
	{ __ATTR(quarantined_bytes, 0444, show, NULL), &cc_swiotlb.quarantined },
	{ __ATTR(max_bytes, 0644, show, store), &cc_swiotlb.max },
	{ __ATTR(min_bytes, 0644, show, store), &cc_swiotlb.min },
	{ __ATTR(reserve_bytes, 0444, show, NULL), &cc_swiotlb.reserve_bytes },
	{ __ATTR(reserve_min_bytes, 0644, show, store), &cc_swiotlb.reserve_min },
};

/* The directory of a class, slots-<bytes>. */
struct cc_class_dir {
	struct kobj_attribute mark;
	struct cc_class *class;
};

/* Slots that kccd keeps free. */
static ssize_t mark_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	struct cc_class_dir *dir = container_of(attr, struct cc_class_dir, mark);

	return sysfs_emit(buf, "%lu\n", READ_ONCE(dir->class->mark));
}

static ssize_t mark_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	struct cc_class_dir *dir = container_of(attr, struct cc_class_dir, mark);
	unsigned long slots;
	int err = cc_parse_number(buf, &slots);

	return err ?: cc_kccd_set_mark(dir->class, slots) ?: count;
}

static int class_dir_init(struct kobject *parent, unsigned int nr)
{
	static struct cc_class_dir dirs[CC_NR_CLASSES];
	struct cc_class_dir *dir = &dirs[nr];
	struct kobject *kobj;
	char name[32];

	dir->class = &cc_classes[nr];
	dir->mark = (struct kobj_attribute)__ATTR(mark, 0644, mark_show, mark_store);
	sysfs_attr_init(&dir->mark.attr);
	snprintf(name, sizeof(name), "slots-%lu", BIT(dir->class->shift));
	kobj = kobject_create_and_add(name, parent);
	return kobj ? sysfs_create_file(kobj, &dir->mark.attr) : -ENOMEM;
}

/* After swiotlb has made its debugfs directory (late_initcall, linked first). */
static int __init cc_stats_init(void)
{
	struct kobject *kobj;
	int err = 0;

	if (!cc_swiotlb_enabled())
		return 0;
	debugfs_init();
	kobj = kobject_create_and_add("cc_swiotlb", mm_kobj);
	if (!kobj)
		return -ENOMEM;
	for (unsigned int i = 0; i < ARRAY_SIZE(cc_files) && !err; i++)
		err = sysfs_create_file(kobj, &cc_files[i].attr.attr);
	for (unsigned int i = 0; i < CC_NR_CLASSES && !err; i++)
		if (cc_classes[i].enabled)
			err = class_dir_init(kobj, i);
	if (err) {
		kobject_del(kobj);
		kobject_put(kobj);
	}
	return err;
}
late_initcall(cc_stats_init);
