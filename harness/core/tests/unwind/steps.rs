//! Instruction by instruction through calls of all kinds: at each, the caller must be found with
//! the same return address and stack pointer. So each prologue, epilogue, entry of a PLT and the
//! dynamic linker's own frames are seen in the middle.

use std::collections::BTreeSet;

use hotfire_core::unwind::{EndReason, Frame, LiveMemory, Mappings, Unwinder};
use hotfire_sys::procfs;
use libtest_mimic::Trial;

use crate::fixture::{C, Program, Variant};
use crate::stopped::Stopped;
use crate::trial;

/// The two breakpoints lie closer together.
const STEPS_MAX: usize = 200_000;

pub(crate) fn trials() -> Vec<Trial> {
    let of = |variant: &Variant| {
        let variant = *variant;
        trial(format!("is-right-at-each-instruction-{}", variant.name), move || steps(variant))
    };
    C.iter().map(of).collect()
}

fn steps(variant: Variant) {
    let program = Program::compile(variant);
    let mut stopped = Stopped::crash(&program.path(), "stepped", 8_192);
    let lines = procfs::maps(stopped.crashed).unwrap();
    let mappings = Mappings::from(&lines[..]);
    let mut unwinder = Unwinder::default();
    let mut callers = Vec::new();
    let (mut places, mut count) = (BTreeSet::new(), 0);
    loop {
        let registers = stopped.crashed_registers();
        let memory = LiveMemory::new(stopped.crashed);
        let stack = unwinder.process(mappings.clone(), memory).unwind(registers);
        // At first the innermost frame is the function between the breakpoints.
        if callers.is_empty() {
            callers = stack.frames[1..].to_vec();
            assert!(callers.len() >= 3);
        }
        let same = |(ours, known): (&Frame, &Frame)| (ours.pc, ours.sp) == (known.pc, known.sp);
        let outer = stack.frames.len().checked_sub(callers.len());
        let kept = outer.is_some_and(|outer| {
            stack.frames[outer..].iter().zip(&callers).all(same) && outer >= 1
        });
        let sure = stack.frames.iter().all(|frame| !frame.doubtful);
        assert!(
            kept && sure && stack.end == EndReason::Outermost,
            "after {count} instructions: {stack:#x?}\ncallers: {callers:#x?}"
        );
        let place = lines.iter().find(|line| (line.start..line.end).contains(&registers.pc()));
        places.insert(place.unwrap().path.clone());
        if !stopped.step() {
            break;
        }
        count += 1;
        assert!(count < STEPS_MAX);
    }
    assert!(count > 1_000, "{count}");
    assert!(places.contains("[vdso]"), "{places:?}");
    assert!(places.len() <= 4, "program, libc, linker, vDSO: {places:?}");
}
