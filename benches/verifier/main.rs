//! What a proof costs: of the stock rules' programs, and as programs grow.

#[path = "../measure/mod.rs"]
mod measure;

use std::fmt::Write as _;
use std::hint::black_box;

use measure::{Subject, is_measuring, medians, show, table};
use trapline_engine::{Domain, LinkOptions};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::stock;
use trapline_vm::helper::{HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::isa::assemble;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};
use trapline_vm::verifier::{Report, STEPS_MAX, load_and_verify, verify};

/// Bytes of the buffer of the programs made here.
const MEMORY: u32 = 4096;

fn main() {
    stock_rules();
    growth();
}

// --- the stock rules

fn stock_rules() {
    let compiled = compile(&stock::sources(), catalogue());
    let mut domain = Domain::new(catalogue().clone());
    let mut rows = Vec::new();
    for object in compiled.rules.iter().flat_map(|rule| &rule.objects) {
        let linked = domain.link(object, &LinkOptions::default()).expect("stock rules link");
        let program = linked.program().clone();
        let name = format!("{} on {}", object.name, object.family);
        rows.extend(measure_one(name, &program, &RULE_HELPERS));
    }
    if rows.is_empty() {
        return;
    }
    rows.sort_by(|a, b| a.proof.total_cmp(&b.proof));
    let at = |share: usize| &rows[(rows.len() - 1) * share / 100];
    let row =
        |what: String, row: &Row| vec![what, row.instructions.to_string(), show(row.proof), show(row.load_and_proof)];
    println!("\nPrograms of the stock rules: {}", rows.len());
    let list = [
        row("median".to_owned(), at(50)),
        row("90 of 100".to_owned(), at(90)),
        row(format!("slowest: {}", at(100).name), at(100)),
    ];
    table(&["program", "instructions", "proof", "decoding and proof"], &list);
}

struct Row {
    name: String,
    instructions: u64,
    /// What was proved; None if the proof would have taken more than it may.
    report: Option<Report>,
    /// Nanoseconds of the proof alone.
    proof: f64,
    /// With decoding and cutting into blocks.
    load_and_proof: f64,
}

fn measure_one(name: String, program: &Program, helpers: &'static HelperTable) -> Option<Row> {
    let loaded = Loaded::new(program.clone(), helpers).expect("the program loads");
    let report = match verify(loaded.clone()) {
        Ok(verified) => Some(verified.report().clone()),
        // Too much work is an answer, too, and what it costs to find out is of interest.
        Err(rejection) if rejection.code() == "budget" => None,
        Err(rejection) => panic!("{name} is proved\n{rejection}"),
    };
    // A proof takes its program: making the copies is measured by itself and taken off.
    let mut subjects: [Subject<'_>; 4] = [
        ("copy", Box::new(|| _ = black_box(loaded.clone()))),
        ("proof", Box::new(|| _ = black_box(verify(loaded.clone())))),
        ("copy of the program", Box::new(|| _ = black_box(program.clone()))),
        ("load and proof", Box::new(|| _ = black_box(load_and_verify(program.clone(), helpers)))),
    ];
    let times = medians(&mut subjects)?;
    let [copy, proof, copy_program, both] = times[..] else { return None };
    let instructions = loaded.instructions().count() as u64;
    let (proof, load_and_proof) = ((proof - copy).max(0.0), (both - copy_program).max(0.0));
    Some(Row { name, instructions, report, proof, load_and_proof })
}

// --- growth

