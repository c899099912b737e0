//! Who is at the other end of a Unix socket, as the kernel noted it when the connection was made.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::geteuid;

/// The user that the kernel asks whether we may: our effective user.
pub fn own_user() -> u32 {
    geteuid().as_raw()
}

/// The effective user of the process that connected, or for a client of the one that listens.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn user(stream: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// On this system nobody tells, and who is not known is not let in.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn user(_: &UnixStream) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_pair_are_ours() {
        let (a, b) = UnixStream::pair().unwrap();
        assert_eq!(user(&a).unwrap(), own_user());
        assert_eq!(user(&b).unwrap(), own_user());
    }
}
