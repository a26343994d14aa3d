//! Cores that lie: whatever their bytes say, reading ends, within its limits.

use proptest::prelude::*;

use super::builder::{Builder, Load, Thread, write};
use super::tests::{fault, read};
use super::{CoreError, read_core};

/// The length of `struct elf_prstatus`.
const THREAD_BYTES: usize = 336;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_at_any_places(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = fault().build();
        let heads = bytes.len() - 8192;
        for (place, value) in changes {
            bytes[place.index(heads)] = value;
        }
        bytes.truncate(heads.max(length.index(bytes.len())));
        let (_folder, path) = write(&bytes);
        if let Ok(seen) = read_core(&path, None) {
            // A change may make another note one of a thread, which is no shorter than its struct.
            let most = heads / THREAD_BYTES;
            prop_assert!(seen.crash.is_some_and(|crash| crash.threads.len() <= most));
        }
    }

    #[test]
    fn any_registers_and_any_mappings(
        registers in prop::array::uniform27(word()),
        loads in prop::collection::vec((word(), word(), any::<u32>()), 0..24),
        files in prop::collection::vec((word(), word(), word(), "(/bin/sh|[a-z/]{0,9})"), 0..24),
    ) {
        let mut core = fault();
        core.threads[0].registers = registers;
        core.loads.extend(loads.into_iter().map(|(start, length, flags)| {
            Load { start, length, flags, bytes: vec![7; 64] }
        }));
        core.files = files;
        prop_assert!(read(&core).is_ok());
    }
}

/// Numbers near those that matter.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(u64::MAX - 4095),
        (0..0x4000_u64).prop_map(|near| 0x5555_0000_0000 + near),
        (0..0x4000_u64).prop_map(|near| 0x7fff_0000_0000 - 0x2000 + near),
        any::<u64>(),
    ]
}

#[test]
fn headers_that_promise_too_much_are_refused() {
    let bytes = fault().build();
    let with = |place: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[place..place + value.len()].copy_from_slice(value);
        let (_folder, path) = write(&bytes);
        read_core(&path, None)
    };
    // 65,534 program headers, or a table at the end of all numbers.
    assert!(matches!(with(56, &[0xfe, 0xff]), Err(CoreError::Truncated { .. })));
    assert!(matches!(with(32, &[0xff; 8]), Err(CoreError::Truncated { .. })));
    // Their number elsewhere, and nothing there.
    assert!(matches!(
        with(56, &[0xff, 0xff]),
        Err(CoreError::Damaged(_) | CoreError::Truncated { .. })
    ));
    // Notes of 2^62 bytes: the segments promise no byte that is there.
    let seen = with(64 + 32, &(1_u64 << 62).to_le_bytes()).unwrap();
    assert!(seen.soft_errors[0].contains("is cut short"), "{:?}", seen.soft_errors);
}

#[test]
fn more_threads_than_are_kept_are_counted() {
    let mut core = fault();
    core.threads.extend((100..700).map(|tid| Thread::new(tid, &[])));
    let seen = read(&core).unwrap();
    assert_eq!(seen.crash.unwrap().threads.len(), 512);
    assert_eq!(seen.soft_errors, ["90 more threads than are looked at"]);
}

#[test]
fn a_core_without_threads_is_damaged() {
    let core = Builder { threads: Vec::new(), ..fault() };
    assert!(matches!(read(&core), Err(CoreError::Damaged(_))));
}

#[test]
fn as_many_files_as_a_core_can_name_cost_no_more_than_one_look_each() {
    let begun = std::time::Instant::now();
    let mut core = fault();
    let file = |number: u64| {
        let start = 0x1000_0000 + number * 0x2000;
        (start, start + 0x1000, 0, format!("/no/such/file-{number}"))
    };
    core.files = (0..40_000).map(file).collect();
    assert!(read(&core).is_ok());
    // Each against all others takes minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn one_long_path_is_not_kept_for_ever_so_many_mappings() {
    let mut core = fault();
    let (first, count) = (0x1000_0000, 20_000);
    core.files = vec![(first, first + count * 0x1000, 0, format!("/{}", "x".repeat(4_090)))];
    let load = |number| Load {
        start: first + number * 0x1000,
        length: 0x1000,
        flags: 4,
        bytes: Vec::new(),
    };
    core.loads.extend((0..count).map(load));
    let seen = read(&core).unwrap();
    let cut = seen.soft_errors.iter().find(|line| line.contains("told as of no file"));
    let told: u64 = cut.unwrap().split(' ').next().unwrap().parse().unwrap();
    // 64 MiB hold the paths of 16,384, and the mark of a deleted file behind each takes some.
    assert!((count - 16_400..count - 16_000).contains(&told), "{cut:?}");
}
