//! Input that lies: tables, stacks and mappings with anything in them. Whatever they say, the
//! unwinder ends, within its limits.

use crate::observe::FoundBy;
use std::io::Write;
use std::ops::Range;

use hotfire_sys::TraceRegisters;
use hotfire_sys::procfs::{self, MapLine};
use proptest::prelude::*;

use super::*;
use crate::unwind::image::Extent;
use crate::unwind::rows::Row;

const IMAGE: u64 = 0x7000_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;
const STACK_WORDS: usize = 512;
const LIMITS: (u64, usize, usize) = (3_000, 40, 10);
/// Pages that may be read for one stack: what is there has less.
const READS_MAX: usize = 64;

/// Parts of memory, with what was read counted.
#[derive(Debug, Default)]
struct Parts {
    parts: Vec<(u64, Vec<u8>)>,
    reads: usize,
}

impl Memory for &mut Parts {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        self.reads += 1;
        let found = self.parts.iter().find_map(|(start, bytes)| {
            let inside = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(inside..)
        });
        let there = found.unwrap_or_default();
        buffer.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        buffer.len().min(there.len())
    }
}

/// The vDSO of this process: a small whole ELF file with unwind tables, also a signal trampoline's
/// neighbour by its look.
fn image() -> Vec<u8> {
    let own = i32::try_from(std::process::id()).unwrap();
    let lines = procfs::maps(own).unwrap();
    let line = lines.iter().find(|line| line.path == "[vdso]").unwrap();
    let mut bytes = vec![0; usize::try_from(line.end - line.start).unwrap()];
    let length = LiveMemory::new(own).read(line.start, &mut bytes);
    bytes.truncate(length);
    bytes
}

fn map(range: Range<u64>, permissions: &str, path: &str) -> MapLine {
    MapLine {
        start: range.start,
        end: range.end,
        permissions: permissions.into(),
        offset: 0,
        device: (0, 0),
        inode: 0,
        path: path.into(),
    }
}

/// A word of the stack: anything, code, or a place of the stack.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => any::<u64>(),
        4 => IMAGE..IMAGE + 0x2000,
        4 => (0..STACK_WORDS as u64).prop_map(|place| STACK + place * 8),
    ]
}

/// Where bytes of the image change, and to what. The tables lie in its first half.
fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((0..0x1800_usize, any::<u8>()), 0..40)
}

fn unwind(image: Vec<u8>, words: &[u64], registers: [u64; 3]) -> Stack {
    let end = IMAGE + image.len() as u64;
    let stack: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let lines = [
        map(IMAGE..end, "r-xp", "[vdso]"),
        map(STACK..STACK + stack.len() as u64, "rw-p", "[stack]"),
    ];
    let mut memory = Parts { parts: vec![(IMAGE, image), (STACK, stack)], reads: 0 };
    let (frames_walked_max, head_frames_max, tail_frames_max) = LIMITS;
    let limits =
        Limits { frames_walked_max, head_frames_max, tail_frames_max, ..Limits::default() };
    let [rip, rsp, rbp] = registers;
    let traced = TraceRegisters { rip, rsp, rbp, general: [STACK + 64; 14] };
    let mut unwinder = Unwinder::new(limits);
    let mut process = unwinder.process(Mappings::from(&lines[..]), &mut memory);
    let stack = process.unwind(Registers::from(&traced));
    assert!(memory.reads <= READS_MAX, "{} reads", memory.reads);
    stack
}

fn within_limits(stack: &Stack) -> Result<(), TestCaseError> {
    let omitted = stack.omitted.map_or(0, |omitted| omitted.frames);
    prop_assert!(stack.frames.len() <= 4 * LIMITS.1 + LIMITS.2);
    prop_assert!(stack.frames.len() as u64 + omitted <= LIMITS.0);
    prop_assert_ne!(stack.end, EndReason::TimeMax);
    Ok(())
}

