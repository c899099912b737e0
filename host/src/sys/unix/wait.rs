//! Waits until a socket can be used, the time is up, or all waiting is called off.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Calls off all waiting on its [`Stopped`] when it is dropped.
#[derive(Debug)]
pub struct Stop {
    _end: UnixStream,
}

/// What tells that waiting was called off.
#[derive(Debug)]
pub struct Stopped(UnixStream);

/// What a socket is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// To read, or to accept.
    Read,
    /// To write.
    Write,
}

/// Why waiting has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The socket can be used, or its use will tell what is wrong with it.
    Ready,
    /// Nothing happened in time.
    TimeUp,
    /// Waiting was called off.
    Stopped,
}

/// A way to call off waiting, on any number of threads.
pub fn stop() -> io::Result<(Stop, Stopped)> {
    let (ours, theirs) = UnixStream::pair()?;
    Ok((Stop { _end: ours }, Stopped(theirs)))
}

impl Stopped {
    /// Waits for a socket; without a time for as long as it takes.
    pub fn wait(&self, socket: impl AsFd, interest: Interest, time: Option<Duration>) -> io::Result<Woken> {
        self.poll(Some((socket.as_fd(), interest)), time)
    }

    /// Waits for nothing but the end of the time.
    pub fn pause(&self, time: Duration) -> io::Result<Woken> {
        self.poll(None, Some(time))
    }

    fn poll(&self, socket: Option<(BorrowedFd<'_>, Interest)>, time: Option<Duration>) -> io::Result<Woken> {
        // A time so long that it cannot be told is as good as none.
        let end = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            // The other end of the pair says nothing: what comes from it is that it was closed.
            let mut polled = vec![PollFd::new(&self.0, PollFlags::IN)];
            if let Some((socket, interest)) = socket {
                let flags = if interest == Interest::Read { PollFlags::IN } else { PollFlags::OUT };
                polled.push(PollFd::from_borrowed_fd(socket, flags));
            }
            match poll(&mut polled, left.as_ref()) {
                Ok(0) => return Ok(Woken::TimeUp),
                Ok(_) if polled.first().is_some_and(|stop| !stop.revents().is_empty()) => return Ok(Woken::Stopped),
                Ok(_) => return Ok(Woken::Ready),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_reason_to_wake_is_told() {
        let (stop, stopped) = stop().unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        let none = Some(Duration::ZERO);
        assert_eq!(stopped.wait(&b, Interest::Read, none).unwrap(), Woken::TimeUp);
        assert_eq!(stopped.wait(&b, Interest::Write, none).unwrap(), Woken::Ready);
        a.write_all(b"x").unwrap();
        assert_eq!(stopped.wait(&b, Interest::Read, None).unwrap(), Woken::Ready);
        assert_eq!(stopped.pause(Duration::ZERO).unwrap(), Woken::TimeUp);
        drop(stop);
        assert_eq!(stopped.wait(&b, Interest::Read, None).unwrap(), Woken::Stopped);
        assert_eq!(stopped.pause(Duration::MAX).unwrap(), Woken::Stopped);
    }
}
