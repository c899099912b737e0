//! Requests and answers as lines of JSON: what is well formed and within bounds, and how the rest is refused.
//!
//! No input and no output here; neither side believes what the other sends. A request is checked as a whole before
//! anything is done with it, its names too: they are printed later, in places that may not expect what a terminal
//! acts on.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::limits::{FILES_MAX, NAME_LEN_MAX, NAMES_MAX};
use super::{Answer, Changed, Envelope, Refused, Request, Response, VERSION};
use crate::sink::terminal::{escape_cut, is_unsafe};

/// How much of what a peer sent is shown in a message about it.
const SHOWN_CHARS_MAX: usize = 80;

/// Something too long to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {max} bytes")]
pub struct TooLong {
    /// How long it may be.
    pub max: usize,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Another version of the protocol.
    #[error(
        "the agent speaks version {theirs} of the control protocol and this trapline version {VERSION}; \
         use the trapline that the agent was started with"
    )]
    Version {
        /// The version of the agent.
        theirs: u64,
    },
    /// Not an answer.
    #[error("what the agent answered cannot be understood: {0}")]
    Garbled(String),
}

/// The version alone, whatever else stands around it: other versions may look different.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// The line of a request, with its end.
pub fn encode_request(request: Request, len_max: usize) -> Result<Vec<u8>, TooLong> {
    encode(&Envelope { version: VERSION, request }, len_max)
}

/// The request that a line holds; else why it is refused.
pub fn decode_request(line: &[u8]) -> Result<Request, Refused> {
    let envelope: Result<Envelope, _> = serde_json::from_slice(line);
    let version = match &envelope {
        Ok(envelope) => Some(u64::from(envelope.version)),
        Err(_) => serde_json::from_slice(line).ok().map(|Versioned { version }| version),
    };
    if let Some(version) = version.filter(|version| *version != u64::from(VERSION)) {
        let reason =
            format!("this agent speaks version {VERSION} of the control protocol, the request is of version {version}");
        return Err(Refused::because(reason));
    }
    let request =
        envelope.map_err(|error| Refused::because(format!("not a request: {}", shown(&error.to_string()))))?;
    check(&request.request).map_err(Refused::because)?;
    Ok(request.request)
}

/// Whether a request is within bounds and its names are names.
fn check(request: &Request) -> Result<(), String> {
    match request {
        Request::Load { files } => {
            check_count(files.len(), FILES_MAX, "file", "files")?;
            let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            names.iter().try_for_each(|name| check_name(name))?;
            names.sort_unstable();
            match names.windows(2).find(|pair| pair.first() == pair.last()) {
                Some(pair) => Err(format!("`{}` is there twice", shown(pair.first().unwrap_or(&"")))),
                None => Ok(()),
            }
        }
        Request::Unload { names } => {
            check_count(names.len(), NAMES_MAX, "name", "names")?;
            names.iter().try_for_each(|name| check_name(name))
        }
        Request::List => Ok(()),
    }
}

fn check_count(count: usize, max: usize, one: &str, many: &str) -> Result<(), String> {
    match count {
        0 => Err(format!("the request has no {one}")),
        count if count > max => Err(format!("{count} {many} in one request, more than {max}")),
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("an empty name".to_owned());
    }
    if name.len() > NAME_LEN_MAX {
        return Err(format!("`{}`: a name of {} bytes, more than {NAME_LEN_MAX}", shown(name), name.len()));
    }
    if name.contains(is_unsafe) {
        return Err(format!("`{}`: a name with characters that do not show themselves on a terminal", shown(name)));
    }
    Ok(())
}

/// Text of a peer, safe to show and short.
fn shown(text: &str) -> String {
    escape_cut(text, SHOWN_CHARS_MAX)
}

/// The line of an answer, with its end. One that is too long is told with fewer details; that a change was made is
/// told in any case. Without details an answer takes a few hundred bytes, which are always sent.
pub fn encode_response(response: Response, len_max: usize) -> Vec<u8> {
    let answer = |response| Answer { version: VERSION, response };
    let whole = answer(response);
    if let Ok(line) = encode(&whole, len_max) {
        return line;
    }
    let short = match whole.response {
        Response::Refused(mut refused) => {
            let all = refused.diagnostics.len();
            while !refused.diagnostics.is_empty() {
                let kept = refused.diagnostics.len() / 2;
                refused.diagnostics.truncate(kept);
                let mut cut = refused.clone();
                cut.diagnostics.push(format!("{} more diagnostics are too long to be sent", all - kept));
                if let Ok(line) = encode(&answer(Response::Refused(cut)), len_max) {
                    return line;
                }
            }
            Response::Refused(Refused { reason: shown(&refused.reason), ..refused })
        }
        Response::Changed(changed) => Response::Changed(Changed {
            generation: changed.generation,
            from_sequence: changed.from_sequence,
            notes: vec![format!(
                "{} rules are new, {} replaced, {} gone; what else there is to say is too long to be sent",
                changed.loaded.len(),
                changed.replaced.len(),
                changed.unloaded.len(),
            )],
            ..Changed::default()
        }),
        Response::Listing(listing) => Response::Refused(Refused {
            reason: format!("the list of {} rules is too long to be sent", listing.rules.len()),
            generation: listing.generation,
            ..Refused::default()
        }),
        Response::Busy => Response::Busy,
    };
    encode(&answer(short), usize::MAX).unwrap_or_default()
}

