//! What tests with real processes share: the fixture program, a stand to run it on, and the proof
//! that nothing remains.

#[path = "../fixtures/build.rs"]
pub(crate) mod build;
pub(crate) mod case;
pub(crate) mod remains;
pub(crate) mod stand;
