//! llama.cpp as an engine, through the C interface of its published shared libraries.
//!
//! The libraries are loaded at run time ([`Llama`]'s `prepare` or `create`), in the child alone;
//! nothing is built or linked. `scripts/fetch-engines.sh llama` brings them and the tiny models.
//!
//! Settings: `lock=on` (default) lets one step at a time touch a session, as llama.cpp demands;
//! `lock=off` lets generates run into each other and into `unload`: real misuse.
//! `threads=N` (default 1, at most 64) decodes with N threads.
//! Own operations, both real misuse on purpose: `call a free-model` frees the model and keeps its
//! context in use; `call a free-context` frees the context, each time that it is called.
//!
//! Deliberately absent: sampling, tokenisers, GPU settings, `export`.

mod engine;
mod folder;
mod library;
mod log;
mod reference;
mod session;

pub use engine::Llama;
pub use folder::{FOLDER_VARIABLE, folder};
