//! Signs in the faulting instruction and in the maps: what it accessed, and through what.
//!
//! Deliberately absent: what the memory held; contents are not kept.

use super::calls;
use super::facts::Facts;
use super::instruction::{Access, Held, Kind};
use super::rule::Seen;
use super::signals;
use super::signs::{NULL_PAGE_BYTES, is_general_protection, is_near_null, is_stack, line};
use crate::observe::{FoundBy, Mapping};

/// So far from every mapping, nothing can have been mapped a moment before: the kernel puts
/// mappings next to each other.
const FAR_BYTES: u64 = 1 << 40;
/// Where the kernel puts programs and, from the stack downwards, everything else. Their begin is
/// random within 1 TiB (arch/x86/mm/mmap.c, fs/binfmt_elf.c: 28 bits of pages), and one more is left
/// for what they hold: whether something is near an address in here differs from run to run.
const RANDOM_PLACES: [(u64, u64); 2] =
    [(0x5455_5555_4000, 0x5755_5555_4000), (0x7dff_ffff_f000, USER_END)];
/// So far from null, no member and no usual element of a null object lies.
const NULL_OBJECT_BYTES_MAX: u64 = 1 << 28;
/// The lower half of the addresses ends here (four-level paging).
const USER_END: u64 = 1 << 47;

/// A canonical x86-64 address repeats bit 47 in all bits above (four-level paging).
fn is_canonical(address: u64) -> bool {
    let top = address >> 47;
    top == 0 || top == 0x1_ffff
}

fn through(held: &Held) -> String {
    format!("{} = {:#x}", held.name, held.value)
}

pub(crate) fn has_non_canonical_operand(facts: &Facts<'_>) -> Option<Seen> {
    let decoded = facts.decoded()?;
    let of_access = |access: &Access| {
        let operands = [access.base.clone(), access.index.clone()];
        let odd = |held: &Held| !is_canonical(held.value);
        operands.into_iter().flatten().find(odd).or_else(|| {
            (!is_canonical(access.address))
                .then(|| Held { name: "an address".to_owned(), value: access.address })
        })
    };
    let target = decoded.target.filter(|target| !is_canonical(target.value));
    let held = target.or_else(|| decoded.accesses.iter().find_map(of_access))?;
    Some(line("registers", format!("the instruction goes through {}", through(&held))))
}

/// The access that faulted; of a general protection fault, which has no address, none.
fn faulting(facts: &Facts<'_>) -> Option<Access> {
    let address = facts.address()?;
    facts.decoded()?.accesses.into_iter().find(|access| access.covers(address))
}

/// Whether the fault was a read or a write, in words.
pub(crate) fn access_words(facts: &Facts<'_>) -> Option<String> {
    let (address, pc) = (facts.address()?, facts.registers()?.rip);
    if address == pc {
        return Some("the fault came of executing the address itself".to_owned());
    }
    let access = faulting(facts)?;
    let kind = match access.kind {
        Kind::Read => "a read",
        Kind::Write => "a write",
    };
    let held: Vec<String> = access.base.iter().chain(&access.index).map(through).collect();
    let by =
        if held.is_empty() { String::new() } else { format!(" through {}", held.join(" and ")) };
    let bytes =
        if access.bytes == 0 { String::new() } else { format!(" of {} bytes", access.bytes) };
    Some(format!("{kind}{bytes} at {:#x}{by}", access.address))
}

/// What is plain to see of a death for which no rule fires: an access that is forbidden may be meant
/// to be, by whoever guards the memory.
pub(crate) fn plain_words(facts: &Facts<'_>) -> Option<String> {
    let (signal, code) = (facts.signal()?, facts.code()?);
    match (signal, code) {
        (signals::SIGSEGV, signals::SEGV_ACCERR) => {
            let Mapping { permissions, path, .. } = facts.inside()?;
            let what = if path.is_empty() { "anonymous memory" } else { path };
            Some(format!("{what} is mapped there, without the right to it ({permissions})"))
        }
        (signals::SIGSEGV, signals::SI_KERNEL) => {
            Some("the processor refused the instruction (general protection)".to_owned())
        }
        (signals::SIGTRAP, code) if code > 0 => {
            Some("the thread ran a breakpoint instruction, or a debugger's trap".to_owned())
        }
        _ => None,
    }
}

/// The pointer is null, and the index leads far away from it. With a scale it is clear which of
/// both is the pointer.
pub(crate) fn is_indexed_from_null(facts: &Facts<'_>) -> Option<Seen> {
    let access = faulting(facts)?;
    let (base, index) = (access.base?, access.index?);
    (access.scale > 1 && base.value < NULL_PAGE_BYTES).then(|| {
        let text = format!("the pointer {} is indexed by {}", through(&base), through(&index));
        line("registers", text)
    })
}

