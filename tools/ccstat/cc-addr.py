# SPDX-License-Identifier: GPL-2.0-only
"""Which device owns this address?

    (gdb) source cc-addr.py
    (gdb) cc-addr 0x1234000
    (gdb) cc-addr

What cc-swiotlb knows of a physical address; without one, all mappings, the last of
which is $_ then. Needs a vmlinux with debug information and any target that can read
the kernel's memory: /proc/kcore, a crash dump, or QEMU's gdbstub (with nokaslr).
"""
import gdb

FRAME_SHIFT = 16        # CC_FRAME_SHIFT
LEAF_BITS = 9           # CC_LEAF_BITS


def symbol(name, of_type):
    """A variable of the kernel, whose debug information may be elsewhere."""
    return gdb.parse_and_eval(f"(unsigned long)&{name}").cast(gdb.lookup_type(of_type).pointer())


def chunk_by_addr(paddr):
    """cc_chunk_by_addr(): the chunk, or None."""
    pointer = gdb.lookup_type("struct cc_chunk_table").pointer()
    table = symbol("cc_by_frame", "unsigned long").dereference().cast(pointer)
    leaf, frame = paddr >> FRAME_SHIFT + LEAF_BITS, paddr >> FRAME_SHIFT
    if leaf >= int(table["nr"]) or not table["leaf"][leaf]:
        return None
    chunk = table["leaf"][leaf][frame & (1 << LEAF_BITS) - 1]
    return chunk.dereference() if chunk else None


def chunks():
    """All chunks, by the list of blocks."""
    head = symbol("cc_swiotlb", "struct cc_swiotlb")["blocks"]
    block = gdb.lookup_type("struct cc_block")
    offset = next(f.bitpos // 8 for f in block.fields() if f.name == "node")
    node = head["next"]
    while int(node) != int(head.address):
        at = gdb.Value(int(node) - offset).cast(block.pointer())
        i, number = 0, int(at["nr_chunks"])
        while i < number:
            chunk = at["chunks"][i]
            yield chunk
            # One that has taken over others stands for all of them.
            i += int(chunk["pool"]["end"] - chunk["pool"]["start"]) * number >> int(at["shift"])
        node = node["next"]


def slots(chunk):
    """The slots of a chunk that a class owns."""
    pointer = gdb.lookup_type("struct cc_slot").pointer()
    first = symbol("cc_slots", "unsigned long").dereference().cast(pointer) + int(chunk["index"])
    number = int(chunk["pool"]["end"] - chunk["pool"]["start"]) >> int(chunk["shift"])
    # One access to the target instead of one for each slot
    return first.dereference().cast(pointer.target().array(number - 1))


def mapping(chunk, slot):
    """Who has a slot, as (address, size, text); or None."""
    if not slot["dev"]:
        return None
    # CC_SLOT_LENT
    if int(slot["dev"]) == 1:
        at, size = int(slot["base"]), int(slot["size"])
        return at, size, f"{at:#x}..{at + size - 1:#x} of a slot of {1 << int(chunk['shift'])}: lent"
    # cc_slot_owner() and cc_slot_is_coherent()
    dev = gdb.Value(int(slot["dev"]) & ~3).cast(slot["dev"].type)
    name = (dev["init_name"] or dev["kobj"]["name"]).string()
    if int(slot["dev"]) & 2:
        at, size = int(slot["base"]), int(slot["size"])
        return at, size, f"{at:#x}..{at + size - 1:#x}: allocated by {name}"
    at, mapped, orig = int(slot["base"] + slot["offset"]), int(slot["size"]), int(slot["orig_addr"])
    return at, mapped, (f"{at:#x}..{at + mapped - 1:#x} of a slot of {1 << int(chunk['shift'])}: "
                        f"mapped by {name} for {orig:#x}..{orig + mapped - 1:#x}")


def describe(paddr):
    """Whose a physical address is."""
    chunk = chunk_by_addr(paddr)
    if chunk is None:
        print(f"{paddr:#x} is not in cc-swiotlb (the legacy pool, if any, is in io_tlb_default_mem)")
        return
    number = paddr - int(chunk["pool"]["start"]) >> int(chunk["shift"])
    found = mapping(chunk, slots(chunk)[number]) if chunk["class"] else None
    if found is None:
        print(f"{paddr:#x} is not mapped, but in {'a free slot' if chunk['class'] else 'the reserve'}")
        return
    print(found[2])
    if not found[0] <= paddr < found[0] + found[1]:
        print(f"{paddr:#x} is not part of that, but of the same slot")


def list_mapped():
    """A line for each mapping."""
    found = []
    for chunk in chunks():
        if not chunk["class"]:
            continue
        array = slots(chunk)
        array.fetch_lazy()
        for i in range(array.type.range()[1] + 1):
            found += filter(None, [mapping(chunk, array[i])])
    for _, _, text in found:
        print(text)
    print(f"{len(found)} slots are mapped")
    if found:
        gdb.set_convenience_variable("_", found[-1][0])


class CcAddr(gdb.Command):
    """cc-addr [ADDRESS]: what cc-swiotlb knows of a physical address, or all mappings."""

    def __init__(self):
        super().__init__("cc-addr", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        try:
            symbol("cc_by_frame", "struct cc_chunk_table")
        except gdb.error as error:
            raise gdb.GdbError(f"{error}: load a vmlinux with CONFIG_CC_SWIOTLB=y and debug information") from error
        if argument:
            describe(int(gdb.parse_and_eval(argument)))
        else:
            list_mapped()


CcAddr()
