// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU TCG plugin: instructions that a guest kernel executes in a call of one
 * of two functions ("map" and "unmap"), by function, exact to the instruction.
 *
 *   -plugin icount.so,syms=<file>,out=<file>
 *   -plugin icount.so,total=<file>
 *
 * The second only counts all instructions of a guest with one CPU, in the eight
 * bytes of a file, for whoever looks.
 *
 * syms holds lines "<address> <kind> <name>", sorted by address, of all text
 * symbols; kind is m (entry of map), u (of unmap), c (the copy), o (their
 * caller, who is measured), i (interrupt entry) or - (anything else). A call
 * lasts from the entry, if it comes from o, until o is executed again; one that
 * an interrupt fell into is not counted. Calls are told apart by the number of
 * instructions in the copy, that is, by the size mapped; an unmap belongs to the
 * map before it.
 *
 * At the end, out holds lines of JSON. With lines=on, also the cache lines that
 * several CPUs wrote to.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "plugin.h"

enum kind { OTHER, MAP, UNMAP, COPY, CALLER, IRQ };
enum what { INSNS, LOCKED, IRQ_FLAG, NOPS, NR_WHAT };

static const char * const what_name[] = {
	"instructions", "locked", "irq_flag", "nops"
};

struct block {
	unsigned int sym;
	bool first;		/* of its function */
	unsigned int n[NR_WHAT];
};

#define MAX_KEYS	64
#define MAX_LINES	(1 << 16)
#define MIN_TURNS 4

/* What was executed of one function. */
struct share {
	uint64_t insns, calls;
};

/* All calls of one kind and size. */
struct group {
	uint64_t calls, dirty, sum[NR_WHAT], copy, min, max;
	struct share *by_sym;
};

struct cpu {
	enum kind in;		/* MAP, UNMAP, or OTHER: not in a call */
	bool interrupted;
	unsigned int last;	/* symbol executed last */
	uint64_t n[NR_WHAT], copy, key;
	unsigned int nr_syms;
	unsigned int touched[64];
	struct share *by_sym;
};

/* A cache line that was written in a call. */
struct line {
	uint64_t addr, writes;
	unsigned int sym, cpu, turns;
};

static uint64_t keys[MAX_KEYS];
static unsigned int nr_keys;
static struct group groups[2][MAX_KEYS];
static struct cpu cpus[MAX_CPUS];
static struct line lines[MAX_LINES];
static bool watch_lines;
static const char *out_name = "icount.json";

static unsigned int find_key(uint64_t key)
{
	unsigned int i;

	for (i = 0; i < nr_keys; i++)
		if (keys[i] == key)
			return i;
	if (nr_keys == MAX_KEYS)
		return MAX_KEYS - 1;
	keys[nr_keys] = key;
	return nr_keys++;
}

static void begin(struct cpu *c, enum kind kind)
{
	c->in = kind;
	c->interrupted = false;
	memset(c->n, 0, sizeof(c->n));
	c->copy = 0;
	c->nr_syms = 0;
}

static void end(struct cpu *c)
{
	struct group *g;
	unsigned int i;

	if (c->in == MAP && !c->interrupted)
		c->key = c->copy;
	g = &groups[c->in == UNMAP][find_key(c->key)];
	c->in = OTHER;
	if (!g->by_sym) {
		g->by_sym = calloc(nr_syms, sizeof(*g->by_sym));
		g->min = UINT64_MAX;
	}
	for (i = 0; i < c->nr_syms; i++) {
		struct share *share = &c->by_sym[c->touched[i]];

		if (!c->interrupted) {
			g->by_sym[c->touched[i]].insns += share->insns;
			g->by_sym[c->touched[i]].calls += share->calls;
		}
		memset(share, 0, sizeof(*share));
	}
	if (c->interrupted) {
		g->dirty++;
		return;
	}
	g->calls++;
	for (i = 0; i < NR_WHAT; i++)
		g->sum[i] += c->n[i];
	g->copy += c->copy;
	if (c->n[INSNS] - c->copy < g->min)
		g->min = c->n[INSNS] - c->copy;
	if (c->n[INSNS] - c->copy > g->max)
		g->max = c->n[INSNS] - c->copy;
}

static void on_block(unsigned int cpu, void *data)
{
	struct cpu *c = &cpus[cpu % MAX_CPUS];
	const struct block *b = data;
	const struct symbol *s = &syms[b->sym];
	unsigned int i;

	if (c->in == OTHER) {
		if (b->first && (s->kind == MAP || s->kind == UNMAP) &&
		    syms[c->last].kind == CALLER)
			begin(c, s->kind);
	} else if (s->kind == CALLER) {
		end(c);
	} else if (s->kind == IRQ) {
		c->interrupted = true;
	}
	c->last = b->sym;
	if (c->in == OTHER)
		return;

	for (i = 0; i < NR_WHAT; i++)
		c->n[i] += b->n[i];
	if (s->kind == COPY)
		c->copy += b->n[INSNS];
	if (!c->by_sym[b->sym].insns) {
		if (c->nr_syms == sizeof(c->touched) / sizeof(c->touched[0])) {
			c->interrupted = true;
			return;
		}
		c->touched[c->nr_syms++] = b->sym;
	}
	c->by_sym[b->sym].insns += b->n[INSNS];
	c->by_sym[b->sym].calls += b->first;
}