/// What an agent answered.
pub fn decode_response(line: &[u8]) -> Result<Response, AnswerError> {
    let garbled = |error: serde_json::Error| AnswerError::Garbled(shown(&error.to_string()));
    let Versioned { version } = serde_json::from_slice(line).map_err(garbled)?;
    if version != u64::from(VERSION) {
        return Err(AnswerError::Version { theirs: version });
    }
    Ok(serde_json::from_slice::<Answer>(line).map_err(garbled)?.response)
}

/// One line of JSON; line breaks inside are escaped by the JSON.
fn encode(value: &impl Serialize, len_max: usize) -> Result<Vec<u8>, TooLong> {
    let mut line = Bounded { bytes: Vec::new(), len_max };
    serde_json::to_writer(&mut line, value).map_err(|_| TooLong { max: len_max })?;
    line.bytes.push(b'\n');
    Ok(line.bytes)
}

/// Takes so many bytes and fails at the next.
struct Bounded {
    bytes: Vec<u8>,
    len_max: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.len_max.saturating_sub(self.bytes.len()) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::control::{Listing, RuleFile};

    fn file(name: &str) -> RuleFile {
        RuleFile { name: name.to_owned(), text: String::new() }
    }

    fn unload(names: Vec<String>) -> Request {
        Request::Unload { names }
    }

    /// Through both directions.
    fn arrives(request: Request) -> Result<Request, String> {
        let line = encode_request(request, usize::MAX).unwrap();
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        decode_request(&line).map_err(|refused| refused.reason)
    }

    fn answered(response: Response, len_max: usize) -> (usize, Response) {
        let line = encode_response(response, len_max);
        (line.len() - 1, decode_response(&line).unwrap())
    }

    #[track_caller]
    fn refused(line: &[u8], why: &str) {
        let reason = decode_request(line).unwrap_err().reason;
        assert!(reason.contains(why), "{reason}");
        assert!(!reason.contains(is_unsafe) && reason.len() < 512, "{reason}");
    }

