//! Writes the models that the engine knows by name to a folder: `make-models DIR`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        return fail("usage: make-models DIR");
    };
    for name in hotfire_reference::KNOWN_MODELS {
        let path = Path::new(&folder).join(format!("{name}.model"));
        let bytes = hotfire_reference::model_bytes(name).unwrap_or_default();
        if let Err(error) = std::fs::write(&path, bytes) {
            return fail(&format!("{}: {error}", path.display()));
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a tool for people")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