/// The pointer is null, and the instruction adds where the member lies. With no index at all, an
/// array that is not the pointer's would be met at its first element, which is there.
pub(crate) fn is_member_of_null(facts: &Facts<'_>) -> Option<Seen> {
    let access = faulting(facts)?;
    let base = access.base.filter(|base| base.value == 0)?;
    access.index.is_none().then(|| {
        let text =
            format!("the member at {:#x} of the object at {}", access.address, through(&base));
        line("registers", text)
    })
}

/// A null pointer may have been null long before, whatever goes on elsewhere.
pub(crate) fn is_not_through_null(facts: &Facts<'_>) -> Option<Seen> {
    let is_null = is_near_null(facts).or_else(|| is_indexed_from_null(facts));
    // Of a general protection fault, the address is not told, and 0 stands there.
    let has_address = is_general_protection(facts).is_none();
    let is_null = is_null.filter(|_| has_address).or_else(|| is_member_of_null(facts));
    is_null.is_none().then_some(Seen::Told)
}

/// How the caller of the innermost frame was found; `None` where the stack could not be walked.
fn is_call(facts: &Facts<'_>) -> Option<bool> {
    let (_, callers) = calls::own_frames(facts).split_first()?;
    Some(
        callers
            .first()
            .is_some_and(|caller| caller.found_by == FoundBy::ReturnAddress && !caller.doubtful),
    )
}

/// A call has pushed the address behind it.
pub(crate) fn was_called(facts: &Facts<'_>) -> Option<Seen> {
    is_call(facts)?
        .then(|| line("stack", "the stack pointer points to the return address of a call".into()))
}

/// No call has: a return, or a jump out of a saved context.
pub(crate) fn was_not_called(facts: &Facts<'_>) -> Option<Seen> {
    (!is_call(facts)?)
        .then(|| line("stack", "no return address of a call is at the stack pointer".into()))
}

/// The instruction wants its operand at a multiple of so many bytes.
pub(crate) fn is_misaligned(facts: &Facts<'_>) -> Option<Seen> {
    let decoded = facts.decoded()?;
    let wanted = decoded.alignment?;
    let access = decoded.accesses.iter().find(|access| access.bytes == wanted)?;
    (is_canonical(access.address) && access.address % wanted != 0).then(|| {
        let text =
            format!("the operand at {:#x} must be aligned to {wanted} bytes", access.address);
        line("registers", text)
    })
}

/// `ret` faults so only on a return address that is none.
pub(crate) fn returns_nowhere(facts: &Facts<'_>) -> Option<Seen> {
    facts
        .decoded()?
        .is_return
        .then(|| line("registers", "the instruction returns to an address that is none".to_owned()))
}

fn is_data(mapping: &Mapping) -> bool {
    mapping.permissions.starts_with('r') && !mapping.permissions.contains('x')
}

/// The access begins in memory that may be accessed, or goes out from a pointer into it, and ends
/// where that memory does.
pub(crate) fn leads_out(facts: &Facts<'_>) -> Option<Seen> {
    let address = facts.address()?;
    let access = faulting(facts)?;
    let outside =
        |mapping: &Mapping| is_data(mapping) && !(mapping.start..mapping.end).contains(&address);
    let below = facts.map()?.below.as_ref().filter(|below| outside(below));
    if let Some(below) = below.filter(|below| access.address < below.end) {
        let text = format!(
            "it begins at {:#x}, in a mapping that ends at {:#x}",
            access.address, below.end
        );
        return Some(line("maps", text));
    }
    // The kernel puts nothing right above the main stack: who gets there came from below.
    if let Some(stack) = below.filter(|below| is_stack(below) && below.end == address) {
        let text =
            format!("it is the first byte behind the stack at {:#x}-{:#x}", stack.start, stack.end);
        return Some(line("maps", text));
    }
    let (pointer, index, Mapping { start, end, .. }) =
        pointer_and_index(facts, &access).filter(|(.., mapping)| outside(mapping))?;
    let text = format!(
        "{} points into {start:#x}-{end:#x}, and the index {} leads out of it",
        through(pointer),
        through(index),
    );
    Some(line("registers", text))
}

/// Which operand is the pointer, which the index, and what the pointer points into. With a scale, the
/// base is the pointer; without, the one that points to something, where the other does not.
fn pointer_and_index<'a>(
    facts: &'a Facts<'_>,
    access: &'a Access,
) -> Option<(&'a Held, &'a Held, &'a Mapping)> {
    let (base, index) = (access.base.as_ref()?, access.index.as_ref()?);
    let pointers = &facts.crash?.pointers;
    let target = |held: &Held| {
        let pointer = pointers.iter().find(|pointer| pointer.value == held.value)?;
        Some(&pointer.mapping)
    };
    match (target(base), target(index)) {
        (Some(mapping), _) if access.scale > 1 => Some((base, index, mapping)),
        (Some(mapping), None) => Some((base, index, mapping)),
        (None, Some(mapping)) if access.scale == 1 => Some((index, base, mapping)),
        _ => None,
    }
}

