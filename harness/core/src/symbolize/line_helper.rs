//! `hotfire __symbolize SOCKET PARENT`: reads debug information for its parent, in a process of its
//! own that may use little memory, and that its parent ends when it takes too long.
//!
//! Deliberately absent: what is asked for and why (`lines`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hotfire_sys::{StreamSocket, SysError, die_with_parent, limit_memory, limit_work};
use serde::{Deserialize, Serialize};

use super::debug_file::DebugFolder;
use super::dwarf::{DebugInformation, Source};
use crate::observe::FileState;

/// Memory that the helper may have, all in all, in bytes: what is kept, twice what is read of one
/// file, and some.
const MEMORY_BYTES_MAX: u64 = 1_536 << 20;

/// Seconds of work that one file may take.
const WORK_SECONDS_MAX: u64 = 2;

/// Bytes of debug information with which a helper goes on to the next request.
const KEPT_BYTES_MAX: u64 = 256 << 20;

/// Places of one file, as linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineRequest {
    pub(super) path: String,
    pub(super) build: Build,
    pub(super) addresses: Vec<u64>,
}

/// What tells one build of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Build {
    /// Its build-id, in hex.
    Id(String),
    /// The file itself, where it has none.
    File(FileState),
}

/// Answers requests until the parent closes the socket.
///
/// # Errors
/// The socket is not there, or the parent is gone.
pub fn symbolize_main(socket: i32, parent: i32) -> Result<(), SysError> {
    die_with_parent(parent)?;
    limit_memory(MEMORY_BYTES_MAX)?;
    let mut socket = StreamSocket::inherited(socket)?;
    let mut files = Files::default();
    while let Some(requests) = socket.receive()? {
        for request in requests {
            limit_work(WORK_SECONDS_MAX)?;
            let answer = match serde_json::from_slice::<LineRequest>(&request) {
                Ok(one) => files.source(&one),
                Err(error) => Err(error.to_string()),
            };
            socket.send(&serde_json::to_vec(&answer).unwrap_or_default())?;
        }
        if files.bytes > KEPT_BYTES_MAX {
            // Its parent starts another one.
            break;
        }
    }
    Ok(())
}

/// Files that were read.
#[derive(Default)]
struct Files {
    known: BTreeMap<(String, Build), DebugInformation>,
    bytes: u64,
    folder: DebugFolder,
}

impl Files {
    fn source(&mut self, request: &LineRequest) -> Source {
        let key = (request.path.clone(), request.build.clone());
        let information = match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let read = DebugInformation::read(&request.path, &request.build, &self.folder)?;
                let Some(read) = read else { return Ok(None) };
                self.bytes += read.bytes;
                place.insert(read)
            }
        };
        Ok(Some(information.sources(&request.addresses)))
    }
}
