//! Blocks that glibc's allocator holds as free while a register of a crashing thread points to
//! them. Each is proven by the allocator's own books, not by what the block looks like: a block
//! that is in use again may still hold what was written there when it was free.
//!
//! Deliberately absent: lists of glibc before 2.32, whose links are not mangled; other allocators.

use std::collections::BTreeSet;

use hotfire_sys::procfs::MapLine;

use super::words::{is_c_library, word};
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
/// Lists of small blocks that an arena keeps (`fastbinsY` of `struct malloc_state`, its third word),
/// one for each length up to 0xb0; right behind them stands where the arena's unused rest begins.
const FAST_LISTS: usize = 10;
const FAST_LISTS_OFFSET: u64 = 0x10;
/// Blocks of one of them that are followed, and bytes of the C library's data in which the main
/// arena is looked for.
const FAST_LIST_MAX: usize = 4096;
const LIBRARY_BYTES_MAX: usize = 64 * 1024;
/// Functions of a virtual table that are looked at.
const SLOTS_MAX: u64 = 64;

/// The heaps of the process, and the free blocks in them that the registers point to.
pub(super) fn heap_facts(
    memory: &mut dyn Memory,
    maps: &[MapLine],
    (registers, saved): (&Registers, &[u64]),
    siginfo: Option<&SignalInfo>,
) -> HeapFacts {
    let heaps: Vec<&MapLine> = maps.iter().filter(|map| is_heap(map)).take(HEAPS_MAX).collect();
    let caches = heaps.iter().filter_map(|heap| cache(memory, heap)).collect();
    let arenas = arenas(memory, maps, &heaps);
    let books = Books { heaps: &heaps, caches, arenas };
    let jumped_to = siginfo.and_then(|info| info.address).filter(|at| *at == registers.rip);
    let own = [registers.rbp];
    let values: BTreeSet<u64> =
        registers.general.iter().copied().chain(own).chain(saved.iter().copied()).collect();
    let freed = values.into_iter().filter(|value| value % 16 == 0).filter_map(|value| {
        let heap = heaps.iter().find(|heap| (heap.start..heap.end).contains(&value))?;
        freed(memory, heap, &books, value, jumped_to)
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

/// Where the allocator's lists of free blocks are.
struct Books<'a> {
    heaps: &'a [&'a MapLine],
    /// Of each thread.
    caches: Vec<u64>,
    /// The lists of small blocks of each arena.
    arenas: Vec<[u64; FAST_LISTS]>,
}

/// The lists of small blocks of all arenas: of the main one, which the C library holds, and of
/// those that begin their heaps with their place (`struct heap_info`).
fn arenas(memory: &mut dyn Memory, maps: &[MapLine], heaps: &[&MapLine]) -> Vec<[u64; FAST_LISTS]> {
    let mut found = Vec::new();
    let is_data = |map: &&MapLine| map.permissions.starts_with("rw-p") && is_c_library(&map.path);
    for map in maps.iter().filter(is_data) {
        let mut bytes =
            vec![0; LIBRARY_BYTES_MAX.min(usize::try_from(map.end - map.start).unwrap_or(0))];
        let length = memory.read(map.start, &mut bytes);
        let (words, _) = bytes.get(..length).unwrap_or_default().as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        found.extend(
            words.windows(FAST_LISTS + 1).filter_map(|some| fast_lists(memory, heaps, some)),
        );
    }
    for heap in heaps.iter().filter(|heap| heap.path.is_empty()) {
        let lists = word(memory, heap.start).and_then(|arena| arena.checked_add(FAST_LISTS_OFFSET));
        let read = |lists: u64| {
            let places = (0..=FAST_LISTS as u64).map(|index| lists.wrapping_add(index * 8));
            places.map(|place| word(memory, place)).collect::<Option<Vec<u64>>>()
        };
        let words = lists.and_then(read);
        found.extend(words.and_then(|words| fast_lists(memory, heaps, &words)));
    }
    found
}

/// The words, where they can be nothing else: each list is empty or begins with a block of its
/// length, one is not empty, and the rest behind them is in a heap.
fn fast_lists(
    memory: &mut dyn Memory,
    heaps: &[&MapLine],
    words: &[u64],
) -> Option<[u64; FAST_LISTS]> {
    let (lists, rest) = words.split_first_chunk::<FAST_LISTS>()?;
    let mut lengths = (BLOCK_BYTES_MIN..).step_by(16);
    let mut is_list = |block: u64| {
        let bytes = lengths.next();
        block == 0
            || (is_block(heaps, block)
                && word(memory, block + 8).map(|size| size & !SIZE_FLAGS) == bytes)
    };
    let is_arena = rest.first().is_some_and(|rest| is_block(heaps, *rest))
        && lists.iter().any(|block| *block != 0)
        && lists.iter().all(|block| is_list(*block));
    is_arena.then_some(*lists)
}

fn is_block(heaps: &[&MapLine], block: u64) -> bool {
    block.is_multiple_of(16) && heaps.iter().any(|heap| (heap.start..heap.end).contains(&block))
}

/// Whether the block is in its list of small free blocks, whose links lead to headers.
fn lists_fast(memory: &mut dyn Memory, books: &Books<'_>, address: u64, bytes: u64) -> bool {
    let index = usize::try_from((bytes - BLOCK_BYTES_MIN) / 16).unwrap_or(FAST_LISTS);
    let heads: Vec<u64> =
        books.arenas.iter().filter_map(|lists| lists.get(index).copied()).collect();
    heads.into_iter().any(|head| {
        let mut next = head;
        for _ in 0..FAST_LIST_MAX {
            if next.checked_add(16) == Some(address) {
                return true;
            }
            if !is_block(books.heaps, next) {
                return false;
            }
            let place = next + 16;
            let Some(link) = word(memory, place) else { return false };
            next = link ^ (place >> 12);
        }
        false
    })
}

fn freed(
    memory: &mut dyn Memory,
    heap: &MapLine,
    books: &Books<'_>,
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
    let is_listed = books.caches.iter().any(|cache| lists(memory, *cache, address, bytes));
    let is_free = is_listed || is_in_bin(memory, address, bytes);
    if !is_free && !lists_fast(memory, books, address, bytes) {
        return None;
    }
    let mut links = vec![word(memory, address)?];
    if is_free {
        links.push(word(memory, address + 8)?);
    }
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
    const LIBRARY: u64 = 0x70_0000;

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
        heap_facts(words, &[heap, library()], (&registers, &[]), None).freed
    }

    fn library() -> MapLine {
        MapLine {
            start: LIBRARY,
            end: LIBRARY + 0x1000,
            permissions: "rw-p".into(),
            offset: 0x1d_0000,
            device: (0, 0),
            inode: 7,
            path: "/lib/libc.so.6".into(),
        }
    }

    /// `BLOCK` is the second of its list in the main arena.
    fn fast() -> Words {
        let (first, block) = (BLOCK + 0x40 - 16, BLOCK - 16);
        let page = HEAP >> 12;
        let mut words = Words(BTreeMap::from([
            (first + 8, 0x21),
            (first + 16, block ^ page),
            (block + 8, 0x21),
            (block + 16, page),
            (block + 24, 0xfeed),
        ]));
        words.0.extend((0..512).map(|at| (LIBRARY + at * 8, 0)));
        words.0.extend([(LIBRARY + 0x20, first), (LIBRARY + 0x20 + 80, HEAP + 0x2000)]);
        words
    }

    #[test]
    fn a_small_block_is_free_by_its_arenas_list_alone() {
        let freed = found(&mut fast());
        assert_eq!((freed[0].address, &freed[0].links[..]), (BLOCK, &[HEAP >> 12][..]));
        // In use again, and not written to: it was the second, and it was the first.
        let mut words = fast();
        words.0.insert(BLOCK + 0x40, HEAP >> 12);
        assert_eq!(found(&mut words), []);
        let mut words = fast();
        words.0.insert(LIBRARY + 0x20, 0);
        assert_eq!(found(&mut words), []);
        // Words that are no arena's: a list of another length, nothing behind them.
        let mut words = fast();
        words.0.extend([(LIBRARY + 0x20, 0), (LIBRARY + 0x18, BLOCK + 0x30)]);
        words.0.insert(LIBRARY + 0x20 + 80, 0);
        assert_eq!(found(&mut words), []);
    }

    #[test]
    fn what_a_caller_keeps_is_asked_as_well() {
        let heap =
            MapLine { start: HEAP, end: HEAP + 0x2_1000, path: "[heap]".into(), ..library() };
        let registers = Registers { rip: 0, rsp: 0, rbp: 0, general: vec![7] };
        let found = |saved: &[u64]| {
            heap_facts(&mut process(), std::slice::from_ref(&heap), (&registers, saved), None)
                .freed
                .len()
        };
        assert_eq!((found(&[BLOCK]), found(&[])), (1, 0));
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
