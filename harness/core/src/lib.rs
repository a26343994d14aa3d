//! The stages of a run: observe → unwind → symbolize → python → supervise → diagnose → judge → report. Each
//! stage imports only from the left; `observe` holds the types. Only `report` prints. Beside
//! `supervise`, which sees a live process, stands `corefile`, which sees a dead one.
#![forbid(unsafe_code)]

pub mod campaign;
pub mod corefile;
pub mod diagnose;
pub mod judge;
pub mod observe;
pub mod python;
pub mod report;
pub mod supervise;
pub mod symbolize;
pub mod unwind;
