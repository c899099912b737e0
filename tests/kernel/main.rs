//! The Linux kernel as an oracle: its verifier beside ours, its runs beside ours.
//!
//! Needs the right to call bpf(2) (root, as a rule); says that it was skipped where there is none.
#![cfg(target_os = "linux")]

mod bpf;
#[allow(dead_code, reason = "the cases serve the conformance tests too")]
#[path = "../conformance/cases.rs"]
mod cases;
mod classes;
#[allow(dead_code, unused_imports, reason = "the generator serves other oracles too")]
#[path = "../soundness/generator/mod.rs"]
mod generator;
mod oracle;
mod programs;

use cases::Want;
use oracle::Kernel;
use trapline_vm::verifier::verify;

/// Every case that gives a result gives it in the kernel too, unless the kernel refuses the program for a reason that
/// is known, or we do too.
#[test]
fn conformance_cases_give_the_same_result() {
    let Some(mut kernel) = Kernel::ask() else { return };
    let (mut same, mut refused) = (0, Vec::new());
    let own = cases::own();
    for (name, case) in own.into_iter().chain(cases::suite().into_iter().flatten()) {
        let loaded = cases::load(&case);
        let raw = match (&loaded, &case.raw) {
            (Ok(loaded), _) => loaded.code().to_vec(),
            (Err(_), Some(raw)) => trapline_vm::isa::Instruction::from_section(raw).expect("whole slots"),
            (Err(_), None) => continue,
        };
        let len = u32::try_from(case.mem.len()).expect("short memories");
        // The kernel's helper 5 is another one, and not every case has a program that it can know.
        if loaded.as_ref().is_ok_and(programs::calls_helpers) {
            continue;
        }
        match (kernel.load(&raw, len, &[]), &case.want) {
            (Ok(program), Want::Result(want)) => {
                let left = kernel.run(&program, &case.mem).expect("a loaded program runs");
                assert_eq!(left.r0, *want, "{name}: the kernel says {:#x}, and should {want:#x}", left.r0);
                same += 1;
            }
            (Err(refusal), Want::Result(_)) => {
                let ours = loaded.is_ok_and(|loaded| verify(loaded).is_ok());
                let class = classes::explain(&refusal.log);
                let reason = classes::reason(&refusal.log).to_owned();
                assert!(
                    !ours || class.is_some(),
                    "{name}: only the kernel refuses: {}\n{}",
                    refusal.error,
                    refusal.log
                );
                refused.push((name, class.map_or(reason, |class| class.name.to_owned()), ours));
            }
            (Ok(_), Want::LoadError(_) | Want::Refusal(_)) => panic!("{name}: the kernel accepts what must be refused"),
            _ => {}
        }
    }
    println!("{same} results are the kernel's; it refuses {}", refused.len());
    for (name, why, ours) in &refused {
        println!("  {name}: {why}{}", if *ours { "" } else { " (we refuse it too)" });
    }
    assert!(same > 20, "only {same} results were compared");
}
