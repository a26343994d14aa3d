//! The stages of a run: observe → unwind → symbolize → supervise → diagnose → judge → report. Each
//! stage imports only from the left; `observe` holds the types. Only `report` prints.
#![forbid(unsafe_code)]

pub mod campaign;
pub mod diagnose;
pub mod judge;
pub mod observe;
pub mod report;
pub mod supervise;
pub mod symbolize;
pub mod unwind;
