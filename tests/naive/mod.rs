//! RFC 9669 transcribed as plainly as can be, from instruction bytes to effect, sharing no code with the machine but
//! the addresses of its regions. Slow, and meant to be read beside the RFC: an oracle for every executor.

#[allow(dead_code, reason = "not every test that shares this module has maps")]
pub(crate) mod maps;

use std::collections::BTreeSet;

use trapline_vm::memory::{FRAME_LEN, FRAMES_MAX, Region};

/// One region: its bytes and whether programs may write them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bytes {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) writable: bool,
}

/// What a run ended in: `r0`, or the name of a trap and the slot it is charged to.
pub(crate) type End = Result<u64, (&'static str, usize)>;

/// What `call` with a helper's number does: `r0` and what it costs beside the instruction, or the name of a trap.
pub(crate) trait Helpers {
    /// What the call costs.
    fn fuel(&mut self, number: i32, arguments: [u64; 5], regions: &[Bytes]) -> Result<u64, &'static str>;
    /// What it returns.
    fn call(&mut self, number: i32, arguments: [u64; 5], regions: &mut [Bytes]) -> Result<u64, &'static str>;
}

/// Helper 5 alone, which returns its first argument.
pub(crate) struct Identity;

impl Helpers for Identity {
    fn fuel(&mut self, _: i32, _: [u64; 5], _: &[Bytes]) -> Result<u64, &'static str> {
        Ok(0)
    }

    fn call(&mut self, number: i32, arguments: [u64; 5], _: &mut [Bytes]) -> Result<u64, &'static str> {
        assert_eq!(number, 5, "only helper 5 is transcribed");
        Ok(arguments[0])
    }
}

/// Runs a raw program with helper 5; also says what fuel it used.
#[allow(dead_code, reason = "not every test that shares this module runs programs whole")]
pub(crate) fn run(code: &[[u8; 8]], regions: &mut [Bytes], arguments: [u64; 5], fuel_limit: u64) -> (End, u64) {
    let code = Code::new(code.to_vec(), Vec::new());
    let mut machine = Machine::new(&code, regions, Identity, arguments, fuel_limit);
    loop {
        match machine.step() {
            Ok(None) => {}
            Ok(Some(r0)) => return (Ok(r0), machine.used),
            Err(trap) => return (Err((trap, machine.pc)), machine.used),
        }
    }
}

/// A program: its slots, and what the block costs that begins at each.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    slots: Vec<[u8; 8]>,
    /// 0 where no block begins.
    costs: Vec<u64>,
    /// Of each map that wide loads name: its number, and the address of its first value.
    maps: Vec<(u64, u64)>,
}

impl Code {
    pub(crate) fn new(slots: Vec<[u8; 8]>, maps: Vec<(u64, u64)>) -> Self {
        let mut costs = vec![0; slots.len()];
        let leaders = leaders(&slots);
        for leader in leaders.iter().filter(|leader| **leader < slots.len()) {
            let mut at = *leader;
            loop {
                costs[*leader] += 1;
                at += if is_wide(slots[at]) { 2 } else { 1 };
                if leaders.contains(&at) || at >= slots.len() {
                    break;
                }
            }
        }
        Self { slots, costs, maps }
    }
}

/// What a strict machine knows of registers and of the stack: what holds something.
#[derive(Debug)]
struct Written {
    registers: [bool; 11],
    stack: Vec<bool>,
    /// What the callers of the function that runs had in `r6` to `r9`.
    saved: Vec<[bool; 4]>,
}

/// What is not defined holds this in a strict machine, so that a program which uses it shows.
const POISON: u64 = 0xdead_beef_dead_beef;

/// A run, one instruction at a time.
pub(crate) struct Machine<'a, H> {
    code: &'a Code,
    pub(crate) regions: &'a mut [Bytes],
    helpers: H,
    pub(crate) r: [u64; 11],
    pub(crate) pc: usize,
    /// Fuel used.
    pub(crate) used: u64,
    fuel_limit: u64,
    frames: Vec<(usize, [u64; 4])>,
    written: Option<Written>,
    /// What a strict machine saw first that no proved program does.
    pub(crate) misuse: Option<String>,
}

fn offset(slot: [u8; 8]) -> i64 {
    i64::from(i16::from_le_bytes([slot[2], slot[3]]))
}

fn imm(slot: [u8; 8]) -> i32 {
    i32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]])
}

fn is_wide(slot: [u8; 8]) -> bool {
    slot[0] == 0x18
}

