//! The border to C++: what crosses it, and nothing else.

#![expect(unreachable_pub, reason = "cxx makes every item of a bridge public")]

use hotfire_host::{Ledger, Resource};

/// What C++ calls to report to the ledger.
pub(crate) struct LedgerPort(pub(crate) Ledger);

impl LedgerPort {
    fn acquire(&self, event: &ffi::Acquired) {
        let memory = (event.address, event.bytes);
        self.0.acquire(named(event.resource), event.id, event.parent, memory);
    }

    fn release(&self, resource: u8, id: u64) {
        self.0.release(named(resource), id);
    }
}

fn named(resource: u8) -> Resource {
    Resource::from_number(resource).unwrap_or(Resource::Other)
}

#[cxx::bridge(namespace = "hotfire::reference")]
pub(crate) mod ffi {
    /// What the engine is asked to be; see `cpp/options.h`.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    struct Settings {
        /// As `cpp/defects.def` calls them.
        defects: Vec<String>,
        /// Nanoseconds; 0: the defect's own default.
        window_ns: u64,
        aux_device: bool,
        worker_process: bool,
        prefetch: bool,
        semaphore: bool,
        monitor: bool,
        /// The number of cpp/options.h.
        exporter: u8,
    }

    /// A resource that was acquired; see the host's `Ledger`.
    struct Acquired {
        resource: u8,
        id: u64,
        parent: u64,
        address: u64,
        bytes: u64,
    }

    /// What a step made.
    struct Made {
        digest: u64,
        count: u64,
    }

    extern "Rust" {
        type LedgerPort;
        fn acquire(&self, event: &Acquired);
        fn release(&self, resource: u8, id: u64);
    }

    unsafe extern "C++" {
        include!("hotfire-reference/cpp/bridge.h");

        type Handle;

        fn open_engine(settings: &Settings, port: Box<LedgerPort>) -> Result<UniquePtr<Handle>>;
        fn state(self: &Handle) -> u8;
        fn active_source(self: &Handle) -> u64;
        /// Takes over `fd`, as `swap` does.
        fn load(self: &Handle, fd: i32, source: u64) -> Result<()>;
        fn unload(self: &Handle) -> Result<()>;
        fn swap(self: &Handle, fd: i32, source: u64) -> Result<()>;
        fn generate(self: &Handle, count: u64, prompt: &[u8]) -> Result<Made>;
        fn export_model(self: &Handle, fd: i32, milliseconds: u64) -> Result<Made>;
        fn cancel(self: &Handle) -> Result<()>;
        fn cleanup(self: &Handle) -> Result<()>;
        fn shutdown(self: &Handle) -> Result<()>;
    }
}
