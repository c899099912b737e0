//! Serves the control socket.
//!
//! One thread accepts; each peer that is let in gets a thread of its own, and there are few of them. What a peer can do
//! to others is wait for its own time to run out: who may not come in is sent away by the accepting thread with one
//! line, who comes when all places are taken likewise. A request is read as a whole, bounded in bytes and in time,
//! checked, and only then given to the handler. A panic of the handler is answered as a failure and ends nothing.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::frame::{decode_request, encode_response};
use super::limits::{ACCEPT_PAUSE, Limits};
use super::place::Place;
use super::{Counts, Handler, Refused, Response};
use crate::sys::unix::peer;
use crate::sys::unix::socket::{FolderKind, Socket, SocketError};
use crate::sys::unix::wait::{self, Interest, Stop, Stopped, Woken};

/// How much is read at a time.
const CHUNK_LEN: usize = 64 * 1024;

/// Stack of a thread that serves a peer, as large as that of the main thread: the handler may compile rules on it.
const STACK_LEN: usize = 8 * 1024 * 1024;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// No thread, or nothing to stop it with.
    #[error("cannot serve the control socket")]
    System(#[from] io::Error),
}

/// Serves the control socket until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    shared: Arc<Shared>,
    /// Both are there until it is stopped.
    running: Option<(Stop, JoinHandle<()>)>,
}

impl Server {
    /// Binds the socket and begins to serve it.
    pub fn start(place: &Place, handler: Arc<dyn Handler>) -> Result<Self, StartError> {
        Self::start_with(place, handler, Limits::default())
    }

    /// As [`start`](Self::start), with limits of one's own.
    pub fn start_with(place: &Place, handler: Arc<dyn Handler>, limits: Limits) -> Result<Self, StartError> {
        let kind = if place.given { FolderKind::Given } else { FolderKind::Private };
        let socket = Socket::bind(&place.path, kind)?;
        let (stop, stopped) = wait::stop()?;
        let shared = Arc::new(Shared { limits, user: peer::own_user(), ..Shared::default() });
        let service = Service { shared: shared.clone(), handler, stopped };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || service.run(socket))?;
        Ok(Self { path: place.path.clone(), shared, running: Some((stop, thread)) })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// Accepts no more, sends away who is waiting, lets the handler finish what it has begun, and removes the socket.
    /// To be called while the handler can still finish.
    pub fn stop(mut self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // Its panic, if it had one, was reported when it happened.
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a peer is let in: by the user of its process.
fn is_allowed(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// What the threads have in common.
#[derive(Debug, Default)]
struct Shared {
    limits: Limits,
    /// Whose requests are carried out, beside those of root.
    user: u32,
    tally: Tally,
    /// Peers that are being served.
    serving: AtomicUsize,
    /// Bytes of requests that are being received.
    receiving: AtomicUsize,
}

/// [`Counts`] that are being counted.
#[derive(Debug, Default)]
struct Tally {
    handled: AtomicU64,
    refused_peers: AtomicU64,
    refused_requests: AtomicU64,
    dropped: AtomicU64,
    busy: AtomicU64,
    failures: AtomicU64,
}

impl Tally {
    fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            handled: count(&self.handled),
            refused_peers: count(&self.refused_peers),
            refused_requests: count(&self.refused_requests),
            dropped: count(&self.dropped),
            busy: count(&self.busy),
            failures: count(&self.failures),
        }
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A share of something of which there is so much; given back when dropped.
struct Share<'s> {
    taken: &'s AtomicUsize,
    share: usize,
    max: usize,
}

impl<'s> Share<'s> {
    fn none(taken: &'s AtomicUsize, max: usize) -> Self {
        Self { taken, share: 0, max }
    }

    /// Takes more, if there is that much left.
    fn grow(&mut self, more: usize) -> bool {
        let grown = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= self.max);
        let fits = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if fits {
            self.share += more;
        }
        fits
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.share, Ordering::Relaxed);
    }
}

