// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU TCG plugin: the longest sections with interrupts off that functions of
 * interest are answerable for, in instructions, exact to the instruction.
 *
 *   -plugin irqsoff.so,syms=<file>,out=<file>
 *
 * syms holds lines "<address> <kind> <name>", sorted by address, of all text
 * symbols; kind is s (a function of interest), i (entry of an interrupt), x (of an
 * exception) or - (any other). A section begins
 *  - where interrupts go off in such a function, or in one that it calls, as in
 *    _raw_spin_lock_irqsave(), and ends where they go on again;
 *  - where such a function is entered when they are off already, as in an interrupt
 *    of another CPU, and ends when its caller goes on, or interrupts do.
 * Whatever is called in between counts. At the end, out holds a line of JSON for each
 * function of interest that a section began in, and one with "stale": how often an
 * interrupt came when they were off, which says that the plugin has lost track.
 *
 * An exception ends a section: there are none in the code that this is for.
 */
#include "plugin.h"

enum kind { OTHER, INTEREST, IRQ, EXCEPTION };

/* What can be in a block: the position after the instruction, or 0. */
struct block {
	unsigned int sym, insns;
	bool first;		/* of its function */
	unsigned int off, on;
};

struct cpu {
	bool off;		/* interrupts are */
	bool in;		/* in a section */
	unsigned int sym;	/* it began in this function */
	unsigned int until;	/* symbol whose execution ends it; 0: none */
	unsigned int last;	/* symbol executed last */
	unsigned int caller;	/* of the function executed last */
	uint64_t insns;
};

struct group {
	uint64_t sections, insns, max;
};

static struct cpu cpus[MAX_CPUS];
static struct group *groups;
static uint64_t stale;
static const char *out_name = "irqsoff.json";

static void begin(struct cpu *c, unsigned int sym, unsigned int until)
{
	c->in = true;
	c->sym = sym;
	c->until = until;
	c->insns = 0;
}

static void end(struct cpu *c)
{
	struct group *g = &groups[c->sym];

	if (!c->in)
		return;
	c->in = false;
	g->sections++;
	g->insns += c->insns;
	if (c->insns > g->max)
		g->max = c->insns;
}

static bool of_interest(unsigned int sym)
{
	return syms[sym].kind == INTEREST;
}

static void on_block(unsigned int cpu, void *data)
{
	struct cpu *c = &cpus[cpu % MAX_CPUS];
	const struct block *b = data;

	if (b->first && c->last != b->sym)
		c->caller = c->last;
	if (b->first && syms[b->sym].kind >= IRQ) {
		stale += c->off && syms[b->sym].kind == IRQ;
		c->in = false;
		c->off = true;
	}
	if (c->in && c->until && c->until == b->sym)
		end(c);
	if (c->off && !c->in && of_interest(b->sym))
		begin(c, b->sym, of_interest(c->last) ? 0 : c->last);
	c->last = b->sym;

	if (c->off && b->on) {
		c->insns += b->on;
		end(c);
		c->off = false;
	}
	if (!c->off && b->off > b->on) {
		c->off = true;
		if (of_interest(b->sym))
			begin(c, b->sym, 0);
		else if (of_interest(c->caller))
			begin(c, c->caller, 0);
		c->insns = b->insns - b->off;
	} else if (c->off) {
		c->insns += b->insns;
	}
}

/* cli; sti, iretq, sysretq */
static void classify(struct block *b, const struct qemu_plugin_insn *insn, unsigned int nr)
{
	uint8_t p[MAX_INSN] = { 0 };
	size_t size = insn_bytes(insn, p);

	if (size == 1 && p[0] == 0xfa)
		b->off = nr;
	else if ((size == 1 && p[0] == 0xfb) || (size == 2 && p[0] == 0x48 && p[1] == 0xcf) ||
		 (size == 3 && p[0] == 0x48 && p[1] == 0x0f && p[2] == 0x07))
		b->on = nr;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t addr = qemu_plugin_tb_vaddr(tb);
	struct block *b;
	unsigned int i;

	(void)id;
	if (!is_kernel(addr))
		return;
	b = calloc(1, sizeof(*b));
	b->sym = find_symbol(addr);
	b->first = addr == syms[b->sym].addr;
	b->insns = qemu_plugin_tb_n_insns(tb);
	for (i = 0; i < b->insns; i++)
		classify(b, qemu_plugin_tb_get_insn(tb, i), i + 1);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, 0, b);
}

static void report(qemu_plugin_id_t id, void *data)
{
	FILE *f = fopen(out_name, "w");
	unsigned int i;

	(void)id;
	(void)data;
	if (!f)
		return;
	for (i = 0; i < nr_syms; i++)
		if (groups[i].sections)
			fprintf(f, "{\"function\":\"%s\",\"sections\":%" PRIu64 ",\"mean\":%.1f,\"max\":%" PRIu64 "}\n",
				syms[i].name, groups[i].sections,
				(double)groups[i].insns / groups[i].sections, groups[i].max);
	fprintf(f, "{\"stale\":%" PRIu64 "}\n", stale);
	fclose(f);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info,
			       int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "syms=", 5) && read_symbols(argv[i] + 5, "-six"))
			return -1;
		if (!strncmp(argv[i], "out=", 4))
			out_name = strdup(argv[i] + 4);
	}
	if (!nr_syms)
		return -1;
	groups = calloc(nr_syms, sizeof(*groups));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, report, NULL);
	return 0;
}
