//! The table of operations: one row each, and the types of its columns.
//!
//! Deliberately absent: how a plan's text is checked against it (`parse_step.rs`), and what it
//! predicts of a plan (`expectation.rs`).

use crate::model::operation::Operation;
use crate::model::state::{SlotState, States};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationSpec {
    /// Which operation.
    pub operation: Operation,
    /// The name in plan text.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// Whether it names a slot.
    pub slot: SlotUse,
    /// Arguments without a name, in order.
    pub positional: &'static [Positional],
    /// Whether more arguments without a name may follow, for the engine.
    pub more_positional: bool,
    /// Named arguments that the model knows.
    pub named: &'static [NamedArgument],
    /// Whether other named arguments may stand there, for the engine.
    pub engine_named: bool,
    /// The states in which it is legal. Empty for operations that work on no slot: always legal.
    pub from: States,
    /// Where a success leads.
    pub to: Target,
    /// The phase of a life.
    pub phase: Phase,
    /// Whether every engine must have it; of an optional operation an engine may say
    /// "not supported".
    pub required: bool,
    /// A plan text that shows it.
    pub example: &'static str,
}

/// Whether an operation names a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotUse {
    /// The slot must be named.
    Required,
    /// It may be named.
    Optional,
    /// It must not be named.
    None,
}

/// An argument without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positional {
    /// What it is called in documentation.
    pub name: &'static str,
    /// What it is, after "needs".
    pub wanted: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

/// A named argument that the model knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedArgument {
    /// Its key.
    pub name: &'static str,
    /// What it may be.
    pub values: Values,
}

/// What a named argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Any text.
    Text,
    /// A time with its unit, e.g. `5s`.
    Duration,
    /// A whole number from 0 to 255.
    ExitCode,
    /// An engine, e.g. `reference:defect=cleanup-order`.
    Engine,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// Where a successful operation leaves its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// As it was.
    Unchanged,
    /// In this state.
    State(SlotState),
    /// Nobody can say.
    Unknown,
    /// The process ends.
    End,
}

/// A phase of a life: where in it a finding happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before the first step.
    Startup,
    /// An engine is made.
    Create,
    /// A model is loaded.
    Load,
    /// Tokens are generated.
    Generate,
    /// A model is exported.
    Export,
    /// A model is given back.
    Unload,
    /// An engine or a model is replaced.
    Swap,
    /// Resources are released, explicitly or by the destructor.
    Cleanup,
    /// The engine stops.
    Shutdown,
    /// After the last step.
    Exit,
    /// Anything else.
    Run,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 11] = [
        Self::Startup,
        Self::Create,
        Self::Load,
        Self::Generate,
        Self::Export,
        Self::Unload,
        Self::Swap,
        Self::Cleanup,
        Self::Shutdown,
        Self::Exit,
        Self::Run,
    ];

    /// The word in reports and scenario files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Create => "create",
            Self::Load => "load",
            Self::Generate => "generate",
            Self::Export => "export",
            Self::Unload => "unload",
            Self::Swap => "swap",
            Self::Cleanup => "cleanup",
            Self::Shutdown => "shutdown",
            Self::Exit => "exit",
            Self::Run => "run",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.name())
    }
}

/// Arguments that the host takes on every step; they never reach the engine.
pub(crate) const HOST_ARGUMENTS: &[NamedArgument] = &[
    NamedArgument { name: "expect", values: Values::OneOf(&["ok", "error", "any"]) },
    NamedArgument { name: "on", values: Values::OneOf(&["loop"]) },
];

/// Whether a named argument is the host's own on every step.
pub(crate) fn is_host_argument(key: &str) -> bool {
    HOST_ARGUMENTS.iter().any(|argument| argument.name == key)
}

const LOADED: States = States::of(&[SlotState::Loaded]);
const CREATED_OR_LOADED: States = States::of(&[SlotState::Created, SlotState::Loaded]);
const NOT_STOPPED: States =
    States::of(&[SlotState::Created, SlotState::Loaded, SlotState::Released]);

/// What most rows have in common: a required operation on a slot, without arguments.
const fn row(
    operation: Operation,
    name: &'static str,
    phase: Phase,
    example: &'static str,
    summary: &'static str,
) -> OperationSpec {
    OperationSpec {
        operation,
        name,
        summary,
        slot: SlotUse::Required,
        positional: &[],
        more_positional: false,
        named: &[],
        engine_named: false,
        from: States::LIVE,
        to: Target::Unchanged,
        phase,
        required: true,
        example,
    }
}

pub(crate) static CREATE: OperationSpec = OperationSpec {
    engine_named: true,
    from: States::ABSENT,
    to: Target::State(SlotState::Created),
    ..row(
        Operation::Create,
        "create",
        Phase::Create,
        "create a = reference",
        "makes an engine in a slot",
    )
};

pub(crate) static LOAD: OperationSpec = OperationSpec {
    positional: &[Positional { name: "model", wanted: "a model's name", required: true }],
    engine_named: true,
    from: States::of(&[SlotState::Created]),
    to: Target::State(SlotState::Loaded),
    ..row(
        Operation::Load,
        "load",
        Phase::Load,
        "load a tiny",
        "loads a model, returns when it is ready",
    )
};

