//! Runs one lifecycle of the built-in engine in this process, step by step, without a harness:
//! `lifecycle 'create defect=cleanup-order' 'load tiny' drop`. What happens is what a user's shell
//! would see.
//!
//! `'[load tiny | 3x generate 16]'` runs lanes, `'&generate 100'` one that nobody joins; `held` prints what this process holds;
//! `exit` calls exit(3), `quick` _exit(2); else main returns with the engine alive. A first argument `trap` prints the pc of a fault before it kills.
//! Deliberately absent: plan text, several slots, observation.

mod support;

use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};

use hotfire_host::Engine;

type Slot = Mutex<Option<Arc<dyn Engine>>>;

fn main() {
    // A leaked slot: the engine stays alive when main returns.
    let slot: &'static Slot = Box::leak(Box::default());
    for text in std::env::args().skip(1) {
        match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(lanes) => run_lanes(slot, lanes),
            None if text == "trap" => trap::install(),
            None if text.starts_with('&') => run_behind(slot, text),
            None => run_lane(slot, &text),
        }
    }
}

fn run_lanes(slot: &Slot, lanes: &str) {
    let lanes: Vec<&str> = lanes.split('|').collect();
    let barrier = Barrier::new(lanes.len());
    std::thread::scope(|scope| {
        for lane in lanes {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                run_lane(slot, lane);
            });
        }
    });
}

/// A lane that nobody joins: it still runs when main returns.
fn run_behind(slot: &'static Slot, text: String) {
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
    std::thread::spawn(move || {
        barrier.wait();
        run_lane(slot, text.trim_start_matches('&'));
    });
    barrier.wait();
}

fn run_lane(slot: &Slot, lane: &str) {
    for text in lane.split(';').map(str::trim) {
        let (times, step) = match text.split_once("x ") {
            Some((count, step)) if count.parse::<u32>().is_ok() => {
                (count.parse().unwrap_or(1), step)
            }
            _ => (1u32, text),
        };
        for _ in 0..times {
            run_step(slot, step);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer of this program")]
fn run_step(slot: &Slot, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let answer = match words.as_slice() {
        ["create", rest @ ..] => match support::create(rest) {
            Ok(engine) => {
                *lock(slot) = Some(engine);
                "ok".into()
            }
            Err(error) => error.to_string(),
        },
        ["drop"] => {
            let engine = lock(slot).take();
            drop(engine);
            "ok".into()
        }
        ["held"] => held(),
        // SAFETY: exit(3) and _exit(2) may be called at any time; no state of ours depends on it.
        ["exit"] => unsafe { libc::exit(0) },
        // SAFETY: as above.
        ["quick"] => unsafe { libc::_exit(0) },
        _ => perform(slot, text),
    };
    println!("{text}: {answer}");
}

fn perform(slot: &Slot, text: &str) -> String {
    let Some(engine) = lock(slot).clone() else { return "no engine".into() };
    match support::perform(&*engine, text) {
        Ok(outcome) if support::torn(&outcome) => format!("TORN {:#x}", outcome.digest),
        Ok(outcome) => format!("ok {:#x} {}", outcome.digest, outcome.count),
        Err(error) => error.to_string(),
    }
}

/// Threads, descriptors, named semaphores, private KiB, and the pid: what a leak adds to.
fn held() -> String {
    let entries = |path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let pid = std::process::id();
    let ours = format!("sem.ref-{pid}-");
    let semaphores =
        entries("/dev/shm").filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours));
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let dirty = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = dirty.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unknown");
    let (threads, fds) = (entries("/proc/self/task").count(), entries("/proc/self/fd").count());
    format!("{threads} {fds} {} {kib} {pid}", semaphores.count())
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Arc<dyn Engine>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints where a fault happened, as an offset in this program's file, then lets it kill.
mod trap {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static BASE: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn install() {
        // SAFETY: dladdr fills a plain struct about an address of this program; sigaction gets a
        // zeroed struct with a handler of the SA_SIGINFO form.
        unsafe {
            let mut info: libc::Dl_info = std::mem::zeroed();
            libc::dladdr(on_fault as *const libc::c_void, &raw mut info);
            BASE.store(info.dli_fbase as usize, Ordering::Relaxed);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            // On the stack that Rust keeps for handlers: the usual one may be used up.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            for signal in [libc::SIGSEGV, libc::SIGBUS] {
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }

    /// Only async-signal-safe calls; returning runs the instruction again, now with the default.
    extern "C" fn on_fault(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel hands a valid ucontext to a handler with SA_SIGINFO.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        let pc = context.uc_mcontext.gregs.get(libc::REG_RIP as usize).copied().unwrap_or(0);
        let offset = (pc as usize).wrapping_sub(BASE.load(Ordering::Relaxed));
        let mut line = *b"fault at 0x0000000000000000\n";
        for (at, place) in line.iter_mut().skip(11).take(16).enumerate() {
            let nibble = (offset >> (60 - 4 * at)) & 15;
            *place = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'?');
        }
        // SAFETY: the buffer is as long as said. The default comes back only after the write: a
        // second thread that faults at the same time must not kill before the line is out.
        unsafe {
            libc::write(1, line.as_ptr().cast(), line.len());
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
