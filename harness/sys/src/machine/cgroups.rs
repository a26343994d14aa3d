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
    let is_2 = |mount: &&Mount| mount.controllers.is_empty();
    let of_memory = |mount: &&Mount| mount.controllers.iter().any(|name| name == "memory");
    // Where both are mounted, version 1 has the controllers.
    let useful = mounts.iter().find(of_memory).or_else(|| mounts.iter().find(is_2));
    let missing = SysError::new("find(cgroup)", Errno::ENOENT);
    Ok(Cgroups {
        version_1: mounts.iter().any(|mount| !mount.controllers.is_empty()),
        version_2: mounts.iter().any(|mount| mount.controllers.is_empty()),
        creatable: useful.ok_or(missing).and_then(|mount| try_below(&own_folder(mount, &own))),
    })
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
    fn a_trial_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("cgroup-test-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(try_below(&folder), Ok(folder.clone()));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(try_below(&folder).map_err(|error| error.errno), Err(Errno::ENOENT));
    }
}
