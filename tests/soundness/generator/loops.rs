//! Loops: counted up and down in a register or on the stack, bounded by data, over memory, with early exits, nested.

use super::code::{
    ADD, AND, BRANCHES, Imm, JEQ, JGE, JGT, JLE, JLT, JNE, JSGE, JSGT, JSLT, LSH, MUL, Operand, RSH, Reg, SIZES, SUB,
};
use super::{COUNTERS, Generator, Pointer};

/// Loops in loops.
const DEPTH_MAX: u32 = 2;
/// How often the innermost body may run, but for the rare long loop.
const TRIPS_MAX: u32 = 64;

/// Where a loop counts.
#[derive(Clone, Copy)]
enum Counter {
    Register(u8),
    /// A slot of the stack, by its offset from the frame pointer.
    Stack(i32),
}

impl Generator<'_, '_> {
    pub(super) fn looped(&mut self) {
        if self.scope.depth == DEPTH_MAX {
            return self.arithmetic();
        }
        let room = TRIPS_MAX / self.scope.trips.max(1);
        let trips = match self.entropy.below(200) {
            0..=149 => 1 + self.entropy.below(8) as u32,
            150..=197 => 1 + self.entropy.below(40) as u32,
            _ if self.scope.depth == 0 => 100 + self.entropy.below(1200) as u32,
            _ => 2,
        };
        let trips = if trips < 100 { trips.min(room).max(1) } else { trips };
        let outer = (self.scope.depth, self.scope.trips);
        self.scope.depth += 1;
        self.scope.trips = self.scope.trips.saturating_mul(trips);
        match self.entropy.below(10) {
            0..=2 => self.count_up(trips),
            3..=4 => self.count_down(trips),
            5..=6 => self.up_to_data(trips),
            7 => self.halve(trips),
            _ => self.walk(trips),
        }
        (self.scope.depth, self.scope.trips) = outer;
    }

    /// A place to count. Registers that calls leave alone are preferred, so that bodies can call.
    fn counter(&mut self) -> Option<Counter> {
        if self.entropy.chance(25) {
            return Some(Counter::Stack(COUNTERS - 8 * self.scope.depth as i32));
        }
        let kept = self.entropy.chance(70).then(|| self.take_of(0b11_1100_0000)).flatten();
        kept.or_else(|| self.take()).map(Counter::Register)
    }

    fn set(&mut self, counter: Counter, value: Operand) {
        match counter {
            Counter::Register(register) => self.code.mov(register, value),
            Counter::Stack(slot) => self.code.store(8, 10, slot, value),
        }
    }

    /// Lets `f` change the counter in a register.
    fn update_counter(&mut self, counter: Counter, f: impl FnOnce(&mut Self, u8)) {
        match counter {
            Counter::Register(register) => f(self, register),
            Counter::Stack(slot) => {
                let register = self.updatable();
                self.code.load(8, register, 10, slot);
                f(self, register);
                self.code.store(8, 10, slot, Reg(register));
            }
        }
    }

    fn end_counter(&mut self, counter: Counter) {
        if let Counter::Register(register) = counter {
            self.release(register, true);
        }
    }

    /// Registers that held numbers at the head do so again before the way back.
    fn restore(&mut self, head: u16) {
        for register in 0..10 {
            if head & !self.scope.numbers & 1 << register != 0 {
                if self.entropy.chance(50) {
                    self.load_input(register);
                } else {
                    let imm = self.entropy.imm();
                    self.code.mov(register, Imm(imm));
                }
                self.scope.numbers |= 1 << register;
            }
        }
    }

    /// What a loop does, and perhaps a way out.
    fn body(&mut self, counter: Counter, trips: u32, out: &mut super::Ahead) {
        let parts = if trips > 64 { self.entropy.below(3) } else { 1 + self.entropy.below(4) };
        self.nested(parts);
        if self.entropy.chance(25) {
            let (number, operand) = (self.number(), self.operand());
            let (op, wide) = (self.entropy.pick(&BRANCHES), self.entropy.chance(60));
            self.branch_to(op, wide, number, operand, out);
        }
        if self.entropy.chance(45) {
            self.element(counter, trips);
        }
    }

