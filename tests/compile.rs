//! Compile goldens: each `tests/compile/NAME.trap` with what the compiler makes of it, stage by stage, in `NAME.mir`
//! and `NAME.asm`. `UPDATE_EXPECT=1` writes them; review the difference. Every program must also be proved.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use trapline_engine::{Domain, LinkOptions};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{compile, decide, families};
use trapline_programs::diagnostic::{Level, Source};
use trapline_programs::{codegen, mir, stock};

#[test]
fn stages_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "trap"));
    cases.sort();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let compiled = compile(&[Source::new(name, std::fs::read_to_string(&case).unwrap())], catalogue());
        let errors: Vec<_> = compiled.diagnostics.iter().filter(|found| found.level == Level::Error).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", case.display());
        let (mut decisions, mut code) = (String::new(), String::new());
        for compiled in &compiled.rules {
            for (family, _) in families(&compiled.rule, catalogue()) {
                let decision = decide(&compiled.rule, catalogue(), family).unwrap();
                let name = &catalogue().family(family).name;
                write!(decisions, "{} on {name}\n{}", compiled.rule.name, mir::print(&decision)).unwrap();
            }
            for object in &compiled.objects {
                code.push_str(&codegen::print(object));
                let linked = Domain::new(catalogue().clone()).link(object, &LinkOptions::default()).unwrap();
                let program = linked.verify().unwrap_or_else(|error| panic!("{}: {error}", case.display()));
                let report = program.report().unwrap();
                writeln!(code, "# worst case {} fuel", report.worst_fuel).unwrap();
            }
        }
        for (extension, text) in [("mir", decisions), ("asm", code)] {
            let golden = case.with_extension(extension);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&golden, text).unwrap();
            } else if std::fs::read_to_string(&golden).unwrap_or_default() != text {
                wrong.push(format!("{}:\n{text}", golden.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 accepts this:\n{}", wrong.join("\n"));
}

#[test]
fn stock_rules_compile_link_and_are_proved() {
    let compiled = compile(&stock::sources(), catalogue());
    assert!(compiled.diagnostics.is_empty(), "{:#?}", compiled.diagnostics);
    assert!(!compiled.rules.is_empty());
    let mut domain = Domain::new(catalogue().clone());
    for compiled in &compiled.rules {
        assert!(!compiled.objects.is_empty(), "{}", compiled.rule.name);
        for object in &compiled.objects {
            let linked = domain.link(object, &LinkOptions::default()).unwrap();
            linked.verify().unwrap_or_else(|error| panic!("{}: {error}", compiled.rule.name));
        }
    }
}
