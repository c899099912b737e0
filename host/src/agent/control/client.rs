//! Asks a running agent.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::{AnswerError, TooLong, decode_response, encode_request};
use super::limits::{ANSWER_WAIT_MAX, BUSY_PAUSE, BUSY_WAIT_MAX, REQUEST_LEN_MAX, RESPONSE_LEN_MAX};
use super::place::{Place, SYSTEM};
use super::{Request, Response};
use crate::sys::unix::{peer, socket};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no agent is running: nobody listens at {}{hint}", path.display())]
    NoAgent {
        /// Where nobody listens.
        path: PathBuf,
        /// What to do about it.
        hint: String,
    },
    /// The system does not let us in.
    #[error("{}: you may not control this agent; only the user it runs as and root may", .0.display())]
    Denied(PathBuf),
    /// Who listens is someone else.
    #[error("{}: user {owner} listens there, who is neither you nor root; nothing was sent", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Who.
        owner: u32,
    },
    /// The request is too long.
    #[error("these files make a request of {0}; load fewer of them at once")]
    TooLong(#[from] TooLong),
    /// The agent has no time.
    #[error("{}: the agent was busy with other requests for {wait:?}", path.display())]
    Busy {
        /// Where.
        path: PathBuf,
        /// How long.
        wait: Duration,
    },
    /// The agent took the request and says nothing.
    #[error("{}: {reason}; `trapline list` tells what is in force", path.display())]
    NoAnswer {
        /// Where.
        path: PathBuf,
        /// What happened instead.
        reason: String,
    },
    /// The agent says something else.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The system says no.
    #[error("{}: cannot talk to the agent", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl AskError {
    /// Whether the failure is Trapline's own, rather than a matter of what was asked where.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Answer(AnswerError::Garbled(_)))
    }
}

/// Sends a request to the agent at this place and waits for its answer. Comes back for a while if the agent is busy.
pub fn ask(place: &Place, request: Request) -> Result<Response, AskError> {
    ask_within(place, request, BUSY_WAIT_MAX)
}

/// As [`ask`]; comes back to a busy agent for this long.
pub(super) fn ask_within(place: &Place, request: Request, busy_wait: Duration) -> Result<Response, AskError> {
    let line = encode_request(request, REQUEST_LEN_MAX)?;
    let start = Instant::now();
    loop {
        let answer = match connect(place) {
            Ok(stream) => exchange(place, stream, &line)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Response::Busy,
            Err(error) => return Err(explain(place, error)),
        };
        if answer != Response::Busy {
            return Ok(answer);
        }
        if start.elapsed() >= busy_wait {
            return Err(AskError::Busy { path: place.path.clone(), wait: busy_wait });
        }
        thread::sleep(BUSY_PAUSE);
    }
}

fn connect(place: &Place) -> io::Result<UnixStream> {
    let stream = socket::connect_now(&place.path)?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Why connecting did not work, in the words of someone who wants to control an agent.
fn explain(place: &Place, error: io::Error) -> AskError {
    let path = place.path.clone();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            AskError::NoAgent { path, hint: hint(place) }
        }
        io::ErrorKind::PermissionDenied => AskError::Denied(path),
        _ => AskError::System { path, source: error },
    }
}

fn hint(place: &Place) -> String {
    let system_runs = Path::new(SYSTEM).parent().is_some_and(Path::exists);
    if place.given {
        format!("\nstart one with `trapline run --control {}`", place.path.display())
    } else if place.path != Path::new(SYSTEM) && system_runs {
        format!("\nto control the agent of root ({SYSTEM}) use sudo; start one of your own with `trapline run`")
    } else {
        "\nstart one with `trapline run`; if it was started with `--control PATH`, give the same here".to_owned()
    }
}

/// Whether what listens there may see our request. Someone who got hold of the name first could pretend to be the
/// agent; root may choose to talk to an agent of anyone.
fn is_trusted(listener: u32, own: u32, given: bool) -> bool {
    listener == own || listener == 0 || (own == 0 && given)
}

fn exchange(place: &Place, stream: UnixStream, line: &[u8]) -> Result<Response, AskError> {
    let system = |source| AskError::System { path: place.path.clone(), source };
    let listener = peer::user(&stream).map_err(system)?;
    if !is_trusted(listener, peer::own_user(), place.given) {
        return Err(AskError::Foreign { path: place.path.clone(), owner: listener });
    }
    let mut exchange = Exchange { stream, end: Instant::now() + ANSWER_WAIT_MAX };
    // An agent that refuses does so without reading all; then its answer tells more than the failure to write.
    let written = exchange.write(line);
    let answer = exchange.read_line().map_err(|error| AskError::NoAnswer {
        path: place.path.clone(),
        reason: match written.err().unwrap_or(error) {
            error if error.kind() == io::ErrorKind::TimedOut => format!("no answer after {ANSWER_WAIT_MAX:?}"),
            error => format!("the agent closed the connection without an answer ({error})"),
        },
    })?;
    Ok(decode_response(&answer)?)
}

/// A conversation with an end.
struct Exchange {
    stream: UnixStream,
    end: Instant,
}

impl Exchange {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            self.stream.set_write_timeout(self.left()?)?;
            match self.stream.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_passing(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            self.stream.set_read_timeout(self.left()?)?;
            let read = match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => chunk.get(..read).unwrap_or_default(),
                Err(error) if is_passing(error.kind()) => continue,
                Err(error) => return Err(error),
            };
            let end = memchr::memchr(b'\n', read);
            line.extend_from_slice(read.get(..end.unwrap_or(read.len())).unwrap_or_default());
            if line.len() > RESPONSE_LEN_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if end.is_some() {
                return Ok(line);
            }
        }
    }
}

/// That a wait was over; whether it was the last one is seen when the next begins.
fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_strangers() {
        for (listener, own, given, trusted) in [
            (1000, 1000, false, true),
            (0, 1000, false, true),
            (1001, 1000, false, false),
            (1001, 1000, true, false),
            (1000, 0, false, false),
            (1000, 0, true, true),
        ] {
            assert_eq!(is_trusted(listener, own, given), trusted, "{listener} {own} {given}");
        }
    }
}
