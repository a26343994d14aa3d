//! What a healthy engine tells the ledger: every acquire is released once, parts before the whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hotfire_host::{CreateContext, Ledger, Resource};
use hotfire_recorder::{LedgerEvent, TOTAL_WORDS, Writer, header_words, read_snapshot};

use crate::support::perform;

/// The events of one life with these settings and steps.
fn events(settings: &[(&str, &str)], steps: &[&str]) -> Vec<LedgerEvent> {
    let words: Vec<AtomicU64> = (0..TOTAL_WORDS).map(|_| AtomicU64::new(0)).collect();
    let words: &'static [AtomicU64] = words.leak();
    for (word, value) in words.iter().zip(header_words(1, 0, 0, 0)) {
        word.store(value, Ordering::Relaxed);
    }
    let ledger = Ledger::new(Writer::new(words, || 1).unwrap());
    let args = settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let engine =
        hotfire_reference::kind().create(&args, &CreateContext { ledger, seed: 0 }).unwrap();
    for step in steps {
        drop(perform(&*engine, step));
    }
    drop(engine);
    let mut fetch = |start: usize, count: usize| {
        Ok(words[start..start + count].iter().map(|word| word.load(Ordering::Relaxed)).collect())
    };
    let snapshot = read_snapshot(&mut fetch).unwrap();
    assert_eq!(snapshot.damage, Vec::<String>::new());
    snapshot.ledger.events
}

fn count(events: &[LedgerEvent], resource: Resource) -> usize {
    events.iter().filter(|event| event.acquired && event.resource == resource).count()
}

fn balanced(events: &[LedgerEvent]) {
    let mut held: BTreeMap<u64, &LedgerEvent> = BTreeMap::new();
    for event in events {
        if event.acquired {
            assert!(event.parent == 0 || held.contains_key(&event.parent), "{event:?}: no parent");
            assert!(held.insert(event.id, event).is_none(), "{event:?}: acquired twice");
            continue;
        }
        let acquired = held.remove(&event.id).unwrap_or_else(|| panic!("{event:?}: not held"));
        assert_eq!(acquired.resource, event.resource);
        let orphan = held.values().find(|other| other.parent == event.id);
        assert!(orphan.is_none(), "{event:?} released before its part {orphan:?}");
    }
    assert!(held.is_empty(), "{held:?}");
}

#[test]
fn a_full_life_is_balanced_and_names_all_it_takes() {
    let steps = ["load tiny", "generate 16", "swap model=other", "generate 16", "export"];
    let events = events(&[("device", "aux"), ("process", "1")], &steps);
    balanced(&events);
    let counts = [
        (Resource::Engine, 1),
        (Resource::Process, 1),
        (Resource::Device, 1),
        (Resource::Model, 2),
        (Resource::Tensor, 16),
        (Resource::Session, 1),
        (Resource::Worker, 3),
    ];
    for (resource, expected) in counts {
        assert_eq!(count(&events, resource), expected, "{resource:?}");
    }
}

#[test]
fn short_and_failed_lives_are_balanced() {
    for steps in [
        [].as_slice(),
        &["load broken"],
        &["load tiny", "unload", "load other", "generate 4", "unload"],
        &["load tiny", "swap model=broken", "generate 4", "shutdown"],
        &["load tiny", "generate 4", "shutdown", "cleanup"],
        &["load broken", "load tiny", "cleanup", "cleanup"],
    ] {
        balanced(&events(&[], steps));
        balanced(&events(&[("device", "aux")], steps));
    }
}

#[test]
fn an_orphan_worker_is_never_reported_released() {
    let events = events(&[("defect", "orphan-worker")], &["load tiny", "generate 1"]);
    let process: Vec<bool> = events
        .iter()
        .filter(|event| event.resource == Resource::Process)
        .map(|event| event.acquired)
        .collect();
    assert_eq!(process, [true]);
}
