//! Programs and inputs that the generator makes of the fuzzer's bytes: of those accepted, every run lies in the proof
//! and all executors agree.

use crate::generator::{Entropy, Features, Flavour, Input, input, mutate, program_of, random_code, soup, use_claims};
use crate::oracle::{Bench, Work, check as run};
use crate::proof::{Answer, prove};
use trapline_vm::isa::disassemble;
use trapline_vm::program::Program;

/// Runs of each program, in a row.
const RUNS: usize = 3;

pub(crate) fn check(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let mut entropy = Entropy::bytes(data);
    let Some(program) = program(*how, &mut entropy) else { return };
    let proof = match prove(&program) {
        Answer::Accepted(proof) => proof,
        Answer::Refused(_) => return,
        Answer::Inconsistent(what) | Answer::Disagrees(what) => panic!("{what}"),
    };
    let inputs: Vec<Input> = (0..RUNS).map(|_| input(&mut entropy, &program.kind)).collect();
    let violations = run(&proof, &inputs, &mut Bench::new(&program.kind), &mut Work::default());
    assert!(violations.is_empty(), "{violations:?}\n{}", disassemble(&program.code));
}

fn program(how: u8, entropy: &mut Entropy<'_>) -> Option<Program> {
    let flavour = if how & 1 == 0 { Flavour::Raw } else { Flavour::Rule };
    Some(match how >> 1 & 7 {
        0..=3 => program_of(entropy, flavour, Features::ALL),
        4 | 5 => {
            let program = program_of(entropy, flavour, Features::ALL);
            mutate(entropy, program)
        }
        6 => {
            let (soup, at) = soup(entropy);
            let Answer::Accepted(proof) = prove(&soup) else { return Some(soup) };
            let claimed = proof.states(at as usize).first();
            claimed.and_then(|state| use_claims(entropy, &soup, state)).unwrap_or(soup)
        }
        _ => random_code(entropy),
    })
}