/// Nothing is mapped anywhere near: what is there was never mapped.
pub(crate) fn is_far_from_all(facts: &Facts<'_>) -> Option<Seen> {
    let address = facts.address()?;
    let map = facts.map()?;
    if map.inside.is_some() || address < NULL_OBJECT_BYTES_MAX {
        return None;
    }
    if address >= USER_END {
        let text = format!("{address:#x} lies in the kernel's half of the addresses");
        return Some(line("maps", text));
    }
    if RANDOM_PLACES.iter().any(|(start, end)| (*start..*end).contains(&address)) {
        return None;
    }
    let mut values = gone_through(facts).into_iter().map(|held| held.value).chain([address]);
    if values.any(|value| is_link_of_heap(facts, value)) {
        return None;
    }
    let below = map.below.as_ref().map(|below| address.saturating_sub(below.end));
    let above = map.above.as_ref().map(|above| above.start.saturating_sub(address));
    (below.into_iter().chain(above).min()? >= FAR_BYTES)
        .then(|| line("maps", "nothing is mapped within 1 TiB of the address".to_owned()))
}

fn was(facts: &Facts<'_>, is_one: fn(&Mapping) -> bool) -> Option<Seen> {
    let Mapping { start, end, permissions, path, .. } =
        facts.former().filter(|former| is_one(former))?;
    let what = if path.is_empty() { "anonymous memory" } else { path };
    let whose = if facts.crash?.former_of_parent {
        " in the process from which this one was forked"
    } else {
        ""
    };
    let text = format!("{what} ({permissions}) was mapped at {start:#x}-{end:#x} before{whose}");
    Some(line("maps", text))
}

/// What was there was code.
pub(crate) fn was_code(facts: &Facts<'_>) -> Option<Seen> {
    was(facts, |mapping| mapping.permissions.contains('x'))
}

/// What was there was data.
pub(crate) fn was_data(facts: &Facts<'_>) -> Option<Seen> {
    was(facts, is_data)
}

/// All values that the instruction goes through.
fn gone_through(facts: &Facts<'_>) -> Vec<Held> {
    let Some(decoded) = facts.decoded() else { return Vec::new() };
    let operands = decoded.accesses.into_iter().flat_map(|access| [access.base, access.index]);
    operands.flatten().chain(decoded.target).collect()
}

/// The instruction goes through a word that the allocator keeps in a free block, or jumps to what
/// a table holds to which such a word leads.
pub(crate) fn goes_through_freed_block(facts: &Facts<'_>) -> Option<Seen> {
    let at_pc = facts.address() == Some(facts.registers()?.rip);
    let through = if at_pc { Vec::new() } else { gone_through(facts) };
    facts.crash?.heap.freed.iter().find_map(|block| {
        let place = format!("the block of {} bytes at {:#x}", block.bytes, block.address);
        let is_link = |held: &&Held| held.value != 0 && block.links.contains(&held.value);
        let text = match (through.iter().find(is_link), block.slot.filter(|_| at_pc)) {
            (Some(held), _) => format!(
                "{} = {:#x} was read from {place}, which the allocator holds as free",
                held.name, held.value,
            ),
            (None, Some(slot)) => format!(
                "the address was read at {slot:#x} through {place}, which the allocator holds as \
                 free",
            ),
            (None, None) => return None,
        };
        Some(line("process memory", text))
    })
}

/// The allocator's links are addresses without their last 12 bits (malloc/malloc.c,
/// "safe-linking"): one that is used as a pointer was once right.
fn is_link_of_heap(facts: &Facts<'_>, value: u64) -> bool {
    let Some(crash) = facts.crash else { return false };
    value < USER_END >> 12
        && crash.heap.ranges.iter().any(|heap| (heap.start >> 12..heap.end >> 12).contains(&value))
}

/// Nothing is mapped there, whatever lies near.
pub(crate) fn is_in_hole(facts: &Facts<'_>) -> Option<Seen> {
    let address = facts.address()?;
    facts
        .map()?
        .inside
        .is_none()
        .then(|| line("maps", format!("nothing is mapped at {address:#x}")))
}

/// A jump to what is mapped but no code, or far from everything.
pub(crate) fn is_no_code(facts: &Facts<'_>) -> Option<Seen> {
    match facts.inside() {
        None => is_far_from_all(facts),
        Some(mapping) if mapping.permissions.contains('x') => None,
        Some(mapping) => {
            let text = format!("the mapping there is not executable ({})", mapping.permissions);
            Some(line("maps", text))
        }
    }
}
