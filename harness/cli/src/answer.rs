//! Answers on standard output: a reader that has gone has seen enough, a full disk has not.

use std::io::{ErrorKind, Write};

use crate::error::CliError;

/// Writes the whole answer.
///
/// # Errors
/// It could not be written, for another reason than that nobody reads any more.
pub(crate) fn answer(out: &mut dyn Write, text: &str) -> Result<(), CliError> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::Answer { error }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_error() {
        assert!(answer(&mut Broken(ErrorKind::BrokenPipe), "x").is_ok());
        let full = answer(&mut Broken(ErrorKind::StorageFull), "x").unwrap_err();
        assert_eq!(full.status(), crate::error::status::REPORT);
        assert!(!full.to_string().contains("--json -"), "{full}");
    }
}
