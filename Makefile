# SPDX-License-Identifier: GPL-2.0
# Every verb is a script of the same name in scripts/.
# KVER=6.12 or 7.3, else what README.md says; KSRC=<a kernel tree of your own> instead of Debian's.

help: ## this text
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "make %-15s %s\n", $$1, $$2 }'

deps: ## install the Debian packages that most verbs need; what only one verb needs, that verb installs
apply: ## patch a copy of the kernel tree, print where it is
series: ## the patches as one sends them to a list, for git am, into out/series/<version>/
series-check: ## each patch of the series: applies, builds, passes checkpatch and its KUnit tests; BUILDS='<name>...': less
build: ## three kernels for guests: legacy and dynamic, without the series (they only count copies), and cc, with it
demo: ## verified I/O in a guest with cc, none and legacy; a table and a plot; the first time it compiles for most of the time; ALL=1: kernels without the series, too
test: ## what must pass before a commit; the first time it compiles for most of the time
test-all: ## every check and benchmark; takes hours. Both kernels; coverage, mutants, cvm and bench: 7.3 alone
cvm: ## protected guests under an emulated pKVM host: isolation, verified I/O, a hostile host; GUESTS='<name>...': these
bench: ## all benchmarks, their tables and plots
doc-tables: ## write what was measured into README.md and Documentation/
bench-native: ## nanoseconds of map and unmap by size and fill, on UML; ROUNDS=n
bench-icount: ## instructions of map and unmap, counted exactly in QEMU
bench-fio: ## fio on 1 and 21 NVMe disks, timed and counted, and iperf3, in the guest; QUICK=1, JOBS=<regex> or ROUNDS=n: less
stress: ## bursts, starvation, fragmentation, hotplug, suspend and more in guests; SCENARIO='<name>...': these
new-scenario: ## a file to begin a scenario of "make stress" with; NAME=<name>
iommu: ## verified I/O on untrusted disks behind an IOMMU, one of them of 32 bits
nvme-errors: ## reads that fail, resets and maps that fail: no byte of another's data in a buffer
luks: ## dm-crypt: what is copied, with loans and without; errors, resets, tables that change
trace: ## the examples for perf, trace-cmd and bpftrace in the guide, each run in a guest
smoke: ## short verified I/O on the patched kernel with lockdep and DMA debugging
kunit: ## the KUnit suites of both kernels, on UML and on five architectures in QEMU
sanitize: ## the KUnit suites under KASAN, KCSAN, lockdep and more, and on PREEMPT_RT; SANITIZER='<name>...': these
litmus: ## what is done without a lock, by the kernel's memory model; LITMUS='<name>...': these
mutants: ## bugs put in on purpose, which KUnit must notice, on 7.3; MUTANT='<name>...': these
coverage: ## how many lines of each file KUnit runs through, and which ones it does not
static: ## checkpatch, shellcheck, sparse, W=1, kernel-doc
static-full: ## these, clang, five architectures, Kconfig variants, coccinelle
checkpatch-run: ## the kernel's checkpatch --strict alone
clean: ## remove out/
	rm -rf out
distclean: clean ## and the cached kernels, builds and images
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/cc-swiotlb"

verbs := $(filter-out help clean distclean,$(shell sed -n 's/^\([a-z-]*\):.* ## .*/\1/p' Makefile))
$(verbs):
	@scripts/$@.sh

.PHONY: help clean distclean $(verbs)
