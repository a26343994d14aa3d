//! From the recorder's snapshot to the form that is stored.

use std::collections::BTreeMap;

use hotfire_recorder::{
    LaneSnapshot, LedgerSnapshot, LoopSnapshot, ReadError, Snapshot, Stage, StepEvent,
    read_snapshot,
};
use hotfire_sys::RecorderFile;

use crate::observe::{
    Fact, Heartbeat, HostStage, LaneRecord, LedgerEntry, LedgerRecord, Recorded, StepInFlight,
    StepRecord,
};

/// Reads words of the recorder, for the recorder crate's readers.
pub(super) fn fetch(
    file: &RecorderFile,
) -> impl FnMut(usize, usize) -> Result<Vec<u64>, ReadError> + '_ {
    |start, count| file.read(start, count).map_err(|error| ReadError(error.to_string()))
}

/// What the recorder tells at the end of a run. `ended_ns` is the end of the child's life, up to
/// which a heartbeat was owed; `allowed_us` the longest gap allowed (0: no heartbeat is watched).
pub(super) fn recorded(
    file: &RecorderFile,
    ledger: bool,
    ended_ns: u64,
    allowed_us: u64,
) -> Fact<Recorded> {
    match read_snapshot(&mut fetch(file)) {
        Ok(snapshot) => Fact::Known(convert(snapshot, ledger, ended_ns, allowed_us)),
        Err(ReadError(reason)) => Fact::Unavailable(reason),
    }
}

fn convert(snapshot: Snapshot, ledger: bool, ended_ns: u64, allowed_us: u64) -> Recorded {
    let heartbeat = snapshot.event_loop.as_ref().map(|beat| heartbeat(beat, ended_ns, allowed_us));
    Recorded {
        stage: stage(snapshot.stage),
        refusal: snapshot.message,
        lanes: snapshot.lanes.iter().map(lane).collect(),
        heartbeat,
        ledger: ledger.then(|| ledger_record(&snapshot.ledger)),
        damage: snapshot.damage,
    }
}

fn stage(stage: Stage) -> HostStage {
    match stage {
        Stage::Unborn => HostStage::Unborn,
        Stage::Attached => HostStage::Attached,
        Stage::Running => HostStage::Running,
        Stage::Exiting => HostStage::Exiting,
        Stage::Refused => HostStage::Refused,
    }
}

fn lane(snapshot: &LaneSnapshot) -> LaneRecord {
    let mut begun = BTreeMap::new();
    let mut steps = Vec::new();
    for event in &snapshot.events {
        match event {
            StepEvent::Begun(step) => {
                begun.insert((step.step, step.iteration), step.time_ns);
            }
            StepEvent::Ended(step) => steps.push(StepRecord {
                step: step.step,
                iteration: step.iteration,
                ended_ns: step.time_ns,
                took_us: begun
                    .remove(&(step.step, step.iteration))
                    .map(|start| step.time_ns.saturating_sub(start) / 1000),
                outcome: step.outcome.text().to_owned(),
                digest: step.digest,
                count: step.count,
                torn: step.torn,
                text: step.text.clone(),
            }),
        }
    }
    LaneRecord {
        lane: snapshot.lane,
        tid: i32::try_from(snapshot.tid).unwrap_or(0),
        in_flight: snapshot.in_flight.as_ref().map(|step| StepInFlight {
            step: step.step,
            iteration: step.iteration,
            begun_ns: step.time_ns,
        }),
        steps,
        ended: snapshot.ended,
    }
}

fn heartbeat(beat: &LoopSnapshot, ended_ns: u64, allowed_us: u64) -> Heartbeat {
    // A loop thread that has not ended owes a beat up to the end of the child.
    let open = if beat.tid == 0 { 0 } else { ended_ns.saturating_sub(beat.last_ns) };
    let (gap_ns, step) = if open > beat.gap_max_ns {
        (open, beat.busy_step)
    } else {
        (beat.gap_max_ns, beat.gap_step)
    };
    Heartbeat { beats: beat.beats, gap_max_us: gap_ns / 1000, gap_step: step, allowed_us }
}

fn ledger_record(snapshot: &LedgerSnapshot) -> LedgerRecord {
    let events = snapshot.events.iter().map(|event| LedgerEntry {
        time_ns: event.time_ns,
        acquired: event.acquired,
        resource: event.resource.text().to_owned(),
        id: event.id,
        parent: event.parent,
        address: event.address,
        bytes: event.bytes,
    });
    LedgerRecord { total: snapshot.total, events: events.collect() }
}
