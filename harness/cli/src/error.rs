//! What can go wrong before and after runs, each with its exit status and the next step.

use std::path::PathBuf;

use hotfire_core::corefile::CoreError;

/// Exit statuses that are not a verdict.
pub(crate) mod status {
    /// The command line or a file that it names is wrong.
    pub(crate) const USAGE: u8 = 2;
    /// Nothing ran.
    pub(crate) const NOTHING_RAN: u8 = 4;
    /// Our own error.
    pub(crate) const INTERNAL: u8 = 70;
    /// Something that the run needs is not here.
    pub(crate) const SET_UP: u8 = 96;
    /// What is required could not be observed.
    pub(crate) const BLIND: u8 = 97;
    /// There is a finding.
    pub(crate) const FAILED: u8 = 100;
    /// A report could not be written.
    pub(crate) const REPORT: u8 = 110;
}

/// An error for the user: a lowercase fragment, and what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A text with a caret, rendered by its parser.
    #[error("{0}")]
    Text(String),
    /// A file cannot be read.
    #[error("cannot read {path}: {error}\nhelp: {help}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
        /// What to do.
        help: &'static str,
    },
    /// The plan needs what this version has not got.
    #[error("{what} is not available yet\nhelp: {help}")]
    NotAvailable {
        /// What.
        what: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// The filters match nothing.
    #[error("no scenario matches {what}\nhelp: {near}`hotfire list` shows all scenarios")]
    NoMatch {
        /// The filters.
        what: String,
        /// What was probably meant, as a question; may be empty.
        near: String,
    },
    /// No stored finding has the id.
    #[error("no finding `{id}` is kept in {out}\nhelp: `hotfire show{flag}` lists what is kept; --out DIR names another folder", out = out.display())]
    NoFinding {
        /// As written.
        id: String,
        /// Where was looked.
        out: PathBuf,
        /// ` --out DIR`, where one was given.
        flag: String,
    },
    /// Several stored findings have the id.
    #[error("`{id}` names {count} kept findings\nhelp: name one of them:{list}")]
    ManyFindings {
        /// As written.
        id: String,
        /// How many.
        count: usize,
        /// A line each.
        list: String,
    },
    /// A core file cannot be told of.
    #[error("cannot tell of {path}: {error}\nhelp: {help}", path = path.display(), help = error.help())]
    Core {
        /// The file.
        path: PathBuf,
        /// Why.
        error: CoreError,
    },
    /// A living process cannot be told of.
    #[error("cannot look at process {pid}: {why}\nhelp: {help}")]
    Attach {
        /// The process.
        pid: i32,
        /// Why.
        why: String,
        /// What to do.
        help: String,
        /// The exit status.
        status: u8,
    },
    /// Findings cannot be kept.
    #[error("cannot keep findings in {path}: {error}\nhelp: --out DIR names another folder", path = path.display())]
    Keep {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The answer cannot be written.
    #[error(
        "cannot write to standard output: {error}\nhelp: send it to another place, e.g. > FILE"
    )]
    Answer {
        /// Why.
        error: std::io::Error,
    },
    /// A report cannot be written.
    #[error("cannot write {path}: {error}\nhelp: the runs are done; name another file", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file of the project cannot be written.
    #[error("cannot write {path}: {error}\nhelp: check the folder's rights and the disk", path = path.display())]
    WriteProject {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The folder that a report is to be written into is not there; told before anything runs.
    #[error("cannot write {path}: there is no folder `{folder}`\nhelp: mkdir -p {folder}", path = path.display(), folder = folder.display())]
    NoFolder {
        /// The report's file.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// Two reports are to be written to one place; told before anything runs.
    #[error("two reports would be written to {path}\nhelp: give each a file of its own", path = path.display())]
    SameFile {
        /// The place of both.
        path: PathBuf,
    },
    /// Our own processes could not be started or talked to.
    #[error(
        "{0}\nhelp: this is a fault of hotfire or of the machine; `ulimit -a` and `dmesg` may tell more"
    )]
    System(#[from] hotfire_sys::SysError),
}

impl CliError {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Text(_) | Self::Read { .. } => status::USAGE,
            Self::NoFinding { .. } | Self::ManyFindings { .. } => status::USAGE,
            Self::SameFile { .. } => status::USAGE,
            Self::Core { error: CoreError::NoDeath, .. } => status::NOTHING_RAN,
            Self::Core { .. } => status::USAGE,
            Self::Attach { status, .. } => *status,
            Self::NotAvailable { .. } | Self::WriteProject { .. } => status::SET_UP,
            Self::NoMatch { .. } => status::NOTHING_RAN,
            Self::Write { .. } | Self::NoFolder { .. } => status::REPORT,
            Self::Keep { .. } | Self::Answer { .. } => status::REPORT,
            Self::System(_) => status::INTERNAL,
        }
    }
}
