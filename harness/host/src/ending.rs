//! The ways out of the process, all of them with the engines alive.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use hotfire_plan::model::Operation;
use hotfire_plan::{Args, Step};
use hotfire_recorder::Stage;

use crate::engine::{Engine, Request};
use crate::interpreter::Interpreter;
use crate::os;

/// A way out that main takes by returning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Main returns this.
    Return(u8),
    /// The same, while a thread goes on generating on every engine.
    Daemon(u8),
}

/// Obeys an `exit` step: ends the process, or says how main is to end it.
pub(crate) fn leave(interpreter: &Interpreter, lane: u16, step: &Step) -> Ending {
    let code = step.named.get("code").and_then(|code| code.parse().ok()).unwrap_or(0);
    match step.named.get("how").map_or("exit", String::as_str) {
        "return" => Ending::Return(code),
        "daemon" => Ending::Daemon(code),
        "quick" => {
            announce(interpreter, lane);
            os::exit_quickly(code)
        }
        "abort" => {
            announce(interpreter, lane);
            os::abort()
        }
        _ => {
            announce(interpreter, lane);
            os::exit(code)
        }
    }
}

/// Ends what a healthy program would have ended, and tells that the exit begins. Beside other
/// lanes the loop may be in a step that takes long: the exit does not wait for it.
pub(crate) fn announce(interpreter: &Interpreter, lane: u16) {
    if lane == 0 {
        interpreter.borders().end();
    }
    interpreter.stop_loop(lane == 0);
    interpreter.log().stage(Stage::Exiting);
}

/// Makes main's exit status, and starts the thread that goes on generating.
pub(crate) fn return_from_main(interpreter: &Interpreter, ending: Ending) -> ExitCode {
    let code = match ending {
        Ending::Return(code) => {
            announce(interpreter, 0);
            code
        }
        Ending::Daemon(code) => {
            // Before the exit is announced, so that the thread is there when it begins.
            start_daemon(interpreter.stand().engines());
            announce(interpreter, 0);
            code
        }
    };
    ExitCode::from(code)
}

fn start_daemon(engines: Vec<Arc<dyn Engine>>) {
    let (started, is_started) = mpsc::channel();
    let thread = thread::Builder::new().name("daemon".to_owned()).spawn(move || {
        // Main waits for it.
        let _ = started.send(());
        let named = Args::new();
        let request = Request { operation: Operation::Generate, positional: &[], named: &named };
        while !engines.is_empty() {
            for engine in &engines {
                // Refusals are no news here: what counts is that engine code runs during the exit.
                let _ = engine.step(&request);
            }
            thread::yield_now();
        }
    });
    if thread.is_ok() {
        // An error says that the thread has ended.
        let _ = is_started.recv();
    }
}
