//! An observation and a death for tests of this crate, of which little is known.

use super::{
    Crash, Ending, Fact, HeapFacts, LastWords, LaunchMode, Observation, Output, Samples, Victim,
};

/// A run that ended well.
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
        samples: Samples::default(),
        descendants: Vec::new(),
        output: Output::default(),
        wall_us: 1,
        soft_errors: Vec::new(),
    }
}

/// The death of a process that is not there.
pub(crate) fn bare_crash(signal: i32) -> Crash {
    let unknown = || "a test".to_owned();
    Crash {
        victim: Victim {
            // Nobody's memory: there is no stack to be searched.
            pid: i32::MAX,
            tid: i32::MAX,
            thread: String::new(),
            is_child: true,
            command: String::new(),
        },
        signal,
        siginfo: Fact::Unavailable(unknown()),
        registers: Fact::Unavailable(unknown()),
        instruction: Vec::new(),
        location: Fact::Unavailable(unknown()),
        address_map: Fact::Unavailable(unknown()),
        former: None,
        former_of_parent: false,
        limit: None,
        pointers: Vec::new(),
        heap: HeapFacts::default(),
        last_words: LastWords::default(),
        threads: Vec::new(),
        through_handler: false,
        time_ns: 0,
        held_ns: 0,
    }
}
