//! Rules that read the faulting instruction and the maps around its operands.

use hotfire_core::observe::{Crash, Fact, FoundBy, Pointer, UNDELIVERED};

use crate::build::{PC, mapping, with_stack};
use crate::rules::{BUS, FPE, RuleCases, SEGV, TERM, change, crashed, far_fault, fault, set_pc};

const SYS: i32 = 31;
const TRAP: i32 = 5;
/// movaps %xmm0,(%rax); ret; mov (%rdi,%rsi,4),%eax; mov (%rdi,%rsi),%eax; mov (%rdi),%rax.
const ALIGNED_MOVE: [u8; 3] = [0x0f, 0x29, 0x00];
const RETURN: [u8; 1] = [0xc3];
const SCALED: [u8; 3] = [0x8b, 0x04, 0xb7];
const UNSCALED: [u8; 3] = [0x8b, 0x04, 0x37];
const LOAD: [u8; 3] = [0x48, 0x8b, 0x07];

const RAX: usize = 0;
const RSI: usize = 4;
const RDI: usize = 5;

fn with(crash: Crash, instruction: &[u8], values: &[(usize, u64)]) -> Crash {
    change(crash, |crash| {
        crash.instruction = instruction.to_vec();
        if let Fact::Known(registers) = &mut crash.registers {
            values.iter().for_each(|(register, value)| registers.general[*register] = *value);
        }
    })
}

/// The program counter is at `pc`, and the frame below it was found so.
fn jump(signal: i32, code: i32, pc: u64, found_by: FoundBy) -> Crash {
    let frames = [("libengine.so", "engine::run(void (*)())"), ("libengine.so", "engine::main()")];
    change(with_stack(fault(signal, code, pc), &frames), |crash| {
        set_pc(crash, pc);
        if let Fact::Known(stack) = &mut crash.threads[0].stack {
            stack.frames[1].found_by = found_by;
        }
    })
}

fn null_call() -> RuleCases {
    let call = |signal, code, pc| crashed(jump(signal, code, pc, FoundBy::ReturnAddress));
    RuleCases {
        rule: "null-call",
        fires: call(SEGV, 1, 0),
        twins: vec![
            crashed(change(jump(SEGV, 1, 0, FoundBy::ReturnAddress), |crash| set_pc(crash, PC))),
            call(SEGV, 1, 0x4141_4141_4141),
            call(BUS, 2, 0),
            // A return address that was overwritten with zeros.
            crashed(jump(SEGV, 1, 0, FoundBy::Scan)),
            crashed(change(fault(SEGV, 1, 0), |crash| set_pc(crash, 0))),
        ],
    }
}

fn null_return() -> RuleCases {
    let back = |signal, code, pc| crashed(jump(signal, code, pc, FoundBy::Scan));
    RuleCases {
        rule: "null-return",
        fires: back(SEGV, 1, 0),
        twins: vec![
            crashed(change(jump(SEGV, 1, 0, FoundBy::Scan), |crash| set_pc(crash, PC))),
            back(SEGV, 1, 0x4141_4141_4141),
            back(BUS, 2, 0),
            crashed(jump(SEGV, 1, 0, FoundBy::ReturnAddress)),
            // Nobody could walk the stack.
            crashed(change(fault(SEGV, 1, 0), |crash| set_pc(crash, 0))),
        ],
    }
}

/// Between two libraries: it may have held code.
const HOLE: u64 = 0x7f10_0001_0000;

fn unmapped_call() -> RuleCases {
    let called = |signal, code, found_by| jump(signal, code, HOLE + 0x40, found_by);
    let call = || called(SEGV, 1, FoundBy::ReturnAddress);
    RuleCases {
        rule: "unmapped-call",
        fires: crashed(call()),
        twins: vec![
            // Data there was used by what had just been called.
            crashed(change(call(), |crash| set_pc(crash, PC))),
            // Something is there by now, and may be executed.
            crashed(change(call(), |crash| {
                if let Fact::Known(map) = &mut crash.address_map {
                    map.inside = Some(mapping(HOLE, HOLE + 0x1000, "r-xp", "/x"));
                }
            })),
            // A return address that was overwritten.
            crashed(called(SEGV, 1, FoundBy::Scan)),
            crashed(called(BUS, 2, FoundBy::ReturnAddress)),
        ],
    }
}

