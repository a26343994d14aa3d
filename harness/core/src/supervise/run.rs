//! The state of the one run that a supervisor watches.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use hotfire_plan::scenario::Census;
use hotfire_recorder::{Gate, LaneSnapshot, Snapshot};
use hotfire_sys::{RecorderFile, SysError, monotonic_ns, output_pipe};

use super::births::Births;
use super::census::Counts;
use super::command::Met;
use super::convert::{fetch, recorded};
use super::first_chance::Chance;
use super::former::Former;
use super::kills::CountedBefore;
use super::output::Collector;
use super::protocol::Job;
use super::samples::Sampling;
use super::stall::Sampler;
use crate::observe::{
    Crash, Descendant, DescendantEnd, Ending, Fact, ForkRecord, HandlerReport, Kill, LaunchMode,
    NO_HOST, Observation, Output, Samples, Stall,
};

/// Deaths of further processes that are kept.
const MORE_CRASHES_MAX: usize = 8;

/// A run from its request to its observation.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) job: Job,
    pub(super) mode: LaunchMode,
    pub(super) mode_note: Option<String>,
    /// What the child writes; a command knows nothing of one.
    pub(super) recorder: Option<RecorderFile>,
    pub(super) stdout: Collector,
    pub(super) stderr: Collector,
    pub(super) begun_ns: u64,
    pub(super) root: Option<i32>,
    /// How the root ended, and when.
    pub(super) root_end: Option<(Ending, u64)>,
    /// The child has exec'ed its program.
    pub(super) has_program: bool,
    pub(super) crash: Option<Crash>,
    /// Signals by which others asked the child to end, and which it handles.
    pub(super) asked_to_end: Vec<i32>,
    /// What its last moments told, where SIGKILL ends the command.
    pub(super) kill: Option<Kill>,
    pub(super) counted_before: Option<CountedBefore>,
    /// Signals that others sent to the command, as it got them.
    pub(super) met: Vec<Met>,
    pub(super) more_crashes: Vec<Crash>,
    pub(super) handler_reports: Vec<HandlerReport>,
    pub(super) first_chances: BTreeMap<i32, Vec<Chance>>,
    pub(super) descendants: Vec<Descendant>,
    /// Processes of the run that were made by a fork, and have not exec'ed since.
    pub(super) forks: BTreeMap<i32, ForkRecord>,
    /// More processes were made than are listed.
    pub(super) descendants_cut: bool,
    pub(super) stall: Option<Stall>,
    /// The supervisor is ending what is left: no more facts from here on.
    pub(super) ending: bool,
    /// Who outlived the command was asked to end: what it dies of is our doing.
    pub(super) asked_to_end_rest: bool,
    pub(super) exiting_since_ns: Option<u64>,
    pub(super) sampler: Sampler,
    pub(super) former: Former,
    pub(super) births: Births,
    pub(super) sampling: Sampling,
    pub(super) counts: Counts,
    /// What is left of it goes on without us.
    pub(super) letting_go: bool,
    /// How long the user had stopped it, nanoseconds.
    pub(super) stopped_ns: u64,
    pub(super) soft_errors: Vec<String>,
}

/// The child's ends of its output pipes.
pub(super) struct ChildEnds {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Run {
    pub(super) fn new(
        job: Job,
        mode: LaunchMode,
        mode_note: Option<String>,
    ) -> Result<(Self, ChildEnds), SysError> {
        let recorder = new_recorder(&job)?;
        let (stdout, stdout_child) = output_pipe()?;
        let (stderr, stderr_child) = output_pipe()?;
        let run = Self {
            mode,
            mode_note,
            recorder: Some(recorder),
            ..Self::of_command(job, Collector::new(stdout), Collector::new(stderr))
        };
        Ok((run, ChildEnds { stdout: stdout_child, stderr: stderr_child }))
    }

