//! Names in shared memory of which a first look at a run could not tell whose they are, and the
//! closer look at its repetition could: those are the run's, too, and must not outlive it.
//!
//! Deliberately absent: the names of the closer look, which its supervisor removes.

use std::collections::BTreeSet;

use hotfire_sys::census::{SharedName, remove_shared, shared_in_use, shared_names};

use crate::observe::{Observation, without_numbers};

/// Removes what the first look left unclaimed, as far as the closer look saw its own run hold and
/// leave names that differ in numbers alone, and nobody holds it now.
pub(super) fn sweep(first: &Observation, closer: &Observation) {
    let names = of_the_run(first, closer);
    if names.is_empty() {
        return;
    }
    let there = shared_names().unwrap_or_default();
    let there: Vec<SharedName> =
        there.into_iter().filter(|shared| names.contains(shared.name.as_str())).collect();
    let in_use = shared_in_use(&there.iter().map(|shared| shared.inode).collect());
    for shared in there.iter().filter(|shared| !in_use.contains(&shared.inode)) {
        // Another user's stays, and was told as unclaimed.
        let _ = remove_shared(shared);
    }
}

fn of_the_run<'a>(first: &'a Observation, closer: &Observation) -> BTreeSet<&'a str> {
    let (Some(first), Some(closer)) = (first.census.known(), closer.census.known()) else {
        return BTreeSet::new();
    };
    let left: BTreeSet<String> =
        closer.shared_left.iter().map(|shared| without_numbers(&shared.name)).collect();
    let unclaimed = first.shared_unclaimed.iter().map(String::as_str);
    unclaimed.filter(|name| left.contains(&without_numbers(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{CensusRecord, Fact, SharedLeft, bare_observation};

    fn look(left: &[&str], unclaimed: &[&str]) -> Observation {
        let left = left.iter().map(|name| SharedLeft {
            name: (*name).to_owned(),
            step: 2,
            was_removed: true,
        });
        let census = CensusRecord {
            shared_left: left.collect(),
            shared_unclaimed: unclaimed.iter().map(|name| (*name).to_owned()).collect(),
            ..CensusRecord::default()
        };
        Observation { census: Fact::Known(census), ..bare_observation() }
    }

    #[test]
    fn only_names_of_the_same_form_are_the_runs() {
        let first = look(&[], &["sem.ref-70-1", "sem.ref-70-2", "sem.other-70", "ring"]);
        let closer = look(&["sem.ref-81-1"], &["ring"]);
        let names = of_the_run(&first, &closer);
        assert_eq!(names, BTreeSet::from(["sem.ref-70-1", "sem.ref-70-2"]));
        let silent = look(&[], &["sem.ref-81-1"]);
        assert!(of_the_run(&first, &silent).is_empty(), "nobody was seen to hold them");
    }
}
