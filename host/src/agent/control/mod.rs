//! Control: what can be asked of an agent while it runs.
//!
//! One request and one response, each a line of JSON. The texts of rules travel in the request: the client reads the
//! files with its own rights, the agent never opens a path that a peer names. What a request means is the business of
//! a [`Handler`]; how it arrives, that of the socket.
//!
//! ```text
//! client ── Envelope ──► socket ── who? (peer) ── how many? ── how long? ── well formed? ──► Handler
//!        ◄── Answer ──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`server`] guards the way to the handler: only the agent's own user and root are let in, and what they can cost is
//! bounded ([`limits`]), so that no peer keeps others waiting longer than the limits say. Nothing reaches the handler
//! but a request that is whole and within bounds ([`frame`]). [`place`] is where client and server meet, [`client`]
//! what the command line uses. On systems without such sockets, both say so.

#[cfg_attr(not(unix), path = "client_elsewhere.rs")]
pub mod client;
pub mod frame;
pub mod limits;
pub mod place;
#[cfg_attr(not(unix), path = "server_elsewhere.rs")]
pub mod server;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use serde::{Deserialize, Serialize};

/// Version of the protocol; a peer that speaks another is refused.
pub const VERSION: u32 = 1;

/// What is asked, with the version of the protocol that the client speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// What is asked.
    pub request: Request,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Put these files in force; a file of the same name is replaced. All or none.
    Load {
        /// The files.
        files: Vec<RuleFile>,
    },
    /// Take rules out of force: by the name or id of a rule, or by the name of a loaded file.
    Unload {
        /// What to take out. All or none.
        names: Vec<String>,
    },
    /// Tell what is in force.
    List,
}

/// A file of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Its absolute path at the client: a name, never opened by the agent.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// What is answered, with the version of the protocol that the agent speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`] of the agent.
    pub version: u32,
    /// The answer.
    pub response: Response,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The change is made.
    Changed(Changed),
    /// What is in force.
    Listing(Listing),
    /// Nothing has changed.
    Refused(Refused),
    /// Too many others ask at this moment; nothing has changed. Asking again may help.
    Busy,
}

/// A change that is in force, or will be when the events before it are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Number of the generation in force now; the first of a run is 1.
    pub generation: u64,
    /// Sequence number of the first event that it judges; none if that is not known yet, because events that came
    /// before wait to be judged.
    pub from_sequence: Option<u64>,
    /// Names of rules that are new.
    pub loaded: Vec<String>,
    /// Names of rules that ran before and are other ones now.
    pub replaced: Vec<String>,
    /// Names of rules that are gone.
    pub unloaded: Vec<String>,
    /// What else should be known: rules that are partly supplied, warnings.
    pub notes: Vec<String>,
}

/// Why nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// In one line.
    pub reason: String,
    /// Diagnostics as `check` prints them, without colours.
    pub diagnostics: Vec<String>,
    /// Number of the generation that stays in force; 0 if the request did not get so far.
    pub generation: u64,
}

impl Refused {
    /// A refusal of what did not get as far as the rules.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }
}

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Number of the generation.
    pub generation: u64,
    /// Number of the generation that judges now: an earlier one, as long as events wait that came before the change.
    pub judging: u64,
    /// Digest of the generation, in hexadecimal.
    pub digest: String,
    /// Profile of the source.
    pub source: String,
    /// Events judged since the start.
    pub events: u64,
    /// Events that happened and were not judged.
    pub lost: u64,
    /// Whether unsigned rules are allowed.
    pub dev: bool,
    /// The rules, by name.
    pub rules: Vec<ListedRule>,
    /// Rules that were set aside because the source cannot serve them.
    pub inert: Vec<InertRule>,
}

/// A rule in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRule {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its version; may be empty.
    pub version: String,
    /// Severity, in lower case.
    pub severity: String,
    /// Where it came from: `stock`, or the name of its file.
    pub from: String,
    /// Whether it is signed; the stock rules are, as part of the binary.
    pub signed: bool,
    /// Generation that it came with.
    pub since: u64,
    /// Alerts since the start.
    pub alerts: u64,
    /// Runs that could not tell, since the start.
    pub not_evaluable: u64,
    /// Traps since the start.
    pub traps: u64,
    /// Fuel of one event at worst.
    pub fuel_worst: u64,
}

/// A rule that cannot match what the source supplies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InertRule {
    /// Its name.
    pub name: String,
    /// What it lacks, in words.
    pub lacks: String,
}

/// What came over the control socket and was not carried out, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that reached the handler.
    pub handled: u64,
    /// Peers that are neither our user nor root.
    pub refused_peers: u64,
    /// Requests that are malformed, too long, or of another version.
    pub refused_requests: u64,
    /// Peers that left, or used up their time, before their request was whole or their answer was read.
    pub dropped: u64,
    /// Peers that were told to come back because too many others were there.
    pub busy: u64,
    /// Failures of ours: connections that could not be accepted or served.
    pub failures: u64,
}

impl Counts {
    /// Whether there is anything to report.
    pub fn is_quiet(&self) -> bool {
        *self == Self { handled: self.handled, ..Self::default() }
    }
}

/// Carries out requests. Called from several threads; one request at a time changes anything.
pub trait Handler: Send + Sync {
    /// Carries out one request, whoever may have sent it: permission was checked before.
    fn handle(&self, request: Request) -> Response;
}
