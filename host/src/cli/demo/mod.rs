//! `trapline demo`: what Trapline promises, shown in seconds on recordings that the binary carries.
//!
//! Four acts, each through the code that judges real events. An act says what is about to happen, lets it happen,
//! says what it showed, and checks its own outcome: anything but what was told is a failure of ours. Nothing is read
//! from the disk, the network or the host, and nothing is written but standard output.
//!
//! | act | file | shows |
//! | --- | --- | --- |
//! | 1 | [`attack`] | a recorded intrusion, and alerts with ancestry and evidence |
//! | 2 | [`mistakes`] | four mistakes in one rule, each answered; the corrected rule passes its tests |
//! | 3 | [`field_21`] | a rule for a field that its source lacks is refused by the field's name |
//! | 4 | [`hostile`] | bytecode that leaves its record: refused; and, run unproved, a trap beside an alert |

mod attack;
mod field_21;
mod hostile;
mod mistakes;
mod stage;

use std::io::Write;

use bytes::Bytes;
use clap::Args;

use super::{Internal, Outcome, OutputError};
use crate::source::{Payload, Position, RawEvent, SourceId};
use stage::Stage;

/// Show in seconds what Trapline does, on recordings of its own
///
/// Four acts: an attack and its alerts; a rule with four mistakes; a rule for a field that its source lacks; hostile
/// bytecode. Needs no root, no network and no files, on any system.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Play this act only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=ACTS as i64))]
    act: Option<u8>,
}

/// How many acts there are.
const ACTS: usize = 4;

/// The events that acts 1, 3 and 4 are played on: one JSON object a line.
const RECORDING: &str = include_str!("data/intrusion.jsonl");
/// What alerts say that the recording is called.
const RECORDING_NAME: &str = "intrusion.jsonl";

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut stage = Stage::new(anstream::stdout().lock());
        let acts: [fn(&mut Stage<_>) -> anyhow::Result<()>; ACTS] = [
            |stage| attack::Attack::default().play(stage),
            |stage| mistakes::Mistakes::default().play(stage),
            |stage| field_21::Field21::default().play(stage),
            |stage| hostile::Hostile::default().play(stage),
        ];
        for (number, act) in (1u8..).zip(acts) {
            if self.act.is_none_or(|wanted| wanted == number) {
                act(&mut stage)?;
            }
        }
        if self.act.is_none() {
            finale(&mut stage)?;
        }
        stage.flush()?;
        Ok(Outcome::Done)
    }
}

fn finale(stage: &mut Stage<impl Write>) -> Result<(), OutputError> {
    stage.heading("What next")?;
    for (command, what) in [
        ("trapline run", "watch this host live (Linux); elsewhere: `trapline replay FILE`"),
        ("trapline check my.trap", "write a rule; `trapline fields process` lists what it can read"),
        ("trapline explain CODE", "a page on each error; docs/language.md has the language"),
    ] {
        stage.command(command, what)?;
    }
    Ok(())
}

/// Fails unless the demo went as told.
fn told(holds: bool, what: impl FnOnce() -> String) -> Result<(), Internal> {
    if holds { Ok(()) } else { Err(Internal(format!("the demo did not go as told: {}", what()))) }
}

/// The events of a recording, as a source hands them over.
fn events(recording: &str) -> impl Iterator<Item = RawEvent> + '_ {
    (0u64..).zip(recording.lines()).map(|(sequence, line)| RawEvent {
        source: SourceId(0),
        sequence,
        position: Position { file: RECORDING_NAME.into(), record: sequence + 1 },
        payload: Payload::Json(Bytes::copy_from_slice(line.as_bytes())),
    })
}

/// Plays one act without colours; for tests of the acts.
#[cfg(test)]
fn played(act: impl FnOnce(&mut Stage<&mut anstream::StripStream<Vec<u8>>>) -> anyhow::Result<()>) -> Played {
    let mut out = anstream::StripStream::new(Vec::new());
    let result = act(&mut Stage::new(&mut out));
    Played { result, text: String::from_utf8(out.into_inner()).unwrap() }
}

#[cfg(test)]
struct Played {
    result: anyhow::Result<()>,
    text: String,
}

#[cfg(test)]
impl Played {
    /// The act failed as failures of ours do, with these words.
    #[track_caller]
    fn surprises_with(self, words: &str) {
        let error = self.result.expect_err(&self.text);
        assert!(error.is::<Internal>() && error.to_string().contains(words), "{error:?}");
    }

    /// The act went as told.
    #[track_caller]
    fn holds(self) -> String {
        self.result.unwrap();
        self.text
    }
}
