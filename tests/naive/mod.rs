//! RFC 9669 transcribed as plainly as can be, from instruction bytes to effect, sharing no code with the machine but
//! the addresses of its regions. Slow, and meant to be read beside the RFC: an oracle for every executor.

use std::collections::BTreeSet;

use trapline_vm::memory::{FRAME_LEN, FRAMES_MAX, Region};

/// One region: its bytes and whether programs may write them.
pub(crate) struct Bytes {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) writable: bool,
}

/// What a run ended in: `r0`, or the name of a trap and the slot it is charged to.
pub(crate) type End = Result<u64, (&'static str, usize)>;

/// Runs a raw program (helper 5 returns its first argument); also says what fuel it used.
pub(crate) fn run(code: &[[u8; 8]], regions: &mut [Bytes], arguments: [u64; 5], fuel_limit: u64) -> (End, u64) {
    let mut machine = Naive { code, regions, r: [0; 11], used: 0 };
    machine.r[1..6].copy_from_slice(&arguments);
    machine.r[10] = u64::from(Region::Stack.base() + FRAME_LEN);
    let end = machine.run(fuel_limit);
    (end, machine.used)
}

struct Naive<'a> {
    code: &'a [[u8; 8]],
    regions: &'a mut [Bytes],
    r: [u64; 11],
    used: u64,
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

impl Naive<'_> {
    fn leaders(&self) -> BTreeSet<usize> {
        let mut leaders = BTreeSet::from([0]);
        let mut pc = 0;
        while pc < self.code.len() {
            if let Some(target) = flow(self.code[pc], pc) {
                leaders.insert(pc + 1);
                leaders.extend(target);
            }
            pc += if is_wide(self.code[pc]) { 2 } else { 1 };
        }
        leaders
    }

    fn run(&mut self, fuel_limit: u64) -> End {
        let leaders = self.leaders();
        let mut frames: Vec<(usize, [u64; 4])> = Vec::new();
        let mut pc = 0;
        loop {
            if leaders.contains(&pc) {
                let mut cost = 0;
                let mut at = pc;
                loop {
                    cost += 1;
                    at += if is_wide(self.code[at]) { 2 } else { 1 };
                    if leaders.contains(&at) || at >= self.code.len() {
                        break;
                    }
                }
                if self.used + cost > fuel_limit {
                    return Err(("fuel-exhausted", pc));
                }
                self.used += cost;
            }
            let slot = self.code[pc];
            let (dst, src) = (usize::from(slot[1] & 15), usize::from(slot[1] >> 4));
            let next = pc + 1;
            match slot[0] & 7 {
                0 if slot[0] == 0x18 => {
                    let low = u64::from(imm(slot) as u32);
                    let high = u64::from(imm(self.code[pc + 1]) as u32);
                    self.r[dst] = high << 32 | low;
                    pc += 2;
                    continue;
                }
                1 => {
                    let size = size(slot[0]);
                    let addr = self.r[src].wrapping_add(offset(slot) as u64);
                    let value = self.load(addr, size).map_err(|trap| (trap, pc))?;
                    self.r[dst] = if slot[0] & 0xe0 == 0x80 { sign_extend(value, 8 * size) } else { value };
                }
                2 | 3 => {
                    let addr = self.r[dst].wrapping_add(offset(slot) as u64);
                    if slot[0] & 0xe0 == 0xc0 {
                        self.atomic(addr, size(slot[0]), src, imm(slot)).map_err(|trap| (trap, pc))?;
                    } else {
                        let value = if slot[0] & 7 == 3 { self.r[src] } else { i64::from(imm(slot)) as u64 };
                        self.store(addr, size(slot[0]), value).map_err(|trap| (trap, pc))?;
                    }
                }
                4 | 7 => self.alu(slot, dst, src),
                class => match slot[0] >> 4 {
                    8 if src == 0 => {
                        assert_eq!(imm(slot), 5, "only helper 5 is transcribed");
                        self.r[0] = self.r[1];
                    }
                    8 => {
                        if frames.len() + 1 == FRAMES_MAX as usize {
                            return Err(("call-depth", pc));
                        }
                        frames.push((next, [self.r[6], self.r[7], self.r[8], self.r[9]]));
                        self.r[10] += u64::from(FRAME_LEN);
                        pc = (next as i64 + i64::from(imm(slot))) as usize;
                        continue;
                    }
                    9 => match frames.pop() {
                        None => return Ok(self.r[0]),
                        Some((back, saved)) => {
                            self.r[6..10].copy_from_slice(&saved);
                            self.r[10] -= u64::from(FRAME_LEN);
                            pc = back;
                            continue;
                        }
                    },
                    0 => {
                        let distance = if class == 6 { i64::from(imm(slot)) } else { offset(slot) };
                        pc = (next as i64 + distance) as usize;
                        continue;
                    }
                    code => {
                        let b = if slot[0] & 8 == 8 { self.r[src] } else { i64::from(imm(slot)) as u64 };
                        let taken = if class == 5 {
                            compare(code, self.r[dst], b, self.r[dst] as i64, b as i64)
                        } else {
                            let (a, b) = (self.r[dst] as u32, b as u32);
                            compare(code, a.into(), b.into(), (a as i32).into(), (b as i32).into())
                        };
                        if taken {
                            pc = (next as i64 + offset(slot)) as usize;
                            continue;
                        }
                    }
                },
            }
            pc = next;
        }
    }

    fn alu(&mut self, slot: [u8; 8], dst: usize, src: usize) {
        let operand = if slot[0] & 8 == 8 { self.r[src] } else { i64::from(imm(slot)) as u64 };
        let wide = slot[0] & 7 == 7;
        let bits = if wide { 64 } else { 32 };
        let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
        let signed = |value: u64| i128::from(if wide { value as i64 } else { i64::from(value as i32) });
        let (a, b) = (cut(self.r[dst]), cut(operand));
        let by_sign = offset(slot) == 1;
        let result = match slot[0] >> 4 {
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
                let mut bytes = self.r[dst].to_le_bytes();
                bytes[width..].fill(0);
                // The machine is little endian: `le` keeps the order, `be` and `bswap` reverse it.
                if slot[0] != 0xd4 {
                    bytes[..width].reverse();
                }
                self.r[dst] = u64::from_le_bytes(bytes);
                return;
            }
            code => unreachable!("arithmetic {code:x}"),
        };
        self.r[dst] = cut(result);
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

    fn load(&mut self, addr: u64, size: usize) -> Result<u64, &'static str> {
        let (region, at) = self.find(addr, size)?;
        Ok(region.bytes[at..at + size].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn store(&mut self, addr: u64, size: usize, value: u64) -> Result<(), &'static str> {
        let (region, at) = self.find(addr, size)?;
        if !region.writable {
            return Err("read-only");
        }
        region.bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
        Ok(())
    }

    fn atomic(&mut self, addr: u64, size: usize, src: usize, op: i32) -> Result<(), &'static str> {
        let (region, _) = self.find(addr, size)?;
        if !region.writable {
            return Err("read-only");
        }
        let mask = if size == 8 { u64::MAX } else { 0xffff_ffff };
        let old = self.load(addr, size)?;
        let by = self.r[src] & mask;
        let new = match op & 0xf0 {
            0x00 => old.wrapping_add(by),
            0x40 => old | by,
            0x50 => old & by,
            0xa0 => old ^ by,
            0xe0 => by,
            0xf0 if old == self.r[0] & mask => by,
            _ => old,
        };
        self.store(addr, size, new)?;
        match op {
            0xf1 => self.r[0] = old,
            op if op & 1 == 1 => self.r[src] = old,
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
