//! Server and client over a real socket: what peers may do, and what they cannot do to others.

use std::fs;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::{AskError, ask, ask_within};
use super::frame::{decode_response, encode_request};
use super::limits::Limits;
use super::place::Place;
use super::server::{Server, StartError};
use super::*;
use crate::sys::unix::peer::own_user;

/// How long something may take that should happen at once, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers as it is told, and counts.
struct Scripted {
    calls: AtomicUsize,
    answer: Box<dyn Fn(Request) -> Response + Send + Sync>,
}

impl Handler for Scripted {
    fn handle(&self, request: Request) -> Response {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.answer)(request)
    }
}

/// A folder with a server in it.
struct Bench {
    folder: TempDir,
    handler: Arc<Scripted>,
    server: Option<Server>,
}

impl Bench {
    fn new(limits: Limits, answer: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let handler = Arc::new(Scripted { calls: AtomicUsize::new(0), answer: Box::new(answer) });
        let mut bench = Self { folder, handler: handler.clone(), server: None };
        bench.server = Some(Server::start_with(&bench.place(), handler, limits).unwrap());
        bench
    }

    fn listing(limits: Limits) -> Self {
        Self::new(limits, |_| listing(7))
    }

    fn place(&self) -> Place {
        Place { path: self.path(), given: true }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What a peer is answered that sends these bytes and then waits.
    fn sends(&self, bytes: &[u8]) -> Response {
        let mut stream = self.connect();
        // It may be refused before it has sent all.
        let _sent = stream.write_all(bytes);
        answer(&mut stream)
    }

    #[track_caller]
    fn refuses(&self, bytes: &[u8], why: &str) {
        match self.sends(bytes) {
            Response::Refused(refused) => assert!(refused.reason.contains(why), "{}", refused.reason),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn still_serves(&self) {
        assert_eq!(ask(&self.place(), Request::List).unwrap(), listing(7));
    }

    fn counts(&self) -> Counts {
        self.server.as_ref().unwrap().counts()
    }

    #[track_caller]
    fn await_counts(&self, reached: impl Fn(Counts) -> bool) {
        eventually(|| reached(self.counts()));
    }

    fn calls(&self) -> usize {
        self.handler.calls.load(Ordering::SeqCst)
    }

    fn stop(mut self) -> Counts {
        self.server.take().unwrap().stop()
    }
}

fn listing(generation: u64) -> Response {
    Response::Listing(Listing { generation, ..Listing::default() })
}

/// Reads to the end; the connection may end with a reset, if not all of the request was read.
fn read_all(stream: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

#[track_caller]
fn answer(stream: &mut UnixStream) -> Response {
    let line = read_all(stream);
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
    decode_response(&line).unwrap()
}

#[track_caller]
fn eventually(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "this did not happen");
        thread::sleep(Duration::from_millis(2));
    }
}

fn list_line() -> Vec<u8> {
    encode_request(Request::List, usize::MAX).unwrap()
}

/// Limits under which waiting for a peer to run out of time is short.
fn quick() -> Limits {
    Limits { peer_wait_max: Duration::from_millis(400), ..Limits::default() }
}

/// Runs one of the tests that are ignored here in a process of its own.
fn child(test: &str, socket: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("agent::control::tests::{test}"), "--ignored", "--nocapture"]);
    command.env("TRAPLINE_TEST_SOCKET", socket);
    command
}

#[test]
fn requests_reach_the_handler_and_answers_the_client() {
    let (sent, seen) = channel();
    let sent = Mutex::new(sent);
    let bench = Bench::new(Limits::default(), move |request| {
        sent.lock().unwrap().send(request).unwrap();
        Response::Changed(Changed { generation: 2, loaded: vec!["é\n".into()], ..Changed::default() })
    });
    let file = RuleFile { name: "/r/a.trap".into(), text: "rule é {\n}\n".repeat(10_000) };
    for request in [Request::Load { files: vec![file] }, Request::Unload { names: vec!["é".into()] }, Request::List] {
        let answer = ask(&bench.place(), request.clone()).unwrap();
        assert!(matches!(answer, Response::Changed(changed) if changed.loaded == ["é\n"]));
        assert_eq!(seen.recv().unwrap(), request);
    }
    assert_eq!(bench.stop(), Counts { handled: 3, ..Counts::default() });
}