/// Whether the slot ends a block, and where it may jump.
fn flow(slot: [u8; 8], pc: usize) -> Option<Option<usize>> {
    let to = |distance: i64| Some(usize::try_from(pc as i64 + 1 + distance).expect("targets were checked"));
    let class = slot[0] & 7;
    if class != 5 && class != 6 {
        return None;
    }
    Some(match slot[0] >> 4 {
        9 => None,
        8 if slot[1] >> 4 == 1 => to(i64::from(imm(slot))),
        8 => None,
        0 if class == 6 => to(i64::from(imm(slot))),
        _ => to(offset(slot)),
    })
}

fn leaders(code: &[[u8; 8]]) -> BTreeSet<usize> {
    let mut leaders = BTreeSet::from([0]);
    let mut pc = 0;
    while pc < code.len() {
        if let Some(target) = flow(code[pc], pc) {
            leaders.insert(pc + 1);
            leaders.extend(target);
        }
        pc += if is_wide(code[pc]) { 2 } else { 1 };
    }
    leaders
}

impl<'a, H: Helpers> Machine<'a, H> {
    pub(crate) fn new(
        code: &'a Code,
        regions: &'a mut [Bytes],
        helpers: H,
        arguments: [u64; 5],
        fuel_limit: u64,
    ) -> Self {
        let mut r = [0; 11];
        r[1..6].copy_from_slice(&arguments);
        r[10] = u64::from(Region::Stack.base() + FRAME_LEN);
        Self { code, regions, helpers, r, pc: 0, used: 0, fuel_limit, frames: Vec::new(), written: None, misuse: None }
    }

    /// Watches that only what was written is read; the first so many arguments are.
    #[allow(dead_code, reason = "not every test that shares this module is about proved programs")]
    pub(crate) fn strict(mut self, arguments: usize) -> Self {
        let mut registers = [false; 11];
        registers[1..=arguments].fill(true);
        registers[10] = true;
        for (register, defined) in registers.into_iter().enumerate() {
            if !defined {
                self.r[register] = POISON;
            }
        }
        let stack = vec![false; (FRAME_LEN * FRAMES_MAX) as usize];
        self.written = Some(Written { registers, stack, saved: Vec::new() });
        self
    }

    /// The local calls under way: where each returns to, and what the caller has in `r6` to `r9`.
    #[allow(dead_code, reason = "not every test that shares this module looks at frames")]
    pub(crate) fn frames(&self) -> &[(usize, [u64; 4])] {
        &self.frames
    }

    /// The address and size of the access that the next instruction makes.
    #[allow(dead_code, reason = "not every test that shares this module looks at accesses")]
    pub(crate) fn access(&self) -> Option<(u64, usize)> {
        let slot = self.code.slots[self.pc];
        let base = match slot[0] & 7 {
            1 => slot[1] >> 4,
            2 | 3 => slot[1] & 15,
            _ => return None,
        };
        Some((self.r[usize::from(base)].wrapping_add(offset(slot) as u64), size(slot[0])))
    }

    fn misused(&mut self, what: impl FnOnce() -> String) {
        if self.misuse.is_none() {
            self.misuse = Some(what());
        }
    }

    fn get(&mut self, register: usize) -> u64 {
        if self.written.as_ref().is_some_and(|written| !written.registers[register]) {
            self.misused(|| format!("reads r{register}, which was not written"));
        }
        self.r[register]
    }

    fn set(&mut self, register: usize, value: u64) {
        if let Some(written) = &mut self.written {
            written.registers[register] = true;
        }
        self.r[register] = value;
    }

    /// Registers that hold nothing any more.
    fn forget(&mut self, registers: std::ops::Range<usize>) {
        if let Some(written) = &mut self.written {
            written.registers[registers.clone()].fill(false);
            self.r[registers].fill(POISON);
        }
    }

