//! The hidden verbs: `__host`, `__supervise SOCKET PARENT LAUNCHER`, `__launch SOCKET`.

use std::process::ExitCode;

/// Our own error.
const INTERNAL: u8 = 70;

/// Runs a hidden verb; `None` when the arguments name none.
pub(crate) fn run(arguments: &[String]) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let done = match words.as_slice() {
        ["__supervise", socket, parent, launcher] => hotfire_core::supervise::supervise_main(
            socket.parse().ok()?,
            parent.parse().ok()?,
            launcher,
        ),
        ["__launch", socket] => hotfire_sys::launch_main(socket.parse().ok()?),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        // The front is gone, or the other side closed in the midst: nobody is left to be told.
        Err(_) => ExitCode::from(INTERNAL),
    })
}