#[test]
fn what_is_no_request_is_refused_and_never_reaches_the_handler() {
    let bench = Bench::listing(Limits::default());
    let deep = format!("{}\n", "[".repeat(1_000_000));
    let cases: [(&[u8], &str); 9] = [
        (b"\n", "not a request"),
        (b"\r\n\r\n", "not a request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not a request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\n", "not a request"),
        (b"{\"version\":1,\"request\":{\"unload\":{\"names\":[\"\xff\xfe\"]}}}\n", "not a request"),
        (b"\x00\x00\x00\x00\n", "not a request"),
        (deep.as_bytes(), "not a request"),
        (b"{\"version\":2,\"request\":\"list\"}\n", "version 2"),
        (b"{\"version\":1,\"request\":{\"unload\":{\"names\":[\"\\u001b[2J\"]}}}\n", "\\x1b[2J"),
    ];
    for (bytes, why) in cases {
        bench.refuses(bytes, why);
    }
    assert_eq!(bench.calls(), 0);
    bench.still_serves();
    assert_eq!(bench.stop(), Counts { handled: 1, refused_requests: cases.len() as u64, ..Counts::default() });
}

#[test]
fn a_line_at_below_and_above_its_length() {
    let line = list_line();
    let len = line.len() - 1;
    for (max, good) in [(len - 1, false), (len, true), (len + 1, true)] {
        let bench = Bench::listing(Limits { request_len_max: max, ..Limits::default() });
        if good {
            assert_eq!(bench.sends(&line), listing(7));
        } else {
            bench.refuses(&line, &format!("more than {max} bytes"));
        }
        assert_eq!(bench.calls(), usize::from(good));
    }
}

#[test]
fn an_endless_line_is_refused_while_it_comes() {
    let bench = Bench::listing(Limits { request_len_max: 1 << 20, ..Limits::default() });
    let mut stream = bench.connect();
    let chunk = vec![b'x'; 1 << 16];
    // Writing fails as soon as the server has closed.
    while stream.write_all(&chunk).is_ok() {}
    assert!(
        matches!(answer(&mut stream), Response::Refused(refused) if refused.reason.contains("more than 1048576 bytes"))
    );
    assert_eq!(bench.stop(), Counts { refused_requests: 1, ..Counts::default() });
}

#[test]
fn what_comes_after_the_line_is_nobodys_business() {
    let bench = Bench::listing(Limits::default());
    let mut bytes = list_line();
    bytes.extend_from_slice(&list_line());
    bytes.extend_from_slice(b"garbage");
    assert_eq!(bench.sends(&bytes), listing(7));
    assert_eq!(bench.calls(), 1);
}

#[test]
fn who_says_nothing_or_half_runs_out_of_time() {
    let bench = Bench::listing(quick());
    bench.refuses(b"", "was not there after 400ms");
    bench.refuses(b"{\"version\":1,", "was not there after 400ms");
    bench.still_serves();
    assert_eq!(bench.stop(), Counts { handled: 1, dropped: 2, ..Counts::default() });
}

#[test]
fn who_drips_runs_out_of_time_too() {
    let bench = Bench::listing(quick());
    let mut stream = bench.connect();
    let end = Instant::now() + PATIENCE;
    // Each byte comes long before a time for one byte would be up.
    while stream.write_all(b" ").is_ok() {
        assert!(Instant::now() < end, "the peer was never dropped");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(answer(&mut stream), Response::Refused(refused) if refused.reason.contains("400ms")));
    assert_eq!(bench.stop(), Counts { dropped: 1, ..Counts::default() });
}

#[test]
fn who_leaves_early_is_dropped() {
    let bench = Bench::listing(Limits::default());
    drop(bench.connect());
    bench.connect().write_all(b"{\"version\":1,").unwrap();
    // All of a request but the end of its line is not a request.
    bench.connect().write_all(&list_line()[..list_line().len() - 1]).unwrap();
    let shut = bench.connect();
    shut.shutdown(std::net::Shutdown::Write).unwrap();
    bench.await_counts(|counts| counts.dropped == 4);
    assert_eq!(bench.calls(), 0);
    bench.still_serves();
    assert_eq!(bench.stop(), Counts { handled: 1, dropped: 4, ..Counts::default() });
}

