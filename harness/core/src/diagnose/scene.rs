//! Where the threads of a process were when it died: what several deaths of one command are
//! compared by.
//!
//! Deliberately absent: any conclusion from one death alone (`bucket.rs` draws it from several).

use std::collections::BTreeSet;

use super::crash::reported_crash;
use super::culprit::{file_name, is_interpreter, is_of_standard_library, is_runtime, module_name};
use super::facts::Context;
use crate::observe::{Crash, Location, Observation, Thread, Wait};

/// Runtimes of OpenMP, whose threads belong to whoever asked for them.
const POOLS: &[&str] = &["libgomp.so", "libomp.so", "libiomp5.so"];
/// Their functions that begin a parallel region.
const TEAMS: &[&str] = &["GOMP_parallel", "__kmpc_fork_call"];
/// Whole file names of programs, and beginnings of those of libraries, that run other programs.
const INTERPRETERS: &[&str] = &["node", "perl", "ruby", "php", "beam.smp"];
const INTERPRETER_LIBRARIES: &[&str] =
    &["libffi.so", "libjvm.so", "libnode.so", "libperl.so", "libruby", "libphp", "libcoreclr.so"];
/// The folder of the modules that come with Python itself.
const PYTHONS_OWN: &str = "/lib-dynload/";
/// Entries of allocators.
const ALLOCATES: [&str; 6] =
    ["malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign"];
/// `kill`, `tkill` and `tgkill` (x86-64): a thread that ends its process does not wait.
const SENDS: [i64; 3] = [62, 200, 234];

/// The threads of a process at its death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The signal's name.
    pub(super) signal: String,
    /// The innermost frame of the thread that died, below what every program has: its function, or
    /// else its place.
    pub(super) top: String,
    /// The threads that were at work, the one that died first.
    pub(super) threads: Vec<AtWork>,
}

/// A thread that did not wait, in somebody's code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AtWork {
    /// Whose code it was in, the outermost first, each once.
    pub(super) modules: Vec<Within>,
}

/// A thread inside of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Within {
    pub(super) module: String,
    pub(super) build_id: Option<String>,
    /// The outermost function there that is the module's own.
    pub(super) function: Option<String>,
    /// Something outside of the module called it, or it went on into another of its functions: not
    /// only the loop in which a thread of a pool waits for work, which may do so without sleeping.
    pub(super) is_busy: bool,
}

impl Scene {
    /// The scene of the death that the run's first finding is about; `None` where nobody died, or
    /// no stack was seen.
    #[must_use]
    pub fn of(observation: &Observation, context: &Context<'_>) -> Option<Self> {
        let crash = reported_crash(observation, context)?;
        let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid)?;
        let frames = own.stack.known()?.frames.as_slice();
        let trusted = frames.iter().take_while(|frame| !frame.doubtful);
        let mut places = trusted.filter_map(|frame| frame.location.known());
        let outside = |location: &&Location| !is_runtime(&location.module);
        let top = places.find(outside).or_else(|| frames.first()?.location.known());
        let others = crash.threads.iter().filter(|thread| thread.tid != own.tid && works(thread));
        let mut threads = vec![at_work(own)];
        threads.extend(others.map(at_work));
        Some(Self {
            signal: super::signals::signal_name(signal_of(crash)),
            top: top.map_or_else(|| "no code".to_owned(), place),
            threads,
        })
    }

    /// How many threads were busy in a module.
    pub(super) fn busy_in(&self, module: &str) -> usize {
        self.threads.iter().filter(|thread| thread.is_busy_in(module)).count()
    }

    /// Whether the thread that died was in the module, or in one that the module had called in
    /// another thread: a thread of a pool does its master's work.
    pub(super) fn died_in(&self, module: &str) -> bool {
        let Some(outermost) = self.threads.first().and_then(|died| died.modules.first()) else {
            return false;
        };
        let calls = |thread: &AtWork| {
            let mut inwards = thread.modules.iter().map(|within| within.module.as_str());
            inwards.any(|name| name == module) && inwards.any(|name| name == outermost.module)
        };
        self.threads.first().is_some_and(|died| died.is_in(module))
            || self.threads.iter().any(calls)
    }
}

impl Within {
    fn entered(module: &str, location: &Location, is_busy: bool) -> Self {
        let build_id = location.build_id.clone();
        Self { module: module.to_owned(), build_id, function: None, is_busy }
    }
}

