//! Where findings are kept between invocations: `DIR/report.json` of the last one, and for each
//! finding and plan ever seen there `DIR/findings/ID-PLAN.json` with the facts of the run that
//! showed it. `ID` is the finding's, `PLAN` the plan's id: one finding by two plans is kept twice.
//!
//! Deliberately absent: bundles and an index; nothing needs them yet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hotfire_core::campaign::{CampaignReport, SubjectReport, Watching};
use hotfire_core::diagnose::Finding;
use hotfire_core::observe::Observation;
use hotfire_core::report::{PlanResult, Report, complete, plan_result, sanitize};
use hotfire_plan::scenario::{Census, Limits};
use hotfire_plan::{Plan, plan_id, shell_quote};
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::replace::replace;

/// Where findings are kept when nobody says otherwise.
pub(crate) const DEFAULT: &str = ".hotfire";
/// Digits of a plan's id that commands show; more are accepted.
const PLAN_DIGITS: usize = 8;
/// Findings that an error lists.
const LISTED_MAX: usize = 8;
/// The longest plan in such a list.
const PLAN_CHARS_MAX: usize = 400;

/// A finding with what it was made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) finding: Finding,
    pub(crate) result: PlanResult,
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) census: Census,
    #[serde(default)]
    pub(crate) watching: Watching,
    pub(crate) observation: Observation,
}

impl Kept {
    /// What names this finding by this plan.
    pub(crate) fn handle(&self) -> String {
        handle(&self.finding.id, &self.result.plan)
    }
}

/// A folder of findings.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The command that shows a finding of a plan, safe to paste.
    pub(crate) fn show_command(&self, finding: &Finding, subject: &SubjectReport) -> String {
        let handle = handle(&finding.id, &subject.subject.plan.to_string());
        format!("hotfire show {handle}{}", self.flag())
    }

    /// ` --out DIR`, where it is not the default.
    pub(crate) fn flag(&self) -> String {
        if self.folder == Path::new(DEFAULT) {
            return String::new();
        }
        format!(" --out {}", shell_quote(&self.folder.display().to_string()))
    }

    /// Keeps a report and its findings. Without a finding, no folder is made.
    pub(crate) fn keep(&self, report: &Report, campaign: &CampaignReport) -> Result<(), CliError> {
        if report.findings.is_empty() && !self.folder.is_dir() {
            return Ok(());
        }
        self.keep_findings(campaign)?;
        write_kept(&self.folder.join("report.json"), report)
    }

    /// Keeps findings alone: the last report stays that of the user's own run.
    pub(crate) fn keep_findings(&self, campaign: &CampaignReport) -> Result<(), CliError> {
        if campaign.subjects.iter().all(|subject| subject.first_findings().next().is_none()) {
            return Ok(());
        }
        let folder = self.findings();
        std::fs::create_dir_all(&folder)
            .map_err(|error| CliError::Keep { path: folder.clone(), error })?;
        let mut seen = BTreeSet::new();
        for subject in &campaign.subjects {
            let plan = plan_id(&subject.subject.plan);
            for (observation, finding) in subject.first_findings() {
                let name = format!("{}-{plan}.json", finding.id);
                if !seen.insert(name.clone()) {
                    continue;
                }
                let kept = Kept {
                    finding: complete(finding, subject),
                    result: plan_result(subject),
                    limits: subject.subject.limits,
                    census: subject.subject.census,
                    watching: subject.watching,
                    observation: observation.clone(),
                };
                write_kept(&folder.join(name), &kept)?;
            }
        }
        Ok(())
    }

    /// The one finding whose id begins so.
    pub(crate) fn finding(&self, id: &str) -> Result<Kept, CliError> {
        let mut found = self.findings_of(id)?;
        match (found.pop(), found.as_slice()) {
            (Some(one), []) => Ok(one),
            (last, _) => {
                found.extend(last);
                Err(self.many(id, &found))
            }
        }
    }

    /// The finding whose id begins so, by the plan that showed it last, and the handles and plans
    /// of the others that show it.
    pub(crate) fn finding_and_company(&self, id: &str) -> Result<(Kept, Vec<Kept>), CliError> {
        let mut found = self.findings_of(id)?;
        let ids: BTreeSet<&str> = found.iter().map(|kept| kept.finding.id.as_str()).collect();
        if ids.len() > 1 {
            return Err(self.many(id, &found));
        }
        match found.is_empty() {
            true => Err(self.none(id)),
            false => Ok((found.remove(0), found)),
        }
    }

    /// Every kept finding, the newest first; files of another version are left out.
    pub(crate) fn all(&self) -> Vec<Kept> {
        self.files("").iter().filter_map(|path| read_json(path, "").ok()).collect()
    }

    /// All findings whose ids begin so, the newest first; at least one.
    fn findings_of(&self, id: &str) -> Result<Vec<Kept>, CliError> {
        let files = self.files(id);
        if files.is_empty() {
            return Err(self.none(id));
        }
        let help = "the file is no finding of this version: run the plan again";
        files.iter().map(|path| read_json(path, help)).collect()
    }

    /// The files whose names begin so, the newest first.
    fn files(&self, start: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.findings());
        let mut files: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.starts_with(start) && name.ends_with(".json")
            })
            .map(|entry| {
                let changed = entry.metadata().and_then(|data| data.modified()).ok();
                (std::cmp::Reverse(changed), entry.path())
            })
            .collect();
        files.sort();
        files.into_iter().map(|(_, path)| path).collect()
    }

    fn findings(&self) -> PathBuf {
        self.folder.join("findings")
    }

    fn none(&self, id: &str) -> CliError {
        CliError::NoFinding { id: id.to_owned(), out: self.findings(), flag: self.flag() }
    }

    fn many(&self, id: &str, found: &[Kept]) -> CliError {
        let line = |kept: &Kept| {
            let plan = sanitize(&kept.result.plan, PLAN_CHARS_MAX);
            format!("\n  {}  {} {}  {plan}", kept.handle(), kept.finding.code, kept.finding.status)
        };
        let mut list: String = found.iter().take(LISTED_MAX).map(line).collect();
        if found.len() > LISTED_MAX {
            let flag = self.flag();
            list.push_str(&format!(
                "\n  … {} more: `hotfire show{flag}` lists all",
                found.len() - LISTED_MAX
            ));
        }
        CliError::ManyFindings { id: id.to_owned(), count: found.len(), list }
    }
}

/// The finding's id, and the first digits of its plan's.
fn handle(id: &str, plan: &str) -> String {
    let plan = Plan::parse(plan).map(|plan| plan_id(&plan)).unwrap_or_default();
    let digits: String = plan.chars().take(PLAN_DIGITS).collect();
    format!("{id}-{digits}")
}

fn write_kept<T: Serialize>(path: &Path, value: &T) -> Result<(), CliError> {
    write_json(path, value).map_err(|error| match error {
        CliError::Write { path, error } => CliError::Keep { path, error },
        other => other,
    })
}

/// Writes a value as JSON, as [`write_text`] does.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), CliError> {
    let failed = |error| CliError::Write { path: path.to_owned(), error };
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.into()))?;
    write_text(path, &(text + "\n"))
}

/// Writes a report.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), CliError> {
    replace(path, text).map_err(|error| CliError::Write { path: path.to_owned(), error })
}

/// Writes a file of the project, and its folder where there is none.
pub(crate) fn write_project(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), std::fs::create_dir_all);
    let written = made.and_then(|()| replace(path, text));
    written.map_err(|error| CliError::WriteProject { path: path.to_owned(), error })
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
