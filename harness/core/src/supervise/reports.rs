//! Reports that a program's own crash handlers wrote into its folder.
//!
//! Deliberately absent: what they print (standard error has that); files elsewhere.

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use hotfire_sys::open_regular;

use crate::observe::HandlerReport;

/// Bytes kept of a report; its first lines tell the signal and the frame.
const REPORT_BYTES_MAX: u64 = 16 * 1024;
/// Reports kept of a run.
const REPORTS_MAX: usize = 4;
/// Entries of the folder that are looked at.
const ENTRIES_MAX: usize = 16_384;

/// Whether a file's name is one that crash handlers give: the JVM's `hs_err_pidN.log`, and
/// `crash_dump_N.log`.
fn is_report(name: &str) -> bool {
    let digits = |rest: &str| {
        let number = rest.strip_suffix(".log").unwrap_or_default();
        !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit())
    };
    ["hs_err_pid", "crash_dump_"].iter().any(|start| name.strip_prefix(start).is_some_and(digits))
}

/// The reports in this folder that were written since `since`.
pub(super) fn written_since(folder: &Path, since: SystemTime) -> Vec<HandlerReport> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<HandlerReport> = entries
        .filter_map(Result::ok)
        .take(ENTRIES_MAX)
        .filter(|entry| is_report(&entry.file_name().to_string_lossy()))
        .filter(|entry| {
            let modified = entry.metadata().and_then(|data| data.modified());
            modified.is_ok_and(|modified| modified >= since)
        })
        .take(REPORTS_MAX)
        .filter_map(|entry| {
            let path = entry.path().display().to_string();
            let mut bytes = Vec::new();
            open_regular(&path).ok()?.take(REPORT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
            Some(HandlerReport { path, text: String::from_utf8_lossy(&bytes).into_owned() })
        })
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_reports_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), "SIGSEGV\n").unwrap();
        for name in ["hs_err_pid12.log", "crash_dump_7.log", "crash_dump_x.log", "other.log"] {
            write(name);
        }
        let of = |since| {
            let reports = written_since(folder.path(), since);
            let name = |report: &HandlerReport| report.path.rsplit('/').next().unwrap().to_owned();
            reports.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(of(SystemTime::UNIX_EPOCH), ["crash_dump_7.log", "hs_err_pid12.log"]);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(of(later).is_empty());
    }
}
