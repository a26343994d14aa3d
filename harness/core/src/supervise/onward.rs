//! What a process that outlives the command prints: where we stand between it and its reader, a
//! process of ours stays between them after our own end. It ends when the last writer does, or when
//! nobody reads any more; then the writers hear of that, as they would without us.
//!
//! Deliberately absent: keeping what comes so late; the run is over.

use hotfire_sys::{Polled, fork_apart, poll_ready};

use super::output::Collector;
use super::supervisor::Supervisor;

/// Between two looks without a cause: none is needed.
const LOOK_NS: u64 = 24 * 3600 * 1_000_000_000;

impl Supervisor {
    /// Leaves streams that somebody can still write to with a process of their own.
    pub(super) fn hand_streams_over(&mut self) {
        let Some(run) = self.run.as_mut().filter(|run| run.has_writer()) else { return };
        let streams = [run.stdout.hand_over(), run.stderr.hand_over()];
        let kept: Vec<i32> = streams.iter().flat_map(Collector::descriptor_numbers).collect();
        match fork_apart(&kept, || pass_on_to_the_end(streams)) {
            // The next run's children are others.
            Ok(pid) => drop(self.inherited.insert(pid)),
            Err(error) => {
                let text = format!("what outlived the command can print no more: {error}");
                self.soft_error(text);
            }
        }
    }
}

/// Passes everything on until there is nothing more to come, or nobody to take it.
fn pass_on_to_the_end(mut streams: [Collector; 2]) {
    while streams.iter().any(Collector::is_open) {
        let read: Vec<_> = streams.iter().filter_map(Collector::descriptor).collect();
        let written: Vec<_> = streams.iter().filter_map(Collector::onward).collect();
        let watched: Vec<_> = streams.iter().filter_map(Collector::reader).collect();
        let all = Polled { read: &read, written: &written, watched: &watched };
        if poll_ready(&all, LOOK_NS).is_err() {
            return;
        }
        for stream in &mut streams {
            if stream.has_lost_reader() {
                stream.lose_reader();
            }
            stream.take();
            stream.pass_on();
        }
    }
}
