//! The records as data, and their numbers on the wire.

use alloc::string::String;

/// How far the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The host has not attached to the recorder.
    Unborn,
    /// The host is attached and reads its plan.
    Attached,
    /// Steps run.
    Running,
    /// The plan is done, or an `exit` step has begun: what follows is the process's exit.
    Exiting,
    /// The host could not run the plan; the message says why.
    Refused,
}

impl Stage {
    pub(crate) fn to_word(self) -> u64 {
        match self {
            Self::Unborn => 0,
            Self::Attached => 1,
            Self::Running => 2,
            Self::Exiting => 3,
            Self::Refused => 4,
        }
    }

    pub(crate) fn from_word(word: u64) -> Option<Self> {
        [Self::Unborn, Self::Attached, Self::Running, Self::Exiting, Self::Refused]
            .into_iter()
            .find(|stage| stage.to_word() == word)
    }
}

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The lower-case word for people and files.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value with this number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

numbered! {
    /// How a step ended.
    StepOutcome {
        /// It did what it should.
        Ok = 1 "ok",
        /// The engine tried and failed.
        Failed = 2 "failed",
        /// The engine said that it is illegal now.
        Illegal = 3 "illegal",
        /// The engine has no such operation.
        Unsupported = 4 "unsupported",
        /// It was cancelled.
        Cancelled = 5 "cancelled",
        /// The engine's files are not here.
        Missing = 6 "missing",
        /// `await` ran out of its time.
        Timeout = 7 "timeout",
        /// The engine's adapter panicked.
        Panic = 8 "panic",
    }
}

numbered! {
    /// What an engine acquires and releases.
    Resource {
        /// An engine object.
        Engine = 1 "engine",
        /// A loaded model.
        Model = 2 "model",
        /// A tensor or a buffer of tensors.
        Tensor = 3 "tensor",
        /// A generation session with its cache.
        Session = 4 "session",
        /// A worker thread.
        Worker = 5 "worker",
        /// A worker process.
        Process = 6 "process",
        /// A device or its arena.
        Device = 7 "device",
        /// A lock or semaphore with a name.
        Semaphore = 8 "semaphore",
        /// Anything else.
        Other = 9 "other",
    }
}

numbered! {
    /// Where lane 0 stops for the supervisor.
    Border {
        /// Before the first step.
        Start = 1 "start",
        /// After a step or a block of lanes of lane 0.
        Step = 2 "step",
        /// After a turn of an outermost loop.
        Turn = 3 "turn",
        /// Before the exit.
        End = 4 "end",
    }
}

/// The border at which lane 0 stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Which.
    pub border: Border,
    /// The step that ended last in text order, from 1; 0: none.
    pub step: u32,
    /// The turn of the outermost loop around it, from 0.
    pub turn: u64,
}

/// A step began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepBegun {
    /// The step's number in the plan, from 1.
    pub step: u32,
    /// How often the step had been begun before in this lane, from 0.
    pub iteration: u64,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
}

/// A step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEnded {
    /// The step's number in the plan, from 1.
    pub step: u32,
    /// How often the step had been begun before in this lane, from 0.
    pub iteration: u64,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// How it ended.
    pub outcome: StepOutcome,
    /// The result's digest; 0: nothing to compare.
    pub digest: u64,
    /// Units made.
    pub count: u64,
    /// The digest is none of those that the engine calls right.
    pub torn: bool,
    /// The error's text, cut at 192 bytes.
    pub text: String,
}

/// A record of a lane's ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEvent {
    /// A step began.
    Begun(StepBegun),
    /// A step ended.
    Ended(StepEnded),
}

/// A record of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEvent {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// Acquired, or else released.
    pub acquired: bool,
    /// What.
    pub resource: Resource,
    /// Its id.
    pub id: u64,
    /// The id of what it belongs to; 0: none. Always 0 in a release.
    pub parent: u64,
    /// Where its memory starts; 0: none. Always 0 in a release.
    pub address: u64,
    /// Its memory's length in bytes.
    pub bytes: u64,
}