    /// A run of a command, which has no recorder.
    pub(super) fn of_command(job: Job, stdout: Collector, stderr: Collector) -> Self {
        let census = if job.traced { job.census } else { Census::Off };
        Self {
            job,
            mode: LaunchMode::Spawn,
            mode_note: None,
            recorder: None,
            stdout,
            stderr,
            begun_ns: monotonic_ns(),
            root: None,
            root_end: None,
            has_program: false,
            crash: None,
            asked_to_end: Vec::new(),
            kill: None,
            counted_before: None,
            met: Vec::new(),
            more_crashes: Vec::new(),
            handler_reports: Vec::new(),
            first_chances: BTreeMap::new(),
            descendants: Vec::new(),
            forks: BTreeMap::new(),
            descendants_cut: false,
            stall: None,
            ending: false,
            asked_to_end_rest: false,
            exiting_since_ns: None,
            sampler: Sampler::default(),
            former: Former::default(),
            births: Births::default(),
            sampling: Sampling::default(),
            counts: Counts::before(census),
            letting_go: false,
            stopped_ns: 0,
            soft_errors: Vec::new(),
        }
    }

    /// Takes what is left in the pipes and passes it on; whether all of it has gone to its reader.
    pub(super) fn pass_rest_on(&mut self) -> bool {
        let (stdout, stderr) = (self.stdout.pass_rest_on(), self.stderr.pass_rest_on());
        stdout && stderr
    }

    /// Whether somebody who outlived the command can still write to its output.
    pub(super) fn has_writer(&self) -> bool {
        self.stdout.has_writer() || self.stderr.has_writer()
    }

    /// Whether a death tells something new: the first of all; of a command, one of each process.
    pub(super) fn wants(&self, crash: &Crash) -> bool {
        let Some(first) = &self.crash else { return true };
        let mut known = std::iter::once(first).chain(&self.more_crashes);
        self.is_command()
            && self.more_crashes.len() < MORE_CRASHES_MAX
            && known.all(|other| other.victim.pid != crash.victim.pid)
    }

    pub(super) fn keep_crash(&mut self, crash: Crash) {
        match &self.crash {
            None => self.crash = Some(crash),
            Some(_) => self.more_crashes.push(crash),
        }
    }

    /// Whether a command of the user's own is run.
    pub(super) fn is_command(&self) -> bool {
        self.recorder.is_none()
    }

    /// Whether its user set a time limit to the command.
    pub(super) fn is_limited(&self) -> bool {
        self.job.limits.run_ms != u64::MAX
    }

    /// How long it could do nothing because we held it, or because the user had stopped it.
    pub(super) fn idle_ns(&self) -> u64 {
        self.counts.held_ns().saturating_add(self.stopped_ns)
    }

    /// The child exists and runs its program (a spawned one that cannot exec ends at once).
    pub(super) fn is_born(&self) -> bool {
        self.root.is_some()
            && (self.has_program || self.mode == LaunchMode::Fork || !self.job.traced)
    }

    /// The step in which a thread (`None`: not known which) makes a process now; 0: none, or not
    /// known.
    pub(super) fn step_in_flight(&self, maker: Option<i32>) -> u32 {
        self.progress().map_or(0, |snapshot| step_of(&snapshot.lanes, maker))
    }

    /// How far the host says it is.
    pub(super) fn progress(&self) -> Option<Snapshot> {
        let recorder = self.recorder.as_ref()?;
        hotfire_recorder::read_progress(&mut fetch(recorder)).ok()
    }

    /// At which border the host says it stands.
    pub(super) fn gate(&self) -> Option<Gate> {
        let recorder = self.recorder.as_ref()?;
        hotfire_recorder::read_gate(&mut fetch(recorder)).ok().flatten()
    }

    /// A descendant's end, by itself or by us.
    pub(super) fn descendant_ended(&mut self, index: usize, end: DescendantEnd) {
        let ending = self.ending || self.asked_to_end_rest;
        if let Some(descendant) = self.descendants.get_mut(index)
            && !ending
        {
            descendant.end = end;
        }
    }

