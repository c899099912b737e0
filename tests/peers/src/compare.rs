//! The comparison: every event through every engine, and what differs, by rule and cause.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use evtx::{EvtxChunk, EvtxChunkHeader, ParserSettings};
use serde_json::{Map, Value, json};
use trapline::source::{Inputs, Payload, RawEvent, Source as _, SourceId};

use crate::cause::{Case, Cause, normalised};
use crate::engines::{Compiled, Given, Peer, Trapline};
use crate::event::{flatten, without_blanks};
use crate::judge::{Judge, View};
use crate::route::{Routes, Table, Way, renamed};
use crate::rule::Rule;

/// Who judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The text of the specification.
    Specification,
    /// Trapline.
    Trapline,
    /// Another engine.
    Peer(Peer),
}

impl Who {
    /// All, in the order of tables.
    pub const ALL: [Self; 4] =
        [Self::Specification, Self::Trapline, Self::Peer(Peer::Rsigma), Self::Peer(Peer::SigmaRust)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Specification => "specification",
            Self::Trapline => "Trapline",
            Self::Peer(peer) => peer.name(),
        }
    }
}

/// Rules in all engines.
pub struct Engines {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Rules that mean nothing without more than their text, and why: they are not compared.
    pub open: Vec<(String, String)>,
    /// Why Trapline does not run a rule.
    pub refused: BTreeMap<usize, String>,
    judges: Vec<Judge>,
    peers: Vec<[Result<Compiled, String>; 2]>,
    trapline: Trapline,
    routes: Routes,
    by_id: HashMap<String, usize>,
}

/// A difference, and how often there was one like it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Number of the rule.
    pub rule: usize,
    /// Who differs from the specification.
    pub who: Who,
    /// A match too many, or one that is missing.
    pub extra: bool,
    /// Why.
    pub causes: BTreeSet<Cause>,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Events that the harness read.
    pub events: u64,
    /// Of those, events of Windows, which all engines judged.
    pub compared: u64,
    /// Inputs that could not be read.
    pub unreadable: u64,
    /// Pairs of an event and a rule that it is for.
    pub pairs: u64,
    /// Matches by file, rule and engine.
    pub hits: BTreeMap<(String, usize), BTreeMap<Who, u64>>,
    /// Differences.
    pub differences: BTreeMap<Difference, u64>,
    /// What must not happen.
    pub bugs: Vec<String>,
}

impl Report {
    /// Matches of an engine.
    pub fn total(&self, who: Who) -> u64 {
        self.hits.values().filter_map(|hits| hits.get(&who)).sum()
    }

    /// Matches of an engine by a rule in a file.
    pub fn in_file(&self, file: &str, rule: usize, who: Who) -> u64 {
        self.hits.get(&(file.to_owned(), rule)).and_then(|hits| hits.get(&who)).copied().unwrap_or(0)
    }

    /// What no cause explains.
    pub fn unexplained(&self) -> Vec<&Difference> {
        let is =
            |difference: &&Difference| difference.causes.iter().any(|cause| matches!(cause, Cause::Unexplained(_)));
        self.differences.keys().filter(is).collect()
    }
}

