//! An observation for tests of this crate, of a run that ended well and of which little is known.

use super::{Ending, Fact, LaunchMode, Observation, Output};

/// The observation.
pub(crate) fn bare_observation() -> Observation {
    let unknown = || "a test".to_owned();
    Observation {
        plan: "exit".to_owned(),
        command: Vec::new(),
        seed: 1,
        mode: LaunchMode::Spawn,
        traced: true,
        mode_note: None,
        ending: Ending::Exited(0),
        crash: None,
        asked_to_end: Vec::new(),
        kill: None,
        more_crashes: Vec::new(),
        handler_reports: Vec::new(),
        stall: None,
        recorder: Fact::Unavailable(unknown()),
        census: Fact::Unavailable(unknown()),
        births: Vec::new(),
        descendants: Vec::new(),
        output: Output::default(),
        wall_us: 1,
        soft_errors: Vec::new(),
    }
}
