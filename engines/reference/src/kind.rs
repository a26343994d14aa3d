//! The engine kind `reference`, as the host registers it.

use std::sync::Arc;

use hotfire_host::{CreateContext, Engine, EngineError, EngineKind};
use hotfire_plan::Args;

use crate::adapter::{DEFAULT_COUNT, DEFAULT_PROMPT, Reference};
use crate::settings::settings;
use crate::source::known;

/// The built-in engine.
#[must_use]
pub fn kind() -> Arc<dyn EngineKind> {
    Arc::new(ReferenceKind)
}

struct ReferenceKind;

impl EngineKind for ReferenceKind {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn check(&self, args: &Args) -> Result<(), EngineError> {
        settings(args).map(drop)
    }

    /// Works out the usual texts, so that forked children need not. Runs no C++.
    fn prepare(&self) -> Result<(), EngineError> {
        for source in known().values() {
            source.text_digest(DEFAULT_PROMPT, DEFAULT_COUNT);
        }
        Ok(())
    }

    fn create(&self, args: &Args, context: &CreateContext) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(Arc::new(Reference::new(&settings(args)?, context.ledger.clone())?))
    }
}
