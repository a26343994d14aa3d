//! Makes observations for the tests: a healthy one, and changes to it.

use hotfire_core::diagnose::{Context, Finding, diagnose};
use hotfire_core::observe::{
    Crash, Descendant, Ending, Fact, HostStage, LaneRecord, LedgerEntry, LedgerRecord, Mapping,
    Observation, Recorded, StallReason, StepInFlight, StepRecord, Thread, Wait,
};
use hotfire_plan::{Plan, Program};
use serde_json::{from_value, json};

/// The child's pid, and the tid of lane 0.
pub(crate) const CHILD: i32 = 100;
/// When the crash is captured, nanoseconds.
pub(crate) const CRASH_NS: u64 = 1_000_000_000;

pub(crate) const PC: u64 = 0x7f00_0000_1234;
pub(crate) const SP: u64 = 0x7ffc_0001_0000;

/// A run with its plan.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) observation: Observation,
    pub(crate) program: Program,
    pub(crate) ledger_used: bool,
}

/// A healthy run: every step of lane 0 ended ok, the child exited with 0.
pub(crate) fn healthy(text: &str) -> Case {
    let plan = Plan::parse(text).unwrap();
    let program = Program::from(&plan);
    let steps = (1u32..).take(program.steps.len()).map(|step| ended(step, "ok")).collect();
    let lane = LaneRecord { lane: 0, tid: CHILD, in_flight: None, steps, ended: 0 };
    let mut observation: Observation = from_value(json!({
        "plan": plan.to_string(),
        "seed": 7,
        "mode": "spawn",
        "ending": {"exited": 0},
        "recorder": {"unavailable": "to be set"},
        "output": {
            "stdout": {"head": "", "tail": "", "bytes": 0},
            "stderr": {"head": "", "tail": "", "bytes": 0},
        },
        "wall_us": 1500,
    }))
    .unwrap();
    observation.recorder = Fact::Known(Recorded {
        stage: HostStage::Exiting,
        refusal: None,
        lanes: vec![lane],
        heartbeat: None,
        ledger: None,
        damage: Vec::new(),
    });
    Case { observation, program, ledger_used: true }
}

/// A step that ended, one millisecond after the one before.
pub(crate) fn ended(step: u32, outcome: &str) -> StepRecord {
    StepRecord {
        step,
        iteration: 0,
        ended_ns: u64::from(step) * 1_000_000,
        took_us: Some(900),
        outcome: outcome.to_owned(),
        digest: 0,
        count: 0,
        torn: false,
        text: String::new(),
    }
}

/// A crash of the child's lane 0 in engine code, with nothing mapped at the address.
pub(crate) fn crash(signal: i32, code: i32, address: Option<u64>) -> Crash {
    from_value(json!({
        "victim": {
            "pid": CHILD, "tid": CHILD, "thread": "host", "is_child": true,
            "command": "hotfire __host",
        },
        "signal": signal,
        "siginfo": {"known": {"signal": signal, "code": code, "address": address}},
        "registers": {"known": {"rip": PC, "rsp": SP, "rbp": 0, "general": vec![0u64; 14]}},
        "instruction": [0x8b, 0x03],
        "location": {"known": {
            "pc": PC, "module": "/opt/libengine.so", "build_id": "abcd", "offset": 0x1234,
            "function": "engine::Session::step(int)",
        }},
        "address_map": {"known": {}},
        "threads": [],
        "time_ns": CRASH_NS,
    }))
    .unwrap()
}

/// The crashing thread's stack, innermost frame first: module and function of each frame.
pub(crate) fn with_stack(mut crash: Crash, frames: &[(&str, &str)]) -> Crash {
    let tid = crash.victim.tid;
    crash.threads.retain(|thread| thread.tid != tid);
    crash.threads.insert(0, standing_in(tid, frames));
    crash
}

/// A thread that stands in these frames.
pub(crate) fn standing_in(tid: i32, frames: &[(&str, &str)]) -> Thread {
    let frame = |(module, function): &(&str, &str)| {
        json!({
            "pc": PC, "found_by": "unwind-info",
            "location": {"known": {
                "pc": PC, "module": format!("/lib/{module}"), "offset": 1, "function": function,
            }},
        })
    };
    let frames: Vec<_> = frames.iter().map(frame).collect();
    let stack = json!({"known": {"frames": frames, "end": "the outermost frame"}});
    Thread { stack: from_value(stack).unwrap(), ..thread(tid, Wait::None) }
}

