//! Where the reports of a run go: `--json`, `--junit`, and on GitHub annotations
//! and the step's summary. What can be refused is refused before anything runs.
//!
//! Deliberately absent: what a report says (hotfire-core's `report`).

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use hotfire_core::campaign::CampaignReport;
use hotfire_core::report::{
    CiReport, JUNIT_BYTES_MAX, Report, SUMMARY_BYTES_MAX, render_annotations, render_junit,
    render_step_summary,
};

use crate::args::{GitHub, SharedArgs};
use crate::error::CliError;
use crate::present::Presenter;
use crate::store::{write_json, write_text};

/// Refuses reports that cannot be written, or would overwrite one another.
pub(crate) fn check(shared: &SharedArgs) -> Result<(), CliError> {
    let files: Vec<&PathBuf> = [&shared.json, &shared.junit].into_iter().flatten().collect();
    files.iter().try_for_each(|file| check_folder(file))?;
    check_folder(shared.out())?;
    match files.as_slice() {
        [one, other] if real_place(one) == real_place(other) => {
            Err(CliError::SameFile { path: (*other).clone() })
        }
        _ => Ok(()),
    }
}

/// The folder of a file that is to be written must be there.
pub(crate) fn check_folder(file: &Path) -> Result<(), CliError> {
    let folder = folder_of(file);
    if is_output(file) || folder.is_dir() {
        return Ok(());
    }
    Err(CliError::NoFolder { path: file.to_owned(), folder })
}

/// `-`: standard output.
pub(crate) fn is_output(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// The same for two names of one file: links are followed, as `replace` follows them.
fn real_place(file: &Path) -> PathBuf {
    if is_output(file) {
        return file.to_owned();
    }
    file.canonicalize().unwrap_or_else(|_| {
        let folder = folder_of(file);
        let folder = folder.canonicalize().unwrap_or(folder);
        folder.join(file.file_name().unwrap_or(OsStr::new("")))
    })
}

/// Whether this is a step of GitHub Actions, as far as reports go.
pub(crate) fn is_github(shared: &SharedArgs) -> bool {
    match shared.github {
        Some(GitHub::On) => true,
        Some(GitHub::Off) => false,
        Some(GitHub::Auto) | None => {
            std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
        }
    }
}

/// A report that was asked for must be written. One that cannot be does not keep the others from
/// being written. `kept` says whether the findings are.
pub(crate) fn write(
    shared: &SharedArgs,
    (campaign, report, kept): (&CampaignReport, &Report, bool),
    presenter: &Presenter,
) -> Result<(), CliError> {
    let text_of = |at: usize| presenter.plain_finding(campaign.subjects.get(at)?, kept);
    let ci = CiReport { report, text_of: &text_of };
    let mut written = Ok(());
    if let Some(file) = &shared.json {
        written = match is_output(file) {
            true => presenter.answer_json(report),
            false => write_json(file, report),
        };
    }
    if let Some(file) = &shared.junit {
        let text = render_junit(&ci, JUNIT_BYTES_MAX);
        let done = if is_output(file) { presenter.answer(&text) } else { write_text(file, &text) };
        written = written.and(done);
    }
    if is_github(shared) {
        presenter.commands(&render_annotations(&ci, &folder_in_workspace()));
        written = written.and(append_summary(&ci, presenter));
    }
    written
}

/// Appends to the step's summary, which the runner names.
fn append_summary(ci: &CiReport<'_>, presenter: &Presenter) -> Result<(), CliError> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let path = PathBuf::from(path);
    // The limit is that of the step, not of one command in it.
    let used = std::fs::metadata(&path).map_or(0, |data| data.len());
    let left = SUMMARY_BYTES_MAX.saturating_sub(usize::try_from(used).unwrap_or(usize::MAX));
    let text = render_step_summary(ci, left);
    if text.is_empty() {
        presenter.warn("the step's summary has no room left: nothing was added to it");
    }
    let file = std::fs::File::options().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| CliError::Write { path, error })
}

/// The current folder as the repository names it, with a slash at its end; empty in its root, and
/// where there is no repository around it.
fn folder_in_workspace() -> String {
    let folder = std::env::current_dir().and_then(|folder| folder.canonicalize());
    let root = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    let below = root.and_then(|root| {
        let below = folder.ok()?.strip_prefix(root.canonicalize().ok()?).ok()?.to_owned();
        (!below.as_os_str().is_empty()).then_some(below)
    });
    below.map(|below| format!("{}/", below.display())).unwrap_or_default()
}
