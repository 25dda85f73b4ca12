# SPDX-License-Identifier: GPL-2.0-only
"""Find the chunk, class, slot and owner of a physical address in cc-swiotlb.

    (gdb) source tools/ccstat/cc-addr.py
    (gdb) cc-addr 0x1234000
    (gdb) cc-addr

Without an address: all mapped slots. Needs a vmlinux with debug information and
any target that can read the kernel's memory: gdb vmlinux with /proc/kcore, a
crash dump, or "target remote" to QEMU's gdbstub (boot with nokaslr, or load the
symbols with lx-symbols). Nothing is written.
"""
import gdb

FRAME_SHIFT = 16        # CC_FRAME_SHIFT
LEAF_BITS = 9           # CC_LEAF_BITS
SLOT_BITS = 10          # CC_SLOT_BITS
COUNT_BITS = 8          # CC_CHAIN_COUNT_BITS
SLOT_MIN_SHIFT = 9      # CC_SLOT_MIN_SHIFT


def size(nbytes):
    """4096 as "4K"."""
    return f"{nbytes >> 10}K" if nbytes >= 1024 else str(nbytes)


def number(expression):
    """An expression's value, or None if the kernel has no such symbol."""
    try:
        return int(gdb.parse_and_eval(expression))
    except gdb.error:
        return None


def chunk_by_addr(paddr):
    """cc_chunk_by_addr(): the chunk, or None."""
    table = gdb.parse_and_eval("cc_by_frame")
    frame = paddr >> FRAME_SHIFT
    if frame >> LEAF_BITS >= int(table["nr"]):
        return None
    leaf = table["root"][frame >> LEAF_BITS]
    if not leaf:
        return None
    chunk = leaf[frame & ((1 << LEAF_BITS) - 1)]
    return chunk.dereference() if chunk else None


def slot_by_index(index):
    """cc_slot_by_index(): the slot, or None if its chunk has gone."""
    chunk_id = index >> SLOT_BITS
    leaf = gdb.parse_and_eval("cc_by_id")[chunk_id >> LEAF_BITS]
    slots = leaf[chunk_id & ((1 << LEAF_BITS) - 1)] if leaf else None
    return slots[index & ((1 << SLOT_BITS) - 1)] if slots else None


