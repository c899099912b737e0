//! `load`, `unload` and `list` end to end: the binary against a control socket whose handler says what the test wants.

#![cfg(target_os = "linux")]

mod ran;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use trapline::agent::control::place::Place;
use trapline::agent::control::server::Server;
use trapline::agent::control::{
    Changed, Counts, Handler, InertRule, ListedRule, Listing, Refused, Request, Response, RuleFile,
};

use self::ran::Ran;

/// Answers the same to everything and remembers what it was asked.
struct Scripted {
    asked: Mutex<Vec<Request>>,
    answer: Response,
}

impl Handler for Scripted {
    fn handle(&self, request: Request) -> Response {
        self.asked.lock().unwrap().push(request);
        self.answer.clone()
    }
}

/// A folder, with an agent of sorts if there is an answer.
struct Bench {
    folder: TempDir,
    agent: Option<(Server, Arc<Scripted>)>,
}

impl Bench {
    fn without_agent() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), agent: None }
    }

    fn new(answer: Response) -> Self {
        let mut bench = Self::without_agent();
        let handler = Arc::new(Scripted { asked: Mutex::default(), answer });
        let place = Place { path: bench.path("c.sock"), given: true };
        bench.agent = Some((Server::start(&place, handler.clone()).unwrap(), handler));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs a command in the folder; its socket is the one of the bench.
    fn run(&self, args: &[&str]) -> Ran {
        self.run_bare(&[args, &["--control", "c.sock"]].concat())
    }

    fn run_bare(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_trapline"))
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .output()
            .unwrap();
        Ran::from(output)
    }

    fn asked(&self) -> Vec<Request> {
        self.agent.as_ref().unwrap().1.asked.lock().unwrap().clone()
    }
}

fn changed() -> Response {
    Response::Changed(Changed {
        generation: 2,
        from_sequence: Some(1_234),
        loaded: vec!["a".into()],
        replaced: vec!["b\x1b[2J".into()],
        unloaded: vec![],
        notes: vec!["`a` is partly supplied\x1b[2J".into()],
    })
}

#[test]
fn load_sends_the_files_and_tells_what_changed() {
    let bench = Bench::new(changed());
    bench.write("one.trap", "rule one {}");
    bench.write("rules/two.trap", "rule two {\r\n}");
    bench.write("rules/notes.md", "none");
    bench
        .run(&["load", "one.trap", "./rules/../one.trap", "rules"])
        .exits(0)
        .prints_just("new       a\nreplaced  b\\x1b[2J\ngeneration 2 judges from event 1,234 on\n")
        .says("warning: `a` is partly supplied\\x1b[2J");
    let file = |name: &str, text: &str| RuleFile { name: bench.name(name), text: text.to_owned() };
    let files = vec![file("one.trap", "rule one {}"), file("rules/two.trap", "rule two {\r\n}")];
    assert_eq!(bench.asked(), [Request::Load { files }]);
}

#[test]
fn unload_tells_files_from_names() {
    let bench = Bench::new(changed());
    bench.run(&["unload", "curl_to_shell", "gone.trap"]).exits(0);
    let names = vec!["curl_to_shell".to_owned(), bench.name("gone.trap")];
    assert_eq!(bench.asked(), [Request::Unload { names }]);
}

#[test]
fn json_is_the_answer_itself() {
    let bench = Bench::new(changed());
    let ran = bench.run(&["unload", "x", "--format", "json"]).exits(0);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["changed"]["generation"], json!(2));
    assert!(!ran.stdout.contains('\x1b') && ran.stderr.is_empty(), "{}{}", ran.stdout, ran.stderr);
    let refused = Bench::new(Response::Refused(Refused::because("no")));
    let ran = refused.run(&["unload", "x", "--format", "json"]).exits(2);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["refused"]["reason"], json!("no"));
}

