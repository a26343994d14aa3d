//! Blocks that glibc's allocator holds as free while a register of a crashing thread points to
//! them. Each is proven by the allocator's own books, not by what the block looks like: a block
//! that is in use again may still hold what was written there when it was free.
//!
//! Deliberately absent: fastbins, whose blocks no book but their list tells from used ones; other
//! allocators.

use std::collections::BTreeSet;

use hotfire_sys::procfs::MapLine;

use super::words::word;
use crate::observe::{FreedBlock, HeapFacts, HeapRange, Registers, SignalInfo};
use crate::unwind::Memory;

/// Heaps that are listed.
const HEAPS_MAX: usize = 64;
/// Heaps of further arenas begin at a multiple of this (malloc/arena.c, `HEAP_MAX_SIZE`).
const ARENA_BYTES: u64 = 64 << 20;
/// The length of a `tcache_perthread_struct` with its header, and where its lists begin
/// (malloc/malloc.c): 64 counts of 2 bytes, then 64 pointers.
const CACHE_BYTES: u64 = 0x290;
const CACHE_LISTS: u64 = 64;
/// It lies in the first page of a heap.
const SEARCH_BYTES: usize = 4096;
/// Blocks of one list that are followed; it has 7 unless a tunable says otherwise.
const LIST_MAX: usize = 64;
/// The smallest block, the smallest that is never in a fastbin, and the flags in a size.
const BLOCK_BYTES_MIN: u64 = 0x20;
const BIN_BYTES_MIN: u64 = 0x90;
const SIZE_FLAGS: u64 = 7;
/// The block before is in use.
const PREVIOUS_IN_USE: u64 = 1;
/// The block has a mapping of its own.
const IS_MAPPED: u64 = 2;
/// Functions of a virtual table that are looked at.
const SLOTS_MAX: u64 = 64;

/// The heaps of the process, and the free blocks in them that the registers point to.
pub(super) fn heap_facts(
    memory: &mut dyn Memory,
    maps: &[MapLine],
    registers: &Registers,
    siginfo: Option<&SignalInfo>,
) -> HeapFacts {
    let heaps: Vec<&MapLine> = maps.iter().filter(|map| is_heap(map)).take(HEAPS_MAX).collect();
    let caches: Vec<u64> = heaps.iter().filter_map(|heap| cache(memory, heap)).collect();
    let jumped_to = siginfo.and_then(|info| info.address).filter(|at| *at == registers.rip);
    let own = [registers.rbp];
    let values: BTreeSet<u64> = registers.general.iter().copied().chain(own).collect();
    let freed = values.into_iter().filter(|value| value % 16 == 0).filter_map(|value| {
        let heap = heaps.iter().find(|heap| (heap.start..heap.end).contains(&value))?;
        freed(memory, heap, &caches, value, jumped_to)
    });
    let freed = freed.collect();
    let range = |heap: &&MapLine| HeapRange { start: heap.start, end: heap.end };
    HeapFacts { ranges: heaps.iter().map(range).collect(), freed }
}

fn is_heap(map: &MapLine) -> bool {
    let is_arena = map.path.is_empty() && map.start.is_multiple_of(ARENA_BYTES);
    map.permissions.starts_with("rw-p") && (map.path == "[heap]" || is_arena)
}

/// The lists of freed blocks of the thread that made this heap.
fn cache(memory: &mut dyn Memory, heap: &MapLine) -> Option<u64> {
    let mut bytes = vec![0; SEARCH_BYTES];
    let length = memory.read(heap.start, &mut bytes);
    let (words, _) = bytes.get(..length)?.as_chunks::<8>();
    let size = |words: &[[u8; 8]]| words.get(1).map(|word| u64::from_le_bytes(*word));
    // A block's size stands in the second word of its header, which is aligned to 16 bytes.
    let at = words
        .chunks(2)
        .position(|pair| size(pair).map(|size| size & !SIZE_FLAGS) == Some(CACHE_BYTES))?;
    heap.start.checked_add(u64::try_from(at + 1).ok()? * 16)
}

