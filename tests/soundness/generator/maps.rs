//! Maps: declared, looked up and used, updated, deleted from, counted in.

use super::calls::helper;
use super::code::{ADD, AND, BRANCHES, Imm, JEQ, JNE, Reg};
use super::{Entropy, Generator, KEY, Pointer, VALUE, helpers};
use trapline_vm::map::{MapDecl, MapKind, PlacedMap, Placement};

const MAPS_MAX: usize = 3;
/// Keys are taken from so many, so that look-ups find something.
const KEYS: i32 = 8;

/// Up to three maps.
pub(super) fn declare(entropy: &mut Entropy<'_>) -> Vec<PlacedMap> {
    let mut placement = Placement::default();
    let mut maps = Vec::new();
    for index in 0..entropy.below(MAPS_MAX + 1) {
        let kind = match entropy.below(10) {
            0..=2 => MapKind::Array,
            3..=4 => MapKind::Hash,
            5 => MapKind::LruHash,
            6 => MapKind::Window { window_ns: 1000, panes: entropy.pick(&[1, 4, 10]) },
            7 => MapKind::Distinct { window_ns: 1000, members: entropy.pick(&[1, 3, 16]) },
            8 => MapKind::Seen { ttl_ns: 500 },
            _ => entropy.pick(&[MapKind::Data, MapKind::LpmTrie]),
        };
        let key_len = match kind {
            MapKind::Array | MapKind::Data => 4,
            MapKind::LpmTrie => entropy.pick(&[8, 12]),
            _ => entropy.pick(&[1, 4, 8, 16]),
        };
        let value_len = match kind {
            MapKind::Window { .. } | MapKind::Seen { .. } => 0,
            _ => entropy.pick(&[1, 4, 8, 16, 20, 64]),
        };
        let entries = if kind == MapKind::Data { 1 } else { entropy.pick(&[1, 2, 4, 8]) };
        let filled = kind == MapKind::Data || kind == MapKind::Array && entropy.chance(30);
        let bytes = if filled { value_len * if kind == MapKind::Data { 1 } else { entries } } else { 0 };
        let contents = (0..bytes).map(|_| entropy.below(256) as u8).collect();
        let decl = MapDecl { name: format!("m{index}"), kind, key_len, value_len, entries, contents };
        maps.push(placement.place(decl).expect("small maps have room"));
    }
    maps
}

impl Generator<'_, '_> {
    pub(super) fn map_part(&mut self) {
        if self.maps.is_empty() || !self.may_call() {
            return self.arithmetic();
        }
        let index = self.entropy.below(self.maps.len());
        match self.maps[index].decl.kind {
            MapKind::Array | MapKind::Data if self.entropy.chance(25) => self.direct(index),
            MapKind::Window { .. } | MapKind::Distinct { .. } | MapKind::Seen { .. } => self.count(index),
            MapKind::Data => self.look_up(index),
            _ => match self.entropy.below(10) {
                0..=5 => self.look_up(index),
                6..=8 => self.update(index),
                _ => self.delete(index),
            },
        }
    }

    /// A key on the stack: one of a few.
    fn key(&mut self, index: usize) {
        let key_len = self.maps[index].decl.key_len;
        let register = self.updatable();
        self.code.alu(AND, true, register, Imm(KEYS - 1));
        match self.maps[index].decl.kind {
            // A prefix length, and bits that begin in the first byte.
            MapKind::LpmTrie => {
                self.code.store(4, 10, KEY, Reg(register));
                for word in 1..key_len.div_ceil(4) as i32 {
                    let imm = self.entropy.pick(&[0, 1, 0x80, 0xff, 0x8001]);
                    self.code.store(4, 10, KEY + 4 * word, Imm(imm));
                }
            }
            _ => {
                for word in (1..key_len.div_ceil(8) as i32).rev() {
                    self.code.store(8, 10, KEY + 8 * word, Imm(7));
                }
                self.code.store(8, 10, KEY, Reg(register));
            }
        }
    }

    /// A value on the stack.
    fn value(&mut self, len: u32) {
        for word in 0..len.div_ceil(8) as i32 {
            let operand = self.operand();
            self.code.store(8, 10, VALUE + 8 * word, operand);
        }
    }

    fn map_call(&mut self, name: &str) {
        // A helper that is not there is refused by the loader, which then shows in the acceptance rate.
        let number = helper(helpers(&self.kind), name).unwrap_or(0);
        self.code.call(number);
        self.called();
    }

    fn stack_argument(&mut self, register: u8, offset: i32) {
        self.code.mov(register, Reg(10));
        self.code.add(register, Imm(offset));
    }