    /// Touches the element that the counter names.
    fn element(&mut self, counter: Counter, trips: u32) {
        let pointer = self.any_memory();
        let bytes = self.entropy.pick(&SIZES);
        if pointer.room < bytes {
            return;
        }
        let Counter::Register(counter) = counter else { return };
        let Some(address) = self.take() else { return };
        let Some(index) = self.take() else { return self.release(address, false) };
        self.code.mov(index, Reg(counter));
        let fits = trips.saturating_mul(bytes) <= pointer.room;
        let mut ahead = self.ahead();
        let last = (pointer.room - bytes) / bytes;
        if !fits || self.entropy.chance(20) {
            if self.entropy.chance(50) {
                self.branch_to(JGT, true, index, Imm(last as i32), &mut ahead);
            } else {
                let mask = if last == 0 { 0 } else { (1 << (31 - last.leading_zeros())) - 1 };
                self.code.alu(AND, true, index, Imm(mask));
            }
        }
        if self.entropy.chance(50) {
            self.code.alu(MUL, true, index, Imm(bytes as i32));
        } else {
            self.code.alu(LSH, true, index, Imm(bytes.trailing_zeros() as i32));
        }
        self.code.mov(address, Reg(pointer.register));
        self.code.add(address, Reg(index));
        self.touch(bytes, address, pointer.bias, pointer.writable);
        self.release(index, true);
        self.release(address, false);
        self.place(ahead);
    }

    fn count_up(&mut self, trips: u32) {
        let Some(counter) = self.counter() else { return };
        let step = self.entropy.pick(&[1, 1, 1, 2, 3]);
        let start = self.entropy.pick(&[0, 0, 0, 1, -2]);
        let limit = start + step * trips as i32;
        let wide = start < 0 || self.entropy.chance(80);
        self.set(counter, Imm(start));
        let head = self.code.label();
        self.code.place(head);
        let numbers = self.scope.numbers;
        let mut out = self.ahead();
        self.body(counter, if start == 0 && step == 1 { trips } else { u32::MAX }, &mut out);
        self.restore(numbers);
        let (op, limit) = match self.entropy.below(5) {
            0 => (JNE, limit),
            1 if start >= 0 => (JLE, limit - 1),
            2 => (JSLT, limit),
            3 if start >= 0 => (JLT, limit),
            _ => (JSLT, limit),
        };
        self.update_counter(counter, |generator, register| {
            generator.code.alu(ADD, wide, register, Imm(step));
        });
        self.repeat(counter, op, wide, Imm(limit), head);
        self.place(out);
        self.end_counter(counter);
    }

    /// Goes back if the counter says so.
    fn repeat(&mut self, counter: Counter, op: u8, wide: bool, limit: Operand, head: super::code::Label) {
        let register = match counter {
            Counter::Register(register) => register,
            Counter::Stack(slot) => {
                let register = self.updatable();
                self.code.load(8, register, 10, slot);
                register
            }
        };
        self.code.branch(op, wide, register, limit, head);
    }

    fn count_down(&mut self, trips: u32) {
        let Some(counter) = self.counter() else { return };
        let step = self.entropy.pick(&[1, 1, 2, 5]);
        self.set(counter, Imm(step * trips as i32));
        let wide = self.entropy.chance(80);
        let head = self.code.label();
        self.code.place(head);
        let numbers = self.scope.numbers;
        let mut out = self.ahead();
        self.body(counter, u32::MAX, &mut out);
        self.restore(numbers);
        let subtract = self.entropy.chance(50);
        self.update_counter(counter, |generator, register| {
            if subtract {
                generator.code.alu(SUB, wide, register, Imm(step));
            } else {
                generator.code.alu(ADD, wide, register, Imm(-step));
            }
        });
        let op = self.entropy.pick(&[JNE, JGT, JSGT]);
        self.repeat(counter, op, wide, Imm(0), head);
        self.place(out);
        self.end_counter(counter);
    }

