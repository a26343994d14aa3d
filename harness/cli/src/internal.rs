//! The hidden verbs: `__host`, `__supervise SOCKET PARENT LAUNCHER`, `__launch SOCKET`,
//! `__guard PARENT PROGRAM ARGUMENTS…`, `__symbolize SOCKET PARENT`.
//!
//! Deliberately absent: output. A hidden verb speaks to its parent alone.

use std::process::ExitCode;
use std::sync::Arc;

use hotfire_host::EngineKind;

/// Our own error.
const INTERNAL: u8 = 70;

/// Engine kinds that are linked into this program; all others bring libraries of their own.
pub(crate) const LINKED_KINDS: [&str; 1] = ["reference"];

/// Every engine kind that this program can host.
pub(crate) fn kinds() -> Vec<Arc<dyn EngineKind>> {
    vec![hotfire_reference::kind(), Arc::new(hotfire_llama::Llama)]
}

/// Runs a hidden verb; `None` when the arguments name none.
pub(crate) fn run(arguments: &[String]) -> Option<ExitCode> {
    let (verb, rest) = arguments.get(1..)?.split_first()?;
    let done = match (verb.as_str(), rest) {
        ("__host", rest) => return Some(hotfire_host::host_main(rest, kinds())),
        ("__supervise", [socket, parent, launcher]) => hotfire_core::supervise::supervise_main(
            socket.parse().ok()?,
            parent.parse().ok()?,
            launcher,
        ),
        ("__guard", rest) => hotfire_sys::guard_main(rest),
        ("__symbolize", [socket, parent]) => {
            hotfire_core::symbolize::symbolize_main(socket.parse().ok()?, parent.parse().ok()?)
        }
        ("__launch", [socket]) => hotfire_sys::launch_main(socket.parse().ok()?),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        // The front is gone, or the other side closed in the midst: nobody is left to be told.
        Err(_) => ExitCode::from(INTERNAL),
    })
}
