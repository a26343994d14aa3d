//! `/proc`: parsers for the few files that the harness reads. What a process names itself is
//! untrusted; every reader has a limit.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

use crate::error::{Named, SysError};

/// The longest file read from `/proc`, and the longest `maps`: 262,144 mappings, as many as search
/// engines ask for, with paths of some 170 bytes. A part of one would read as if the rest were not
/// mapped.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const MAPS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Room for a record, and for the first parts of a long file: most are shorter.
const RECORD_BYTES: usize = 4096;
const READ_BYTES: usize = 32 * 1024;
/// Descriptors of a process that are looked at for a file.
const OPENED_MAX: usize = 4096;

/// From `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The task's name.
    pub name: String,
    /// R, S, D, T, t, Z, X.
    pub state: char,
    /// Parent.
    pub parent: i32,
    /// Process group.
    pub group: i32,
    /// Session.
    pub session: i32,
    /// Device of its controlling terminal; 0: none.
    pub terminal: i32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
}

/// From `/proc/TID/status`: signal masks and the thread's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalMasks {
    /// The process (thread group).
    pub process: i32,
    /// Blocked in this thread.
    pub blocked: u64,
    /// Ignored in the process.
    pub ignored: u64,
    /// Caught in the process.
    pub caught: u64,
}

/// What the kernel writes behind the path of a mapped file that has no name any more.
pub const DELETED: &str = " (deleted)";

/// A line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapLine {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// `rwxp`.
    pub permissions: String,
    /// File offset.
    pub offset: u64,
    /// Device of the file: major and minor number.
    pub device: (u32, u32),
    /// Inode; 0: none.
    pub inode: u64,
    /// File or `[stack]`; empty: anonymous.
    pub path: String,
}

/// What a thread does in the kernel, from `/proc/PID/task/TID/syscall`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyscallState {
    /// On a processor, or ready for one.
    Running,
    /// Blocked, but not in a system call (a page fault, a stop).
    Blocked,
    /// In a system call: number, arguments, then sp and pc.
    In {
        /// The x86-64 system call number.
        number: i64,
        /// Its six arguments.
        arguments: [u64; 6],
        /// Stack pointer and program counter, to tell one wait from the next.
        place: [u64; 2],
    },
}

