//! The lifecycle model: a table that says for each operation what it takes, when it is legal,
//! what state it leads to and to which phase of a life it belongs.
//!
//! Deliberately absent: what any one engine does; an engine's own operations go through `call`.

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
