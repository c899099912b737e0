//! The command line: one file a subcommand.
//!
//! Every subcommand is a `clap` type with a `run` that says how it went ([`Outcome`]) or why it could not be done.
//! What a command was asked for goes to standard output; all else that it says goes to standard error (`console`).
//!
//! Exit codes: 0 done; 1 findings that were asked for (`--fail-on`, failed tests); 2 usage, configuration, unreadable
//! input, refused content; 3 a failure of ours.

mod changes;
mod check;
mod compile;
mod completions;
mod console;
mod control;
mod debug;
mod demo;
mod diagnostics;
mod exec;
mod explain;
mod fields;
mod import;
mod list;
mod load;
mod man;
mod opening;
mod replay;
mod rules;
mod run;
mod signals;
mod summary;
mod telling;
mod test;
mod unload;
mod verify;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

pub use console::Console;

/// Detection logic that cannot hurt the host.
///
/// Rules are compiled to eBPF bytecode, proved safe, and run over events in a bounded sandbox.
#[derive(Debug, Parser)]
#[command(name = "trapline", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: Color,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done (alerts are not failures), 1 findings that were asked for (--fail-on, failed tests), \
2 usage, configuration, unreadable input or refused content, 3 a failure of Trapline itself.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Run(run::Run),
    Load(load::Load),
    Unload(unload::Unload),
    List(list::List),
    Replay(replay::Replay),
    Check(check::Check),
    Compile(compile::Compile),
    #[command(subcommand)]
    Import(import::Import),
    Verify(verify::Verify),
    Test(test::Test),
    Fields(fields::Fields),
    Explain(explain::Explain),
    #[command(subcommand)]
    Debug(debug::Debug),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Text for people or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// How a command that could be carried out went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// It found what the user asked to be warned of.
    Findings,
    /// Content was refused; the reasons have been printed.
    Refused,
}

/// A failure that is neither the user's nor the content's: ours, or the machine's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Internal(pub String);

/// Writing what was asked for did not work.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output")]
pub struct OutputError(#[from] pub io::Error);

impl Cli {
    /// Carries out the command.
    pub fn run(self) -> anyhow::Result<Outcome> {
        match self.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        match self.command {
            Command::Demo(command) => command.run(),
            Command::Replay(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Compile(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Test(command) => command.run(),
            Command::Fields(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Load(command) => command.run(),
            Command::Unload(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
            Command::Debug(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Run(command) => command.run(),
        }
    }
}

/// The exit code for how a command went; says on standard error what went wrong.
pub fn exit_code(result: anyhow::Result<Outcome>) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Findings) => return ExitCode::from(1),
        Ok(Outcome::Refused) => return ExitCode::from(2),
        Err(error) => error,
    };
    if is_broken_pipe(&error) {
        // Whoever read our output has seen enough: `trapline … | head`.
        return ExitCode::SUCCESS;
    }
    Console::new().error(&format!("{error:#}"));
    let ours = error.chain().any(|cause| cause.is::<Internal>() || cause.is::<OutputError>());
    ExitCode::from(if ours { 3 } else { 2 })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = match cause.downcast_ref::<OutputError>() {
            Some(OutputError(io)) => Some(io),
            None => cause.downcast_ref::<io::Error>(),
        };
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_a_terminal_and_says_what_each_command_is() {
        let mut open = vec![Cli::command()];
        while let Some(mut command) = open.pop() {
            let name = command.get_name().to_owned();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some() || argument.is_hide_set(), "{name}: {}", argument.get_id());
            }
            let help = command.render_long_help().to_string();
            let widest = help.lines().max_by_key(|line| line.chars().count()).unwrap();
            assert!(widest.chars().count() <= 100, "{name}: {widest}");
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn exit_codes_tell_whose_failure_it_is() {
        let code = |result| format!("{:?}", exit_code(result));
        let expect = |number: u8| format!("{:?}", ExitCode::from(number));
        assert_eq!(code(Ok(Outcome::Done)), expect(0));
        assert_eq!(code(Ok(Outcome::Findings)), expect(1));
        assert_eq!(code(Ok(Outcome::Refused)), expect(2));
        assert_eq!(code(Err(anyhow::anyhow!("no such file"))), expect(2));
        assert_eq!(code(Err(Internal("bug".into()).into())), expect(3));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(code(Err(OutputError(full).into())), expect(3));
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(code(Err(anyhow::Error::from(OutputError(closed)).context("replay"))), expect(0));
    }
}
