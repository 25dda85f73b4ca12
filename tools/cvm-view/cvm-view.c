// SPDX-License-Identifier: GPL-2.0
/*
 * cvm-view: what the host can see of a VM's memory, and damage in it.
 *
 *	CVM_VIEW=<fifo> LD_PRELOAD=cvm-view.so qemu-system-... -accel kvm ...
 *
 * A thread inside the VMM, because that is where the host has its own mapping
 * of guest memory: a plain load or store there succeeds or raises SIGSEGV and
 * changes nothing. (A system call that touches a private page makes pKVM take
 * the page away from the guest.) It takes one command per line from the FIFO
 * and writes its answer to the file named in it, complete when that appears:
 *
 * scan <file>		state of every page, as "start end state" in guest
 *			physical addresses, state being
 *			absent: the VMM has no page there, the guest used none;
 *			private: backed, but the host is refused;
 *			shared: the host can read it.
 * find <file> <string>	how often the string occurs in the pages that the last
 *			scan found shared: "found <n> pages <searched>", then
 *			"start end" of the pages with it
 * spare <file> <ranges>	leave these ranges ("start end" per line) alone when
 *			scribbling; answers with their number
 * scribble <file>	start writing over all other shared pages, all the time
 * stop <file>		stop that; answers "pages <written> rounds <number>"
 *
 * The memory slots are learnt from the VMM's own KVM_SET_USER_MEMORY_REGION. A
 * VMM that keeps private memory in a guest_memfd maps shared memory alone: there
 * private pages are absent.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE		4096UL
#define MAX_SLOTS	64
#define MAX_PAGES	1048576UL	/* looked at per slot: 4 GiB */
#define MAX_SPARED	8192
#define BATCH		512	/* pages per look at the page map */

struct range {
	uint64_t start, end;
};

struct slot {
	uint64_t gpa, size;
	char *hva;
};

static struct slot slots[MAX_SLOTS];
static bool shared[MAX_SLOTS][MAX_PAGES];	/* at the last scan */
static struct range spared[MAX_SPARED];
static int nspared;
static int pagemap;

static uint64_t pages_of(int slot)
{
	uint64_t n = slots[slot].size / PAGE;

	return n < MAX_PAGES ? n : MAX_PAGES;
}

/*
 * While set, a fault of this thread jumps there; any other fault ends as it would
 * without us. The fences keep the compiler from moving accesses out of between.
 * SA_NODEFER leaves the signal mask alone, so there is none to restore.
 */
struct fault {
	sigjmp_buf jump;
};

static __thread struct fault *on_fault;

static void segv(int sig, siginfo_t *info, void *context)
{
	if (on_fault)
		siglongjmp(on_fault->jump, 1);
	signal(sig, SIG_DFL);	/* taken again on return, now for real */
}

static void expect_fault(struct fault *there)
{
	atomic_signal_fence(memory_order_seq_cst);
	on_fault = there;
	atomic_signal_fence(memory_order_seq_cst);
}

/* Copies a page of the guest's, or returns false if the host may not read it. */
static bool read_page(const char *from, char *to)
{
	struct fault here;

	if (sigsetjmp(here.jump, 0)) {
		expect_fault(NULL);
		return false;
	}
	expect_fault(&here);
	memcpy(to, from, PAGE);
	expect_fault(NULL);
	return true;
}

/* Spoils four bytes of every sector in a page, others each round. */
static bool scribble_page(char *page, unsigned int round)
{
	struct fault here;
	unsigned int i;

	if (sigsetjmp(here.jump, 0)) {
		expect_fault(NULL);
		return false;
	}
	expect_fault(&here);
	for (i = 0; i < PAGE; i += 512)
		__atomic_fetch_xor((uint32_t *)(page + i + (round * 36 & 508)),
				   0x9e3779b9u * (round + i + 1), __ATOMIC_RELAXED);
	expect_fault(NULL);
	return true;
}

