//! Whose stack a fault's address lies in: of a thread that still stands, by where its frames lie.
//!
//! Deliberately absent: stacks of threads that have ended, which are unmapped or used again.

use super::facts::Facts;
use super::finding::FindingNear;
use crate::observe::{Mapping, StackExtent, Thread};

/// So far from a thread's frames, or below the begin of its stack, an address is still its stack's.
const NEAR_BYTES_MAX: u64 = 0x1_0000;

/// What the address lies in, where it is a thread's stack or the guard below one.
pub(crate) fn near(facts: &Facts<'_>) -> Option<FindingNear> {
    let (address, crash, map) = (facts.address()?, facts.crash?, facts.map()?);
    let inside = map.inside.as_ref()?;
    let guarded = map.above.as_ref().filter(|above| is_guard(inside) && inside.end == above.start);
    let stack = guarded.unwrap_or(inside);
    let distance = |thread: &Thread| distance(thread.stack.known()?.extent?, stack, address);
    let near = crash.threads.iter().filter_map(|thread| Some((distance(thread)?, thread)));
    let (distance, owner) = near.min_by_key(|(distance, _)| *distance)?;
    // What is mapped beside a stack may be one mapping with it, and is no part of it.
    let from_stack = if guarded.is_some() { stack.start.saturating_sub(address) } else { distance };
    if from_stack > NEAR_BYTES_MAX {
        return None;
    }
    let what = if guarded.is_some() { "guard below the stack" } else { "stack" };
    Some(FindingNear { what: what.to_owned(), tid: owner.tid, thread: owner.name.clone() })
}

/// The same in words.
pub(crate) fn near_words(facts: &Facts<'_>) -> Option<String> {
    let (near, address) = (near(facts)?, facts.address()?);
    let whose = if facts.crash?.victim.tid == near.tid {
        "the crashing thread itself".to_owned()
    } else {
        format!("thread {} `{}`", near.tid, near.thread)
    };
    Some(format!("{address:#x} lies in the {} of {whose}", near.what))
}

fn is_guard(mapping: &Mapping) -> bool {
    mapping.permissions.starts_with("---")
}

/// How far the address lies from a thread's frames in this mapping, in bytes; `None` where it has
/// none there. Stacks without guards between them are one mapping.
fn distance(extent: StackExtent, stack: &Mapping, address: u64) -> Option<u64> {
    let StackExtent { innermost_sp, outermost_sp } = extent;
    let lowest = innermost_sp.min(outermost_sp).max(stack.start);
    (stack.start..stack.end).contains(&outermost_sp).then(|| {
        lowest.saturating_sub(address).max(address.saturating_sub(outermost_sp.max(lowest)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_stacks_in_one_mapping_the_nearest_is_it() {
        let mapping = |start, end| Mapping {
            start,
            end,
            permissions: "rw-p".to_owned(),
            offset: 0,
            inode: 0,
            path: String::new(),
            file_bytes: None,
        };
        let extent = |innermost_sp, outermost_sp| StackExtent { innermost_sp, outermost_sp };
        let both = mapping(0x1000, 0x9000);
        let of = |own, address| distance(own, &both, address);
        let (lower, upper) = (extent(0x4000, 0x4800), extent(0x8000, 0x8800));
        assert_eq!((of(lower, 0x4100), of(upper, 0x4100)), (Some(0), Some(0x3f00)));
        assert_eq!((of(lower, 0x4900), of(upper, 0x7f00)), (Some(0x100), Some(0x100)));
        // Its handler runs on another stack, which lies above or below its own.
        assert_eq!(of(extent(0xf000, 0x8800), 0x8800), Some(0));
        assert_eq!(of(extent(0x500, 0x4800), 0x1000), Some(0));
        assert_eq!(distance(lower, &mapping(0x5000, 0x6000), 0x5100), None);
    }
}
