//! A host with toy engines, for the tests in `tests/`. Its crashes and threads are real.
//!
//! Deliberately absent: anything that a real engine should copy.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use hotfire_host::{
    CreateContext, Engine, EngineError, EngineKind, EngineState, Ledger, Outcome, Request,
    Resource, host_main,
};
use hotfire_plan::Args;
use hotfire_plan::model::Operation;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let kinds: Vec<Arc<dyn EngineKind>> = vec![
        Arc::new(Toy { name: "toy", prepare: || Ok(()) }),
        Arc::new(Toy { name: "threaded", prepare: start_thread }),
        Arc::new(Toy { name: "late-thread", prepare: start_thread_at_signal }),
        Arc::new(Toy { name: "device", prepare: open_device }),
        Arc::new(Toy { name: "absent", prepare: say_missing }),
    ];
    host_main(&arguments, kinds)
}

fn start_thread() -> Result<(), EngineError> {
    thread::spawn(|| {
        loop {
            thread::park();
        }
    });
    Ok(())
}

extern "C" fn start_thread_now(_: libc::c_int) {
    // The forkserver waits in a system call when the test signals: no lock of ours is held.
    let _ = start_thread();
}

fn start_thread_at_signal() -> Result<(), EngineError> {
    let handler: extern "C" fn(libc::c_int) = start_thread_now;
    // SAFETY: the handler has the signature that `signal` wants.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    Ok(())
}

fn open_device() -> Result<(), EngineError> {
    let device = File::open("/dev/ptmx").map_err(|error| EngineError::Failed(error.to_string()))?;
    std::mem::forget(device);
    Ok(())
}

fn say_missing() -> Result<(), EngineError> {
    Err(EngineError::Missing { what: "libabsent.so".to_owned(), help: "fetch it".to_owned() })
}

struct Toy {
    name: &'static str,
    prepare: fn() -> Result<(), EngineError>,
}

extern "C" fn say_at_exit() {
    say("atexit ran");
}

fn say(line: &str) {
    // A test that reads it will miss it.
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl EngineKind for Toy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&self) -> Result<(), EngineError> {
        (self.prepare)()
    }

    fn create(&self, args: &Args, context: &CreateContext) -> Result<Arc<dyn Engine>, EngineError> {
        if args.contains_key("fail") {
            return Err(EngineError::Failed("told to fail".to_owned()));
        }
        // SAFETY: the handler only writes a line.
        unsafe { libc::atexit(say_at_exit) };
        let toy = ToyEngine {
            ledger: context.ledger.clone(),
            is_loaded: AtomicBool::new(false),
            generates: AtomicUsize::new(0),
        };
        context.ledger.acquire(Resource::Engine, toy.id(), 0, (0, 0));
        Ok(Arc::new(toy))
    }
}

struct ToyEngine {
    ledger: Ledger,
    is_loaded: AtomicBool,
    generates: AtomicUsize,
}

impl ToyEngine {
    fn id(&self) -> u64 {
        1
    }

    fn call(&self, name: &str, argument: Option<&str>) -> Result<Outcome, EngineError> {
        let text = match name {
            // SAFETY: none: this is the crash that the tests look for.
            "crash" => unsafe {
                std::ptr::null_mut::<u64>().with_addr(8).write_volatile(1);
                String::new()
            },
            "panic" => {
                #[expect(clippy::panic, reason = "what the host makes of it is tested")]
                {
                    panic!("told to panic")
                }
            }
            "torn" => return Ok(Outcome { digest: 1, count: 1, valid: vec![2, 3] }),
            "block" => return Ok(block_ms(argument)),
            "env" => env::var(argument.unwrap_or_default()).unwrap_or_else(|_| "unset".to_owned()),
            "fds" => fs::read_dir("/proc/self/fd").map_or(0, Iterator::count).to_string(),
            "status" => status_line(argument.unwrap_or_default()),
            "fork" => self.fork_and_report(),
            other => return Err(EngineError::Unsupported(other.to_owned())),
        };
        Err(EngineError::Failed(text))
    }

    /// A worker process that reports to the ledger: it has no recorder, and must not die of that.
    fn fork_and_report(&self) -> String {
        // SAFETY: the child makes no call but to the ledger (atomics) and `_exit`.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                self.ledger.acquire(Resource::Process, 99, 1, (0, 0));
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(pid, &raw mut status, 0);
            format!("status {status}")
        }
    }
}

fn block_ms(argument: Option<&str>) -> Outcome {
    let millis = argument.and_then(|text| text.parse().ok()).unwrap_or(0);
    let pause = libc::timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
    // SAFETY: the time is valid; how much is left is not asked for.
    unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    Outcome::default()
}

/// The line of `/proc/self/status` with this key.
fn status_line(key: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with(key)).unwrap_or("none").to_owned()
}

impl Engine for ToyEngine {
    fn state(&self) -> EngineState {
        if self.is_loaded.load(Ordering::Acquire) {
            EngineState::Ready
        } else {
            EngineState::Created
        }
    }

    fn step(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        let first = request.positional.first().map(String::as_str);
        match request.operation {
            Operation::Load => self.is_loaded.store(true, Ordering::Release),
            Operation::Unload => self.is_loaded.store(false, Ordering::Release),
            Operation::Generate if !self.is_loaded.load(Ordering::Acquire) => {
                return Err(EngineError::Illegal("no model".to_owned()));
            }
            Operation::Generate => {
                self.generates.fetch_add(1, Ordering::Relaxed);
                let count = first.and_then(|text| text.parse().ok()).unwrap_or(1);
                return Ok(Outcome { digest: 5, count, valid: vec![5] });
            }
            Operation::Call => {
                return self.call(
                    first.unwrap_or_default(),
                    request.positional.get(1).map(String::as_str),
                );
            }
            other => return Err(EngineError::Unsupported(other.to_string())),
        }
        Ok(Outcome::default())
    }
}

impl Drop for ToyEngine {
    fn drop(&mut self) {
        self.ledger.release(Resource::Engine, self.id());
        say("destructor ran");
    }
}
