//! The built-in engine, as a user's program and as the host sees it.
//!
//! A race must show in half of its runs here, where a debug build shares the machine with other
//! tests; `scripts/acceptance.sh` counts the rates that the defects promise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise must fail"
)]

mod aborts;
mod answers;
mod children;
mod defects;
mod faults;
mod hangs;
mod healthy;
mod leaks;
mod ledger;
mod place;
mod steps;
#[path = "../../examples/support/mod.rs"]
mod support;
