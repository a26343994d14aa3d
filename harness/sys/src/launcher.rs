//! The launcher: a small process that the supervisor seizes and that starts programs on request.
//! Its children are born traced, so that no instruction of theirs is unseen.
//!
//! Deliberately absent: waiting for the children; the tracer reaps them.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::SysError;
use crate::socket::SeqSocket;
use crate::spawn::{Command, spawn};

/// What the launcher answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchReply {
    /// The program runs, with this pid.
    Started(i32),
    /// It could not be started: errno.
    Failed(i32),
}

/// A request as bytes: program, arguments and environment, each ended by NUL, lists by an empty
/// string. The descriptors 0, 1, 2, … of the program travel beside it.
#[must_use]
pub fn launch_request(program: &str, arguments: &[String], environment: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut push = |text: &str| {
        bytes.extend(text.bytes().filter(|byte| *byte != 0));
        bytes.push(0);
    };
    push(program);
    push(&arguments.len().to_string());
    arguments.iter().for_each(|argument| push(argument));
    environment.iter().for_each(|variable| push(variable));
    bytes
}

/// Reads an answer.
#[must_use]
pub fn launch_reply(bytes: &[u8]) -> Option<LaunchReply> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (word, number) = text.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "started" => Some(LaunchReply::Started(number)),
        "failed" => Some(LaunchReply::Failed(number)),
        _ => None,
    }
}

/// The launcher's main loop over the socket that it inherited; ends when the socket closes.
///
/// # Errors
/// The socket is not there or fails.
pub fn launch_main(socket: i32) -> Result<(), SysError> {
    let socket = SeqSocket::inherited(socket)?;
    ignore_children()?;
    crate::process::forbid_core_dumps()?;
    loop {
        let request = socket.receive()?;
        if request.bytes.is_empty() {
            return Ok(());
        }
        let descriptors: Vec<BorrowedFd<'_>> =
            request.descriptors.iter().map(AsFd::as_fd).collect();
        let answer = match parse(&request.bytes, descriptors) {
            None => format!("failed {}", libc::EINVAL),
            Some(command) => match spawn(&command) {
                Ok(pid) => format!("started {pid}"),
                Err(error) => format!("failed {}", error.errno as i32),
            },
        };
        socket.send(answer.as_bytes(), &[])?;
    }
}

/// Ties this process's life to its parent's and becomes `program`: the arguments are the parent's
/// pid, the program, and its arguments, its own name first. Returns only when it fails.
///
/// # Errors
/// The parent has ended, the arguments are incomplete, or exec failed.
pub fn guard_main(arguments: &[String]) -> Result<(), SysError> {
    let incomplete = || SysError::new("guard", nix::errno::Errno::EINVAL);
    let [parent, program, rest @ ..] = arguments else { return Err(incomplete()) };
    crate::process::die_with_parent(parent.parse().map_err(|_| incomplete())?)?;
    crate::process::forbid_core_dumps()?;
    // Our own runtime ignores it, and exec would pass that on.
    crate::signal::default_action(
        nix::sys::signal::Signal::SIGPIPE,
        nix::sys::signal::SaFlags::empty(),
    )?;
    let program = CString::new(program.as_str()).map_err(|_| incomplete())?;
    let rest: Vec<CString> = rest
        .iter()
        .map(|argument| CString::new(argument.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| incomplete())?;
    match nix::unistd::execv(&program, &rest) {
        Ok(never) => match never {},
        Err(errno) => Err(SysError::new("execv", errno)),
    }
}

fn parse<'a>(bytes: &[u8], descriptors: Vec<BorrowedFd<'a>>) -> Option<Command<'a>> {
    let mut strings = bytes
        .strip_suffix(&[0])?
        .split(|byte| *byte == 0)
        .map(|text| CString::new(text).ok())
        .collect::<Option<Vec<_>>>()?
        .into_iter();
    let program = strings.next()?;
    let count: usize = strings.next()?.to_str().ok()?.parse().ok()?;
    let arguments: Vec<CString> = strings.by_ref().take(count).collect();
    (arguments.len() == count).then(|| Command {
        program,
        arguments,
        environment: strings.collect(),
        descriptors,
        own_session: true,
    })
}

/// Children of the launcher leave no zombies once the tracer has reaped them.
fn ignore_children() -> Result<(), SysError> {
    use nix::sys::signal::{SaFlags, SigSet, Signal};
    crate::signal::default_action(Signal::SIGCHLD, SaFlags::SA_NOCLDWAIT)?;
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.thread_block().map_err(|errno| SysError::new("sigprocmask", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_wire() {
        let arguments = ["x".to_owned(), String::new(), "a b".to_owned()];
        let bytes = launch_request("/bin/x", &arguments, &["K=V".to_owned()]);
        let command = parse(&bytes, Vec::new()).unwrap();
        assert_eq!(command.program.to_str(), Ok("/bin/x"));
        assert_eq!(command.arguments.len(), 3);
        assert_eq!(command.environment, [CString::new("K=V").unwrap()]);
        assert!(parse(b"", Vec::new()).is_none());
        assert!(parse(b"/bin/x\x009\0", Vec::new()).is_none());
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(launch_reply(b"started 7"), Some(LaunchReply::Started(7)));
        assert_eq!(launch_reply(b"failed 2"), Some(LaunchReply::Failed(2)));
        assert_eq!(launch_reply(b"hello"), None);
    }
}
