//! Reads the ledger: which memory was released when, and whether the order of releases is right.
//!
//! Deliberately absent: any word on a run whose ledger is not whole.

use std::collections::BTreeMap;

use crate::observe::{LedgerEntry, LedgerRecord};

/// Memory that was acquired and then released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleasedRange {
    resource: String,
    start: u64,
    bytes: u64,
    pub(crate) released_ns: u64,
}

impl ReleasedRange {
    pub(crate) fn describe(&self, now_ns: u64) -> String {
        let end = self.start.saturating_add(self.bytes);
        let us = now_ns.saturating_sub(self.released_ns) / 1000;
        format!(
            "the address lies in a {} released {us} µs before the crash: {:#x}-{end:#x}",
            self.resource, self.start
        )
    }
}

fn holds(entry: &LedgerEntry, address: u64) -> bool {
    entry.acquired
        && entry.address > 0
        && address.checked_sub(entry.address).is_some_and(|offset| offset < entry.bytes)
}

fn is_release_of(entry: &LedgerEntry, acquired: &LedgerEntry) -> bool {
    !entry.acquired && entry.id == acquired.id && entry.resource == acquired.resource
}

/// The range around the address that was released last before this time. Where memory of one resource lies in
/// that of another, the smallest range names the resource best.
pub(crate) fn released_range(
    ledger: &LedgerRecord,
    address: u64,
    time_ns: u64,
) -> Option<ReleasedRange> {
    let events = &ledger.events;
    let ranges = events.iter().enumerate().filter(|(_, entry)| holds(entry, address));
    let released = ranges.filter_map(|(at, entry)| {
        let release = events.iter().skip(at + 1).find(|later| is_release_of(later, entry))?;
        (release.time_ns <= time_ns).then(|| ReleasedRange {
            resource: entry.resource.clone(),
            start: entry.address,
            bytes: entry.bytes,
            released_ns: release.time_ns,
        })
    });
    released.max_by_key(|range| (range.released_ns, std::cmp::Reverse(range.bytes)))
}

/// Whose memory holds the address: acquired, and not yet released at this time.
pub(crate) fn live_resource(ledger: &LedgerRecord, address: u64, time_ns: u64) -> Option<&str> {
    let events = &ledger.events;
    let ranges = events.iter().enumerate().filter(|(_, entry)| holds(entry, address));
    let mut live = ranges.filter(|(at, entry)| {
        let release = events.iter().skip(at + 1).find(|later| is_release_of(later, entry));
        entry.time_ns <= time_ns && release.is_none_or(|release| release.time_ns > time_ns)
    });
    live.next().map(|(_, entry)| entry.resource.as_str())
}

/// Wrong orders and numbers of releases, in the order of their time. Silent where events were
/// overwritten. `ended_regularly`: what is not yet released will never be.
pub(crate) fn violations(ledger: &LedgerRecord, ended_regularly: bool) -> Vec<String> {
    if u64::try_from(ledger.events.len()).ok() != Some(ledger.total) {
        return Vec::new();
    }
    let mut replay = Replay::default();
    for entry in &ledger.events {
        replay.take(entry);
    }
    if ended_regularly {
        replay.end();
    }
    replay.violations
}

/// What had been acquired and released up to this time; `None` where events were overwritten.
fn replayed(ledger: &LedgerRecord, time_ns: u64) -> Option<(Replay<'_>, Option<&LedgerEntry>)> {
    if u64::try_from(ledger.events.len()).ok() != Some(ledger.total) {
        return None;
    }
    let mut replay = Replay::default();
    let mut last = None;
    for entry in ledger.events.iter().filter(|entry| entry.time_ns <= time_ns) {
        replay.take(entry);
        last = Some(entry);
    }
    Some((replay, last))
}

/// Something that is in use while what it belongs to has been released.
pub(crate) fn widow(ledger: &LedgerRecord, time_ns: u64) -> Option<String> {
    let (replay, _) = replayed(ledger, time_ns)?;
    let ((child, id), (parent, parent_id)) = replay.widowed.first_key_value()?;
    Some(format!("{parent} {parent_id:#x} was released while its {child} {id:#x} was in use"))
}

/// The release that was under way, the last event, where the same thing was released before.
pub(crate) fn second_release(ledger: &LedgerRecord, time_ns: u64) -> Option<String> {
    let (replay, last) = replayed(ledger, time_ns)?;
    let text = twice((last?.resource.as_str(), last?.id));
    (replay.violations.last() == Some(&text)).then_some(text)
}

fn twice((resource, id): Key<'_>) -> String {
    format!("{resource} {id:#x} was released twice")
}

/// One acquired thing. Two things may have one id (an object and its first member share an
/// address), so the resource belongs to the key.
type Key<'a> = (&'a str, u64);

#[derive(Default)]
struct Replay<'a> {
    /// What is live, with its parent's id.
    live: BTreeMap<Key<'a>, u64>,
    released: BTreeMap<Key<'a>, u64>,
    /// Children that were live when their parent was released.
    widowed: BTreeMap<Key<'a>, Key<'a>>,
    violations: Vec<String>,
}

impl<'a> Replay<'a> {
    fn take(&mut self, entry: &'a LedgerEntry) {
        if entry.acquired {
            self.acquire(entry);
        } else {
            self.release(entry);
        }
    }