    /// Runs one instruction: `r0` if it ends the program, the name of a trap if it cannot be done.
    pub(crate) fn step(&mut self) -> Result<Option<u64>, &'static str> {
        let pc = self.pc;
        let cost = self.code.costs[pc];
        if cost > 0 {
            if self.used + cost > self.fuel_limit {
                return Err("fuel-exhausted");
            }
            self.used += cost;
        }
        let slot = self.code.slots[pc];
        let (dst, src) = (usize::from(slot[1] & 15), usize::from(slot[1] >> 4));
        let next = pc + 1;
        self.pc = match slot[0] & 7 {
            0 if slot[0] == 0x18 => {
                let low = u64::from(imm(slot) as u32);
                let high = u64::from(imm(self.code.slots[next]) as u32);
                let value = match src {
                    5 => self.code.maps[low as usize].0,
                    6 => self.code.maps[low as usize].1 + high,
                    _ => high << 32 | low,
                };
                self.set(dst, value);
                pc + 2
            }
            1 => {
                let size = size(slot[0]);
                let addr = self.get(src).wrapping_add(offset(slot) as u64);
                let value = self.load(addr, size)?;
                self.set(dst, if slot[0] & 0xe0 == 0x80 { sign_extend(value, 8 * size) } else { value });
                next
            }
            2 | 3 => {
                let addr = self.get(dst).wrapping_add(offset(slot) as u64);
                if slot[0] & 0xe0 == 0xc0 {
                    self.atomic(addr, size(slot[0]), src, imm(slot))?;
                } else {
                    let value = if slot[0] & 7 == 3 { self.get(src) } else { i64::from(imm(slot)) as u64 };
                    self.store(addr, size(slot[0]), value)?;
                }
                next
            }
            4 | 7 => {
                self.alu(slot, dst, src);
                next
            }
            class => match slot[0] >> 4 {
                8 if src == 0 => {
                    let arguments = [1, 2, 3, 4, 5].map(|register| self.r[register]);
                    let cost = self.helpers.fuel(imm(slot), arguments, self.regions)?;
                    if self.used + cost > self.fuel_limit {
                        return Err("fuel-exhausted");
                    }
                    self.used += cost;
                    let value = self.helpers.call(imm(slot), arguments, self.regions)?;
                    self.forget(1..6);
                    self.set(0, value);
                    next
                }
                8 => {
                    if self.frames.len() + 1 == FRAMES_MAX as usize {
                        return Err("call-depth");
                    }
                    self.enter(next);
                    (next as i64 + i64::from(imm(slot))) as usize
                }
                9 => match self.leave() {
                    None => return Ok(Some(self.get(0))),
                    Some(back) => back,
                },
                0 => {
                    let distance = if class == 6 { i64::from(imm(slot)) } else { offset(slot) };
                    (next as i64 + distance) as usize
                }
                code => {
                    let b = if slot[0] & 8 == 8 { self.get(src) } else { i64::from(imm(slot)) as u64 };
                    let a = self.get(dst);
                    let taken = if class == 5 {
                        compare(code, a, b, a as i64, b as i64)
                    } else {
                        let (a, b) = (a as u32, b as u32);
                        compare(code, a.into(), b.into(), (a as i32).into(), (b as i32).into())
                    };
                    if taken { (next as i64 + offset(slot)) as usize } else { next }
                }
            },
        };
        Ok(None)
    }

    fn enter(&mut self, back: usize) {
        self.frames.push((back, [self.r[6], self.r[7], self.r[8], self.r[9]]));
        self.r[10] += u64::from(FRAME_LEN);
        let depth = self.frames.len();
        if let Some(written) = &mut self.written {
            written.saved.push([6, 7, 8, 9].map(|register| written.registers[register]));
            let start = depth * FRAME_LEN as usize;
            written.stack[start..start + FRAME_LEN as usize].fill(false);
        }
        self.forget(0..1);
        self.forget(6..10);
    }

    fn leave(&mut self) -> Option<usize> {
        let (back, saved) = self.frames.pop()?;
        self.r[6..10].copy_from_slice(&saved);
        self.r[10] -= u64::from(FRAME_LEN);
        if let Some(written) = &mut self.written
            && let Some(saved) = written.saved.pop()
        {
            written.registers[6..10].copy_from_slice(&saved);
        }
        self.forget(1..6);
        Some(back)
    }

    fn alu(&mut self, slot: [u8; 8], dst: usize, src: usize) {
        let code = slot[0] >> 4;
        // A negation has one operand, and so has a byte swap; a move does not read what it overwrites.
        let operand = match code {
            0x8 | 0xd => 0,
            _ if slot[0] & 8 == 8 => self.get(src),
            _ => i64::from(imm(slot)) as u64,
        };
        let old = if code == 0xb { 0 } else { self.get(dst) };
        let wide = slot[0] & 7 == 7;
        let bits = if wide { 64 } else { 32 };
        let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
        let signed = |value: u64| i128::from(if wide { value as i64 } else { i64::from(value as i32) });
        let (a, b) = (cut(old), cut(operand));
        let by_sign = offset(slot) == 1;
        let result = match code {
            0x0 => a.wrapping_add(b),
            0x1 => a.wrapping_sub(b),
            0x2 => a.wrapping_mul(b),
            0x3 if b == 0 => 0,
            0x3 if by_sign => (signed(a) / signed(b)) as u64,
            0x3 => a / b,
            0x4 => a | b,
            0x5 => a & b,
            0x6 => a << (b % bits),
            0x7 => a >> (b % bits),
            0x8 => 0u64.wrapping_sub(a),
            0x9 if b == 0 => a,
            0x9 if by_sign => (signed(a) % signed(b)) as u64,
            0x9 => a % b,
            0xa => a ^ b,
            0xb => match offset(slot) {
                0 => b,
                from => sign_extend(b, from as usize),
            },
            0xc => (signed(a) >> (b % bits)) as u64,
            0xd => {
                let width = imm(slot) as usize / 8;
                let mut bytes = old.to_le_bytes();
                bytes[width..].fill(0);
                // The machine is little endian: `le` keeps the order, `be` and `bswap` reverse it.
                if slot[0] != 0xd4 {
                    bytes[..width].reverse();
                }
                return self.set(dst, u64::from_le_bytes(bytes));
            }
            code => unreachable!("arithmetic {code:x}"),
        };
        self.set(dst, cut(result));
    }

    fn find(&mut self, addr: u64, size: usize) -> Result<(&mut Bytes, usize), &'static str> {
        for region in self.regions.iter_mut() {
            let end = region.base + region.bytes.len() as u64;
            if addr >= region.base && u128::from(addr) + size as u128 <= u128::from(end) {
                let at = (addr - region.base) as usize;
                return Ok((region, at));
            }
        }
        Err("out-of-region")
    }

    /// Watches the stack.
    fn touch_stack(&mut self, addr: u64, size: usize, write: bool) {
        let at = addr.wrapping_sub(u64::from(Region::Stack.base()));
        let Some(written) = self.written.as_mut().filter(|_| at < u64::from(FRAME_LEN * FRAMES_MAX)) else { return };
        let at = at as usize;
        if write {
            written.stack[at..at + size].fill(true);
        } else if let Some(byte) = (at..at + size).find(|byte| !written.stack[*byte]) {
            self.misused(|| format!("reads byte {byte} of the stack, which was not written"));
        }
    }

    fn load(&mut self, addr: u64, size: usize) -> Result<u64, &'static str> {
        let (region, at) = self.find(addr, size)?;
        let value = region.bytes[at..at + size].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.touch_stack(addr, size, false);
        Ok(value)
    }

    fn store(&mut self, addr: u64, size: usize, value: u64) -> Result<(), &'static str> {
        let (region, at) = self.find(addr, size)?;
        if !region.writable {
            return Err("read-only");
        }
        region.bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
        self.touch_stack(addr, size, true);
        Ok(())
    }

    fn atomic(&mut self, addr: u64, size: usize, src: usize, op: i32) -> Result<(), &'static str> {
        let (region, _) = self.find(addr, size)?;
        if !region.writable {
            return Err("read-only");
        }
        let mask = if size == 8 { u64::MAX } else { 0xffff_ffff };
        let old = self.load(addr, size)?;
        let by = self.get(src) & mask;
        let new = match op & 0xf0 {
            0x00 => old.wrapping_add(by),
            0x40 => old | by,
            0x50 => old & by,
            0xa0 => old ^ by,
            0xe0 => by,
            0xf0 if old == self.get(0) & mask => by,
            _ => old,
        };
        self.store(addr, size, new)?;
        match op {
            0xf1 => self.set(0, old),
            op if op & 1 == 1 => self.set(src, old),
            _ => {}
        }
        Ok(())
    }
}

fn size(opcode: u8) -> usize {
    match opcode & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

fn sign_extend(value: u64, bits: usize) -> u64 {
    let unused = 64 - bits;
    ((value << unused) as i64 >> unused) as u64
}

fn compare(code: u8, a: u64, b: u64, sa: i64, sb: i64) -> bool {
    match code {
        0x1 => a == b,
        0x2 => a > b,
        0x3 => a >= b,
        0x4 => a & b != 0,
        0x5 => a != b,
        0x6 => sa > sb,
        0x7 => sa >= sb,
        0xa => a < b,
        0xb => a <= b,
        0xc => sa < sb,
        0xd => sa <= sb,
        code => unreachable!("branch {code:x}"),
    }
}