    #[test]
    fn requests_arrive_as_they_were() {
        let text = "rule a {\r\n\u{202e}\0}".to_owned();
        for request in [
            Request::Load { files: vec![RuleFile { name: "/a b.trap".into(), text }, file("/b.trap")] },
            unload(vec!["ключ".into(), "a".into()]),
            Request::List,
        ] {
            assert_eq!(arrives(request.clone()).unwrap(), request);
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for garbage in
            [&b""[..], b"\n", b"GET / HTTP/1.1\r\n", b"{", b"null", b"[]", b"{}", b"\x00\xff\xfe", b"{\"version\":1}"]
        {
            refused(garbage, "not a request");
        }
        refused(b"{\"version\":1,\"request\":\"\xff\"}", "not a request");
        refused(b"{\"version\":1,\"request\":\"list\"} x", "not a request");
        refused(b"{\"version\":1,\"request\":\"\\u001b[2J\"}", "not a request");
        refused(br#"{"version":1,"request":"list","more":1}"#, "unknown field `more`");
        refused(br#"{"version":1,"version":1,"request":"list"}"#, "duplicate field");
        refused(
            br#"{"version":1,"request":{"load":{"files":[{"name":"/a","text":"","path":"/b"}]}}}"#,
            "unknown field",
        );
        refused(br#"{"version":1,"request":{"unload":{"names":["a",1]}}}"#, "not a request");
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        for open in ["[", "{\"a\":", "{\"version\":1,\"request\":{\"load\":"] {
            refused(open.repeat(200_000).as_bytes(), "not a request");
        }
        let inner = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        refused(format!("{{\"version\":1,\"request\":{inner}}}").as_bytes(), "not a request");
        assert!(decode_response(format!("{{\"version\":1,\"response\":{inner}}}").as_bytes()).is_err());
    }

    #[test]
    fn other_versions_are_named_even_if_they_look_different() {
        assert_eq!(decode_request(br#"{"version":1,"request":"list"}"#), Ok(Request::List));
        refused(br#"{"version":0,"request":"list"}"#, "the request is of version 0");
        refused(br#"{"version":2,"request":{"drain":{"now":true}},"trace":[1]}"#, "the request is of version 2");
        refused(br#"{"version":-1,"request":"list"}"#, "not a request");
        let theirs = decode_response(br#"{"version":2,"answer":{}}"#).unwrap_err();
        assert_eq!(theirs, AnswerError::Version { theirs: 2 });
    }

    #[test]
    fn counts_at_below_and_above_the_limit() {
        for (count, good) in [(FILES_MAX - 1, true), (FILES_MAX, true), (FILES_MAX + 1, false)] {
            let files = (0..count).map(|n| file(&format!("/{n}"))).collect();
            assert_eq!(arrives(Request::Load { files }).is_ok(), good, "{count}");
        }
        for (count, good) in [(NAMES_MAX - 1, true), (NAMES_MAX, true), (NAMES_MAX + 1, false)] {
            assert_eq!(arrives(unload(vec!["a".into(); count])).is_ok(), good, "{count}");
        }
        assert_eq!(arrives(Request::Load { files: vec![] }).unwrap_err(), "the request has no file");
        assert_eq!(arrives(unload(vec![])).unwrap_err(), "the request has no name");
    }

    #[test]
    fn names_are_names() {
        for (len, good) in [(NAME_LEN_MAX - 1, true), (NAME_LEN_MAX, true), (NAME_LEN_MAX + 1, false)] {
            assert_eq!(arrives(unload(vec!["n".repeat(len)])).is_ok(), good, "{len}");
            assert_eq!(arrives(Request::Load { files: vec![file(&"n".repeat(len))] }).is_ok(), good, "{len}");
        }
        for bad in ["", "\x1b[31m", "a\nb", "a\0", "\u{202e}part", "a\u{9b}b"] {
            assert!(!arrives(unload(vec![bad.into()])).unwrap_err().contains(is_unsafe));
            assert!(!arrives(Request::Load { files: vec![file(bad)] }).unwrap_err().contains(is_unsafe));
        }
        let twice = arrives(Request::Load { files: vec![file("/a"), file("/b"), file("/a")] });
        assert_eq!(twice.unwrap_err(), "`/a` is there twice");
    }

    #[test]
    fn a_request_at_below_and_above_its_length() {
        let request = Request::Load { files: vec![RuleFile { name: "/a".into(), text: "\n\"".repeat(50) }] };
        let len = encode_request(request.clone(), usize::MAX).unwrap().len() - 1;
        for (max, good) in [(len - 1, false), (len, true), (len + 1, true)] {
            assert_eq!(encode_request(request.clone(), max).is_ok(), good);
        }
    }

    #[test]
    fn an_answer_at_below_and_above_its_length() {
        let listing = Response::Listing(Listing { digest: "d".repeat(5000), generation: 7, ..Listing::default() });
        let (len, _) = answered(listing.clone(), usize::MAX);
        for max in [len, len + 1] {
            assert_eq!(answered(listing.clone(), max), (len, listing.clone()));
        }
        let (short, cut) = answered(listing, len - 1);
        assert!(short < 512);
        assert!(
            matches!(cut, Response::Refused(refused) if refused.generation == 7 && refused.reason.contains("too long"))
        );
    }

    #[test]
    fn a_long_refusal_keeps_the_first_diagnostics() {
        let diagnostics: Vec<String> = (0..100).map(|n| format!("{n}: {}", "x".repeat(100))).collect();
        let refused = Refused { reason: "100 mistakes".into(), diagnostics: diagnostics.clone(), generation: 3 };
        let (len, Response::Refused(cut)) = answered(Response::Refused(refused.clone()), 4000) else { panic!() };
        assert!(len <= 4000);
        let (last, kept) = cut.diagnostics.split_last().unwrap();
        assert!(!kept.is_empty() && diagnostics.starts_with(kept), "{kept:?}");
        assert_eq!(*last, format!("{} more diagnostics are too long to be sent", 100 - kept.len()));
        assert_eq!((cut.reason.as_str(), cut.generation), ("100 mistakes", 3));
        let endless = Refused { reason: "r".repeat(9000), ..refused };
        let (len, _) = answered(Response::Refused(endless), 1000);
        assert!(len <= 1000, "{len}");
    }

    #[test]
    fn a_change_with_too_many_names_is_still_told_as_a_change() {
        let changed =
            Changed { generation: 5, from_sequence: Some(9), loaded: vec!["n".repeat(900); 3], ..Changed::default() };
        let (len, Response::Changed(told)) = answered(Response::Changed(changed), 1000) else { panic!() };
        assert!(len <= 1000);
        assert_eq!((told.generation, told.from_sequence), (5, Some(9)));
        assert!(told.notes.iter().any(|note| note.contains("3 rules are new, 0 replaced, 0 gone")), "{told:?}");
    }
}
