//! Where findings are kept between invocations: `DIR/report.json` of the last one, and for each
//! finding ever seen there `DIR/findings/ID.json` with the facts of the run that showed it.
//!
//! Deliberately absent: bundles and an index; nothing needs them yet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hotfire_core::campaign::CampaignReport;
use hotfire_core::diagnose::Finding;
use hotfire_core::observe::Observation;
use hotfire_core::report::{PlanResult, Report, complete, plan_result};
use hotfire_plan::scenario::Limits;
use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// A finding with what it was made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) finding: Finding,
    pub(crate) result: PlanResult,
    pub(crate) limits: Limits,
    pub(crate) observation: Observation,
}

/// A folder of findings.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Keeps a report and its findings.
    pub(crate) fn keep(&self, report: &Report, campaign: &CampaignReport) -> Result<(), CliError> {
        let folder = self.folder.join("findings");
        std::fs::create_dir_all(&folder)
            .map_err(|error| CliError::Write { path: folder.clone(), error })?;
        let mut seen = BTreeSet::new();
        for subject in &campaign.subjects {
            for (observation, finding) in subject.first_findings() {
                if !seen.insert(&finding.id) {
                    continue;
                }
                let kept = Kept {
                    finding: complete(finding, subject),
                    result: plan_result(subject),
                    limits: subject.subject.limits,
                    observation: observation.clone(),
                };
                write_json(&folder.join(format!("{}.json", finding.id)), &kept)?;
            }
        }
        write_json(&self.folder.join("report.json"), report)
    }

    /// The finding whose id begins so.
    pub(crate) fn finding(&self, id: &str) -> Result<Kept, CliError> {
        let folder = self.folder.join("findings");
        let mut matching: Vec<PathBuf> = std::fs::read_dir(&folder)
            .map(|entries| {
                entries
                    .filter_map(Result::ok)
                    .map(|entry| entry.path())
                    .filter(|path| starts_with(path, id))
                    .collect()
            })
            .unwrap_or_default();
        matching.sort();
        let missing =
            |help: String| CliError::NoFinding { id: id.to_owned(), out: folder.clone(), help };
        let path = match matching.as_slice() {
            [path] => path,
            [] => {
                let help = "`hotfire run` and `hotfire replay` keep what they find; --out DIR \
                            names another folder";
                return Err(missing(help.to_owned()));
            }
            several => {
                return Err(missing(format!(
                    "{} findings begin so: give more digits",
                    several.len()
                )));
            }
        };
        read_json(path, "the file is no finding of this version: run the plan again")
    }
}

fn starts_with(path: &Path, id: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(id))
}

/// Writes beside the file first, so that a full disk never leaves half a file in its place.
pub(crate) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), CliError> {
    let failed = |error| CliError::Write { path: path.to_owned(), error };
    let mut text = serde_json::to_string_pretty(value).map_err(|error| failed(error.into()))?;
    text.push('\n');
    // A device or pipe is written as it is.
    if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        return std::fs::write(path, text).map_err(failed);
    }
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}

/// Reads a JSON file of ours.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    help: &'static str,
) -> Result<T, CliError> {
    let failed = |error: std::io::Error| CliError::Read { path: path.to_owned(), error, help };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(error.into()))
}
