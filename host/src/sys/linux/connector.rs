//! A socket on the kernel's process connector: datagrams out of it, one request into it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::socket_with;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto, sockopt};

/// The group of process events, `CN_IDX_PROC`.
const GROUP: u32 = 1;
/// Room for events that wait to be received, as far as it is granted: some ten thousand, which is seconds of the
/// worst storm.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// The socket.
#[derive(Debug)]
pub(crate) struct Connector {
    socket: OwnedFd,
}

/// What a look at the socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// A datagram of the kernel, this long.
    Bytes(usize),
    /// A datagram of somebody else: not to be read.
    Foreign,
    /// The kernel had more to tell than there was room for.
    Overflow,
    /// Nothing.
    Nothing,
}

impl Connector {
    /// Opens it and asks for the group's messages. They come once the kernel was asked to [send](Self::send) them.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::CONNECTOR))?;
        // Beyond the system's limit only root may go; the limit is what others get. With neither, the default holds.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES).unwrap_or_default();
        }
        bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        Ok(Self { socket })
    }

    /// Sends a request to the kernel.
    pub(crate) fn send(&self, request: &[u8]) -> io::Result<()> {
        sendto(&self.socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    /// Waits until there is something to receive, `wait` at most. Whether there is.
    pub(crate) fn wait(&self, wait: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 });
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut sockets, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            // A signal is for others; the caller comes back.
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what is there, without waiting.
    pub(crate) fn receive(&self, into: &mut [u8]) -> io::Result<Arrived> {
        match recvfrom(&self.socket, into, RecvFlags::DONTWAIT) {
            Ok((length, _, from)) => {
                let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                // Any process may send to the group's members; the kernel's own port is 0.
                let kernel = from.is_some_and(|from| from.pid() == 0);
                Ok(if kernel { Arrived::Bytes(length) } else { Arrived::Foreign })
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Arrived::Nothing),
            Err(Errno::NOBUFS) => Ok(Arrived::Overflow),
            Err(error) => Err(error.into()),
        }
    }
}