proptest! {
    #[test]
    fn changed_tables_and_stacks_end(
        changes in changes(),
        words in proptest::collection::vec(word(), STACK_WORDS),
        registers in (word(), word(), word()),
    ) {
        let mut image = image();
        for (place, byte) in changes {
            if let Some(old) = image.get_mut(place) {
                *old = byte;
            }
        }
        within_limits(&unwind(image, &words, registers.into()))?;
    }

    #[test]
    fn any_bytes_are_no_entry_or_a_bounded_one(
        bytes in proptest::collection::vec(any::<u8>(), 64..512),
        lengths in (4..64_u32, 4..128_u32),
        base in prop_oneof![Just(0_u64), Just(0x1000), Just(u64::MAX - 600)],
        address in any::<u64>(),
    ) {
        // A common entry of version 1 with an augmentation, and a function's behind it.
        let mut bytes = bytes;
        let first = lengths.0 as usize + 4;
        bytes.resize(1_024, 0);
        bytes[..4].copy_from_slice(&lengths.0.to_le_bytes());
        bytes[4..9].copy_from_slice(&[0, 0, 0, 0, 1]);
        bytes[first..first + 4].copy_from_slice(&lengths.1.to_le_bytes());
        let distance = u32::try_from(first).unwrap() + 4;
        bytes[first + 4..first + 8].copy_from_slice(&distance.to_le_bytes());
        let mut parts = Parts { parts: vec![(base, bytes)], reads: 0 };
        let mut memory = &mut parts;
        let entry = base.saturating_add(first as u64);
        if let Some(row) = Row::read(&mut memory, entry, address) {
            prop_assert!(row.bytes() < 100_000);
        }
        let index = lookup::index(&mut memory, Extent { address: base, bytes: u64::MAX });
        prop_assert!(index.0.len() < 1_024);
    }

    #[test]
    fn any_header_is_no_table_or_one_within_its_section(
        bytes in proptest::collection::vec(any::<u8>(), 12..600),
        count in any::<u32>(),
        extent in any::<u64>(),
        address in any::<u64>(),
    ) {
        let mut bytes = bytes;
        bytes[..4].copy_from_slice(&[1, 0x1b, 0x03, 0x3b]);
        bytes[8..12].copy_from_slice(&count.to_le_bytes());
        let mut parts = Parts { parts: vec![(IMAGE, bytes)], reads: 0 };
        let mut memory = &mut parts;
        let header = Extent { address: IMAGE, bytes: extent };
        if let Some(search) = lookup::Search::read(&mut memory, header) {
            search.entry(&mut memory, address);
        }
        prop_assert!(parts.reads < 64);
    }

    #[test]
    fn changed_and_cut_files_have_headers_or_none(
        changes in proptest::collection::vec((0..0x3000_usize, any::<u8>()), 0..40),
        ends in 0..0x3000_usize,
        cut in any::<bool>(),
    ) {
        let mut bytes = image();
        // Without a search table, so that the sections are looked through.
        let table = u32::to_le_bytes(0x6474_e550);
        if let Some(place) = bytes.windows(4).position(|window| window == table) {
            bytes[place] = 0;
        }
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(ends);
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        if let Some(headers) = image::Headers::of_file(&file) {
            let mut source = image::FileImage { file: &file, segments: &headers.segments };
            if let Some(section) = headers.entries_of(None) {
                prop_assert!(lookup::index(&mut source, section).0.len() < 4_096);
            }
        }
    }

    #[test]
    fn any_mappings_are_places_or_none(
        ranges in proptest::collection::vec((word(), word(), any::<u64>()), 0..40),
        registers in (word(), word(), word()),
    ) {
        let lines: Vec<MapLine> = ranges
            .into_iter()
            .map(|(start, end, offset)| {
                MapLine { offset, ..map(start..end, "rwxp", if offset % 2 == 0 { "[vdso]" } else { "" }) }
            })
            .chain([map(u64::MAX - 4_096..u64::MAX, "rwxp", "[vdso]")])
            .collect();
        let mut memory = Parts::default();
        memory.parts.push((u64::MAX - 4_096, vec![0xe8; 4_096]));
        memory.parts.push((STACK, vec![0xff; 4_096]));
        let traced = TraceRegisters {
            rip: registers.0,
            rsp: registers.1,
            rbp: registers.2,
            general: [u64::MAX - 8; 14],
        };
        let mut unwinder = Unwinder::default();
        let mut process = unwinder.process(Mappings::from(&lines[..]), &mut memory);
        let stack = process.unwind(Registers::from(&traced));
        let high = TraceRegisters { rip: u64::MAX - 9, rsp: u64::MAX - 40, ..traced };
        let other = process.unwind(Registers::from(&high));
        prop_assert!(stack.frames.len() < 1_000 && other.frames.len() < 1_000);
    }
}

