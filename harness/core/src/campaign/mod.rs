//! Many runs: the front's side of the supervisors. Loops that feed new plans live here alone.
//!
//! Deliberately absent: printing.

mod pool;

pub use pool::{Pool, PoolConfig, PoolEnd};