impl AtWork {
    fn is_in(&self, module: &str) -> bool {
        self.modules.iter().any(|within| within.module == module)
    }

    fn is_busy_in(&self, module: &str) -> bool {
        self.modules.iter().any(|within| within.module == module && within.is_busy)
    }
}

fn signal_of(crash: &Crash) -> i32 {
    crash.siginfo.known().map_or(crash.signal, |info| info.signal)
}

/// Whether a thread runs, or is about to die by a signal of its own. One that waits for a lock may
/// be kept out by it, as it should be; the allocator's own locks keep nobody out of a module.
fn works(thread: &Thread) -> bool {
    match &thread.wait {
        Wait::None => true,
        Wait::Syscall { number, .. } => SENDS.contains(number),
        Wait::Futex { .. } => is_in_allocator(thread) || leads_team(thread),
        _ => false,
    }
}

/// Whether a thread that waits in OpenMP's runtime has begun a parallel region: it waits for its own
/// team, which works for it.
fn leads_team(thread: &Thread) -> bool {
    let frames = thread.stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let mut trusted = frames.iter().take_while(|frame| !frame.doubtful);
    let is_of_pool = |location: &Location| {
        POOLS.iter().any(|begin| file_name(&location.module).starts_with(begin))
    };
    let begins = |location: &Location| {
        let function = location.function.as_deref().unwrap_or_default();
        is_of_pool(location) && TEAMS.iter().any(|begin| function.starts_with(begin))
    };
    frames.first().and_then(|first| first.location.known()).is_some_and(is_of_pool)
        && trusted.any(|frame| frame.location.known().is_some_and(begins))
}

fn is_in_allocator(thread: &Thread) -> bool {
    let frames = thread.stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let locations = frames.iter().map_while(|frame| frame.location.known());
    let mut inner = locations.take_while(|location| is_runtime(&location.module));
    inner.any(|location| location.function.as_deref().is_some_and(|it| ALLOCATES.contains(&it)))
}

fn place(location: &Location) -> String {
    let module = file_name(&location.module);
    match (&location.function, location.function_start) {
        (Some(function), _) => format!("{function} in {module}"),
        (None, Some(start)) => format!("{module}+{start:#x}"),
        (None, None) => module.to_owned(),
    }
}

/// Whether the module is somebody's, and no interpreter of somebody's program.
pub(super) fn is_somebodys(module: &str) -> bool {
    whose(module) == Whose::Somebodys
}

/// What a frame is, for whom its thread works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Nobodys,
    Interpreters,
    Somebodys,
}

fn whose(module: &str) -> Whose {
    let name = file_name(module);
    let begins = |names: &[&str]| names.iter().any(|begin| name.starts_with(begin));
    if is_interpreter(module)
        || INTERPRETERS.contains(&name)
        || begins(INTERPRETER_LIBRARIES)
        || module.contains(PYTHONS_OWN)
    {
        return Whose::Interpreters;
    }
    if is_runtime(module) || begins(POOLS) { Whose::Nobodys } else { Whose::Somebodys }
}

fn at_work(thread: &Thread) -> AtWork {
    let frames = thread.stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let trusted = frames.iter().take_while(|frame| !frame.doubtful);
    let places: Vec<&Location> = trusted.filter_map(|frame| frame.location.known()).collect();
    let mut modules: Vec<(Within, BTreeSet<String>)> = Vec::new();
    let mut is_called = false;
    for location in places.into_iter().rev() {
        match whose(&location.module) {
            Whose::Nobodys => continue,
            Whose::Interpreters => {
                is_called = true;
                continue;
            }
            Whose::Somebodys => {}
        }
        let name = module_name(&location.module);
        let own = location.function.as_deref().filter(|name| !is_of_standard_library(name));
        let is_own = own.is_some() || location.function.is_none();
        let at = modules.iter().position(|(within, _)| within.module == name);
        let at = at.unwrap_or_else(|| {
            modules.push((Within::entered(name, location, is_called), BTreeSet::new()));
            modules.len() - 1
        });
        if let Some((within, functions)) = modules.get_mut(at) {
            functions.extend(is_own.then(|| place(location)));
            within.is_busy |= functions.len() > 1;
            within.function = within.function.take().or_else(|| own.map(str::to_owned));
        }
        is_called = true;
    }
    AtWork { modules: modules.into_iter().map(|(within, _)| within).collect() }
}
