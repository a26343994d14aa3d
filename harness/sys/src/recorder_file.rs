//! The memfd that holds a run's recorder. The harness reads and writes it by pread and pwrite and
//! never maps it, so that nothing the child does to it can hurt the reader.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Named, SysError};

/// A sealed memfd: its size cannot change, its seals cannot either.
#[derive(Debug)]
pub struct RecorderFile {
    fd: OwnedFd,
}

impl RecorderFile {
    /// A new file of `bytes` zero bytes, sealed against shrinking, growing and further seals.
    ///
    /// # Errors
    /// The kernel has no memory or descriptors.
    pub fn new(bytes: u64) -> Result<Self, SysError> {
        let fd =
            memfd_create(c"hotfire-recorder", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
                .named("memfd_create")?;
        nix::unistd::ftruncate(&fd, i64::try_from(bytes).unwrap_or(i64::MAX)).named("ftruncate")?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        nix::fcntl::fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).named("fcntl(F_ADD_SEALS)")?;
        Ok(Self { fd })
    }

    /// Writes words at a byte offset.
    ///
    /// # Errors
    /// The words do not fit.
    pub fn write(&self, offset: usize, words: &[u64]) -> Result<(), SysError> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        nix::sys::uio::pwrite(&self.fd, &bytes, offset).named("pwrite")?;
        Ok(())
    }

    /// Reads `count` words from word `start`.
    ///
    /// # Errors
    /// Fewer words are there.
    pub fn read(&self, start: usize, count: usize) -> Result<Vec<u64>, SysError> {
        let mut bytes = vec![0u8; count * 8];
        let offset = i64::try_from(start * 8).unwrap_or(i64::MAX);
        let got = nix::sys::uio::pread(&self.fd, &mut bytes, offset).named("pread")?;
        if got < bytes.len() {
            return Err(SysError::new("pread", nix::errno::Errno::EIO));
        }
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}

impl AsFd for RecorderFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