#[test]
fn who_does_not_read_its_answer_runs_out_of_time() {
    let bench = Bench::new(quick(), |request| match request {
        Request::List => listing(7),
        // More than the kernel keeps for someone who does not read.
        _ => Response::Listing(Listing { digest: "d".repeat(8 << 20), ..Listing::default() }),
    });
    let mut stream = bench.connect();
    stream.write_all(&encode_request(Request::Unload { names: vec!["x".into()] }, usize::MAX).unwrap()).unwrap();
    bench.still_serves();
    bench.await_counts(|counts| counts.dropped == 1);
    assert_eq!(bench.stop(), Counts { handled: 2, dropped: 1, ..Counts::default() });
}

#[test]
fn a_long_answer_arrives_whole() {
    let long = Response::Listing(Listing { digest: "d".repeat(8 << 20), ..Listing::default() });
    let answer = long.clone();
    let bench = Bench::new(Limits::default(), move |_| answer.clone());
    assert_eq!(ask(&bench.place(), Request::List).unwrap(), long);
}

#[test]
fn the_time_of_the_handler_is_not_that_of_the_peer() {
    let bench = Bench::new(quick(), |_| {
        thread::sleep(Duration::from_millis(900));
        listing(7)
    });
    bench.still_serves();
    assert_eq!(bench.stop(), Counts { handled: 1, ..Counts::default() });
}

#[test]
fn peers_at_below_and_above_their_number() {
    const MAX: usize = 3;
    let limits = Limits { connections_max: MAX, ..Limits::default() };
    // The handler holds those that are served until it is let go, so that it is known when they are.
    for (others, served) in [(MAX - 2, true), (MAX - 1, true), (MAX, false)] {
        let (go, going) = channel::<()>();
        let going = Mutex::new(going);
        let bench = Bench::new(limits, move |request| {
            if matches!(request, Request::Unload { .. }) {
                // An error is that of the end.
                let _gone = Receiver::recv_timeout(&going.lock().unwrap(), PATIENCE);
            }
            listing(7)
        });
        let hold = encode_request(Request::Unload { names: vec!["x".into()] }, usize::MAX).unwrap();
        let mut held: Vec<UnixStream> = (0..others).map(|_| bench.connect()).collect();
        held.iter_mut().for_each(|stream| stream.write_all(&hold).unwrap());
        bench.await_counts(|counts| counts.handled == others as u64);
        let expected = if served { listing(7) } else { Response::Busy };
        assert_eq!(bench.sends(&list_line()), expected, "{others}");
        assert_eq!(bench.counts().busy == 0, served);
        if !served {
            let asked = ask_within(&bench.place(), Request::List, Duration::ZERO);
            assert!(matches!(asked, Err(AskError::Busy { .. })));
        }
        drop(go);
        held.iter_mut().for_each(|stream| assert_eq!(answer(stream), listing(7)));
        // A place becomes free when the thread of its peer ends, which is a moment after the answer.
        bench.still_serves();
    }
}

#[test]
fn requests_together_at_below_and_above_their_bytes() {
    let len = list_line().len() - 1;
    for (spare, good) in [(len - 1, false), (len, true), (len + 1, true)] {
        let bench = Bench::listing(Limits { receiving_len_max: 1000 + spare, ..Limits::default() });
        let mut half = bench.connect();
        half.write_all(&[b' '; 1000]).unwrap();
        // While the other 1000 bytes are held; whether they were received already shows in the answer.
        eventually(|| bench.sends(&list_line()) == if good { listing(7) } else { Response::Busy });
        half.write_all(b"\n").unwrap();
        assert!(matches!(answer(&mut half), Response::Refused(_)));
        bench.still_serves();
    }
}

#[test]
fn a_flood_does_not_keep_the_good_client_from_its_answer() {
    const FLOOD: usize = 240;
    let bench = Bench::listing(quick());
    let mut flood: Vec<UnixStream> = Vec::new();
    thread::scope(|scope| {
        let good: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(&bench.place(), Request::List))).collect();
        for n in 0..FLOOD {
            let mut stream = bench.connect();
            let bytes: &[u8] = match n % 4 {
                0 => b"",
                1 => b"{\"version\":1,\"request\":",
                2 => b"garbage\n",
                _ => b"\xff\xff\xff\xff",
            };
            let _sent = stream.write_all(bytes);
            flood.push(stream);
        }
        for client in good {
            assert_eq!(client.join().unwrap().unwrap(), listing(7));
        }
    });
    // All of the flood is still connected, as far as it is concerned.
    bench.still_serves();
    for stream in &mut flood {
        assert!(matches!(answer(stream), Response::Refused(_) | Response::Busy));
    }
    assert_eq!(bench.calls(), 5);
    let counts = bench.stop();
    assert_eq!(counts.handled, 5);
    // The good clients may have been told to come back as well.
    assert!(counts.busy + counts.dropped + counts.refused_requests >= FLOOD as u64, "{counts:?}");
}