/// mov 0x30000(%rdi),%eax, and the same with an index.
const FAR_MEMBER: [u8; 6] = [0x8b, 0x87, 0, 0, 0x03, 0];
const FAR_ELEMENT: [u8; 7] = [0x8b, 0x84, 0x37, 0, 0, 0x03, 0];

fn null_member() -> RuleCases {
    let at = 0x3_0000;
    let used = |signal, code, instruction: &[u8], object: u64| {
        crashed(with(fault(signal, code, at + object), instruction, &[(RDI, object), (RSI, 0)]))
    };
    RuleCases {
        rule: "null-member",
        fires: used(SEGV, 1, &FAR_MEMBER, 0),
        twins: vec![
            // An index into a table that lies there in the program.
            used(SEGV, 1, &FAR_MEMBER, 0x7_0000),
            used(SEGV, 1, &FAR_ELEMENT, 0),
            used(SEGV, 2, &FAR_MEMBER, 0),
            used(BUS, 1, &FAR_MEMBER, 0),
        ],
    }
}

fn wild_return() -> RuleCases {
    let ret = |signal, code| with(fault(signal, code, 0), &RETURN, &[]);
    RuleCases {
        rule: "wild-return",
        fires: crashed(ret(SEGV, 128)),
        twins: vec![
            crashed(with(fault(SEGV, 128, 0), &LOAD, &[])),
            // The stack pointer itself points nowhere.
            crashed(ret(SEGV, 1)),
            crashed(with(far_fault(SEGV, 1, 0x1234_5678_9000), &RETURN, &[])),
            crashed(ret(TERM, 128)),
        ],
    }
}

fn null_array() -> RuleCases {
    let at = 0x40_0000;
    let indexed = |signal, code, instruction: &[u8], base: u64| {
        let index = if instruction == SCALED { (at - base) / 4 } else { at - base };
        crashed(with(fault(signal, code, at), instruction, &[(RDI, base), (RSI, index)]))
    };
    RuleCases {
        rule: "null-array",
        fires: indexed(SEGV, 1, &SCALED, 0),
        twins: vec![
            indexed(SEGV, 1, &SCALED, 0x20_0000),
            // Which of both is the pointer?
            indexed(SEGV, 1, &UNSCALED, 0),
            indexed(SEGV, 2, &SCALED, 0),
            indexed(BUS, 1, &SCALED, 0),
        ],
    }
}

const START: u64 = 0x7f20_0000_0000;
const END: u64 = START + 0x1000;

/// An array in START..END is indexed, up to `at`.
fn indexed(signal: i32, permissions: &str, instruction: &[u8], at: u64) -> Crash {
    let scale = if instruction == SCALED { 4 } else { 1 };
    let values = [(RDI, START + 0x10), (RSI, (at - START - 0x10) / scale)];
    change(with(fault(signal, 1, at), instruction, &values), |crash| {
        let mapping = mapping(START, END, permissions, "");
        crash.pointers = vec![Pointer { value: START + 0x10, mapping }];
    })
}

fn out_of_mapping() -> RuleCases {
    let beyond = |instruction: &[u8]| indexed(SEGV, "rw-p", instruction, END + 0x110);
    RuleCases {
        rule: "out-of-mapping",
        fires: crashed(beyond(&SCALED)),
        twins: vec![
            // Which of both is the pointer?
            crashed(change(beyond(&UNSCALED), |crash| {
                let mapping = mapping(0x100, 0x1000, "rw-p", "");
                let index = END + 0x110 - START - 0x10;
                crash.pointers.push(Pointer { value: index, mapping });
            })),
            crashed(indexed(SEGV, "r-xp", &SCALED, END + 0x110)),
            crashed(indexed(BUS, "rw-p", &SCALED, END + 0x110)),
            // Inside of the mapping: it went away under the access.
            crashed(indexed(SEGV, "rw-p", &SCALED, END - 0x110)),
            crashed(change(beyond(&SCALED), |crash| set_pc(crash, END + 0x110))),
        ],
    }
}

