//! Why the host could not do what it was asked to. The texts read after "failed to run the plan: ".

use hotfire_plan::PlanError;

/// Why the host could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The plan's text is wrong.
    #[error("the plan cannot be read: {0}")]
    Plan(#[from] PlanError),
    /// A part of the plan language that no runner obeys yet.
    #[error("{0} is not available yet")]
    NotAvailableYet(&'static str),
    /// The plan names an engine that this host does not have.
    #[error("unknown engine `{kind}`; this host has {known}")]
    UnknownEngine {
        /// The name in the plan.
        kind: String,
        /// The names that would do, joined by commas.
        known: String,
    },
    /// A step stands where it cannot be run.
    #[error("{0}")]
    Misplaced(&'static str),
    /// The arguments or the environment are wrong.
    #[error("{0}")]
    Usage(String),
    /// A file that was named could not be read.
    #[error("`{path}` cannot be read: {source}")]
    File {
        /// As it was named.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The recorder that was handed over is none.
    #[error("{0}")]
    Recorder(&'static str),
    /// The kernel refused.
    #[error("{call}: {source}")]
    System {
        /// Which call.
        call: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl HostError {
    /// The error that the kernel gave to the call that has just failed in this thread.
    pub(crate) fn last(call: &'static str) -> Self {
        Self::System { call, source: std::io::Error::last_os_error() }
    }
}
