/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cc_swiotlb

#if !defined(_TRACE_CC_SWIOTLB_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_CC_SWIOTLB_H

#include <linux/device.h>
#include <linux/tracepoint.h>

/* A slot of 1 << shift bytes was taken for the buffer at orig_addr. */
TRACE_EVENT(cc_swiotlb_map,
	    TP_PROTO(struct device *dev, phys_addr_t orig_addr,
		     phys_addr_t tlb_addr, size_t size, unsigned int shift),
	    TP_ARGS(dev, orig_addr, tlb_addr, size, shift),
	    TP_STRUCT__entry(__string(dev_name, dev_name(dev))
			     __field(u64, orig_addr)
			     __field(u64, tlb_addr)
			     __field(size_t, size)
			     __field(unsigned int, slot)),
	    TP_fast_assign(__assign_str(dev_name);
			   __entry->orig_addr = orig_addr;
			   __entry->tlb_addr = tlb_addr;
			   __entry->size = size;
			   __entry->slot = 1U << shift;),
	    TP_printk("dev_name: %s orig_addr=%llx tlb_addr=%llx size=%zu slot=%u",
		      __get_str(dev_name), __entry->orig_addr,
		      __entry->tlb_addr, __entry->size, __entry->slot)
);

/* It was given back. */
TRACE_EVENT(cc_swiotlb_unmap,
	    TP_PROTO(struct device *dev, phys_addr_t tlb_addr, size_t size,
		     unsigned int shift),
	    TP_ARGS(dev, tlb_addr, size, shift),
	    TP_STRUCT__entry(__string(dev_name, dev_name(dev))
			     __field(u64, tlb_addr)
			     __field(size_t, size)
			     __field(unsigned int, slot)),
	    TP_fast_assign(__assign_str(dev_name);
			   __entry->tlb_addr = tlb_addr;
			   __entry->size = size;
			   __entry->slot = 1U << shift;),
	    TP_printk("dev_name: %s tlb_addr=%llx size=%zu slot=%u",
		      __get_str(dev_name), __entry->tlb_addr, __entry->size,
		      __entry->slot)
);

/*
 * A CPU got a chain of slots: its spare magazine, what was in its inbox or collected for
 * another CPU, or from depot or gen_pool; of another node, one slot.
 */
TRACE_EVENT(cc_swiotlb_refill,
	    TP_PROTO(unsigned int shift, unsigned int count),
	    TP_ARGS(shift, count),
	    TP_STRUCT__entry(__field(unsigned int, slot)
			     __field(unsigned int, count)),
	    TP_fast_assign(__entry->slot = 1U << shift;
			   __entry->count = count;),
	    TP_printk("slot=%u count=%u", __entry->slot, __entry->count)
);

/* A class asked for a chunk of the reserve; chunk=0: there was none. */
TRACE_EVENT(cc_swiotlb_reserve,
	    TP_PROTO(unsigned int shift, phys_addr_t chunk, unsigned long left),
	    TP_ARGS(shift, chunk, left),
	    TP_STRUCT__entry(__field(unsigned int, slot)
			     __field(u64, chunk)
			     __field(unsigned long, left)),
	    TP_fast_assign(__entry->slot = 1U << shift;
			   __entry->chunk = chunk;
			   __entry->left = left;),
	    TP_printk("slot=%u chunk=%llx left=%lu", __entry->slot,
		      __entry->chunk, __entry->left)
);

/* A class and the reserve had run dry; served=0: no larger class helped. */
TRACE_EVENT(cc_swiotlb_larger,
	    TP_PROTO(unsigned int shift, unsigned int served),
	    TP_ARGS(shift, served),
	    TP_STRUCT__entry(__field(unsigned int, slot)
			     __field(unsigned int, served)),
	    TP_fast_assign(__entry->slot = 1U << shift;
			   __entry->served = served ? 1U << served : 0;),
	    TP_printk("slot=%u served=%u", __entry->slot, __entry->served)
);

/* A mapping went to swiotlb's own pool (legacy=1) or failed (legacy=0). */
TRACE_EVENT(cc_swiotlb_failed,
	    TP_PROTO(struct device *dev, size_t size, bool legacy),
	    TP_ARGS(dev, size, legacy),
	    TP_STRUCT__entry(__string(dev_name, dev_name(dev))
			     __field(size_t, size)
			     __field(bool, legacy)),
	    TP_fast_assign(__assign_str(dev_name);
			   __entry->size = size;
			   __entry->legacy = legacy;),
	    TP_printk("dev_name: %s size=%zu legacy=%d", __get_str(dev_name),
		      __entry->size, __entry->legacy)
);

/* A block was added, or returned; shared: bytes shared afterwards. */
DECLARE_EVENT_CLASS(cc_swiotlb_block,
		    TP_PROTO(phys_addr_t addr, unsigned long bytes,
			     unsigned long shared),
		    TP_ARGS(addr, bytes, shared),
		    TP_STRUCT__entry(__field(u64, addr)
				     __field(unsigned long, bytes)
				     __field(unsigned long, shared)),
		    TP_fast_assign(__entry->addr = addr;
				   __entry->bytes = bytes;
				   __entry->shared = shared;),
		    TP_printk("addr=%llx bytes=%lu shared=%lu",
			      __entry->addr, __entry->bytes, __entry->shared)
);

DEFINE_EVENT(cc_swiotlb_block, cc_swiotlb_grow,
	     TP_PROTO(phys_addr_t addr, unsigned long bytes,
		      unsigned long shared),
	     TP_ARGS(addr, bytes, shared)
);

DEFINE_EVENT(cc_swiotlb_block, cc_swiotlb_shrink,
	     TP_PROTO(phys_addr_t addr, unsigned long bytes,
		      unsigned long shared),
	     TP_ARGS(addr, bytes, shared)
);

TRACE_EVENT(cc_swiotlb_convert,
	    TP_PROTO(phys_addr_t addr, unsigned long bytes, bool share,
		     u64 ns, int err),
	    TP_ARGS(addr, bytes, share, ns, err),
	    TP_STRUCT__entry(__field(u64, addr)
			     __field(unsigned long, bytes)
			     __field(bool, share)
			     __field(u64, ns)
			     __field(int, err)),
	    TP_fast_assign(__entry->addr = addr;
			   __entry->bytes = bytes;
			   __entry->share = share;
			   __entry->ns = ns;
			   __entry->err = err;),
	    TP_printk("addr=%llx bytes=%lu %s ns=%llu err=%d", __entry->addr,
		      __entry->bytes, __entry->share ? "share" : "unshare",
		      __entry->ns, __entry->err)
);

#endif /* _TRACE_CC_SWIOTLB_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
