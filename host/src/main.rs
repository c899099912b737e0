//! The `trapline` binary: parses the command line, runs the command, turns how it went into an exit code.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;
use trapline::cli::{Cli, exit_code};

fn main() -> ExitCode {
    // A panic is our own failure: exit code 3 and one paragraph, whatever thread it happens on.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
        let reason = panic.payload_as_str().unwrap_or("unknown reason");
        drop(writeln!(
            std::io::stderr(),
            "trapline failed{}: {}\nThis is a bug in Trapline, not in your rules or events. Please report it.",
            place.unwrap_or_default(),
            reason.escape_debug(),
        ));
    }));
    let cli = Cli::parse();
    catch_unwind(AssertUnwindSafe(|| exit_code(cli.run()))).unwrap_or_else(|_| ExitCode::from(3))
}
