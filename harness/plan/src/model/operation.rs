//! The operations and their names.
//!
//! Deliberately absent: their rules, which stand in `table.rs`.

use crate::model::table::{self, OperationSpec, Phase};

/// What can be done to a slot. The names in plan text are the lower-case forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Makes an engine in a slot.
    Create,
    /// Loads a model, returns when it is ready.
    Load,
    /// Waits until the engine says that it is ready.
    Await,
    /// Generates tokens.
    Generate,
    /// Asks generates in flight to stop.
    Cancel,
    /// Writes the model in another form.
    Export,
    /// Gives the model back.
    Unload,
    /// Puts another engine or model in the slot.
    Swap,
    /// Releases everything explicitly, before the destructor.
    Cleanup,
    /// Runs the destructor only.
    Drop,
    /// Collects garbage, in collected languages.
    Gc,
    /// Stops gracefully.
    Shutdown,
    /// Sends SIGINT to the process.
    Interrupt,
    /// Sends SIGKILL to the process.
    Kill,
    /// An engine's own operation.
    Call,
    /// Ends the process.
    Exit,
}

impl Operation {
    /// Every operation, in the order of a life.
    pub const ALL: [Self; 16] = [
        Self::Create,
        Self::Load,
        Self::Await,
        Self::Generate,
        Self::Cancel,
        Self::Export,
        Self::Unload,
        Self::Swap,
        Self::Cleanup,
        Self::Drop,
        Self::Gc,
        Self::Shutdown,
        Self::Interrupt,
        Self::Kill,
        Self::Call,
        Self::Exit,
    ];

    /// The operation with this name in plan text.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The name in plan text.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The phase of a life that it belongs to.
    #[must_use]
    pub fn phase(self) -> Phase {
        self.spec().phase
    }

    /// Its row in the table of operations.
    #[must_use]
    pub fn spec(self) -> &'static OperationSpec {
        match self {
            Self::Create => &table::CREATE,
            Self::Load => &table::LOAD,
            Self::Await => &table::AWAIT,
            Self::Generate => &table::GENERATE,
            Self::Cancel => &table::CANCEL,
            Self::Export => &table::EXPORT,
            Self::Unload => &table::UNLOAD,
            Self::Swap => &table::SWAP,
            Self::Cleanup => &table::CLEANUP,
            Self::Drop => &table::DROP,
            Self::Gc => &table::GC,
            Self::Shutdown => &table::SHUTDOWN,
            Self::Interrupt => &table::INTERRUPT,
            Self::Kill => &table::KILL,
            Self::Call => &table::CALL,
            Self::Exit => &table::EXIT,
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.name())
    }
}