impl Engines {
    /// Loads rules, by the names of their files.
    pub fn new(files: Vec<(String, String)>, table: Table) -> Result<Self, String> {
        let trapline = Trapline::new(files.iter().cloned())?;
        let (mut rules, mut judges, mut peers, mut open) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut by_id, mut refused) = (HashMap::new(), BTreeMap::new());
        for (name, text) in files {
            let rule = match Rule::read(&text) {
                Ok(Some(rule)) => rule,
                Ok(None) => continue,
                Err(error) => {
                    open.push((name, error));
                    continue;
                }
            };
            match Judge::new(&rule) {
                Ok(judge) => judges.push(judge),
                Err(error) => {
                    open.push((name, error));
                    continue;
                }
            }
            if let Some(reason) = trapline.refused.get(&name) {
                refused.insert(rules.len(), reason.clone());
            }
            if by_id.insert(rule.id.clone(), rules.len()).is_some() {
                return Err(format!("{name}: another rule has the id {}", rule.id));
            }
            peers.push(Peer::ALL.map(|peer| peer.compile(&text)));
            rules.push(rule);
        }
        let routes = Routes::new(table, &rules);
        Ok(Self { rules, open, refused, judges, peers, trapline, routes, by_id })
    }

    /// How many rules an engine runs.
    pub fn loaded(&self, who: Who) -> usize {
        match who {
            Who::Specification => self.rules.len(),
            Who::Trapline => self.trapline.rule_count(),
            Who::Peer(peer) => self.peers.iter().filter(|pair| pair[peer as usize].is_ok()).count(),
        }
    }

    /// Why another engine does not run its rules, and how many.
    pub fn refusals(&self, peer: Peer) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for error in self.peers.iter().filter_map(|pair| pair[peer as usize].as_ref().err()) {
            *reasons.entry(error.lines().next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        reasons
    }

    /// The number of a rule.
    pub fn rule(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Whether the table of log sources has that of a rule.
    pub fn routed(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| self.routes.table().knows(&rule.source))
    }

    /// Compares the engines on files and folders.
    pub fn compare(&mut self, paths: &[PathBuf]) -> Result<Report, String> {
        let mut report = Report::default();
        let mut inputs = Inputs::open(SourceId(0), paths).map_err(|error| error.to_string())?;
        while let Some(raw) = inputs.next() {
            match raw {
                Ok(raw) => self.compare_raw(raw, &mut report),
                Err(_) => report.unreadable += 1,
            }
        }
        Ok(report)
    }

    /// Compares the engines on one raw event.
    pub fn compare_raw(&mut self, raw: RawEvent, report: &mut Report) {
        let file = raw.position.file.to_string();
        let events = read(&raw);
        let said = self.trapline.take(raw);
        report.bugs.extend(said.bugs);
        let mut left = said.matched;
        for (record, event) in events {
            report.events += 1;
            let Some(event) = flatten(&event) else { continue };
            report.compared += 1;
            let matched: BTreeSet<usize> =
                left.iter().filter(|(_, of)| *of == record).filter_map(|(id, _)| self.rule(id)).collect();
            left.retain(|(_, of)| *of != record);
            self.compare_event(&file, &event, &matched, &said.unsure, report);
        }
        for (id, record) in left {
            // Rules that are not compared, and events that the harness could not read.
            if self.rule(&id).is_some() {
                report.bugs.push(format!("{file}:{record}: {id} matched an event that was not compared"));
            }
        }
    }

    fn compare_event(
        &mut self,
        file: &str,
        event: &Map<String, Value>,
        matched: &BTreeSet<usize>,
        unsure: &BTreeSet<String>,
        report: &mut Report,
    ) {
        let ways = self.routes.of(event);
        let mut found = Found { file, report };
        let mut routed = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        // Most rules are for events as they are: these are made once.
        let plain = (View::new(&without_blanks(event)), Given::new(event));
        for way in ways.iter() {
            found.report.pairs += 1;
            routed.insert(way.rule);
            let renamed = (!way.names.is_empty()).then(|| renamed(event, &way.names));
            let made = renamed.as_ref().map(|event| (View::new(&without_blanks(event)), Given::new(event)));
            let (view, given) = made.as_ref().unwrap_or(&plain);
            let case = Case {
                rule: &self.rules[way.rule],
                judge: &self.judges[way.rule],
                event: renamed.as_ref().unwrap_or(event),
            };
            let is_wanted = case.judge.matches(case.rule, view);
            if is_wanted {
                wanted.insert(way.rule);
            }
            for peer in Peer::ALL {
                let compiled = &self.peers[way.rule][peer as usize];
                let got = compiled.as_ref().is_ok_and(|rule| rule.matches(given));
                found.of_peer(peer, way, &case, compiled, is_wanted, got);
            }
        }
        for rule in &wanted {
            found.hit(*rule, Who::Specification);
        }
        for rule in matched {
            found.hit(*rule, Who::Trapline);
        }
        for rule in matched.symmetric_difference(&wanted) {
            let extra = matched.contains(rule);
            let cause = self.of_trapline(*rule, routed.contains(rule), extra, event, unsure);
            found.difference(*rule, Who::Trapline, extra, BTreeSet::from([cause]));
        }
    }

    /// Why Trapline differs.
    fn of_trapline(
        &self,
        number: usize,
        routed: bool,
        extra: bool,
        event: &Map<String, Value>,
        unsure: &BTreeSet<String>,
    ) -> Cause {
        let (rule, judge) = (&self.rules[number], &self.judges[number]);
        if let Some(reason) = self.refused.get(&number) {
            return Cause::Refused(reason.split(':').next().unwrap_or_default().to_owned());
        }
        if unsure.contains(&rule.id) {
            return Cause::Lost;
        }
        let says = |event: &Map<String, Value>| judge.matches(rule, &View::new(&without_blanks(event))) == extra;
        if !routed && says(event) {
            return if self.routed(number) { Cause::LogSource } else { Cause::SourceNotInTable };
        }
        if event.get("EventID").is_some_and(|id| *id == json!(4688) || *id == json!("4688"))
            && says(&renamed(event, &audit_names()))
        {
            return Cause::AuditAlias;
        }
        if says(&normalised(event)) {
            return Cause::Normalised;
        }
        Cause::Unexplained(format!("Trapline on {}: {}", rule.id, Value::Object(event.clone())))
    }
}

