#!/usr/bin/env python3
"""A seed for the fuzz target unwind_memory, on standard output: this process's vDSO, which is a small
whole ELF image with unwind tables, and a stack of as many bytes full of places in it. The target's head
says where the program counter is (twice its offset in the image) and how much of the rest is stack."""

import struct
import sys

IMAGE, STACK = 0x7000_0000_0000, 0x7FFF_0000_0000
UNWIND_TABLE = 0x6474E550  # PT_GNU_EH_FRAME

with open("/proc/self/maps") as maps:
    (line,) = [line for line in maps if line.rstrip().endswith("[vdso]")]
start, end = (int(number, 16) for number in line.split()[0].split("-"))
with open("/proc/self/mem", "rb", 0) as memory:
    memory.seek(start)
    image = memory.read(end - start)
(headers,) = struct.unpack_from("<Q", image, 32)
(count,) = struct.unpack_from("<H", image, 56)
entries = [struct.unpack_from("<IIQQ", image, headers + 56 * at) for at in range(count)]
(table,) = [address for kind, _, _, address in entries if kind == UNWIND_TABLE]
# Its version and encodings (4 bytes), where the entries are, how many, then pairs of start and entry.
(functions,) = struct.unpack_from("<I", image, table + 8)
starts = [table + struct.unpack_from("<i", image, table + 12 + 8 * at)[0] for at in range(functions)]
words = []
while 8 * len(words) < len(image):
    place = starts[len(words) // 2 % len(starts)]
    words += [IMAGE + place + 4, STACK + 8 * len(words) + 64]
stack = struct.pack(f"<{len(words)}Q", *words)[: len(image)]
head = struct.pack("<QB7x", 2 * (starts[0] + 4), 128)
sys.stdout.buffer.write(head + stack + image)