fn misaligned() -> RuleCases {
    let far = 0x1234_5678_9008;
    let store = |signal, code, at| with(fault(signal, code, 0), &ALIGNED_MOVE, &[(RAX, at)]);
    RuleCases {
        rule: "misaligned",
        fires: crashed(store(SEGV, 128, 0x7f00_0000_0008)),
        twins: vec![
            crashed(store(SEGV, 128, 0x7f00_0000_0010)),
            crashed(store(SEGV, 1, 0x7f00_0000_0008)),
            // Nothing is mapped there, aligned or not.
            crashed(with(far_fault(SEGV, 1, far), &ALIGNED_MOVE, &[(RAX, far)])),
            crashed(store(TERM, 128, 0x7f00_0000_0008)),
        ],
    }
}

fn alignment_check() -> RuleCases {
    RuleCases {
        rule: "alignment-check",
        fires: crashed(fault(BUS, 1, 0x7f00_0000_0001)),
        twins: vec![crashed(fault(BUS, 2, 0x7f00_0000_0001)), crashed(fault(TERM, 1, 0x1))],
    }
}

fn wild_pointer() -> RuleCases {
    let at = 0x1234_5678_9000;
    let near = |crash: &mut Crash| {
        if let Fact::Known(map) = &mut crash.address_map {
            map.above = Some(mapping(at + 0x1_0000_0000, at + 0x2_0000_0000, "rw-p", ""));
        }
    };
    RuleCases {
        rule: "wild-pointer",
        fires: crashed(far_fault(SEGV, 1, at)),
        twins: vec![
            // Between mappings: it may have been mapped a moment before.
            crashed(change(far_fault(SEGV, 1, at), near)),
            // Near enough to null to be an element of a null array.
            crashed(far_fault(SEGV, 1, 0x10_0000)),
            crashed(far_fault(SEGV, 2, at)),
            crashed(far_fault(BUS, 1, at)),
            // FPE_INTDIV has the same number as SEGV_MAPERR.
            crashed(far_fault(FPE, 1, at)),
            crashed(change(far_fault(SEGV, 1, at), |crash| set_pc(crash, at))),
        ],
    }
}

fn seccomp() -> Vec<RuleCases> {
    let undelivered = |signal, reason: &str| {
        crashed(change(fault(signal, 1, 0), |crash| {
            crash.siginfo = Fact::Unavailable(reason.to_owned());
        }))
    };
    vec![
        RuleCases {
            rule: "seccomp",
            fires: crashed(fault(SYS, 1, 0)),
            // Code 2 is the emulation of another system's calls.
            twins: vec![crashed(fault(SYS, 2, 0)), crashed(fault(TERM, 1, 0))],
        },
        RuleCases {
            rule: "seccomp-kill",
            fires: undelivered(SYS, UNDELIVERED),
            twins: vec![undelivered(SYS, "EPERM"), undelivered(9, UNDELIVERED)],
        },
    ]
}

fn freed_block() -> RuleCases {
    let link = 0x5_5555_5555;
    let used = |signal, code, value: u64| {
        change(with(far_fault(signal, code, value), &LOAD, &[(RDI, value)]), |crash| {
            crash.heap = serde_json::from_value(serde_json::json!({
                "ranges": [{"start": link << 12, "end": (link + 33) << 12}],
                "freed": [{"address": (link << 12) + 0x2a0, "bytes": 0x20, "links": [link, 7]}],
            }))
            .unwrap();
        })
    };
    RuleCases {
        rule: "freed-block",
        fires: crashed(used(SEGV, 1, link)),
        twins: vec![
            // Another word than the allocator's: the block is free, but was not read.
            crashed(used(SEGV, 1, 0x1234_5678_9000)),
            crashed(used(8, 1, link)),
            crashed(used(SEGV, -6, link)),
        ],
    }
}

/// A block that is in use again may still hold the link: neither freed nor never right.
#[test]
fn a_stale_link_is_no_wild_pointer() {
    let mut recycled = freed_block().fires;
    let crash = recycled.observation.crash.as_mut().unwrap();
    crash.heap.freed.clear();
    assert_eq!(recycled.finding().class, "unknown");
    recycled.observation.crash.as_mut().unwrap().heap.ranges.clear();
    assert_eq!(recycled.finding().class, "wild-pointer");
}