    fn acquire(&mut self, entry: &'a LedgerEntry) {
        let key = (entry.resource.as_str(), entry.id);
        self.live.insert(key, entry.parent);
        self.released.remove(&key);
        // An address in use again is another thing than the one that was widowed.
        self.widowed.remove(&key);
    }

    fn release(&mut self, entry: &'a LedgerEntry) {
        let key = (entry.resource.as_str(), entry.id);
        if self.live.remove(&key).is_none() {
            // A release without an acquire: an engine that reports only some of them.
            if self.released.contains_key(&key) {
                self.violations.push(twice(key));
            }
            return;
        }
        if let Some((parent, parent_id)) = self.widowed.remove(&key) {
            let (child, id) = key;
            let text = format!("{child} {id:#x} was released after its {parent} {parent_id:#x}");
            self.violations.push(text);
        }
        self.released.insert(key, entry.time_ns);
        let namesake = self.live.keys().any(|other| other.1 == key.1);
        if namesake {
            return;
        }
        let children = self.live.iter().filter(|(_, parent)| **parent == key.1);
        self.widowed.extend(children.map(|(child, _)| (*child, key)));
    }

    fn end(&mut self) {
        for ((child, id), (parent, parent_id)) in &self.widowed {
            let text =
                format!("{child} {id:#x} was never released, its {parent} {parent_id:#x} was");
            self.violations.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ns: u64, acquired: bool, resource: &str, ids: (u64, u64)) -> LedgerEntry {
        let (id, parent) = ids;
        let (address, bytes) = if acquired { (id << 12, 0x1000) } else { (0, 0) };
        LedgerEntry { time_ns, acquired, resource: resource.into(), id, parent, address, bytes }
    }

    fn ledger(events: Vec<LedgerEntry>) -> LedgerRecord {
        LedgerRecord { total: events.len() as u64, events }
    }

    fn acquire_engine_and_tensor() -> Vec<LedgerEntry> {
        vec![event(1, true, "engine", (1, 0)), event(2, true, "tensor", (2, 1))]
    }

    fn with(more: &[LedgerEntry]) -> LedgerRecord {
        ledger([acquire_engine_and_tensor(), more.to_vec()].concat())
    }

    #[test]
    fn child_before_parent_is_right() {
        let right = with(&[event(3, false, "tensor", (2, 0)), event(4, false, "engine", (1, 0))]);
        assert_eq!(violations(&right, true), Vec::<String>::new());
    }

    #[test]
    fn nothing_released_is_no_violation() {
        assert_eq!(violations(&with(&[]), true), Vec::<String>::new());
    }

    #[test]
    fn each_wrong_order_is_named() {
        let late = with(&[event(3, false, "engine", (1, 0)), event(4, false, "tensor", (2, 0))]);
        assert_eq!(violations(&late, true), ["tensor 0x2 was released after its engine 0x1"]);
        let never = with(&[event(3, false, "engine", (1, 0))]);
        assert_eq!(violations(&never, true), ["tensor 0x2 was never released, its engine 0x1 was"]);
        assert_eq!(violations(&never, false), Vec::<String>::new(), "it may still come");
        let twice = with(&[event(3, false, "tensor", (2, 0)), event(4, false, "tensor", (2, 0))]);
        assert_eq!(violations(&twice, true), ["tensor 0x2 was released twice"]);
    }

    #[test]
    fn what_was_wrong_at_a_moment_is_known() {
        let parent_first = with(&[event(3, false, "engine", (1, 0))]);
        let text = "engine 0x1 was released while its tensor 0x2 was in use";
        assert_eq!(widow(&parent_first, 3).as_deref(), Some(text));
        assert_eq!((widow(&parent_first, 2), widow(&with(&[]), 9)), (None, None));
        let twice = [event(3, false, "tensor", (2, 0)), event(4, false, "tensor", (2, 0))];
        let again = second_release(&with(&twice), 9);
        assert_eq!(again.as_deref(), Some("tensor 0x2 was released twice"));
        assert_eq!(second_release(&with(&twice), 3), None);
        // It has returned, and something else was done since.
        let later = with(&[twice.to_vec(), vec![event(5, false, "engine", (1, 0))]].concat());
        assert_eq!(second_release(&later, 9), None);
        let mut cut = parent_first;
        cut.total += 1;
        assert_eq!(widow(&cut, 9), None);
    }

    #[test]
    fn a_ledger_with_overwritten_events_says_nothing() {
        let mut late =
            with(&[event(3, false, "engine", (1, 0)), event(4, false, "tensor", (2, 0))]);
        late.total += 1;
        assert_eq!(violations(&late, true), Vec::<String>::new());
    }

    #[test]
    fn an_address_used_again_is_another_thing() {
        let again = with(&[
            event(3, false, "tensor", (2, 0)),
            event(4, true, "tensor", (2, 1)),
            event(5, false, "tensor", (2, 0)),
            event(6, false, "engine", (1, 0)),
        ]);
        assert_eq!(violations(&again, true), Vec::<String>::new());
        assert_eq!(live_resource(&again, 0x2800, 4), Some("tensor"));
        assert_eq!(live_resource(&again, 0x2800, 5), None);
        assert_eq!(released_range(&again, 0x2800, 9).unwrap().released_ns, 5);
        assert_eq!(released_range(&again, 0x2800, 4).unwrap().released_ns, 3);
        assert_eq!(released_range(&again, 0x3000, 9), None);
    }
}