/// `/proc/PID/stat` of a process or thread.
///
/// # Errors
/// It is gone, or the line is not of the known form (EINVAL).
pub fn stat(pid: i32) -> Result<Stat, SysError> {
    let text = read_record(&format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or(SysError::new("parse(/proc/PID/stat)", Errno::EINVAL))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold blanks and parentheses: it ends at the last one.
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<i32>().ok());
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        terminal: number(4)?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// Signal masks of a thread.
///
/// # Errors
/// It is gone (ESRCH), or a mask is missing (EINVAL).
pub fn signal_masks(tid: i32) -> Result<SignalMasks, SysError> {
    let text = read_record(&format!("/proc/{tid}/status"))?;
    parse_masks(&text).ok_or(SysError::new("parse(/proc/PID/status)", Errno::EINVAL))
}

/// The signals that wait to be delivered to a process or its first thread, as a mask; none of one
/// that is gone.
#[must_use]
pub fn pending_signals(pid: i32) -> u64 {
    let text = read_text(&format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = |name: &str| {
        let word = text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        word.and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or(0)
    };
    mask("SigPnd:") | mask("ShdPnd:")
}

/// The ids of a thread and of its process as both know them, which differ from ours where they live
/// in a namespace of their own; none of a thread that is gone.
#[must_use]
pub fn own_ids(tid: i32) -> Vec<i32> {
    let text = read_text(&format!("/proc/{tid}/status")).unwrap_or_default();
    let lines =
        text.lines().filter(|line| line.starts_with("NStgid:") || line.starts_with("NSpid:"));
    lines.filter_map(|line| line.split_ascii_whitespace().next_back()?.parse().ok()).collect()
}

/// The process that a descriptor of a thread stands for (pidfd_open(2)).
#[must_use]
pub fn process_of_descriptor(tid: i32, descriptor: i32) -> Option<i32> {
    let text = read_text(&format!("/proc/{tid}/fdinfo/{descriptor}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

fn parse_masks(text: &str) -> Option<SignalMasks> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let mask = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
    Some(SignalMasks {
        process: field("Tgid")?.parse().ok()?,
        blocked: mask("SigBlk")?,
        ignored: mask("SigIgn")?,
        caught: mask("SigCgt")?,
    })
}

/// The threads of a process.
///
/// # Errors
/// It is gone.
pub fn threads(pid: i32) -> Result<Vec<i32>, SysError> {
    Ok(numbered(read_folder(&format!("/proc/{pid}/task"))?))
}

/// All processes that can be seen from here.
///
/// # Errors
/// `/proc` cannot be read.
pub fn processes() -> Result<Vec<i32>, SysError> {
    Ok(numbered(read_folder("/proc")?))
}

fn numbered(entries: std::fs::ReadDir) -> Vec<i32> {
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// A folder that is not there belongs to a task that is not there any more.
pub(crate) fn read_folder(path: &str) -> Result<std::fs::ReadDir, SysError> {
    std::fs::read_dir(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SysError::new("readdir(/proc)", Errno::ESRCH),
        _ => SysError::from_io("readdir(/proc)", &error),
    })
}

/// The children of a process, made by any of its threads; empty when it is gone.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let texts = threads(pid)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|tid| read_text(&format!("/proc/{pid}/task/{tid}/children")).ok());
    texts.flat_map(|text| numbers(&text)).collect()
}

/// The children of this process, which must be single-threaded.
#[must_use]
pub fn own_children() -> Vec<i32> {
    let text = read_text("/proc/thread-self/children");
    text.map(|text| numbers(&text)).unwrap_or_default()
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The mappings of the process that holds a thread (works when the leader is a zombie, too).
///
/// # Errors
/// It is gone (ESRCH), or has more mappings than are read (EFBIG).
pub fn maps(tid: i32) -> Result<Vec<MapLine>, SysError> {
    let text = read_text_of(&format!("/proc/{tid}/maps"), MAPS_BYTES_MAX)?;
    Ok(parse_maps(&text))
}

/// The lines of a text in the form of `/proc/PID/maps`; what has another form is left out.
#[must_use]
pub fn parse_maps(text: &str) -> Vec<MapLine> {
    text.lines().filter_map(parse_map).collect()
}

fn parse_map(line: &str) -> Option<MapLine> {
    let mut rest = line;
    let mut field = || {
        let trimmed = rest.trim_start_matches(' ');
        let (word, tail) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = tail;
        word
    };
    let (start, end) = field().split_once('-')?;
    let (permissions, offset, device, inode) = (field(), field(), field(), field());
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(MapLine {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permissions: permissions.to_owned(),
        offset: u64::from_str_radix(offset, 16).ok()?,
        device: (number(major)?, number(minor)?),
        inode: inode.parse().ok()?,
        path: rest.trim_start().to_owned(),
    })
}

/// The size in bytes of the file behind a mapping, by the process's own ways to it: of a file
/// without a name, too. `None` where it holds the file by its mapping alone, and following that
/// needs a right that we lack (CAP_CHECKPOINT_RESTORE, proc(5)).
#[must_use]
pub fn mapped_file_bytes(pid: i32, map: &MapLine) -> Option<u64> {
    let own = format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end);
    if let Ok(file) = std::fs::metadata(own) {
        return Some(file.len());
    }
    let opened = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.take(OPENED_MAX).flatten();
    opened.filter_map(|entry| std::fs::metadata(entry.path()).ok()).find_map(|file| {
        let device = (libc::major(file.dev()), libc::minor(file.dev()));
        (file.ino() == map.inode && device == map.device).then_some(file.len())
    })
}

/// A soft limit of a process by its name in `/proc/PID/limits`, in that file's unit; `None` for one
/// that is unlimited or cannot be read.
#[must_use]
pub fn soft_limit(pid: i32, name: &str) -> Option<u64> {
    parse_limit(&read_text(&format!("/proc/{pid}/limits")).ok()?, name)
}

fn parse_limit(text: &str, name: &str) -> Option<u64> {
    let values = text.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_ascii_whitespace().next()?.parse().ok()
}

/// What a thread does in the kernel.
///
/// # Errors
/// It is gone, or may not be looked at (EPERM).
pub fn syscall(pid: i32, tid: i32) -> Result<SyscallState, SysError> {
    let text = read_record(&format!("/proc/{pid}/task/{tid}/syscall"))?;
    Ok(parse_syscall(&text))
}

fn parse_syscall(text: &str) -> SyscallState {
    let mut words = text.split_ascii_whitespace();
    let number = match words.next() {
        Some("running") | None => return SyscallState::Running,
        Some("-1") => return SyscallState::Blocked,
        Some(word) => word.parse().unwrap_or(-1),
    };
    let mut hex = || {
        let word = words.next().and_then(|word| word.strip_prefix("0x"));
        word.and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or(0)
    };
    let arguments = std::array::from_fn(|_| hex());
    SyscallState::In { number, arguments, place: [hex(), hex()] }
}

/// The command line of a process, blanks between its words, cut at 4 KiB. Empty for a zombie.
#[must_use]
pub fn command_line(pid: i32) -> String {
    command_words(pid).join(" ")
}

/// The words of a process's command line, cut at 4 KiB. None of a zombie.
#[must_use]
pub fn command_words(pid: i32) -> Vec<String> {
    let Ok(file) = std::fs::File::open(format!("/proc/{pid}/cmdline")) else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    // A partial read is as good as any: the text is for people.
    let _ = file.take(4096).read_to_end(&mut bytes);
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Vec::new();
    }
    let words = bytes.split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

pub(crate) fn read_text(path: &str) -> Result<String, SysError> {
    read_text_of(path, FILE_BYTES_MAX)
}

/// A short file whole, as it is.
pub(crate) fn read_bytes(path: &str) -> Result<Vec<u8>, SysError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).named("open(/proc)")?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).named("read(/proc)")?;
    Ok(bytes)
}

