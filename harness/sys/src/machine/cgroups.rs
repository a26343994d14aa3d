//! How control groups are laid out here, and whether we can make one.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::facts::text;
use crate::error::{Named, SysError};
use crate::process::ProcessIdentity;

/// The layout: `mounts` of both versions make it hybrid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// Whether a hierarchy of version 1 is mounted.
    pub version_1: bool,
    /// Whether version 2 is mounted.
    pub version_2: bool,
    /// Whether a group of our own can be made below the one we are in: where, or why not.
    pub creatable: Result<PathBuf, SysError>,
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    path: PathBuf,
    /// Its controllers; empty: version 2.
    controllers: Vec<String>,
}

/// Looks at the layout, and makes and removes an empty group.
///
/// # Errors
/// The table of mounts cannot be read.
pub fn cgroups() -> Result<Cgroups, SysError> {
    let mounts = parse_mounts(&text("/proc/self/mounts")?);
    let own = text("/proc/self/cgroup").unwrap_or_default();
    let missing = SysError::new("find(cgroup)", Errno::ENOENT);
    Ok(Cgroups {
        version_1: mounts.iter().any(|mount| !mount.controllers.is_empty()),
        version_2: mounts.iter().any(|mount| mount.controllers.is_empty()),
        creatable: useful(&mounts)
            .ok_or(missing)
            .and_then(|mount| try_below(&own_folder(mount, &own))),
    })
}

/// The control group whose memory limit holds for a process.
#[must_use]
pub fn memory_group(pid: i32) -> Option<PathBuf> {
    let mounts = parse_mounts(&text("/proc/self/mounts").ok()?);
    let own = text(&format!("/proc/{pid}/cgroup")).ok()?;
    useful(&mounts).map(|mount| own_folder(mount, &own))
}

/// How many of the group's processes the kernel has ended for want of memory; of version 2 with
/// those of the groups below (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
#[must_use]
pub fn out_of_memory_kills(group: &Path) -> Option<u64> {
    let files = ["memory.events", "memory.oom_control"];
    files.iter().find_map(|file| parse_kills(&std::fs::read_to_string(group.join(file)).ok()?))
}

fn parse_kills(text: &str) -> Option<u64> {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

/// Where both versions are mounted, version 1 has the controllers.
fn useful(mounts: &[Mount]) -> Option<&Mount> {
    let of_memory = |mount: &&Mount| mount.controllers.iter().any(|name| name == "memory");
    mounts
        .iter()
        .find(of_memory)
        .or_else(|| mounts.iter().find(|mount| mount.controllers.is_empty()))
}

fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let &[_, path, kind, options, ..] = fields.as_slice() else { return None };
            let controllers = match kind {
                "cgroup2" => Vec::new(),
                "cgroup" => options.split(',').map(str::to_owned).collect(),
                _ => return None,
            };
            // The kernel writes a blank in a path as \040 (getmntent(3)).
            Some(Mount { path: PathBuf::from(path.replace("\\040", " ")), controllers })
        })
        .collect()
}

/// The folder of the group that we are in; the hierarchy's root where that lies outside of what
/// is mounted here, as in containers.
fn own_folder(mount: &Mount, own: &str) -> PathBuf {
    let inside = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let is_it = match controllers {
            "" => mount.controllers.is_empty(),
            names => names.split(',').any(|name| mount.controllers.iter().any(|it| it == name)),
        };
        is_it.then(|| mount.path.join(path.trim_start_matches('/')))
    });
    inside.filter(|folder| folder.is_dir()).unwrap_or_else(|| mount.path.clone())
}

fn try_below(folder: &Path) -> Result<PathBuf, SysError> {
    let own = ProcessIdentity::own().ok_or(SysError::new("read(/proc)", Errno::ENOENT))?;
    let group = folder.join(format!("hotfire-{}-{}", own.pid, own.start_time));
    std::fs::create_dir(&group).named("mkdir")?;
    std::fs::remove_dir(&group).named("rmdir")?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/my\\040memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
";

    #[test]
    fn mounts_of_both_versions_are_told_apart() {
        let mounts = parse_mounts(HYBRID);
        assert_eq!(mounts.len(), 3);
        assert!(mounts[0].controllers.contains(&"cpuacct".to_owned()));
        assert_eq!(mounts[1].path, Path::new("/sys/fs/my memory"));
        assert!(mounts[2].controllers.is_empty());
        assert!(parse_mounts("cgroup2\n\nnone /x\n").is_empty());
    }

    #[test]
    fn the_own_group_is_found_by_its_controller() {
        let here = std::env::temp_dir();
        let mount = |controllers: &[&str]| Mount {
            path: here.parent().unwrap().to_owned(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        };
        let name = here.file_name().unwrap().to_string_lossy().into_owned();
        let own = format!("5:cpu,cpuacct:/\n4:memory:/{name}\n0::/{name}\n");
        assert_eq!(own_folder(&mount(&["rw", "memory"]), &own), here);
        assert_eq!(own_folder(&mount(&[]), &own), here);
        assert_eq!(own_folder(&mount(&["rw", "cpu"]), &own), here.parent().unwrap());
        // Outside of what is mounted here.
        let outside = "4:memory:/nowhere-at-all\n";
        assert_eq!(own_folder(&mount(&["memory"]), outside), here.parent().unwrap());
    }

    #[test]
    fn processes_that_were_ended_are_counted_in_both_versions() {
        let folder = std::env::temp_dir().join(format!("cgroup-count-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(out_of_memory_kills(&folder), None);
        let version_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        std::fs::write(folder.join("memory.oom_control"), version_1).unwrap();
        assert_eq!(out_of_memory_kills(&folder), Some(3));
        let version_2 = "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n";
        std::fs::write(folder.join("memory.events"), version_2).unwrap();
        assert_eq!(out_of_memory_kills(&folder), Some(1));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(parse_kills("oom 2\noom_kill many\n"), None);
    }

    #[test]
    fn a_trial_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("cgroup-test-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(try_below(&folder), Ok(folder.clone()));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(try_below(&folder).map_err(|error| error.errno), Err(Errno::ENOENT));
    }
}
