//! What a peer on the control socket can cost, each limit by name.

use std::time::Duration;

use trapline_programs::lang;

/// Bytes of one request, without the end of the line: two of the longest files, or very many of usual ones.
pub const REQUEST_LEN_MAX: usize = 2 * lang::limits::FILE_LEN_MAX;
/// Bytes that all requests that are being received may take together.
pub const RECEIVING_LEN_MAX: usize = 4 * REQUEST_LEN_MAX;
/// Files in one request.
pub const FILES_MAX: usize = 4096;
/// Names in one request.
pub const NAMES_MAX: usize = 4096;
/// Bytes of the name of a file or a rule: what Linux takes as a path.
pub const NAME_LEN_MAX: usize = 4096;
/// Bytes of one answer, without the end of the line. A rule takes some 300 of them in a list.
pub const RESPONSE_LEN_MAX: usize = 16 * 1024 * 1024;
/// Peers that are served at the same time.
pub const CONNECTIONS_MAX: usize = 16;
/// How long one peer may keep us waiting, over its whole request and the reading of its answer. What the agent needs
/// to carry out the request does not count.
pub const PEER_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long accepting rests when the system has nothing left to accept with.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client comes back while the agent is busy.
pub const BUSY_WAIT_MAX: Duration = Duration::from_secs(20);
/// How long it rests before it comes back.
pub const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How long a client waits for its answer: proving large rule sets takes its time.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);

/// The limits of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`REQUEST_LEN_MAX`].
    pub request_len_max: usize,
    /// See [`RECEIVING_LEN_MAX`].
    pub receiving_len_max: usize,
    /// See [`RESPONSE_LEN_MAX`].
    pub response_len_max: usize,
    /// See [`CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// See [`PEER_WAIT_MAX`].
    pub peer_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_len_max: REQUEST_LEN_MAX,
            receiving_len_max: RECEIVING_LEN_MAX,
            response_len_max: RESPONSE_LEN_MAX,
            connections_max: CONNECTIONS_MAX,
            peer_wait_max: PEER_WAIT_MAX,
        }
    }
}
