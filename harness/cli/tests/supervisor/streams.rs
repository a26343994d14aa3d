//! Output, descriptors, and a child that turns on its recorder.

use hotfire_core::observe::{Fact, HostStage, LaunchMode, Observation};

use crate::common::case::{assert_exited, fixtures, run};

const KEPT_BYTES: usize = 64 * 1024;

fixtures! {
    flood: run("flood 100").within_ms(8000) => flooded;
    binary_output: run("binary-output") => |seen| {
        assert_exited(seen, 0);
        assert_eq!(seen.output.stdout.head, "\u{fffd}\0\u{1b}[31m\n");
        assert_eq!(seen.output.stdout.bytes, 8);
    };
    closes_all: run("closes-all") => |seen| assert_exited(seen, 9);
    recorder_truncate: run("recorder-truncate") => |seen| {
        assert!(seen.output.stdout.head.starts_with("refused 1 grown 0"), "{:?}", seen.output);
        assert_exited(seen, 11);
    };
    recorder_scribble: run("recorder-scribble") => |seen| {
        assert_exited(seen, 13);
        let Fact::Unavailable(reason) = &seen.recorder else { panic!("{seen:#?}") };
        assert!(reason.contains("overwritten"), "{reason}");
    };
    recorder_lie: run("recorder-lie") => |seen| {
        assert_exited(seen, 14);
        let recorded = seen.recorder.known().expect("the header is whole");
        assert!(!recorded.damage.is_empty(), "{recorded:#?}");
        assert_eq!(recorded.stage, HostStage::Unborn);
    };
}

fn flooded(seen: &Observation) {
    assert_exited(seen, 0);
    let stdout = &seen.output.stdout;
    assert_eq!(stdout.bytes, 15 + 100 * 1024 * 1024 + 15);
    assert!(stdout.head.starts_with("the first line\nxxx") && stdout.head.len() == KEPT_BYTES);
    assert!(stdout.tail.ends_with("xxx\nthe last line\n") && stdout.tail.len() == KEPT_BYTES);
    assert_eq!(seen.output.stderr.head, "and an error\n");
}
