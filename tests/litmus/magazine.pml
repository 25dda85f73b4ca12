/*
 * One CPU's magazine, without a lock: a task takes slots, puts them back, takes a whole
 * chain and puts that back; between any two of its steps an interrupt may do the same.
 * Who has a slot writes something else over its link.
 *
 * Not so: a slot is taken that is not there, or the head is not that of a chain of all
 * slots that are there, as many as it says.
 *
 * All orders are tried, but of few steps: three slots, at most four changes in an
 * interrupt, which is what it takes to bring the same slot and number back to the head
 * with another link behind it. That 24 bits of tid are enough is a matter of time, and
 * not proven here.
 *
 * Accesses of one CPU and of interrupts on it are in program order, so this is no matter
 * of the memory model; barrier() keeps the compiler from changing that.
 *
 * code: kernel/dma/cc-swiotlb/map.h cc_magazine_pop cc_magazine_push
 * code: kernel/dma/cc-swiotlb/slot.h cc_chain_detach
 * code: kernel/dma/cc-swiotlb/magazine.c attach
 * code: kernel/dma/cc-swiotlb/slot.h cc_chain_head
 * mutant: s/tid = (tid + 1) % TIDS/tid = 0/
 * mutant: s/TIDS 16/TIDS 2/
 * mutant: s/next\[s\] = o_index;/skip;/;s/skip; .. after ../next[s] = o_index;/
 */
#define SLOTS 3
#define MAX 3
#define TIDS 16
#define MAPPED (SLOTS + 1)

/* The head: one word, read and replaced at once. */
byte index = 1, tid, count = 2;
byte next[SLOTS + 1];
bool there[SLOTS + 1];
/* 0: the task runs; 1: an interrupt. */
byte level;
bool ready;

inline read_head()
{
	d_step { o_index = index; o_tid = tid; o_count = count }
}

#define SAME (index == o_index && tid == o_tid && count == o_count)

inline set_head(to, number)
{
	index = to;
	count = number;
	tid = (tid + 1) % TIDS
}

/* The chain has as many slots as the head says, and all that are there. */
inline consistent()
{
	n = 0;
	s0 = index;
	do
	:: n < count && s0 != 0 && s0 <= SLOTS ->
		assert(there[s0]);
		s0 = next[s0];
		n++
	:: else ->
		break
	od;
	assert(n == count && s0 == 0 && count == there[1] + there[2] + there[3]);
	n = 0;
	s0 = 0
}

inline pop()
{
	do
	:: read_head();
		if
		:: o_index == 0 ->
			break
		:: else
		fi;
		link = next[o_index];
		atomic {
			if
			:: SAME ->
				s = o_index;
				assert(there[s]);
				there[s] = false;
				set_head(link, count - 1);
				consistent();
				mine[s] = true;
				break
			:: else
			fi
		}
	od;
	if
	:: s != 0 ->
		next[s] = MAPPED
	:: else
	fi;
	s = 0
}

inline push()
{
	if
	:: mine[1] -> s = 1
	:: mine[2] -> s = 2
	:: mine[3] -> s = 3
	fi;
	do
	:: read_head();
		if
		:: o_count >= MAX ->
			break
		:: else
		fi;
		next[s] = o_index;
		atomic {
			if
			:: SAME ->
				mine[s] = false;
				there[s] = true;
				set_head(s, count + 1);
				break
			:: else
			fi
		}
	od;
	skip; /* after */
	atomic { consistent(); s = 0 }
}

/* cc_chain_detach(), and attach() where that finds the magazine empty. */
inline take_all()
{
	do
	:: read_head();
		if
		:: o_index == 0 || chain != 0 ->
			break
		:: else
		fi;
		atomic {
			if
			:: SAME ->
				chain = o_index;
				slots = o_count;
				there[1] = false;
				there[2] = false;
				there[3] = false;
				set_head(0, 0);
				/* The links of what was taken are still those of the chain. */
				n = 1;
				s0 = chain;
				do
				:: n < slots -> s0 = next[s0]; n++
				:: else -> break
				od;
				assert(next[s0] == 0);
				n = 0;
				s0 = 0;
				break
			:: else
			fi
		}
	od
}

inline put_all()
{
	do
	:: read_head();
		if
		:: o_index != 0 || chain == 0 ->
			break
		:: else
		fi;
		atomic {
			if
			:: SAME ->
				set_head(chain, slots);
				s0 = chain;
				do
				:: s0 != 0 -> there[s0] = true; s0 = next[s0]
				:: else -> break
				od;
				consistent();
				chain = 0;
				slots = 0;
				break
			:: else
			fi
		}
	od
}

active [2] proctype context() provided (level <= _pid)
{
	byte o_index, o_tid, o_count, link, s, s0, n, chain, slots, left;
	bool mine[SLOTS + 1];

	atomic {
		if
		:: _pid == 0 ->
			/* 1 and 2 are there, the interrupt has 3. */
			there[1] = true;
			there[2] = true;
			next[1] = 2;
			ready = true;
			left = 2
		:: else ->
			mine[3] = true;
			next[3] = MAPPED;
			left = 4
		fi
	}
end:	/* An interrupt comes when it likes, if at all. */
	atomic {
		_pid == 0 || (ready && level == _pid - 1);
		level = _pid
	}
	do
	:: left > 0 ->
		left--;
		if
		:: pop()
		:: mine[1] || mine[2] || mine[3] -> push()
		:: take_all()
		:: put_all()
		:: break
		fi;
		atomic { o_index = 0; o_tid = 0; o_count = 0; link = 0 }
	:: else ->
		break
	od;
	level = (_pid == 0 -> 0 : _pid - 1)
}