/// Why a peer gets no answer from the handler.
enum Ended {
    /// It is told why, and counted as a refused request.
    Refused(Refused),
    /// It is told to come back.
    Busy,
    /// It did not say what it wants in time.
    TimeUp,
    /// It left, or the connection broke.
    Gone,
    /// The agent ends.
    Stopped,
}

/// All that serving needs.
struct Service {
    shared: Arc<Shared>,
    handler: Arc<dyn Handler>,
    stopped: Stopped,
}

impl Service {
    /// Accepts until it is stopped; then waits for those that are being served. The socket goes last.
    fn run(&self, socket: Socket) {
        thread::scope(|scope| {
            loop {
                match self.stopped.wait(socket.listener(), Interest::Read, None) {
                    Ok(Woken::Ready) => {}
                    Ok(Woken::TimeUp) => continue,
                    Ok(Woken::Stopped) => return,
                    Err(_) => {
                        self.rest();
                        continue;
                    }
                }
                let stream = match socket.listener().accept() {
                    Ok((stream, _)) => stream,
                    // The peer has left already, or there was none.
                    Err(error) if is_passing(error.kind()) => continue,
                    // Most likely there are too many open files: the peer stays in the queue, and trying again at
                    // once would only keep a core busy.
                    Err(_) => {
                        self.rest();
                        continue;
                    }
                };
                self.admit(scope, stream);
            }
        });
        drop(socket);
    }

    fn rest(&self) {
        add_one(&self.shared.tally.failures);
        if self.stopped.pause(ACCEPT_PAUSE).is_err() {
            thread::sleep(ACCEPT_PAUSE);
        }
    }