pub(crate) fn mapping(start: u64, end: u64, permissions: &str, path: &str) -> Mapping {
    from_value(json!({
        "start": start, "end": end, "permissions": permissions, "offset": 0,
        "inode": 0, "path": path,
    }))
    .unwrap()
}

impl Case {
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            program: &self.program,
            ledger_used: self.ledger_used,
            host_module: Some("hotfire"),
        }
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        diagnose(&self.observation, &self.context())
    }

    /// The only finding.
    pub(crate) fn finding(&self) -> Finding {
        let mut findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }

    pub(crate) fn recorded(&mut self) -> &mut Recorded {
        match &mut self.observation.recorder {
            Fact::Known(recorded) => recorded,
            Fact::Unavailable(why) => panic!("{why}"),
        }
    }

    /// Lane 0 came to this step and no further; the host was still running.
    pub(crate) fn in_step(mut self, step: u32) -> Self {
        let recorded = self.recorded();
        recorded.stage = HostStage::Running;
        let lane = &mut recorded.lanes[0];
        lane.steps.retain(|record| record.step < step);
        lane.in_flight = Some(StepInFlight { step, iteration: 0, begun_ns: 900_000_000 });
        self
    }

    /// A lane beside lane 0, with a step in flight.
    pub(crate) fn with_lane(mut self, lane: u16, tid: i32, step: u32) -> Self {
        let in_flight = Some(StepInFlight { step, iteration: 0, begun_ns: 900_000_000 });
        let recorded = self.recorded();
        recorded.lanes[0].in_flight = None;
        recorded.stage = HostStage::Running;
        recorded.lanes[0].steps.retain(|record| record.step < step);
        recorded.lanes.push(LaneRecord { lane, tid, in_flight, steps: Vec::new(), ended: 0 });
        self
    }

    pub(crate) fn crashed(mut self, crash: Crash) -> Self {
        if crash.victim.is_child {
            self.observation.ending = Ending::Signaled(crash.signal);
        }
        self.observation.crash = Some(crash);
        self
    }

    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.observation.ending = ending;
        self
    }

    pub(crate) fn saying(mut self, stderr: &str) -> Self {
        self.observation.output.stderr.head = format!("loading\n{stderr}\n");
        self
    }

    pub(crate) fn outcome(mut self, step: u32, change: impl Fn(&mut StepRecord)) -> Self {
        let lane = &mut self.recorded().lanes[0];
        lane.steps.iter_mut().filter(|record| record.step == step).for_each(change);
        self
    }

    pub(crate) fn stalled(mut self, reason: StallReason, threads: Vec<Thread>) -> Self {
        let stall = json!({"reason": reason, "quiet_us": 150_000, "threads": threads});
        self.observation.stall = Some(from_value(stall).unwrap());
        self.observation.ending = Ending::Ended;
        self
    }

    pub(crate) fn with_descendant(mut self, descendant: Descendant) -> Self {
        self.observation.descendants.push(descendant);
        self
    }

    pub(crate) fn with_ledger(mut self, events: Vec<LedgerEntry>) -> Self {
        self.recorded().ledger = Some(LedgerRecord { total: events.len() as u64, events });
        self
    }
}

/// An acquire (`memory` is its address and length) or a release, at this time in nanoseconds.
pub(crate) fn ledger_event(
    time_ns: u64,
    acquired: bool,
    (resource, id, parent): (&str, u64, u64),
    memory: (u64, u64),
) -> LedgerEntry {
    let (address, bytes) = memory;
    LedgerEntry { time_ns, acquired, resource: resource.into(), id, parent, address, bytes }
}

pub(crate) fn thread(tid: i32, wait: Wait) -> Thread {
    let stack = Fact::Unavailable("not asked for".to_owned());
    let progress = Fact::Unavailable("not watched".to_owned());
    Thread { pid: CHILD, tid, name: format!("thread-{tid}"), state: 'S', wait, stack, progress }
}

/// A wait on a word that names no owner: a condition variable, a join, a lock of another kind.
pub(crate) fn lock(address: u64) -> Wait {
    Wait::Futex { address, untimed: true, private: true, owner: None, lock: None }
}

/// A wait for a mutex that a thread holds.
pub(crate) fn held_lock(address: u64, owner: i32) -> Wait {
    Wait::Futex { address, untimed: true, private: true, owner: Some(owner), lock: None }
}

pub(crate) fn descendant(pid: i32, end: hotfire_core::observe::DescendantEnd) -> Descendant {
    Descendant {
        pid,
        parent: CHILD,
        command: "engine-worker --serve".to_owned(),
        born_in_step: 2,
        detached: false,
        end,
    }
}