/// A shape of programs, and how to make one with about as many instructions.
type Shape = (&'static str, fn(usize) -> String);

/// Arithmetic and memory, no branch.
fn straight(instructions: usize) -> String {
    let mut text = String::from("mov r0, 0\nmov r6, r1\n");
    for at in 0..instructions / 5 {
        let place = at * 8 % (MEMORY as usize - 8);
        line(
            &mut text,
            format_args!(
                "ldxdw r3, [r6+{place}]\nand r3, 255\nadd r0, r3\nxor r0, {at}\nstxdw [r10-{}], r3",
                8 + at % 64 * 8
            ),
        );
    }
    text + "exit"
}

/// A branch each fourth instruction; both ways meet behind it.
fn branchy(instructions: usize) -> String {
    let mut text = String::from("mov r0, 0\n");
    for at in 0..instructions / 4 {
        let place = at % MEMORY as usize;
        line(&mut text, format_args!("ldxb r3, [r1+{place}]\njgt r3, {}, +1\nadd r0, r3\nand r0, 0xffff", at % 200));
    }
    text + "exit"
}

/// Blocks of which each leads far ahead, to its own place: many states wait at a time.
fn fan_out(instructions: usize) -> String {
    let count = instructions / 2;
    let mut text = String::from("ldxdw r0, [r1]\n");
    for at in 0..count {
        line(&mut text, format_args!("jeq r0, {at}, l{at}"));
    }
    for at in 0..count {
        line(&mut text, format_args!("l{at}: mov r0, {}", at % 3));
    }
    text + "exit"
}

/// Loops one after the other, each of a hundred iterations.
fn loops(instructions: usize) -> String {
    let mut text = String::from("mov r0, 0\n");
    for at in 0..instructions / 6 {
        line(
            &mut text,
            format_args!(
                "mov r2, 100\nl{at}: ldxb r3, [r1+{}]\nadd r0, r3\nand r0, 0xffff\nsub r2, 1\njne r2, 0, l{at}",
                at % 4096
            ),
        );
    }
    text + "exit"
}

/// One loop with this many iterations.
fn one_loop(iterations: usize) -> String {
    format!(
        "mov r0, 0\nmov r2, 0\nl: mov r3, r2\nand r3, 4095\nmov r4, r1\nadd r4, r3\nldxb r5, [r4]\nadd r0, r5\nadd r2, 1\njlt r2, {iterations}, l\nexit"
    )
}

/// As a compiler writes C: a histogram of bytes on the stack, a search in it, nested loops, a function called twice.
const LIKE_C: &str = include_str!("like_c.s");

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes any text");
}

fn program(text: &str) -> Program {
    let code = assemble(text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).code;
    let kind = ProgramKind::Raw { memory_len: MEMORY };
    Program {
        name: "bench".to_owned(),
        kind,
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    }
}

fn growth() {
    const SHAPES: &[Shape] = &[
        ("straight", straight),
        ("branches that meet", branchy),
        ("branches that fan out", fan_out),
        ("loops of 100", loops),
    ];
    let mut rows = Vec::new();
    let mut add = |name: String, text: &str| {
        let Some(Row { name, instructions, report, proof, .. }) = measure_one(name, &program(text), &RAW_HELPERS)
        else {
            return;
        };
        let mut row = vec![name, instructions.to_string()];
        row.extend(match report {
            Some(report) => [
                report.worst_fuel.to_string(),
                report.steps.to_string(),
                format!("{} KiB", report.bytes / 1024),
                show(proof),
            ],
            None => ["refused: too much work".to_owned(), STEPS_MAX.to_string(), String::new(), show(proof)],
        });
        rows.push(row);
    };
    let sizes: &[usize] = if is_measuring() { &[50, 500, 5_000, 50_000] } else { &[50, 500] };
    for (name, shape) in SHAPES {
        sizes.iter().for_each(|size| add((*name).to_owned(), &shape(*size)));
    }
    let iterations: &[usize] = if is_measuring() { &[10, 1_000, 100_000, 10_000_000] } else { &[10, 1_000] };
    iterations.iter().for_each(|iterations| add(format!("one loop of {iterations}"), &one_loop(*iterations)));
    add("like C".to_owned(), LIKE_C);
    if !rows.is_empty() {
        let head = ["program", "instructions", "worst fuel", "steps", "states at a time", "proof"];
        println!("\nAs programs grow:");
        table(&head, &rows);
    }
}