    /// `for (i = 0; i < n; i++)` with an `n` that data bounds, tested at the head.
    fn up_to_data(&mut self, trips: u32) {
        let Some(bound) = self.take_number() else { return };
        let Some(counter) = self.counter() else { return self.release(bound, true) };
        let mut out = self.ahead();
        if self.entropy.chance(50) {
            let mask = (trips.next_power_of_two() - 1) as i32;
            self.code.alu(AND, true, bound, Imm(mask));
        } else {
            self.branch_to(JGT, true, bound, Imm(trips as i32), &mut out);
        }
        self.set(counter, Imm(0));
        let head = self.code.label();
        self.code.place(head);
        let numbers = self.scope.numbers;
        let op = self.entropy.pick(&[JGE, JGE, JSGE, JEQ]);
        match counter {
            Counter::Register(register) => self.branch_to(op, true, register, Reg(bound), &mut out),
            Counter::Stack(slot) => {
                let register = self.updatable();
                self.code.load(8, register, 10, slot);
                self.branch_to(op, true, register, Reg(bound), &mut out);
            }
        }
        self.body(counter, trips, &mut out);
        self.restore(numbers);
        self.update_counter(counter, |generator, register| generator.code.add(register, Imm(1)));
        self.code.jump(head);
        // Only the ways out lead on.
        self.scope.numbers = 0x3ff & !self.scope.taken;
        self.place(out);
        self.end_counter(counter);
        self.release(bound, true);
    }

    /// A number is shifted right until nothing is left.
    fn halve(&mut self, trips: u32) {
        let Some(counter) = self.take() else { return };
        let bits = trips.min(16) as i32;
        if self.entropy.chance(50) {
            self.code.mov(counter, Imm(1 << (bits - 1)));
        } else {
            let from = self.number();
            self.code.mov(counter, Reg(from));
            self.code.alu(AND, true, counter, Imm((1 << bits) - 1));
        }
        let head = self.code.label();
        self.code.place(head);
        let numbers = self.scope.numbers;
        let mut out = self.ahead();
        self.body(Counter::Stack(0), u32::MAX, &mut out);
        self.restore(numbers);
        self.code.alu(RSH, true, counter, Imm(1));
        self.code.branch(JNE, true, counter, Imm(0), head);
        self.place(out);
        self.release(counter, true);
    }

    /// An address walks over memory, beside a counter or up to another address.
    fn walk(&mut self, trips: u32) {
        let Pointer { register, bias, room, writable } = self.any_memory();
        let bytes = self.entropy.pick(&SIZES);
        let trips = trips.min(room / bytes);
        if trips == 0 {
            return;
        }
        let Some(cursor) = self.take() else { return };
        let Some(other) = self.take() else { return self.release(cursor, false) };
        self.code.mov(cursor, Reg(register));
        self.code.add(cursor, Imm(bias));
        let by_address = self.entropy.chance(30);
        if by_address {
            self.code.mov(other, Reg(cursor));
            self.code.add(other, Imm((trips * bytes) as i32));
        } else {
            self.code.mov(other, Imm(trips as i32));
        }
        let head = self.code.label();
        self.code.place(head);
        let numbers = self.scope.numbers;
        let mut out = self.ahead();
        self.touch(bytes, cursor, 0, writable);
        self.body(Counter::Stack(0), u32::MAX, &mut out);
        self.restore(numbers);
        self.code.alu(ADD, true, cursor, Imm(bytes as i32));
        if by_address {
            let op = self.entropy.pick(&[JLT, JNE]);
            self.code.branch(op, true, cursor, Reg(other), head);
        } else {
            self.code.alu(SUB, true, other, Imm(1));
            self.code.branch(JNE, true, other, Imm(0), head);
        }
        self.place(out);
        self.release(other, !by_address);
        self.release(cursor, false);
    }
}