#[test]
fn a_panic_of_the_handler_is_a_failure_of_one_request() {
    let bench = Bench::new(Limits::default(), |request| match request {
        Request::List => listing(7),
        other => panic!("{other:?}: this panic belongs to the test"),
    });
    let answer = ask(&bench.place(), Request::Unload { names: vec!["x".into()] }).unwrap();
    assert!(matches!(answer, Response::Refused(refused) if refused.reason.contains("the agent failed")));
    bench.still_serves();
    assert_eq!(bench.stop(), Counts { handled: 2, failures: 1, ..Counts::default() });
}

#[test]
fn stopping_sends_away_who_waits_and_removes_the_socket() {
    let bench = Bench::listing(Limits { peer_wait_max: PATIENCE, ..Limits::default() });
    let mut waiting: Vec<UnixStream> = (0..3).map(|_| bench.connect()).collect();
    // Once this one is answered the others have been accepted as well.
    bench.still_serves();
    let path = bench.path();
    let place = bench.place();
    let (folder, server) = (bench.folder, bench.server.unwrap());
    assert_eq!(server.path(), path);
    let start = Instant::now();
    assert_eq!(server.stop(), Counts { handled: 1, dropped: 3, ..Counts::default() });
    assert!(start.elapsed() < PATIENCE, "it waited for its peers");
    for stream in &mut waiting {
        assert!(matches!(answer(stream), Response::Refused(refused) if refused.reason == "the agent is ending"));
    }
    assert!(!path.exists());
    let error = ask(&place, Request::List).unwrap_err();
    assert!(matches!(error, AskError::NoAgent { .. }) && !error.is_ours());
    drop(folder);
}

#[test]
fn stopping_lets_the_handler_finish_what_it_has_begun() {
    let (go, going) = channel::<()>();
    let going = Mutex::new(going);
    let bench = Bench::new(Limits::default(), move |_| {
        going.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        listing(7)
    });
    let mut stream = bench.connect();
    stream.write_all(&list_line()).unwrap();
    bench.await_counts(|counts| counts.handled == 1);
    let path = bench.path();
    let stopping = thread::spawn(move || bench.stop());
    // Until it is done the socket is ours, so that no second agent takes over half-way.
    assert!(path.exists());
    go.send(()).unwrap();
    assert_eq!(answer(&mut stream), listing(7));
    assert_eq!(stopping.join().unwrap(), Counts { handled: 1, ..Counts::default() });
    assert!(!path.exists());
}

#[test]
fn a_second_server_is_refused_and_the_first_stays() {
    let bench = Bench::listing(Limits::default());
    let error = Server::start(&bench.place(), bench.handler.clone()).unwrap_err();
    assert!(matches!(error, StartError::Socket(_)));
    assert!(error.to_string().ends_with("c.sock: another agent is running there"), "{error}");
    bench.still_serves();
    let place = bench.place();
    let (folder, handler) = (bench.folder, bench.handler);
    drop(bench.server);
    let _second = Server::start(&place, handler).unwrap();
    drop(folder);
}