    /// The observation. Everything of the run has ended by now.
    pub(super) fn finish(mut self) -> Observation {
        if self.births.is_cut {
            self.soft_errors.push("more births of threads than are followed".to_owned());
        }
        let now = monotonic_ns();
        let ended_ns = self.root_end.as_ref().map_or(now, |(_, time)| *time);
        let traced = self.job.traced;
        let ending = match (&self.stall, &self.root_end) {
            (None, Some((ending, _))) => ending.clone(),
            _ => Ending::Ended,
        };
        let beat_us = self.job.limits.beat_ms * 1000;
        let recorder = match &self.recorder {
            Some(recorder) => recorded(recorder, self.job.ledger, ended_ns, beat_us),
            None => Fact::Unavailable(NO_HOST.to_owned()),
        };
        Observation {
            census: self.counts.finish(self.job.census, traced, &recorder),
            command: if self.recorder.is_none() { self.job.host.arguments } else { Vec::new() },
            recorder,
            plan: self.job.plan,
            seed: self.job.seed,
            mode: self.mode,
            traced,
            mode_note: self.mode_note,
            ending,
            crash: self.crash,
            asked_to_end: self.asked_to_end,
            kill: self.kill,
            more_crashes: self.more_crashes,
            handler_reports: self.handler_reports,
            stall: self.stall,
            births: self.births.finish(),
            samples: self.sampling.finish(),
            descendants: self.descendants,
            output: Output { stdout: self.stdout.finish(), stderr: self.stderr.finish() },
            wall_us: now.saturating_sub(self.begun_ns) / 1000,
            soft_errors: self.soft_errors,
        }
    }
}

/// A lane's own thread is in that lane's step. Any other thread was made by some step: it can be
/// told only while there is one alone.
fn step_of(lanes: &[LaneSnapshot], maker: Option<i32>) -> u32 {
    let maker = maker.and_then(|tid| u64::try_from(tid).ok());
    let step = |lane: &LaneSnapshot| lane.in_flight.as_ref().map(|step| step.step);
    if let Some(own) = lanes.iter().find(|lane| maker == Some(lane.tid)) {
        return step(own).unwrap_or(0);
    }
    let mut busy = lanes.iter().filter_map(step);
    match (busy.next(), busy.next()) {
        (Some(only), None) => only,
        _ => 0,
    }
}

fn new_recorder(job: &Job) -> Result<RecorderFile, SysError> {
    let recorder = RecorderFile::new(hotfire_recorder::TOTAL_BYTES as u64)?;
    let ledger = if job.ledger { hotfire_recorder::FLAG_LEDGER } else { 0 };
    // Only a tracer can take the stop at a border.
    let gates = match job.census {
        Census::Ends if job.traced => hotfire_recorder::FLAG_GATE_ENDS,
        Census::Steps if job.traced => hotfire_recorder::FLAG_GATE_STEPS,
        _ => 0,
    };
    let flags = ledger | gates;
    // Four beats fit into the allowed gap, so that one late beat alone is no finding.
    let period_us = job.limits.beat_ms * 1000 / 4;
    let header = hotfire_recorder::header_words(flags, job.seed, period_us, job.plan.len());
    recorder.write(0, &header)?;
    if let Some((offset, words)) = hotfire_recorder::brief_words(&job.plan) {
        recorder.write(offset, &words)?;
    }
    Ok(recorder)
}

/// The observation of a run that never came to be.
pub(crate) fn not_started(job: &Job, ending: Ending) -> Observation {
    Observation {
        plan: job.plan.clone(),
        command: Vec::new(),
        seed: job.seed,
        mode: job.mode,
        traced: job.traced,
        mode_note: None,
        recorder: Fact::Unavailable("the child never ran".into()),
        census: Fact::Unavailable("the child never ran".into()),
        ending,
        crash: None,
        asked_to_end: Vec::new(),
        kill: None,
        more_crashes: Vec::new(),
        handler_reports: Vec::new(),
        stall: None,
        births: Vec::new(),
        samples: Samples::default(),
        descendants: Vec::new(),
        output: Output::default(),
        wall_us: 0,
        soft_errors: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use hotfire_recorder::StepBegun;

    use super::*;

    fn lane(tid: u64, step: Option<u32>) -> LaneSnapshot {
        let in_flight = step.map(|step| StepBegun { step, iteration: 0, time_ns: 1 });
        LaneSnapshot { tid, in_flight, ..LaneSnapshot::default() }
    }

    #[test]
    fn a_birth_belongs_to_the_step_of_the_lane_that_made_it() {
        let lanes = [lane(10, Some(3)), lane(11, Some(4)), lane(12, None)];
        assert_eq!(step_of(&lanes, Some(11)), 4);
        assert_eq!(step_of(&lanes, Some(12)), 0, "its lane is between two steps");
        assert_eq!(step_of(&lanes, Some(13)), 0, "either of two steps made that thread");
        assert_eq!(step_of(&lanes[1..], Some(13)), 4, "only one step can have made it");
        assert_eq!(step_of(&lanes[1..], None), 4);
        assert_eq!(step_of(&[], Some(10)), 0);
    }
}
