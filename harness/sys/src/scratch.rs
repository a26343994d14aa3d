//! Our temporary folder. Its name tells whose it is, so that the next start can remove what a
//! killed one left.

use std::path::{Path, PathBuf};

use crate::error::{Named, SysError};
use crate::process::ProcessIdentity;

const PREFIX: &str = "hotfire-";

/// A folder `hotfire-PID-STARTTIME`, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes this process's folder below `parent`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(parent: &Path) -> Result<Self, SysError> {
        let own = ProcessIdentity::own()
            .ok_or(SysError::new("read(/proc/self/stat)", nix::errno::Errno::ENOENT))?;
        let path = parent.join(format!("{PREFIX}{}-{}", own.pid, own.start_time));
        std::fs::create_dir_all(&path).named("mkdir")?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes folders of ours whose process is gone; returns how many were removed.
    #[must_use]
    pub fn remove_stale(parent: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(parent) else { return 0 };
        entries
            .filter_map(Result::ok)
            .filter(|entry| {
                entry.file_name().to_str().and_then(owner).is_some_and(|own| !own.exists())
            })
            .filter(|entry| std::fs::remove_dir_all(entry.path()).is_ok())
            .count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next start tries again.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The process that a folder's name tells; `None` for names that are not ours.
fn owner(name: &str) -> Option<ProcessIdentity> {
    let (pid, start_time) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some(ProcessIdentity { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_ended_processes_are_removed() {
        let parent = std::env::temp_dir().join(format!("scratch-test-{}", std::process::id()));
        std::fs::create_dir_all(&parent).unwrap();
        let own = Scratch::new(&parent).unwrap();
        let stale = parent.join("hotfire-999999999-1");
        let reused = parent.join(format!("hotfire-{}-1", std::process::id()));
        let foreign = parent.join("hotfire-notes");
        for path in [&stale, &reused, &foreign] {
            std::fs::create_dir(path).unwrap();
        }
        assert_eq!(Scratch::remove_stale(&parent), 2);
        assert!(own.path().exists() && foreign.exists());
        assert!(!stale.exists() && !reused.exists());
        std::fs::remove_dir_all(&parent).unwrap();
    }
}