/// Generated code that is all calls, and a stack of nothing but return addresses into it.
#[test]
fn a_stack_of_likely_words_is_searched_a_few_times_only() {
    let code: Vec<u8> = [0xff, 0xd0].repeat(2_048);
    let words: Vec<u8> = (IMAGE + 0x100).to_le_bytes().repeat(512);
    let lines = [map(IMAGE..IMAGE + 4_096, "r-xp", ""), map(STACK..STACK + 4_096, "rw-p", "")];
    let mut memory = Parts { parts: vec![(IMAGE, code), (STACK, words)], reads: 0 };
    let traced = TraceRegisters { rip: IMAGE + 0x200, rsp: STACK, rbp: 0, general: [0; 14] };
    let mut unwinder = Unwinder::default();
    let mut process = unwinder.process(Mappings::from(&lines[..]), &mut memory);
    let stack = process.unwind(Registers::from(&traced));
    let searched = stack.frames.iter().filter(|frame| frame.found_by == FoundBy::Scan).count();
    assert_eq!((searched, stack.end), (Limits::default().scans_max as usize, EndReason::NoCaller));
}

/// A chain of frame pointers that leads in a circle.
#[test]
fn a_chain_never_goes_back() {
    let mut code = vec![0x90; 4_096];
    code[..4].copy_from_slice(&[0x55, 0x48, 0x89, 0xe5]);
    code[0x100..0x102].copy_from_slice(&[0xff, 0xd0]);
    // Two frames that name each other as their callers.
    let words = [STACK + 16, IMAGE + 0x102, STACK, IMAGE + 0x102];
    let words = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
    let lines = [map(IMAGE..IMAGE + 4_096, "r-xp", ""), map(STACK..STACK + 4_096, "rw-p", "")];
    let mut memory = Parts { parts: vec![(IMAGE, code), (STACK, words)], reads: 0 };
    let traced = TraceRegisters { rip: IMAGE + 0x80, rsp: STACK, rbp: STACK, general: [0; 14] };
    let mut unwinder = Unwinder::default();
    let mut process = unwinder.process(Mappings::from(&lines[..]), &mut memory);
    let stack = process.unwind(Registers::from(&traced));
    let found: Vec<FoundBy> = stack.frames.iter().map(|frame| frame.found_by).collect();
    assert_eq!(found, [FoundBy::Registers, FoundBy::FramePointer, FoundBy::FramePointer]);
    assert_eq!(stack.end, EndReason::NoCaller);
}

#[test]
fn the_image_is_a_whole_one() {
    // What the properties change must work when nothing is changed.
    let image = image();
    let mut parts = Parts { parts: vec![(IMAGE, image)], reads: 0 };
    let mut memory = &mut parts;
    let (headers, bias) = image::Headers::of_memory(&mut memory, IMAGE).unwrap();
    assert!(headers.search_table.is_some() && headers.build_id.is_some());
    let mut source = image::Shifted { memory: &mut memory, by: bias };
    let search = lookup::Search::read(&mut source, headers.search_table.unwrap()).unwrap();
    let lookup::Search::Table { pairs, .. } = search else { unreachable!("{search:?}") };
    assert!(pairs > 1);
}