/// What a freed object's table of virtual functions led to.
#[test]
fn a_jump_through_a_freed_block_is_a_use_after_free() {
    let jump = |slot: bool| {
        let mut case = freed_block().fires;
        let crash = case.observation.crash.as_mut().unwrap();
        let at = 0x5_5555_5555;
        set_pc(crash, at);
        crash.heap.freed[0].slot = slot.then_some(0x7f00_0000_0010);
        case.finding().class
    };
    assert_eq!((jump(true).as_str(), jump(false).as_str()), ("use-after-free", "unknown"));
}

/// Something was mapped where the fault is.
fn former(crash: Crash, permissions: &str) -> Crash {
    change(crash, |crash| crash.former = Some(mapping(START, END, permissions, "/opt/plugin.so")))
}

fn code_unloaded() -> RuleCases {
    let at = START + 0x40;
    let jump = |signal| change(fault(signal, 1, at), |crash| set_pc(crash, at));
    RuleCases {
        rule: "code-unloaded",
        fires: crashed(former(jump(SEGV), "r-xp")),
        twins: vec![
            crashed(jump(SEGV)),
            crashed(former(fault(SEGV, 1, at), "r-xp")),
            crashed(former(jump(BUS), "r-xp")),
        ],
    }
}

fn unmapped_memory() -> RuleCases {
    let at = START + 0x40;
    RuleCases {
        rule: "unmapped-memory",
        fires: crashed(former(fault(SEGV, 1, at), "rw-p")),
        twins: vec![
            // A reservation that nobody may touch is no memory.
            crashed(former(fault(SEGV, 1, at), "---p")),
            crashed(former(fault(SEGV, 2, at), "rw-p")),
            crashed(former(fault(BUS, 1, at), "rw-p")),
            crashed(former(change(fault(SEGV, 1, at), |crash| set_pc(crash, at)), "rw-p")),
        ],
    }
}

/// Whether somebody looked in time is chance, and no part of what the bug is.
#[test]
fn a_former_mapping_changes_the_class_and_not_the_identity() {
    let seen = unmapped_memory().fires.finding();
    let mut case = unmapped_memory().fires;
    case.observation.crash.as_mut().unwrap().former = None;
    let unseen = case.finding();
    assert_eq!((seen.class.as_str(), unseen.class.as_str()), ("use-after-free", "unknown"));
    assert_eq!(seen.id, unseen.id);
}

#[test]
fn what_is_plain_to_see_is_told_without_a_class() {
    let guarded = change(fault(SEGV, 2, START + 8), |crash| {
        if let Fact::Known(map) = &mut crash.address_map {
            map.inside = Some(mapping(START, END, "---p", ""));
        }
    });
    for (crash, words) in [
        (guarded, "anonymous memory is mapped there, without the right to it (---p)"),
        (with(fault(SEGV, 128, 0), &[0xf4], &[]), "the processor refused the instruction"),
        (with(fault(TRAP, 128, 0), &[0xcc], &[]), "the thread ran a breakpoint instruction"),
    ] {
        let finding = crashed(crash).finding();
        assert_eq!(finding.class, "unknown");
        let told = finding.evidence.iter().any(|line| line.text.starts_with(words));
        assert!(told, "{:?}", finding.evidence);
    }
}

pub(crate) fn cases() -> Vec<RuleCases> {
    let mut cases = vec![
        code_unloaded(),
        unmapped_memory(),
        freed_block(),
        null_call(),
        unmapped_call(),
        null_return(),
        null_member(),
        wild_return(),
        null_array(),
        out_of_mapping(),
        misaligned(),
        alignment_check(),
        wild_pointer(),
    ];
    cases.extend(seccomp());
    cases
}

