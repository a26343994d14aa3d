//! Unix sockets between the harness's own processes: datagrams that carry descriptors, and a
//! framed stream.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use crate::error::{Named, SysError};

/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 128 * 1024;
/// The most descriptors with one datagram.
const DESCRIPTORS_MAX: usize = 8;

/// A connected SOCK_SEQPACKET socket.
#[derive(Debug)]
pub struct SeqSocket {
    fd: OwnedFd,
}

/// A datagram with its descriptors (close-on-exec).
#[derive(Debug)]
pub struct Received {
    /// The bytes; empty when the other side is closed.
    pub bytes: Vec<u8>,
    /// The descriptors.
    pub descriptors: Vec<OwnedFd>,
}

/// A connected pair of SOCK_SEQPACKET sockets; both close on exec.
///
/// # Errors
/// No descriptors are left.
pub fn seq_pair() -> Result<(SeqSocket, SeqSocket), SysError> {
    let (left, right) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .named("socketpair")?;
    Ok((SeqSocket { fd: left }, SeqSocket { fd: right }))
}

impl SeqSocket {
    /// The socket at a descriptor number that the process got at its start.
    ///
    /// # Errors
    /// Nothing is open there.
    pub fn inherited(number: RawFd) -> Result<Self, SysError> {
        Ok(Self { fd: inherited(number)? })
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// The other side is gone, or the datagram is too long.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), SysError> {
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let parts = [IoSlice::new(bytes)];
        sendmsg::<()>(self.fd.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None)
            .named("sendmsg")?;
        Ok(())
    }

    /// Receives one datagram; waits for it.
    ///
    /// # Errors
    /// The socket failed.
    pub fn receive(&self) -> Result<Received, SysError> {
        let mut bytes = vec![0u8; DATAGRAM_BYTES_MAX];
        let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX]);
        let (length, descriptors) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.fd.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Ok(message) => break (message.bytes, take_descriptors(&message)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("recvmsg", errno)),
            }
        };
        bytes.truncate(length);
        Ok(Received { bytes, descriptors })
    }
}

impl AsFd for SeqSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn take_descriptors(message: &nix::sys::socket::RecvMsg<'_, '_, ()>) -> Vec<OwnedFd> {
    let Ok(controls) = message.cmsgs() else { return Vec::new() };
    controls
        .filter_map(|control| match control {
            ControlMessageOwned::ScmRights(raw) => Some(raw),
            _ => None,
        })
        .flatten()
        // SAFETY: the kernel has just made these descriptors for this process; nobody else owns
        // them.
        .map(|raw| unsafe { OwnedFd::from_raw_fd(raw) })
        .collect()
}

fn inherited(number: RawFd) -> Result<OwnedFd, SysError> {
    let flags = nix::fcntl::FdFlag::FD_CLOEXEC;
    // SAFETY: the borrow lasts for this call only; an invalid number gives EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    nix::fcntl::fcntl(borrowed, nix::fcntl::F_SETFD(flags)).named("fcntl(F_SETFD)")?;
    // SAFETY: our parent opened this descriptor for us at this number, and only our entry point
    // takes it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A connected stream on which each message is framed by its length.
#[derive(Debug)]
pub struct StreamSocket {
    stream: UnixStream,
    pending: Vec<u8>,
}

/// The longest framed message.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connected pair of streams; both close on exec.
///
/// # Errors
/// No descriptors are left.
pub fn stream_pair() -> Result<(StreamSocket, StreamSocket), SysError> {
    let (left, right) = UnixStream::pair().named("socketpair")?;
    Ok((StreamSocket::over(left), StreamSocket::over(right)))
}

impl StreamSocket {
    fn over(stream: UnixStream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// The stream at a descriptor number that the process got at its start.
    ///
    /// # Errors
    /// Nothing is open there.
    pub fn inherited(number: RawFd) -> Result<Self, SysError> {
        let fd = inherited(number)?;
        // SAFETY: the descriptor is owned and handed on whole.
        Ok(Self::over(unsafe { UnixStream::from_raw_fd(fd.into_raw_fd()) }))
    }

    /// Sends one message; waits until the other side has taken it into its buffer.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn send(&mut self, message: &[u8]) -> Result<(), SysError> {
        use std::io::Write;
        let length =
            u32::try_from(message.len()).map_err(|_| SysError::new("send", Errno::EMSGSIZE))?;
        let mut framed = Vec::with_capacity(message.len() + 4);
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(message);
        self.stream.write_all(&framed).named("send")
    }

    /// Takes in what is there and returns the whole messages; `None` when the other side is gone.
    ///
    /// # Errors
    /// The stream failed, or a frame is longer than any of ours.
    pub fn receive(&mut self) -> Result<Option<Vec<Vec<u8>>>, SysError> {
        use std::io::Read;
        let mut buffer = vec![0u8; 64 * 1024];
        let bytes = match self.stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error).named("recv"),
        };
        self.pending.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
        let mut messages = Vec::new();
        while let Some((head, rest)) = self.pending.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*head) as usize;
            if length > FRAME_BYTES_MAX {
                return Err(SysError::new("recv", Errno::EMSGSIZE));
            }
            let Some(message) = rest.get(..length) else { break };
            messages.push(message.to_vec());
            self.pending.drain(..4 + length);
        }
        Ok(Some(messages))
    }
}

impl AsFd for StreamSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