    fn look_up(&mut self, index: usize) {
        self.key(index);
        self.code.load_map(1, index as u32);
        self.stack_argument(2, KEY);
        self.map_call("map_lookup_elem");
        self.scope.numbers &= !1;
        let decl = &self.maps[index].decl;
        let (room, writable) = (decl.value_len, decl.kind != MapKind::Data);
        let kept = if self.entropy.chance(50) { self.take_of(0b11_1100_0000) } else { None };
        let register = kept.unwrap_or(0);
        if let Some(kept) = kept {
            self.code.mov(kept, Reg(0));
        } else {
            self.scope.taken |= 1;
        }
        // Arithmetic before the check: to be refused.
        if self.entropy.chance(3) {
            let offset = self.entropy.pick(&[1, 8, -8, 16]);
            self.code.alu(ADD, true, register, Imm(offset));
        }
        let pointer = Pointer { register, bias: 0, room, writable };
        let mut ahead = self.ahead();
        match self.entropy.below(8) {
            // Found and not found the other way round.
            0 => {
                let mut found = self.ahead();
                self.branch_to(JNE, true, register, Imm(0), &mut found);
                self.jump_to(&mut ahead);
                self.place(found);
            }
            // The check of a copy.
            1 if kept.is_some() => self.branch_to(JEQ, true, 0, Imm(0), &mut ahead),
            // No check: to be refused.
            2 if self.entropy.chance(5) => {}
            _ => self.branch_to(JEQ, true, register, Imm(0), &mut ahead),
        }
        for _ in 0..1 + self.entropy.below(3) {
            self.use_value(pointer);
        }
        if kept.is_some() && self.entropy.chance(40) {
            self.scope.pointers.push(pointer);
            self.nested(2);
            self.scope.pointers.pop();
        }
        self.release(register, false);
        self.place(ahead);
    }

    fn use_value(&mut self, pointer: Pointer) {
        let bytes = self.entropy.pick(&super::code::SIZES);
        if pointer.room < bytes {
            return self.arithmetic();
        }
        if self.entropy.chance(60) {
            let offset = self.entropy.below((pointer.room - bytes) as usize + 1) as i32;
            self.touch(bytes, pointer.register, offset, pointer.writable);
        } else {
            self.variable_access(pointer, bytes);
        }
    }

    /// The first value by its address.
    fn direct(&mut self, index: usize) {
        let decl = &self.maps[index].decl;
        let (len, writable) = (decl.value_len, decl.kind != MapKind::Data);
        let Some(register) = self.take() else { return };
        let offset = self.entropy.below(len as usize) as u32;
        self.code.load_map_value(register, index as u32, offset);
        self.use_value(Pointer { register, bias: 0, room: len - offset, writable });
        if offset > 0 && self.entropy.chance(30) {
            self.use_value(Pointer { register, bias: -(offset as i32), room: len, writable });
        }
        self.release(register, false);
    }

    fn update(&mut self, index: usize) {
        let value_len = self.maps[index].decl.value_len;
        self.value(value_len);
        self.key(index);
        self.stack_argument(2, KEY);
        // From the stack, or from other memory.
        let pointer = self.any_memory();
        if pointer.room >= value_len && self.entropy.chance(30) {
            self.code.mov(3, Reg(pointer.register));
            self.code.add(3, Imm(pointer.bias));
        } else {
            self.stack_argument(3, VALUE);
        }
        let flags = self.entropy.pick(&[0, 0, 0, 1, 2, 3]);
        self.code.mov(4, Imm(flags));
        self.code.load_map(1, index as u32);
        self.map_call("map_update_elem");
        self.result();
    }

    fn delete(&mut self, index: usize) {
        self.key(index);
        self.stack_argument(2, KEY);
        self.code.load_map(1, index as u32);
        self.map_call("map_delete_elem");
        self.result();
    }

    /// A branch on what a call returned.
    fn result(&mut self) {
        if self.entropy.chance(40) {
            let (op, imm, parts) =
                (self.entropy.pick(&BRANCHES), self.entropy.pick(&[0, -2, -17, -22, 1]), self.entropy.below(3));
            let mut ahead = self.ahead();
            self.branch_to(op, true, 0, Imm(imm), &mut ahead);
            self.scope.pending.push((ahead, parts));
        }
    }

    /// A time that mostly goes on: nanoseconds below 4096.
    fn time(&mut self, register: u8) {
        self.argument(register, 0b11_1110);
        self.code.alu(AND, true, register, Imm(0xfff));
    }

    /// A call of the helper of windows, distinct counters and seen-sets.
    fn count(&mut self, index: usize) {
        let decl = self.maps[index].decl.clone();
        self.value(decl.value_len);
        self.key(index);
        let name = match decl.kind {
            MapKind::Window { .. } => {
                self.argument(4, 0);
                self.time(3);
                "window_add"
            }
            MapKind::Distinct { .. } => {
                self.time(4);
                self.stack_argument(3, VALUE);
                "distinct_add"
            }
            _ => {
                self.time(3);
                "seen"
            }
        };
        self.stack_argument(2, KEY);
        self.code.load_map(1, index as u32);
        self.map_call(name);
        self.result();
    }
}
