//! Calls: of helpers that are not about maps, and of functions of the program.

use super::code::{Imm, Label, Reg};
use super::{Generator, Pointer, RULE_SLOTS, SCRATCH, Scope, helpers};
use trapline_vm::helper::HelperTable;

/// Bytes of its own frame that a function writes first.
const FUNCTION_SCRATCH: u32 = 32;
const FUNCTIONS_MAX: usize = 3;

/// What a function takes.
#[derive(Clone, Copy, Debug)]
enum Parameter {
    Number,
    /// The address of as many bytes.
    Memory {
        room: u32,
        writable: bool,
    },
}

/// A function of the program.
#[derive(Debug)]
pub(super) struct Function {
    label: Label,
    parameters: Vec<Parameter>,
    /// Whether anything calls it; only then it is written, since no way leads to it else.
    called: bool,
}

/// The number of a helper.
pub(super) fn helper(table: &HelperTable, name: &str) -> Option<u32> {
    table.iter().find(|helper| helper.name == name).map(|helper| helper.number)
}

/// `r1` to `r5`.
const ARGUMENTS: u16 = 0b11_1110;

impl Generator<'_, '_> {
    /// Whether `r0` to `r5` may lose what they hold.
    pub(super) fn may_call(&self) -> bool {
        self.scope.taken & (ARGUMENTS | 1) == 0
    }

    /// What holds after a call.
    pub(super) fn called(&mut self) {
        self.scope.numbers &= !ARGUMENTS;
        self.scope.numbers |= 1;
    }

    /// A number for an argument, from a register that is still as it was.
    pub(super) fn argument(&mut self, register: u8, set: u16) {
        let from = self.choose(self.scope.numbers & !set);
        match from.filter(|_| self.entropy.chance(70)) {
            Some(from) => self.code.mov(register, Reg(from)),
            None => {
                let imm = self.entropy.imm();
                self.code.mov(register, Imm(imm));
            }
        }
    }

    pub(super) fn call_helper(&mut self) {
        if !self.may_call() {
            return self.arithmetic();
        }
        let table = helpers(&self.kind);
        let Some([record, ..]) = self.scope.context else {
            let Some(identity) = helper(table, "identity") else { return };
            for register in 1..=5 {
                if self.scope.numbers & 1 << register == 0 || register == 1 {
                    self.argument(register, 1 << register);
                }
            }
            self.code.call(identity);
            return self.called();
        };
        let (left, right) = (self.entropy.pick(&RULE_SLOTS), self.entropy.pick(&RULE_SLOTS));
        let number = match self.entropy.below(5) {
            0 => {
                let flags = self.entropy.pick(&[0, 1, 2, 3, 0x100, 0x101]);
                self.code.mov(1, Reg(record));
                self.code.mov(2, Imm(left.into()));
                self.code.mov(3, Imm(right.into()));
                self.code.mov(4, Imm(flags));
                helper(table, "str_test")
            }
            1 => {
                self.code.mov(1, Reg(record));
                self.code.mov(2, Imm(left.into()));
                helper(table, "str_len")
            }
            2 => {
                self.argument(4, 1 << 4);
                self.code.mov(1, Reg(record));
                self.code.mov(2, Imm(left.into()));
                let comparison = self.entropy.below(6) as i32;
                self.code.mov(3, Imm(comparison));
                helper(table, "int_list_test")
            }
            _ => {
                self.argument(1, 1 << 1);
                self.argument(2, 0b110);
                helper(table, self.entropy.pick(&["sat_add", "sat_sub", "sat_mul", "decimal_mul", "decimal_div"]))
            }
        };
        if let Some(number) = number {
            self.code.call(number);
            self.called();
        }
    }

    /// Decides which functions there are.
    pub(super) fn declare_functions(&mut self) {
        if !self.features.calls {
            return;
        }
        for _ in 0..self.entropy.below(FUNCTIONS_MAX + 1) {
            let mut parameters = Vec::new();
            for _ in 0..self.entropy.below(5) {
                parameters.push(match self.entropy.below(3) {
                    0 => Parameter::Memory {
                        room: self.entropy.pick(&[8, 16, 24, SCRATCH]),
                        writable: self.entropy.chance(70),
                    },
                    _ => Parameter::Number,
                });
            }
            let label = self.code.label();
            self.functions.push(Function { label, parameters, called: false });
        }
    }

    pub(super) fn call_function(&mut self) {
        let choices = self.functions.len() - self.scope.callable.min(self.functions.len());
        if choices == 0 || !self.may_call() {
            return self.arithmetic();
        }
        let chosen = self.scope.callable + self.entropy.below(choices);
        let function = &mut self.functions[chosen];
        function.called = true;
        let (label, parameters) = (function.label, function.parameters.clone());
        let mut set = 0;
        for (register, parameter) in (1..).zip(parameters) {
            match parameter {
                Parameter::Number => self.argument(register, set),
                Parameter::Memory { room, writable } => {
                    let pointer = self.any_memory();
                    let fits = pointer.room >= room && (pointer.writable || !writable);
                    let pointer = if fits {
                        pointer
                    } else {
                        Pointer { register: 10, bias: -(SCRATCH as i32), room: SCRATCH, writable: true }
                    };
                    let left = pointer.room.saturating_sub(room) as usize;
                    let more = self.entropy.below(left + 1) as i32;
                    self.code.mov(register, Reg(pointer.register));
                    self.code.add(register, Imm(pointer.bias + more));
                }
            }
            set |= 1 << register;
        }
        self.code.call_local(label);
        self.called();
    }

    /// Writes the functions.
    pub(super) fn bodies(&mut self) {
        for index in 0..self.functions.len() {
            let Function { label, ref parameters, called } = self.functions[index];
            if !called {
                continue;
            }
            let parameters = parameters.clone();
            self.scope = Scope { trips: 12, callable: index + 1, ..Scope::default() };
            self.code.place(label);
            for (register, parameter) in (1..).zip(parameters) {
                match parameter {
                    Parameter::Number => self.scope.numbers |= 1 << register,
                    Parameter::Memory { room, writable } => {
                        // Where calls do not reach it, if there is room.
                        let kept = 6 + self.scope.pointers.len() as u8;
                        let to = if kept < 9 { kept } else { register };
                        if to != register {
                            self.code.mov(to, Reg(register));
                        }
                        self.scope.taken |= 1 << to;
                        self.scope.pointers.push(Pointer { register: to, bias: 0, room, writable });
                    }
                }
            }
            self.prologue(FUNCTION_SCRATCH);
            let own = SCRATCH as i32 - FUNCTION_SCRATCH as i32;
            for slot in 1..=own / 8 {
                self.code.store(8, 10, -(FUNCTION_SCRATCH as i32) - 8 * slot, Imm(slot));
            }
            let parts = 1 + self.entropy.below(8);
            self.parts(parts);
            self.place_pending();
            let register = self.number();
            self.code.mov(0, Reg(register));
            self.code.exit();
        }
    }
}