/* Which of the pages from there on has the VMM? */
static void read_backed(const char *hva, bool *backed, size_t n)
{
	uint64_t entry[BATCH] = { 0 };
	size_t i;

	if (pread(pagemap, entry, n * sizeof(*entry), (uintptr_t)hva / PAGE * sizeof(*entry)) < 0)
		warn("cvm-view: /proc/self/pagemap");
	for (i = 0; i < n; i++)
		backed[i] = entry[i] >> 62;	/* present or swapped */
}

static bool is_spared(uint64_t gpa)
{
	int lo = 0, hi = nspared;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (gpa >= spared[mid].end)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nspared && gpa >= spared[lo].start;
}

static FILE *answer_open(const char *path, char *tmp, size_t len)
{
	snprintf(tmp, len, "%s.tmp", path);
	return fopen(tmp, "w");
}

static void answer_close(FILE *f, const char *tmp, const char *path)
{
	fclose(f);
	rename(tmp, path);
}

static void scan(FILE *out)
{
	bool backed[BATCH];
	char page[PAGE];
	int i;

	for (i = 0; i < MAX_SLOTS; i++) {
		uint64_t n, start = 0, pages = pages_of(i), gpa = slots[i].gpa;
		const char *was = NULL;

		for (n = 0; n < pages; n++) {
			const char *hva = slots[i].hva + n * PAGE, *is;

			if (n % BATCH == 0)
				read_backed(hva, backed, pages - n < BATCH ? pages - n : BATCH);
			shared[i][n] = backed[n % BATCH] && read_page(hva, page);
			if (shared[i][n])
				is = "shared";
			else
				is = backed[n % BATCH] ? "private" : "absent";
			if (was && is != was) {
				fprintf(out, "%#jx %#jx %s\n", (uintmax_t)(gpa + start * PAGE),
					(uintmax_t)(gpa + n * PAGE), was);
				start = n;
			}
			was = is;
		}
		if (was)
			fprintf(out, "%#jx %#jx %s\n", (uintmax_t)(gpa + start * PAGE),
				(uintmax_t)(gpa + n * PAGE), was);
	}
}