#[test]
fn an_access_that_straddles_the_end_is_out_of_bounds() {
    // mov (%rdi),%rax: eight bytes, of which the last four are behind the mapping.
    let straddles = change(with(fault(SEGV, 1, END), &LOAD, &[(RDI, END - 4)]), |crash| {
        if let Fact::Known(map) = &mut crash.address_map {
            map.below = Some(mapping(START, END, "rw-p", ""));
        }
    });
    assert_eq!(crashed(straddles.clone()).finding().class, "out-of-bounds");
    // The first byte behind it, by a pointer that may never have been one into it.
    let behind = with(straddles, &LOAD, &[(RDI, END)]);
    assert_eq!(crashed(behind).finding().class, "unknown");
}

#[test]
fn an_index_without_a_scale_is_told_from_its_pointer() {
    let used = |instruction: &[u8]| indexed(SEGV, "rw-p", instruction, END + 0x110);
    assert_eq!(crashed(used(&UNSCALED)).finding().class, "out-of-bounds");
    // mov (%rsi,%rdi),%eax: the pointer stands where an index would.
    let turned = used(&[0x8b, 0x04, 0x3e]);
    assert_eq!(crashed(turned.clone()).finding().class, "out-of-bounds");
    let nowhere = change(turned, |crash| crash.pointers.clear());
    assert_eq!(crashed(nowhere).finding().class, "unknown");
}

#[test]
fn the_first_byte_behind_the_stack_was_reached_from_below() {
    let behind = |path: &str, at: u64| {
        change(with(fault(SEGV, 1, at), &LOAD, &[(RDI, at)]), |crash| {
            if let Fact::Known(map) = &mut crash.address_map {
                map.below = Some(mapping(START, END, "rw-p", path));
            }
        })
    };
    assert_eq!(crashed(behind("[stack]", END)).finding().class, "out-of-bounds");
    assert_eq!(crashed(behind("", END)).finding().class, "unknown");
    assert_eq!(crashed(behind("[stack]", END + 0x40)).finding().class, "unknown");
}

#[test]
fn a_jump_into_a_hole_between_mappings_may_be_one_to_what_was_there() {
    let hole = change(fault(SEGV, 1, 0x7f20_0000_0000), |crash| {
        set_pc(crash, 0x7f20_0000_0000);
        if let Fact::Known(map) = &mut crash.address_map {
            map.below = Some(mapping(0x7f1f_0000_0000, 0x7f1f_0001_0000, "r-xp", "/lib/a.so"));
        }
    });
    assert_eq!(crashed(hole).finding().class, "unknown");
}

#[test]
fn the_kernels_half_is_nobodys() {
    assert_eq!(crashed(fault(SEGV, 1, u64::MAX - 7)).finding().class, "wild-pointer");
}

#[test]
fn what_the_instruction_did_is_evidence() {
    let finding = crashed(with(fault(SEGV, 1, 0x18), &LOAD, &[(RDI, 0x18)])).finding();
    let told = |text: &str| finding.evidence.iter().any(|line| line.text.contains(text));
    assert!(told("a read of 8 bytes at 0x18 through rdi = 0x18"), "{:?}", finding.evidence);
}

#[test]
fn memory_that_the_parent_had_is_told_from_its_own() {
    let told = |of_parent| {
        let crash = change(former(fault(SEGV, 1, START + 0x40), "rw-p"), |crash| {
            crash.former_of_parent = of_parent;
        });
        let finding = crashed(crash).finding();
        let of_fork = |text: &str| text.ends_with("in the process from which this one was forked");
        assert_eq!(finding.class, "use-after-free");
        finding.evidence.iter().any(|line| of_fork(&line.text))
    };
    assert!(told(true) && !told(false));
}

/// Whether somebody looked in time while the code was there, tells the class and no identity.
#[test]
fn code_that_was_seen_is_told_from_a_hole() {
    let hole = jump(SEGV, 1, HOLE + 0x40, FoundBy::ReturnAddress);
    let seen = crashed(change(hole.clone(), |crash| {
        crash.former = Some(mapping(HOLE, HOLE + 0x1000, "r-xp", "/opt/libplugin.so"));
    }));
    let (hole, seen) = (crashed(hole).finding(), seen.finding());
    assert_eq!((hole.class.as_str(), seen.class.as_str()), ("wild-jump", "code-unloaded"));
    assert_eq!(hole.signature, seen.signature);
}
