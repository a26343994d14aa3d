//! The forkserver's end of a SOCK_SEQPACKET socket: one datagram is one message, descriptors
//! come along (unix(7), SCM_RIGHTS).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// The longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 32;
/// The most descriptors of a request.
const DESCRIPTORS_MAX: usize = 3;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: [u8; REQUEST_BYTES_MAX],
    length: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether bytes or descriptors did not fit.
    pub(crate) was_cut: bool,
}

impl Message {
    pub(crate) fn request(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Room for the control message, aligned as its header wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Waits for the next request. `None` when the other side has gone.
pub(crate) fn receive(socket: &OwnedFd) -> io::Result<Option<Message>> {
    let mut bytes = [0; REQUEST_BYTES_MAX];
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = mem::size_of::<Control>();
    let length = loop {
        // SAFETY: the header points to `part` and `control`, which live through the call.
        let got =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(got) {
            Ok(0) => return Ok(None),
            Ok(length) => break length,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                error => return Err(error),
            },
        }
    };
    let descriptors = descriptors_of(&header);
    let was_cut = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(Some(Message { bytes, length, descriptors, was_cut }))
}

/// The descriptors of a header that `recvmsg` filled, each owned from here on.
fn descriptors_of(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::with_capacity(DESCRIPTORS_MAX);
    // SAFETY: the kernel filled the control buffer, which is alive; the CMSG functions keep within
    // its length. The numbers are fresh descriptors of this process that nobody else knows.
    unsafe {
        let mut item = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = item.as_ref() {
            if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(item).cast::<RawFd>();
                let bytes = head.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                for index in 0..bytes / mem::size_of::<RawFd>() {
                    let number = ptr::read_unaligned(data.add(index));
                    descriptors.push(OwnedFd::from_raw_fd(number));
                }
            }
            item = libc::CMSG_NXTHDR(header, item);
        }
    }
    descriptors
}

/// Sends one datagram. False when the other side has gone.
pub(crate) fn send(socket: &OwnedFd, text: &str) -> io::Result<bool> {
    loop {
        // SAFETY: the text is alive and as long as said.
        let sent = unsafe {
            libc::send(socket.as_raw_fd(), text.as_ptr().cast(), text.len(), libc::MSG_NOSIGNAL)
        };
        if sent != -1 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::NotConnected
                ) =>
            {
                return Ok(false);
            }
            error => return Err(error),
        }
    }
}