static void find(FILE *out, const char *string)
{
	static bool has[MAX_SLOTS][MAX_PAGES];
	unsigned long hits = 0, pages = 0;
	size_t len = strlen(string);
	/* A page with the tail of its readable predecessor in front of it. */
	char buf[2 * PAGE];
	uint64_t n, start;
	int i;

	for (i = 0; i < MAX_SLOTS; i++) {
		size_t keep = 0;

		for (n = 0; n < pages_of(i); n++) {
			const char *p;

			has[i][n] = false;
			if (!shared[i][n] || !read_page(slots[i].hva + n * PAGE, buf + keep)) {
				keep = 0;
				continue;
			}
			pages++;
			for (p = buf; (p = memmem(p, buf + keep + PAGE - p, string, len)); p++) {
				has[i][n] = true;
				hits++;
			}
			memmove(buf, buf + keep + PAGE - (len - 1), len - 1);
			keep = len - 1;
		}
	}
	fprintf(out, "found %lu pages %lu\n", hits, pages);
	for (i = 0; i < MAX_SLOTS; i++) {
		for (n = 0, start = 0; n < pages_of(i); n++) {
			if (has[i][n] && (!n || !has[i][n - 1]))
				start = n;
			if (has[i][n] && (n + 1 == pages_of(i) || !has[i][n + 1]))
				fprintf(out, "%#jx %#jx\n",
					(uintmax_t)(slots[i].gpa + start * PAGE),
					(uintmax_t)(slots[i].gpa + (n + 1) * PAGE));
		}
	}
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void spare(FILE *out, const char *path)
{
	uintmax_t start, end;
	FILE *in = fopen(path, "r");

	nspared = 0;
	while (in && nspared < MAX_SPARED && fscanf(in, "%jx %jx%*[^\n]", &start, &end) == 2)
		spared[nspared++] = (struct range){ start, end };
	if (in)
		fclose(in);
	qsort(spared, nspared, sizeof(*spared), by_start);
	fprintf(out, "spared %d\n", nspared);
}

static atomic_bool scribbling;
static unsigned long scribbled, rounds;

static void *scribble(void *unused)
{
	/*
	 * Pages that were hit are written again and again; the others are
	 * tried once in 16 rounds only, for each costs a fault.
	 */
	static bool hit[MAX_SLOTS][MAX_PAGES];
	bool backed;
	uint64_t n;
	int i;

	for (rounds = 0; scribbling; rounds++) {
		for (i = 0; i < MAX_SLOTS; i++) {
			for (n = 0; n < pages_of(i) && scribbling; n++) {
				char *hva = slots[i].hva + n * PAGE;

				if (!hit[i][n]) {
					if (rounds % 16 || is_spared(slots[i].gpa + n * PAGE))
						continue;
					read_backed(hva, &backed, 1);
					if (!backed)
						continue;
				}
				hit[i][n] = scribble_page(hva, rounds);
				scribbled += hit[i][n];
			}
		}
	}
	return NULL;
}

static void command(char *line)
{
	static pthread_t scribbler;
	char *word, *path, *arg;
	char tmp[256];
	FILE *out;

	line[strcspn(line, "\n")] = 0;
	word = strtok(line, " ");
	path = strtok(NULL, " ");
	arg = strtok(NULL, "");
	if (!word || !path)
		return;
	out = answer_open(path, tmp, sizeof(tmp));
	if (!out) {
		warn("cvm-view: %s", path);
		return;
	}
	if (!strcmp(word, "scan")) {
		scan(out);
	} else if (!strcmp(word, "find") && arg) {
		find(out, arg);
	} else if (!strcmp(word, "spare") && arg) {
		spare(out, arg);
	} else if (!strcmp(word, "scribble") && !scribbling) {
		scribbling = true;
		if (pthread_create(&scribbler, NULL, scribble, NULL))
			scribbling = false;
		fprintf(out, "scribbling %d\n", scribbling);
	} else if (!strcmp(word, "stop") && scribbling) {
		scribbling = false;
		pthread_join(scribbler, NULL);
		fprintf(out, "pages %lu rounds %lu\n", scribbled, rounds);
	} else {
		fprintf(out, "error: cannot do '%s'\n", word);
	}
	answer_close(out, tmp, path);
}

static void *serve(void *fifo)
{
	char *line = NULL;
	size_t size = 0;
	FILE *in;

	/* Both ways, so that it never sees the end of the file. */
	in = fopen(fifo, "r+");
	if (!in)
		err(1, "cvm-view: %s", (char *)fifo);
	while (getline(&line, &size, in) > 0)
		command(line);
	return NULL;
}

static void start_server(void)
{
	struct sigaction sa = { .sa_sigaction = segv, .sa_flags = SA_SIGINFO | SA_NODEFER };
	char *fifo = getenv("CVM_VIEW");
	pthread_t thread;

	if (!fifo)
		return;
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (pagemap < 0)
		err(1, "cvm-view: /proc/self/pagemap");
	sigaction(SIGSEGV, &sa, NULL);
	if (pthread_create(&thread, NULL, serve, fifo))
		errx(1, "cvm-view: no thread");
}

/* KVM_SET_USER_MEMORY_REGION2, which older headers lack, begins like the first. */
static bool is_memory_region(unsigned long request)
{
	return _IOC_TYPE(request) == KVMIO &&
	       (_IOC_NR(request) == _IOC_NR(KVM_SET_USER_MEMORY_REGION) ||
		_IOC_NR(request) == 0x49);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, ...);
	unsigned long arg;
	va_list ap;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);

	if (!next)
		next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");

	ret = next(fd, request, arg);
	if (request == KVM_CREATE_VM && ret >= 0) {
		start_server();
	} else if (is_memory_region(request) && !ret) {
		const struct kvm_userspace_memory_region *r = (void *)arg;

		if (r->slot < MAX_SLOTS)
			slots[r->slot] = (struct slot){
				.gpa = r->guest_phys_addr,
				.size = r->memory_size,
				.hva = (char *)r->userspace_addr,
			};
	}
	return ret;
}