def chunks():
    """All chunks, by the list of blocks."""
    head = gdb.parse_and_eval("&cc.blocks")
    block_type = gdb.lookup_type("struct cc_block")
    offset = next(f.bitpos // 8 for f in block_type.fields() if f.name == "node")
    node = head["next"]
    while node and node != head:
        address = int(node) - offset
        block = gdb.Value(address).cast(block_type.pointer())
        for i in range(int(block["nr_chunks"])):
            yield block["chunks"][i]
        node = node["next"]


def device_name(dev):
    """dev_name()."""
    name = dev["init_name"] or dev["kobj"]["name"]
    return name.string()


def in_chain(chain, index):
    """Is a slot in a chain {index of the first slot, tid, count}?"""
    at = chain >> 32
    for _ in range(chain & (1 << COUNT_BITS) - 1):
        if at == index:
            return True
        slot = slot_by_index(at)
        if slot is None:
            return False
        at = int(slot["next"])
    return False


def cpus():
    """Number and per-CPU offset of each possible CPU."""
    nr = number("nr_cpu_ids") or 1
    for cpu in range(nr):
        yield cpu, number(f"(unsigned long)__per_cpu_offset[{cpu}]") or 0


def where_free(chunk, slot_nr, index):
    """Which of the places for free slots holds this one."""
    word, bit = divmod(slot_nr, 64)
    bits = chunk["gpc"]["bits"]
    if bits.type.target().sizeof == 4:
        word, bit = divmod(slot_nr, 32)
    if not int(bits[word]) >> bit & 1:
        return "free in the pool of its class"

    nr = int(chunk["shift"]) - SLOT_MIN_SHIFT
    base = int(gdb.parse_and_eval("&cc_cpu"))
    cpu_type = gdb.lookup_type("struct cc_cpu").pointer()
    for cpu, offset in cpus():
        address = (base + offset) & (1 << 8 * cpu_type.sizeof) - 1
        magazine = gdb.Value(address).cast(cpu_type)["mag"][nr]
        for name in "loaded", "spare", "foreign":
            if in_chain(int(magazine[name]), index):
                return f"free in the {name} magazine of CPU {cpu}"
        first = int(gdb.Value(address).cast(cpu_type)["inbox"][nr])
        slot = slot_by_index(first) if first else None
        if slot is not None and in_chain(first << 32 | int(slot["size"]), index):
            return f"free in the inbox of CPU {cpu}"

    first = int(chunk["class"]["depot"]["head"])
    while first:
        slot = slot_by_index(first)
        if slot is None:
            break
        if in_chain(first << 32 | int(slot["size"]), index):
            return "free in the depot"
        first = int(slot["chain"])
    return "neither mapped nor free: about to be mapped or just unmapped"


def describe_slot(chunk, nr, paddr=None):
    """One paragraph about a slot."""
    shift = int(chunk["shift"])
    start = int(chunk["pool"]["start"]) + (nr << shift)
    slot = chunk["slots"][nr]
    print(f"slot    {nr} of {size(1 << shift)}, {start:#x}..{start + (1 << shift) - 1:#x}")
    if not slot["dev"]:
        print(f"state   {where_free(chunk, nr, int(chunk['index']) + nr)}")
        return
    mapped, offset, orig = (int(slot[f]) for f in ("size", "offset", "orig_addr"))
    print(f"state   mapped by {device_name(slot['dev'])}: {mapped} bytes at offset {offset}, "
          f"for {orig:#x}..{orig + mapped - 1:#x}")
    if paddr is None:
        return
    at = paddr - start - offset
    if 0 <= at < mapped:
        print(f"byte    {at} of the mapping, for {orig + at:#x}")
    else:
        print("byte    in the padding, not of the mapping")


def describe(paddr):
    """Everything about a physical address."""
    chunk = chunk_by_addr(paddr)
    if chunk is None:
        print(f"{paddr:#x} is not in cc-swiotlb (the legacy pool, if any, is in io_tlb_default_mem)")
        return
    start, end = int(chunk["pool"]["start"]), int(chunk["pool"]["end"])
    block = chunk["block"]
    print(f"block   {size(1 << int(block['shift']))}, {int(block['nr_reserve'])} of its "
          f"{int(block['nr_chunks'])} chunks in the reserve")
    print(f"chunk   {start:#x}..{end - 1:#x}, id {int(chunk['index']) >> SLOT_BITS}, "
          f"struct cc_chunk {int(chunk.address):#x}")
    if not chunk["class"]:
        print("class   none: in the reserve")
        return
    print(f"class   {size(1 << int(chunk['shift']))}")
    describe_slot(chunk, (paddr - start) >> int(chunk["shift"]), paddr)


def list_mapped():
    """A line for each mapped slot."""
    nr = 0
    for chunk in chunks():
        if not chunk["class"]:
            continue
        shift = int(chunk["shift"])
        start, end = int(chunk["pool"]["start"]), int(chunk["pool"]["end"])
        for i in range((end - start) >> shift):
            slot = chunk["slots"][i]
            if slot["dev"]:
                nr += 1
                print(f"{start + (i << shift) + int(slot['offset']):#x} {int(slot['size']):7} of "
                      f"{size(1 << shift):>4} for {int(slot['orig_addr']):#x} {device_name(slot['dev'])}")
    print(f"{nr} slots are mapped")


class CcAddr(gdb.Command):
    """cc-addr [ADDRESS]: what cc-swiotlb knows of a physical address; without one,
all mapped slots."""

    def __init__(self):
        super().__init__("cc-addr", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if number("(unsigned long)&cc_by_frame") is None:
            raise gdb.GdbError("no symbol cc_by_frame: load a vmlinux with CONFIG_CC_SWIOTLB=y "
                               "and CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y")
        if not gdb.parse_and_eval("cc_by_frame")["root"]:
            raise gdb.GdbError("cc-swiotlb does not run: boot with swiotlb=cc")
        if argument:
            describe(int(gdb.parse_and_eval(argument)))
        else:
            list_mapped()


CcAddr()