/// Names of Sysmon's process events, and what the audit's event 4688 calls the same.
fn audit_names() -> Vec<(String, String)> {
    [
        ("Image", "NewProcessName"),
        ("ParentImage", "ParentProcessName"),
        ("ParentProcessId", "ProcessId"),
        ("ProcessId", "NewProcessId"),
        ("LogonId", "SubjectLogonId"),
        ("IntegrityLevel", "MandatoryLabel"),
    ]
    .map(|(sigma, found)| (sigma.to_owned(), found.to_owned()))
    .to_vec()
}

struct Found<'r> {
    file: &'r str,
    report: &'r mut Report,
}

impl Found<'_> {
    fn of_peer(
        &mut self,
        peer: Peer,
        way: &Way,
        case: &Case<'_>,
        compiled: &Result<Compiled, String>,
        wanted: bool,
        got: bool,
    ) {
        let hit = got && way.exact;
        if hit {
            self.hit(way.rule, Who::Peer(peer));
        }
        if hit == wanted {
            return;
        }
        let mut causes = BTreeSet::new();
        if got != hit {
            causes.insert(Cause::ChannelSpelling);
        }
        if got != wanted {
            causes.extend(case.causes(peer, compiled));
        }
        self.difference(way.rule, Who::Peer(peer), hit, causes);
    }

    fn hit(&mut self, rule: usize, who: Who) {
        *self.report.hits.entry((self.file.to_owned(), rule)).or_default().entry(who).or_default() += 1;
    }

    fn difference(&mut self, rule: usize, who: Who, extra: bool, causes: BTreeSet<Cause>) {
        *self.report.differences.entry(Difference { rule, who, extra, causes }).or_default() += 1;
    }
}

/// The events inside, with the numbers that Trapline gives them.
fn read(raw: &RawEvent) -> Vec<(u64, Value)> {
    match &raw.payload {
        Payload::Json(bytes) => {
            serde_json::from_slice(bytes).map(|event| vec![(raw.position.record, event)]).unwrap_or_default()
        }
        Payload::EvtxChunk(bytes) => chunk(bytes).unwrap_or_default(),
    }
}

fn chunk(bytes: &[u8]) -> Option<Vec<(u64, Value)>> {
    let settings = ParserSettings::default().validate_checksums(false).separate_json_attributes(false);
    let header = EvtxChunkHeader::from_bytes(bytes).ok()?;
    let mut chunk = EvtxChunk::new(bytes, &header, settings.into()).ok()?;
    let records = chunk.iter().filter_map(|record| record.ok()?.into_json_value().ok());
    Some(records.map(|record| (record.event_record_id, record.data)).collect())
}

/// All rule files below the folders, by their paths.
pub fn rule_files(folders: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    let mut files = Vec::new();
    for folder in folders {
        search(folder, &mut files).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    files.sort();
    Ok(files)
}

fn search(folder: &Path, files: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}
