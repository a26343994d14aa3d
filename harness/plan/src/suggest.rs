//! The word that was probably meant, by edit distance.
//!
//! Deliberately absent: any knowledge of what the words are for.

/// The candidate nearest to `word`, if it is near enough to be a typo of it.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words: the optimal string
/// alignment distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=right.len()).collect();
    let mut previous_left = None;
    for (row, left_char) in left.chars().enumerate() {
        let mut new = vec![row + 1];
        let mut last = row + 1;
        let mut previous_right = None;
        for (column, right_char) in right.iter().copied().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replace = at(&old, column).saturating_add(usize::from(left_char != right_char));
            let delete = at(&old, column + 1).saturating_add(1);
            let mut best = replace.min(delete).min(last + 1);
            if previous_left == Some(right_char) && previous_right == Some(left_char) {
                best = best.min(at(&older, column.wrapping_sub(1)).saturating_add(1));
            }
            new.push(best);
            last = best;
            previous_right = Some(right_char);
        }
        older = std::mem::replace(&mut old, new);
        previous_left = Some(left_char);
    }
    old.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("load", "load"), 0);
        assert_eq!(distance("lod", "load"), 1);
        assert_eq!(distance("laod", "load"), 1);
        assert_eq!(distance("", "load"), 4);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn names_only_what_is_near() {
        assert_eq!(nearest("unlaod", ["load", "unload"]), Some("unload"));
        assert_eq!(nearest("Load", ["load", "unload"]), Some("load"));
        assert_eq!(nearest("frobnicate", ["load", "unload"]), None);
    }
}