fn freed(
    memory: &mut dyn Memory,
    heap: &MapLine,
    caches: &[u64],
    address: u64,
    jumped_to: Option<u64>,
) -> Option<FreedBlock> {
    let size = word(memory, address.checked_sub(8)?)?;
    let bytes = size & !SIZE_FLAGS;
    let end = address.checked_add(bytes)?;
    if bytes < BLOCK_BYTES_MIN
        || !bytes.is_multiple_of(16)
        || end > heap.end
        || size & IS_MAPPED != 0
    {
        return None;
    }
    let is_listed = caches.iter().any(|cache| lists(memory, *cache, address, bytes));
    if !is_listed && !is_in_bin(memory, address, bytes) {
        return None;
    }
    let links = vec![word(memory, address)?, word(memory, address + 8)?];
    let slot = jumped_to.and_then(|pc| links.iter().find_map(|link| slot(memory, *link, pc)));
    Some(FreedBlock { address, bytes, links, slot })
}

/// Whether the block is in its list of freed blocks (`tcache_put`, "safe-linking").
fn lists(memory: &mut dyn Memory, cache: u64, address: u64, bytes: u64) -> bool {
    let index = (bytes - BLOCK_BYTES_MIN) / 16;
    if index >= CACHE_LISTS {
        return false;
    }
    let list = cache.checked_add(CACHE_LISTS * 2 + index * 8);
    let mut next = list.and_then(|list| word(memory, list));
    for _ in 0..LIST_MAX {
        match next {
            Some(block) if block == address => return true,
            Some(block) if block != 0 => {
                next = word(memory, block).map(|link| link ^ (block >> 12));
            }
            _ => return false,
        }
    }
    false
}

/// Whether the next block says that this one is free, and how long it is (`set_foot`).
fn is_in_bin(memory: &mut dyn Memory, address: u64, bytes: u64) -> bool {
    // Both words of the next header lie in front of its memory.
    let next = address - 16 + bytes;
    bytes >= BIN_BYTES_MIN
        && word(memory, next) == Some(bytes)
        && word(memory, next + 8).is_some_and(|size| size & PREVIOUS_IN_USE == 0)
}

/// Where a table that begins at the link holds the program counter.
fn slot(memory: &mut dyn Memory, link: u64, pc: u64) -> Option<u64> {
    let places = (0..SLOTS_MAX).filter_map(|index| link.checked_add(index * 8));
    let mut held = places.map_while(|place| Some((place, word(memory, place)?)));
    held.find_map(|(place, word)| (word == pc).then_some(place))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::words::tests::Words;
    use super::*;

    const HEAP: u64 = 0x10_0000;
    const CACHE: u64 = HEAP + 0x10;
    const BLOCK: u64 = HEAP + 0x300;

    /// Two blocks of 0x20 bytes in a list; `BLOCK` is the second.
    fn process() -> Words {
        let first = BLOCK + 0x40;
        let page = HEAP >> 12;
        Words(BTreeMap::from([
            (HEAP, 0),
            (HEAP + 8, CACHE_BYTES | 1),
            (CACHE + CACHE_LISTS * 2, first),
            (first, BLOCK ^ page),
            (BLOCK - 8, 0x21),
            (BLOCK, page),
            (BLOCK + 8, 0xfeed),
        ]))
    }

    fn found(words: &mut Words) -> Vec<FreedBlock> {
        let heap = MapLine {
            start: HEAP,
            end: HEAP + 0x2_1000,
            permissions: "rw-p".into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: "[heap]".into(),
        };
        let registers = Registers { rip: 0, rsp: 0, rbp: 0, general: vec![7, BLOCK] };
        heap_facts(words, &[heap], &registers, None).freed
    }

    #[test]
    fn a_block_in_a_list_is_free() {
        let freed = found(&mut process());
        assert_eq!((freed[0].address, freed[0].bytes), (BLOCK, 0x20));
        assert_eq!(freed[0].links, [HEAP >> 12, 0xfeed]);
    }

    #[test]
    fn a_block_that_only_looks_so_is_not() {
        // Taken from the list again, and not written to.
        let mut words = process();
        words.0.insert(BLOCK + 0x40, HEAP >> 12);
        assert_eq!(found(&mut words), []);
        // Of another length: another list's.
        let mut words = process();
        words.0.insert(BLOCK - 8, 0x31);
        assert_eq!(found(&mut words), []);
    }

    #[test]
    fn the_next_block_tells_of_a_large_one() {
        let large = |in_use: u64, length: u64| {
            let mut words = process();
            words.0.extend([(BLOCK - 8, 0x1011), (BLOCK + 0x1000, length)]);
            words.0.insert(BLOCK + 0x1008, 0x50 | in_use);
            found(&mut words).len()
        };
        assert_eq!(large(0, 0x1010), 1);
        assert_eq!(large(1, 0x1010), 0, "in use");
        assert_eq!(large(0, 0x2020), 0, "part of a longer one that is free");
    }
}
