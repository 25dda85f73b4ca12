/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What QEMU's TCG plugins of this directory share: the few functions of the plugin
 * API (of version -DAPI=) that they use, because not every QEMU package brings the
 * header, and the guest kernel's symbols.
 */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*exec_cb)(unsigned int cpu, void *data);
typedef void (*mem_cb)(unsigned int cpu, uint32_t info, uint64_t vaddr, void *data);
typedef void (*exit_cb)(qemu_plugin_id_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_cb cb,
					  int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_cb cb,
				      int flags, int rw, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, exit_cb cb, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t i);
#if API < 3
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dest,
			     size_t len);
#endif
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
bool qemu_plugin_mem_is_store(uint32_t info);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = API;

#define MAX_CPUS	8
#define MAX_INSN	16

struct symbol {
	uint64_t addr;
	unsigned int kind;	/* index in the letters that the plugin knows */
	char name[64];
};

static struct symbol *syms;
static unsigned int nr_syms;

static unsigned int find_symbol(uint64_t addr)
{
	unsigned int lo = 0, hi = nr_syms;

	while (hi - lo > 1) {
		unsigned int mid = (lo + hi) / 2;

		if (syms[mid].addr <= addr)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static bool is_kernel(uint64_t addr)
{
	return addr >= syms[0].addr && addr <= syms[nr_syms - 1].addr;
}

/* Lines "<address> <kind> <name>", sorted; the kinds are letters, the first is "other". */
static int read_symbols(const char *name, const char *kinds)
{
	FILE *f = fopen(name, "r");
	struct symbol s;
	char kind;

	if (!f)
		return -1;
	while (fscanf(f, "%" SCNx64 " %c %63s\n", &s.addr, &kind, s.name) == 3) {
		const char *k = strchr(kinds, kind);

		s.kind = k ? k - kinds : 0;
		syms = realloc(syms, (nr_syms + 1) * sizeof(*syms));
		syms[nr_syms++] = s;
	}
	fclose(f);
	return nr_syms ? 0 : -1;
}

/* The bytes of an instruction; returns how many. */
static size_t insn_bytes(const struct qemu_plugin_insn *insn, uint8_t *p)
{
	size_t size = qemu_plugin_insn_size(insn);
#if API < 3
	if (size > MAX_INSN)
		size = MAX_INSN;
	memcpy(p, qemu_plugin_insn_data(insn), size);
#else
	size = qemu_plugin_insn_data(insn, p, MAX_INSN);
#endif
	return size;
}

#endif