static void on_write(unsigned int cpu, uint32_t info, uint64_t vaddr, void *data)
{
	const struct block *b = data;
	uint64_t addr = vaddr >> 6;
	unsigned int i = addr * 0x9e3779b97f4a7c15ull >> 48;
	unsigned int n;

	if (!qemu_plugin_mem_is_store(info) || cpus[cpu % MAX_CPUS].in == OTHER ||
	    cpus[cpu % MAX_CPUS].interrupted || syms[b->sym].kind == COPY)
		return;
	for (n = 0; n < 64; n++, i = (i + 1) % MAX_LINES) {
		if (lines[i].addr && lines[i].addr != addr)
			continue;
		if (lines[i].addr && lines[i].cpu != cpu)
			lines[i].turns++;
		lines[i].addr = addr;
		lines[i].writes++;
		lines[i].cpu = cpu;
		lines[i].sym = b->sym;
		return;
	}
}

/* What an instruction is, from its bytes: only what the kernel contains. */
static void classify(const struct qemu_plugin_insn *insn, unsigned int *n)
{
	uint8_t p[MAX_INSN];
	size_t size = insn_bytes(insn, p), i = 0;
	bool locked = false;

	for (; i < size; i++) {
		if (p[i] == 0xf0)
			locked = true;
		else if (p[i] != 0x66 && p[i] != 0xf2 && p[i] != 0xf3 &&
			 p[i] != 0x65 && p[i] != 0x64 && p[i] != 0x2e &&
			 p[i] != 0x3e && (p[i] & 0xf0) != 0x40)
			break;
	}
	if (i == size)
		return;
	/* xchg with memory locks without the prefix */
	if ((p[i] == 0x86 || p[i] == 0x87) && i + 1 < size && p[i + 1] >> 6 != 3)
		locked = true;
	n[LOCKED] += locked;
	n[IRQ_FLAG] += p[i] == 0xfa || p[i] == 0xfb || p[i] == 0x9c || p[i] == 0x9d;
	n[NOPS] += p[i] == 0x90 || (p[i] == 0x0f && i + 1 < size && p[i + 1] == 0x1f);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t addr = qemu_plugin_tb_vaddr(tb);
	struct block *b;
	size_t i;

	(void)id;
	if (!is_kernel(addr))
		return;
	b = calloc(1, sizeof(*b));
	b->sym = find_symbol(addr);
	b->first = addr == syms[b->sym].addr;
	b->n[INSNS] = qemu_plugin_tb_n_insns(tb);
	for (i = 0; i < b->n[INSNS]; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		classify(insn, b->n);
		if (watch_lines)
			qemu_plugin_register_vcpu_mem_cb(insn, on_write, 0, 2, b);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, 0, b);
}

static uint64_t *total;

static void on_counted(unsigned int cpu, void *insns)
{
	(void)cpu;
	*total += (uintptr_t)insns;
}

static void on_count(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_counted, 0,
					     (void *)qemu_plugin_tb_n_insns(tb));
}

static int open_total(const char *name)
{
	int fd = open(name, O_RDWR);

	total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return total == MAP_FAILED ? -1 : 0;
}

static void report_group(FILE *f, const char *name, unsigned int k, struct group *g)
{
	const char *sep = "";
	unsigned int i;

	if (!g->calls)
		return;
	fprintf(f, "{\"call\":\"%s\",\"copy_key\":%" PRIu64 ",\"calls\":%" PRIu64
		",\"interrupted\":%" PRIu64 ",\"copy\":%.3f,\"min\":%" PRIu64
		",\"max\":%" PRIu64, name, keys[k], g->calls, g->dirty,
		(double)g->copy / g->calls, g->min, g->max);
	for (i = 0; i < NR_WHAT; i++)
		fprintf(f, ",\"%s\":%.3f", what_name[i], (double)g->sum[i] / g->calls);
	fprintf(f, ",\"functions\":{");
	for (i = 0; i < nr_syms; i++) {
		if (!g->by_sym[i].insns)
			continue;
		fprintf(f, "%s\"%s\":[%.3f,%.3f]", sep, syms[i].name,
			(double)g->by_sym[i].insns / g->calls,
			(double)g->by_sym[i].calls / g->calls);
		sep = ",";
	}
	fprintf(f, "}}\n");
}

static void report(qemu_plugin_id_t id, void *data)
{
	FILE *f = fopen(out_name, "w");
	uint64_t calls = 0;
	unsigned int i;

	(void)id;
	(void)data;
	if (!f)
		return;
	for (i = 0; i < nr_keys; i++) {
		report_group(f, "map", i, &groups[0][i]);
		report_group(f, "unmap", i, &groups[1][i]);
		calls += groups[0][i].calls;
	}
	/*
	 * Written in at least one call of 100, by CPUs that take turns: the stack of
	 * a thread that moves from one CPU to another is not shared.
	 */
	for (i = 0; i < MAX_LINES; i++) {
		struct line *l = &lines[i];

		if (l->turns < MIN_TURNS || l->writes * 100 < calls)
			continue;
		fprintf(f, "{\"shared_line\":\"%#" PRIx64 "\",\"writes_per_map\":%.3f,\"turns\":%u,\"last_writer\":\"%s\"}\n",
			l->addr << 6, (double)l->writes / calls, l->turns, syms[l->sym].name);
	}
	fclose(f);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info,
			       int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "syms=", 5) && read_symbols(argv[i] + 5, "-mucoi"))
			return -1;
		if (!strncmp(argv[i], "out=", 4))
			out_name = strdup(argv[i] + 4);
		if (!strcmp(argv[i], "lines=on"))
			watch_lines = true;
		if (!strncmp(argv[i], "total=", 6) && open_total(argv[i] + 6))
			return -1;
	}
	if (total) {
		qemu_plugin_register_vcpu_tb_trans_cb(id, on_count);
		return 0;
	}
	if (!nr_syms)
		return -1;
	for (i = 0; i < MAX_CPUS; i++)
		cpus[i].by_sym = calloc(nr_syms, sizeof(*cpus[i].by_sym));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, report, NULL);
	return 0;
}
