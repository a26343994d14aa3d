//! What a process was about to say when it died, read from its memory: a message or an exception
//! is there also where nobody can read what it printed.
//!
//! Deliberately absent: how it is found (`supervise::words`).

use serde::{Deserialize, Serialize};

use super::{Fact, Mapping};

/// A C++ exception in flight, or being handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its type, demangled.
    #[serde(rename = "type")]
    pub kind: String,
    /// What `what()` would say, where the type is one of the standard library's that keep a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

/// Last words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The message with which the C library aborts.
    pub message: Fact<String>,
    /// The exception nearest to the top of the stack.
    pub exception: Fact<Exception>,
}

impl Default for LastWords {
    /// Observations of before they were asked for.
    fn default() -> Self {
        let reason = || "not asked for".to_owned();
        Self { message: Fact::Unavailable(reason()), exception: Fact::Unavailable(reason()) }
    }
}

/// A register of the crashing thread that points into a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// What the register holds.
    pub value: u64,
    /// The mapping around it.
    pub mapping: Mapping,
}

/// What the C library's allocator knows of the memory around a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapFacts {
    /// Where its heaps lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<HeapRange>,
    /// Free blocks that a register of the crashing thread points to, or one of its callers'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freed: Vec<FreedBlock>,
}

/// A heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapRange {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
}

/// A block that the allocator holds as free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreedBlock {
    /// Where its memory began, as its user knew it.
    pub address: u64,
    /// Its length with the allocator's header.
    pub bytes: u64,
    /// The words that the allocator keeps in it, from its beginning.
    pub links: Vec<u64>,
    /// Where a table that one of them leads to holds the program counter, of a fault there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
}