#[test]
fn other_users_are_refused() {
    if own_user() != 0 {
        println!("skipped: only root can connect as another user");
        return;
    }
    let bench = Bench::listing(Limits::default());
    // As if the permissions had not kept them out.
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(bench.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let other = child("as_another_user", &bench.path()).uid(65_534).output();
    let other = match other {
        Ok(other) if other.status.code() != Some(127) => other,
        _ => return println!("skipped: another user cannot run this test"),
    };
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
    bench.still_serves();
    assert_eq!(bench.stop(), Counts { handled: 1, refused_peers: 1, ..Counts::default() });
}

#[test]
#[ignore = "run by `other_users_are_refused` as another user"]
fn as_another_user() {
    let path = PathBuf::from(std::env::var_os("TRAPLINE_TEST_SOCKET").unwrap());
    let answer = ask(&Place { path, given: true }, Request::List).unwrap();
    let Response::Refused(refused) = answer else { panic!("{answer:?}") };
    assert_eq!(refused.reason, "user 65534 may not control this agent: only user 0 and root may");
}

#[test]
fn permissions_keep_other_users_out() {
    if own_user() != 0 {
        println!("skipped: only root can connect as another user");
        return;
    }
    let bench = Bench::listing(Limits::default());
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let Ok(other) = child("is_denied", &bench.path()).uid(65_534).output() else {
        return println!("skipped: another user cannot run this test");
    };
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
    assert_eq!(bench.stop(), Counts::default());
}

#[test]
#[ignore = "run by `permissions_keep_other_users_out` as another user"]
fn is_denied() {
    let path = PathBuf::from(std::env::var_os("TRAPLINE_TEST_SOCKET").unwrap());
    let error = ask(&Place { path, given: true }, Request::List).unwrap_err();
    assert!(matches!(error, AskError::Denied(_)), "{error}");
}

#[test]
fn without_open_files_left_the_server_rests_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ran = child("runs_out_of_files", &folder.path().join("c.sock")).output().unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

#[test]
#[ignore = "run by `without_open_files_left_the_server_rests_and_goes_on` in a process of its own"]
fn runs_out_of_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let path = PathBuf::from(std::env::var_os("TRAPLINE_TEST_SOCKET").unwrap());
    let place = Place { path: path.clone(), given: true };
    let handler = Arc::new(Scripted { calls: AtomicUsize::new(0), answer: Box::new(|_| listing(7)) });
    let server = Server::start(&place, handler).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    let mut files: Vec<fs::File> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    assert!(files.len() < 64);
    files.pop();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&list_line()).unwrap();
    eventually(|| server.counts().failures > 0);
    // A loop without rests would fail many thousand times here.
    thread::sleep(Duration::from_millis(300));
    assert!(server.counts().failures < 100, "{:?}", server.counts());
    drop(files);
    assert_eq!(answer(&mut stream), listing(7));
    assert_eq!(server.stop().handled, 1);
}

/// A socket whose owner answers with these bytes, whatever it is asked.
fn agent_that_says(bytes: &'static [u8]) -> (TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { path: folder.path().join("c.sock"), given: true };
    let listener = UnixListener::bind(&place.path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|read| read == 1) && byte != *b"\n" {
                request.extend(byte);
            }
            let _sent = stream.write_all(bytes);
        }
    });
    (folder, place)
}

#[test]
fn answers_that_are_none_are_told_apart() {
    let cases: [(&[u8], &str, bool); 6] = [
        (b"{\"version\":2,\"response\":{\"new\":1}}\n", "the agent speaks version 2", false),
        (b"hello\n", "cannot be understood", true),
        (b"{\"version\":1,\"response\":{\"moved\":1}}\n", "cannot be understood", true),
        (b"\xff\n", "cannot be understood", true),
        (b"", "closed the connection without an answer", true),
        (b"{\"version\":1,", "closed the connection without an answer", true),
    ];
    for (bytes, why, ours) in cases {
        let (_folder, place) = agent_that_says(bytes);
        let error = ask(&place, Request::List).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.is_ours(), ours, "{error}");
    }
}

#[test]
fn where_nobody_listens_the_client_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sock");
    let place = |given| Place { path: path.clone(), given };
    let error = ask(&place(true), Request::List).unwrap_err().to_string();
    let shown = path.display();
    assert_eq!(
        error,
        format!("no agent is running: nobody listens at {shown}\nstart one with `trapline run --control {shown}`")
    );
    drop(UnixListener::bind(&path).unwrap());
    let error = ask(&place(false), Request::List).unwrap_err();
    assert!(error.to_string().contains("trapline run`"), "{error}");
    assert!(!error.is_ours());
}

#[test]
fn a_request_that_is_too_long_is_not_sent() {
    let bench = Bench::listing(Limits::default());
    let file = RuleFile { name: "/a".into(), text: "\0".repeat(limits::REQUEST_LEN_MAX / 6) };
    let error = ask(&bench.place(), Request::Load { files: vec![file] }).unwrap_err();
    assert!(matches!(error, AskError::TooLong(_)) && !error.is_ours(), "{error}");
    assert_eq!(bench.stop(), Counts::default());
}