fn read_text_of(path: &str, bytes_max: u64) -> Result<String, SysError> {
    read_whole(open(path)?, bytes_max)
}

/// A file that the kernel makes as one record (`proc_single`): what leaves room is all of it.
fn read_record(path: &str) -> Result<String, SysError> {
    let mut file = open(path)?;
    let mut bytes = vec![0; RECORD_BYTES];
    let length = file.read(&mut bytes).named("read(/proc)")?;
    bytes.truncate(length);
    if length == RECORD_BYTES {
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).named("read(/proc)")?;
    }
    Ok(text_of(bytes))
}

fn open(path: &str) -> Result<std::fs::File, SysError> {
    // A file that is not there belongs to a task that is not there any more.
    std::fs::File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SysError::new("open(/proc)", Errno::ESRCH),
        _ => SysError::from_io("open(/proc)", &error),
    })
}

/// Names may be of any bytes.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// All of a file, or an error: a part would read as if the rest were not there.
fn read_whole(file: impl Read, bytes_max: u64) -> Result<String, SysError> {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).named("read(/proc)")?;
    if bytes.len() as u64 > bytes_max {
        return Err(SysError::new("read(/proc)", Errno::EFBIG));
    }
    Ok(text_of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "7 (a) (b) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) (b", 'S', 1));
        assert_eq!((stat.group, stat.session, stat.start_time), (2, 3, 4242));
    }

    #[test]
    fn this_process_knows_its_id() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(own_ids(own).contains(&own), "{:?}", own_ids(own));
        assert_eq!(own_ids(i32::MAX), []);
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(process_of_descriptor(own, std::os::fd::AsRawFd::as_raw_fd(&file)), None);
    }

    #[test]
    fn a_missing_mask_is_not_an_empty_one() {
        let whole = "Name:\tx\nTgid:\t7\nSigBlk:\t04\nSigIgn:\t02\nSigCgt:\t400\n";
        let masks = SignalMasks { process: 7, blocked: 4, ignored: 2, caught: 0x400 };
        assert_eq!(parse_masks(whole), Some(masks));
        assert_eq!(parse_masks(&whole[..whole.len() - 12]), None);
        assert!(signal_masks(i32::MAX).is_err_and(|error| error.is_gone()));
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        assert_eq!(read_whole(&b"1234"[..], 4), Ok("1234".to_owned()));
        let cut = read_whole(&b"12345"[..], 4);
        assert_eq!(cut, Err(SysError::new("read(/proc)", Errno::EFBIG)));
    }

    #[test]
    fn limits_have_soft_values() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max file size             4096                 8192                 bytes     \n";
        assert_eq!(parse_limit(text, "Max file size"), Some(4096));
        assert_eq!((parse_limit(text, "Max cpu time"), parse_limit(text, "Max")), (None, None));
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(soft_limit(own, "Max open files").is_some_and(|count| count > 2));
    }

    #[test]
    fn a_mapped_file_is_known_without_its_name() {
        let own = i32::try_from(std::process::id()).unwrap();
        let program = std::fs::metadata("/proc/self/exe").unwrap().len();
        let maps = maps(own).unwrap();
        let first = maps.iter().find(|map| map.inode != 0).unwrap();
        // Without the right to follow the mapping it is found only where it is open.
        assert!(mapped_file_bytes(own, first).is_none_or(|bytes| bytes == program));
    }

    #[test]
    fn maps_keep_blanks_in_paths() {
        let line = "7f00-7f10 r-xp 00001000 08:01 42                         /a b/c (deleted)";
        let map = parse_map(line).unwrap();
        assert_eq!((map.start, map.end, map.offset, map.inode), (0x7f00, 0x7f10, 0x1000, 42));
        assert_eq!((map.path.as_str(), map.device), ("/a b/c (deleted)", (8, 1)));
        let bare = parse_map("7f00-7f10 rw-p 00000000 00:00 0 ").unwrap();
        assert_eq!(bare.path, "");
    }

    #[test]
    fn syscalls_are_read() {
        assert_eq!(parse_syscall("running\n"), SyscallState::Running);
        assert_eq!(parse_syscall("-1 0x7ff 0x7fe\n"), SyscallState::Blocked);
        let SyscallState::In { number, arguments, place } =
            parse_syscall("202 0x10 0x80 0x2 0x0 0x0 0x0 0x7fff 0x401000\n")
        else {
            unreachable!()
        };
        assert_eq!((number, arguments[0], arguments[3], place), (202, 0x10, 0, [0x7fff, 0x401000]));
    }
}