    /// Sends the peer away, or serves it on a thread of its own.
    fn admit<'s>(&'s self, scope: &'s thread::Scope<'s, '_>, stream: UnixStream) {
        let Shared { limits, user, tally, serving, .. } = &*self.shared;
        if stream.set_nonblocking(true).is_err() {
            add_one(&tally.failures);
            return;
        }
        match peer::user(&stream) {
            Ok(peer) if is_allowed(peer, *user) => {}
            Ok(peer) => {
                add_one(&tally.refused_peers);
                let reason = format!("user {peer} may not control this agent: only user {user} and root may");
                return send_away(stream, Response::Refused(Refused::because(reason)));
            }
            Err(_) => {
                add_one(&tally.refused_peers);
                let reason = "the system does not tell who is asking";
                return send_away(stream, Response::Refused(Refused::because(reason)));
            }
        }
        let mut place = Share::none(serving, limits.connections_max);
        if !place.grow(1) {
            add_one(&tally.busy);
            return send_away(stream, Response::Busy);
        }
        let serve = move || {
            let _place = place;
            self.serve(stream);
        };
        let thread = thread::Builder::new().name("control peer".to_owned()).stack_size(STACK_LEN);
        if thread.spawn_scoped(scope, serve).is_err() {
            // The stream went with the closure: the peer sees the end.
            add_one(&tally.failures);
        }
    }

    /// Carries out the one request of a peer.
    fn serve(&self, mut stream: UnixStream) {
        let Shared { limits, tally, .. } = &*self.shared;
        let mut left = limits.peer_wait_max;
        let request =
            self.receive(&mut stream, &mut left).and_then(|line| decode_request(&line).map_err(Ended::Refused));
        let request = match request {
            Ok(request) => request,
            Err(ended) => {
                let (counter, response) = match ended {
                    Ended::Refused(refused) => (&tally.refused_requests, Response::Refused(refused)),
                    Ended::Busy => (&tally.busy, Response::Busy),
                    Ended::TimeUp => {
                        let reason = format!("the request was not there after {:?}", limits.peer_wait_max);
                        (&tally.dropped, Response::Refused(Refused::because(reason)))
                    }
                    Ended::Stopped => (&tally.dropped, Response::Refused(Refused::because("the agent is ending"))),
                    Ended::Gone => return add_one(&tally.dropped),
                };
                add_one(counter);
                return send_away(stream, response);
            }
        };
        add_one(&tally.handled);
        let response = catch_unwind(AssertUnwindSafe(|| self.handler.handle(request))).unwrap_or_else(|_| {
            add_one(&tally.failures);
            Response::Refused(Refused::because("the agent failed at this request; it reports how on its own terminal"))
        });
        let line = encode_response(response, limits.response_len_max);
        if self.send(&mut stream, &line, &mut left).is_err() {
            add_one(&tally.dropped);
        }
    }

    /// Reads the line of the request, without its end.
    fn receive(&self, stream: &mut UnixStream, left: &mut Duration) -> Result<Vec<u8>, Ended> {
        let Shared { limits, receiving, .. } = &*self.shared;
        let mut share = Share::none(receiving, limits.receiving_len_max);
        let mut line = Vec::new();
        let mut chunk = vec![0; CHUNK_LEN];
        loop {
            self.wait(stream, Interest::Read, left)?;
            let read = match stream.read(&mut chunk) {
                Ok(0) => return Err(Ended::Gone),
                Ok(read) => chunk.get(..read).unwrap_or_default(),
                Err(error) if is_passing(error.kind()) => continue,
                Err(_) => return Err(Ended::Gone),
            };
            let end = memchr::memchr(b'\n', read);
            let part = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
            if part.len() > limits.request_len_max.saturating_sub(line.len()) {
                let reason = format!("a request of more than {} bytes", limits.request_len_max);
                return Err(Ended::Refused(Refused::because(reason)));
            }
            if !share.grow(part.len()) {
                return Err(Ended::Busy);
            }
            line.extend_from_slice(part);
            if end.is_some() {
                return Ok(line);
            }
        }
    }

    /// Writes the whole answer.
    fn send(&self, stream: &mut UnixStream, line: &[u8], left: &mut Duration) -> Result<(), Ended> {
        let mut rest = line;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                // What fits is sent even if the time is up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(stream, Interest::Write, left)?,
                Err(error) if is_passing(error.kind()) => {}
                Err(_) => return Err(Ended::Gone),
            }
        }
        Ok(())
    }

    /// Waits for the peer, and takes that off the time that it has left.
    fn wait(&self, stream: &UnixStream, interest: Interest, left: &mut Duration) -> Result<(), Ended> {
        let start = Instant::now();
        let woken = self.stopped.wait(stream, interest, Some(*left));
        *left = left.saturating_sub(start.elapsed());
        match woken {
            // One that drips always has something to say: its time runs out all the same.
            Ok(Woken::Ready) if left.is_zero() => Err(Ended::TimeUp),
            Ok(Woken::Ready) => Ok(()),
            Ok(Woken::TimeUp) => Err(Ended::TimeUp),
            Ok(Woken::Stopped) => Err(Ended::Stopped),
            Err(_) => Err(Ended::Gone),
        }
    }
}

/// Errors after which the same may work at once.
fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

/// Tells the peer why and closes, without waiting for it. A line this short fits what the kernel keeps for a peer.
fn send_away(mut stream: UnixStream, response: Response) {
    let line = encode_response(response, CHUNK_LEN);
    // Whoever has left already need not be told.
    drop(stream.write(&line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_user_and_root_are_let_in() {
        for (peer, own, allowed) in [
            (0, 0, true),
            (1000, 1000, true),
            (0, 1000, true),
            (1000, 0, false),
            (1001, 1000, false),
            (u32::MAX, 0, false),
        ] {
            assert_eq!(is_allowed(peer, own), allowed, "{peer} {own}");
        }
    }

    #[test]
    fn shares_at_below_and_above_what_there_is() {
        let taken = AtomicUsize::new(0);
        for (size, fits) in [(9, true), (10, true), (11, false), (usize::MAX, false)] {
            assert_eq!(Share::none(&taken, 10).grow(size), fits, "{size}");
            assert_eq!(taken.load(Ordering::Relaxed), 0);
        }
        let mut first = Share::none(&taken, 10);
        let mut second = Share::none(&taken, 10);
        assert!(first.grow(4) && first.grow(4) && second.grow(2) && !second.grow(1) && !first.grow(usize::MAX));
        drop(first);
        assert!(second.grow(8));
        drop(second);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