#[test]
fn a_refusal_says_why_and_what_stays() {
    let diagnostics = vec!["x.trap:1: what only\n the agent knows\x1b[2J".to_owned()];
    let bench = Bench::new(Response::Refused(Refused { reason: "2 mistakes".into(), diagnostics, generation: 4 }));
    bench.write("x.trap", "rule x {}");
    bench
        .run(&["load", "x.trap"])
        .exits(2)
        .prints_just("")
        .says("x.trap:1: what only\n the agent knows\\x1b[2J\nerror: 2 mistakes\nnothing has changed: generation 4 stays in force\n");
}

#[test]
fn diagnostics_of_our_own_files_have_the_colours_of_check() {
    let bench = Bench::without_agent();
    bench.write("x.trap", "rule x { title: \"x\" severity: low on process.nothing where true }\n");
    let plain = bench.run_bare(&["check", "--color", "never", &bench.name("x.trap")]).exits(2).stderr;
    // There is one diagnostic; it ends where the last line begins.
    let whole = plain.rsplit_once("\n0 rules").map(|(text, _)| text.to_owned()).unwrap();
    let coloured = bench.run_bare(&["check", "--color", "always", &bench.name("x.trap")]).exits(2).stderr;
    let agent =
        Bench::new(Response::Refused(Refused { reason: "no".into(), diagnostics: vec![whole.clone()], generation: 1 }));
    let refused = |color| agent.run(&["load", &bench.name("x.trap"), "--color", color]).exits(2).stderr;
    assert!(refused("never").starts_with(&whole), "{}", refused("never"));
    let shown = refused("always");
    let first = shown.lines().next().unwrap();
    assert!(first.contains('\x1b') && coloured.contains(first), "{shown}");
}

#[test]
fn list_is_a_table() {
    let rule = ListedRule { name: "mine".into(), from: "/r/mine.trap".into(), since: 2, ..ListedRule::default() };
    let bench = Bench::new(Response::Listing(Listing {
        generation: 2,
        source: "linux-proc".into(),
        dev: true,
        rules: vec![rule],
        inert: vec![InertRule { name: "other".into(), lacks: "class registry.set".into() }],
        ..Listing::default()
    }));
    let ran = bench.run(&["list"]).exits(0);
    for text in ["generation 2", "DEV: this agent", "mine", "DEV /r/mine.trap", "other  class registry.set"] {
        assert!(ran.stdout.contains(text), "{}", ran.stdout);
    }
    assert_eq!(ran.stderr, "");
    let json = bench.run(&["list", "--format", "json"]).exits(0);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["listing"]["rules"][0]["name"], json!("mine"));
}

#[test]
fn without_an_agent_it_says_where_it_looked_and_how_to_start_one() {
    let bench = Bench::without_agent();
    let socket = std::path::absolute(bench.folder.path().join("c.sock")).unwrap();
    let line = format!("nobody listens at {}\nstart one with `trapline run --control", socket.display());
    bench.run(&["list"]).exits(2).prints_just("").says(&line);
    bench.run(&["unload", "x"]).exits(2).says("no agent is running");
    bench.write("x.trap", "rule x {}");
    bench.run(&["load", "x.trap", "--format", "json"]).exits(2).prints_just("").says("no agent is running");
}

#[test]
fn usage_mistakes_are_found_before_anything_is_sent() {
    let bench = Bench::new(changed());
    bench.write("folder/notes.md", "none");
    bench.run(&["load", "stock"]).exits(2).says("the stock rules are part of the agent");
    bench.run(&["load", "missing.trap"]).exits(2).says("missing.trap");
    bench.run(&["load", "folder"]).exits(2).says("there are no .trap, .yml, .yaml or .o files in this folder");
    bench.run(&["load"]).exits(2);
    bench.run(&["unload"]).exits(2);
    assert_eq!(bench.asked(), []);
    assert_eq!(bench.agent.unwrap().0.stop(), Counts::default());
}

#[test]
fn an_answer_to_something_else_is_a_failure() {
    Bench::new(Response::Listing(Listing::default())).run(&["unload", "x"]).exits(3).says("something else");
    Bench::new(changed()).run(&["list"]).exits(3).says("something else");
}
