//! An image and a stack in memory with anything in them: unwinding ends, within its limits.
#![no_main]

use hotfire_core::unwind::{Limits, Mappings, Memory, Registers, Unwinder};
use hotfire_sys::TraceRegisters;
use hotfire_sys::procfs::MapLine;
use libfuzzer_sys::fuzz_target;

const IMAGE: u64 = 0x7000_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;
/// What may be mapped of each.
const BYTES_MAX: u64 = 0x10_0000;
const LIMITS: Limits = Limits {
    frames_walked_max: 2_000,
    head_frames_max: 32,
    tail_frames_max: 8,
    scan_words_max: 256,
    scans_max: 4,
    work_ns_max: 1_000_000_000,
    time_ns_max: 1_000_000_000,
};

struct Parts<'a> {
    image: &'a [u8],
    stack: &'a [u8],
}

impl Memory for Parts<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let (start, bytes) = if address >= STACK { (STACK, self.stack) } else { (IMAGE, self.image) };
        let inside = address.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        let there = inside.and_then(|at| bytes.get(at..)).unwrap_or_default();
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        length
    }
}

fn map(start: u64, permissions: &str, path: &str) -> MapLine {
    MapLine {
        start,
        end: start + BYTES_MAX,
        permissions: permissions.into(),
        offset: 0,
        device: (0, 0),
        inode: 0,
        path: path.into(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return };
    let [a, b, c, d, e, f, g, h, stack_share, ..] = *head;
    let pc = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let split = rest.len() * usize::from(stack_share) / 256;
    let (stack, image) = rest.split_at(split);
    let lines = [map(IMAGE, "r-xp", "[vdso]"), map(STACK, "rw-p", "[stack]")];
    let registers = TraceRegisters {
        // Half of the time a place in the image.
        rip: if pc & 1 == 0 { IMAGE + (pc >> 1) % BYTES_MAX } else { pc },
        rsp: STACK + 8,
        rbp: STACK + 64,
        general: [STACK; 14],
    };
    let mut unwinder = Unwinder::new(LIMITS);
    let mut process = unwinder.process(Mappings::from(&lines[..]), Parts { image, stack });
    let found = process.unwind(Registers::from(&registers));
    assert!(found.frames.len() <= 4 * LIMITS.head_frames_max + LIMITS.tail_frames_max);
});