pub(crate) static AWAIT: OperationSpec = OperationSpec {
    named: &[NamedArgument { name: "timeout", values: Values::Duration }],
    ..row(
        Operation::Await,
        "await",
        Phase::Load,
        "await a timeout=5s",
        "waits until the engine says that it is ready",
    )
};

pub(crate) static GENERATE: OperationSpec = OperationSpec {
    positional: &[Positional { name: "count", wanted: "a count", required: false }],
    engine_named: true,
    from: LOADED,
    ..row(Operation::Generate, "generate", Phase::Generate, "generate a 16", "generates tokens")
};

pub(crate) static CANCEL: OperationSpec = OperationSpec {
    from: CREATED_OR_LOADED,
    required: false,
    ..row(
        Operation::Cancel,
        "cancel",
        Phase::Generate,
        "cancel a",
        "asks generates in flight to stop",
    )
};

pub(crate) static EXPORT: OperationSpec = OperationSpec {
    positional: &[Positional { name: "target", wanted: "a target", required: false }],
    engine_named: true,
    from: LOADED,
    required: false,
    ..row(
        Operation::Export,
        "export",
        Phase::Export,
        "export a",
        "writes the model in another form",
    )
};

pub(crate) static UNLOAD: OperationSpec = OperationSpec {
    from: LOADED,
    to: Target::State(SlotState::Created),
    ..row(Operation::Unload, "unload", Phase::Unload, "unload a", "gives the model back")
};

pub(crate) static SWAP: OperationSpec = OperationSpec {
    named: &[
        NamedArgument { name: "engine", values: Values::Engine },
        NamedArgument { name: "model", values: Values::Text },
    ],
    from: CREATED_OR_LOADED,
    required: false,
    ..row(
        Operation::Swap,
        "swap",
        Phase::Swap,
        "swap a engine=python",
        "puts another engine (from created or loaded) or another model (from loaded) in the slot",
    )
};

pub(crate) static CLEANUP: OperationSpec = OperationSpec {
    from: NOT_STOPPED,
    to: Target::State(SlotState::Released),
    required: false,
    ..row(
        Operation::Cleanup,
        "cleanup",
        Phase::Cleanup,
        "cleanup a",
        "releases everything explicitly, before the destructor; may be repeated",
    )
};

pub(crate) static DROP: OperationSpec = OperationSpec {
    named: &[NamedArgument { name: "via", values: Values::OneOf(&["gc"]) }],
    to: Target::State(SlotState::Absent),
    ..row(Operation::Drop, "drop", Phase::Cleanup, "drop a", "runs the destructor only")
};

pub(crate) static GC: OperationSpec = OperationSpec {
    slot: SlotUse::Optional,
    from: States::NONE,
    required: false,
    ..row(Operation::Gc, "gc", Phase::Cleanup, "gc", "collects garbage, in collected languages")
};

pub(crate) static SHUTDOWN: OperationSpec = OperationSpec {
    from: NOT_STOPPED,
    to: Target::State(SlotState::Stopped),
    required: false,
    ..row(Operation::Shutdown, "shutdown", Phase::Shutdown, "shutdown a", "stops gracefully")
};

pub(crate) static INTERRUPT: OperationSpec = OperationSpec {
    slot: SlotUse::Optional,
    from: States::NONE,
    to: Target::Unknown,
    ..row(Operation::Interrupt, "interrupt", Phase::Run, "interrupt", "sends SIGINT to the process")
};

pub(crate) static KILL: OperationSpec = OperationSpec {
    slot: SlotUse::Optional,
    from: States::NONE,
    to: Target::End,
    ..row(Operation::Kill, "kill", Phase::Run, "kill", "sends SIGKILL to the process")
};

pub(crate) static CALL: OperationSpec = OperationSpec {
    positional: &[Positional { name: "name", wanted: "the name of an operation", required: true }],
    more_positional: true,
    engine_named: true,
    to: Target::Unknown,
    required: false,
    ..row(
        Operation::Call,
        "call",
        Phase::Run,
        "call a warm-up 3",
        "runs an operation of the engine's own",
    )
};

pub(crate) static EXIT: OperationSpec = OperationSpec {
    slot: SlotUse::None,
    named: &[
        NamedArgument {
            name: "how",
            values: Values::OneOf(&["return", "exit", "quick", "abort", "daemon"]),
        },
        NamedArgument { name: "code", values: Values::ExitCode },
    ],
    from: States::NONE,
    to: Target::End,
    ..row(Operation::Exit, "exit", Phase::Exit, "exit how=quick code=3", "ends the process")
};

impl OperationSpec {
    /// The named argument with this key that the model knows, the host's included.
    pub(crate) fn argument(&self, key: &str) -> Option<&'static NamedArgument> {
        self.named.iter().chain(HOST_ARGUMENTS).find(|argument| argument.name == key)
    }

    /// The keys that the model knows, the host's included.
    pub(crate) fn known_arguments(&self) -> impl Iterator<Item = &'static str> {
        self.named.iter().chain(HOST_ARGUMENTS).map(|argument| argument.name)
    }
}
