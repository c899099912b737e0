//! The one instruction table. Everything that knows an opcode derives from it: encoder, decoder, assembler,
//! disassembler, verifier, interpreter, JIT and documentation.
//!
//! # Add an instruction
//!
//! Add a row beside the others of its opcode (rows of one opcode are told apart by their fixed fields and must be
//! neighbours), give it a [`Kind`], and follow the compiler: each executor matches on `Kind` without a wildcard.

/// Bits that an arithmetic instruction or comparison works on. The result of a 32-bit one is zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low 32 bits.
    W32,
    /// All 64 bits.
    W64,
}

/// Where the second operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The immediate, sign-extended (to 64 bits for [`Width::W64`]).
    Imm,
    /// The source register.
    Reg,
}

/// Bytes of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// 1.
    Byte,
    /// 2.
    Half,
    /// 4.
    Word,
    /// 8.
    Double,
}

impl Size {
    /// The number of bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// How a loaded value fills its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// With zeros.
    Zero,
    /// With its sign.
    Sign,
}

/// Arithmetic. Division and remainder by zero give 0 and the dividend; the smallest number divided by -1 gives
/// itself, remainder 0; shift counts are taken modulo the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AluOp {
    /// `dst += x`
    Add,
    /// `dst -= x`
    Sub,
    /// `dst *= x`
    Mul,
    /// `dst = x == 0 ? 0 : dst / x`, unsigned
    Div,
    /// `dst = x == 0 ? 0 : dst / x`, signed
    Sdiv,
    /// `dst |= x`
    Or,
    /// `dst &= x`
    And,
    /// `dst <<= x mod width`
    Lsh,
    /// `dst >>= x mod width`, zeros in
    Rsh,
    /// `dst = -dst`; it has no second operand, its row says `Imm` and its immediate is 0
    Neg,
    /// `dst = x == 0 ? dst : dst % x`, unsigned
    Mod,
    /// `dst = x == 0 ? dst : dst % x`, signed, with the sign of the dividend
    Smod,
    /// `dst ^= x`
    Xor,
    /// `dst = x`
    Mov,
    /// `dst = sign-extended low 8 bits of x`
    Movsx8,
    /// `dst = sign-extended low 16 bits of x`
    Movsx16,
    /// `dst = sign-extended low 32 bits of x`
    Movsx32,
    /// `dst >>= x mod width`, sign in
    Arsh,
}

/// What a byte-order instruction does to the low bits of its register; the bits above become zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// To little endian: truncates, for a machine that is little endian.
    ToLittle,
    /// To big endian: reverses the bytes.
    ToBig,
    /// Reverses the bytes.
    Reverse,
}

/// What an atomic instruction does to memory. With *fetch*, the source register gets the old value;
/// [`Rmw::Cmpxchg`] compares with `r0` and gives the old value to `r0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rmw {
    /// `*p += src`
    Add,
    /// `*p |= src`
    Or,
    /// `*p &= src`
    And,
    /// `*p ^= src`
    Xor,
    /// `*p = src`
    Xchg,
    /// `if *p == r0 { *p = src }`
    Cmpxchg,
}

/// When a branch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cond {
    /// `dst == x`
    Eq,
    /// `dst != x`
    Ne,
    /// `dst & x != 0`
    Set,
    /// `dst > x`, unsigned
    Gt,
    /// `dst >= x`, unsigned
    Ge,
    /// `dst < x`, unsigned
    Lt,
    /// `dst <= x`, unsigned
    Le,
    /// `dst > x`, signed
    Sgt,
    /// `dst >= x`, signed
    Sge,
    /// `dst < x`, signed
    Slt,
    /// `dst <= x`, signed
    Sle,
}

/// What a wide load of a constant names when its source field is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pseudo {
    /// A map by file descriptor.
    MapByFd,
    /// An address in a map's value by file descriptor.
    MapValueByFd,
    /// The address of a variable.
    VariableAddress,
    /// The address of code.
    CodeAddress,
    /// A map by index.
    MapByIndex,
    /// An address in a map's value by index.
    MapValueByIndex,
}

impl Pseudo {
    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::MapByFd => "a map by file descriptor",
            Self::MapValueByFd => "a map value by file descriptor",
            Self::VariableAddress => "the address of a variable",
            Self::CodeAddress => "the address of code",
            Self::MapByIndex => "a map by index",
            Self::MapValueByIndex => "a map value by index",
        }
    }
}

/// What an instruction does: the structure that verifier and executors match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Arithmetic on `dst` and an operand.
    Alu(AluOp, Width, Operand),
    /// Byte order of the low 16, 32 or 64 bits of `dst`.
    ByteOrder(Order, u8),
    /// `dst = 64-bit constant`; takes two slots.
    LoadImm,
    /// `dst` = a map of the program, or the address in its first value, by index in
    /// [`Program::maps`](crate::program::Program::maps): what linking makes of a relocation. The other forms are never
    /// decoded.
    LoadPseudo(Pseudo),
    /// Access to a socket buffer from before RFC 9669. Never decoded.
    LegacyPacket,
    /// `dst = *(src + offset)`
    Load(Size, Extension),
    /// `*(dst + offset) = src or immediate`
    Store(Size, Operand),
    /// `*(dst + offset) op= src`; the flag is *fetch*.
    Atomic(Rmw, bool, Size),
    /// Jump always.
    Jump,
    /// Jump if `dst cond x`.
    Branch(Cond, Width, Operand),
    /// Call of the helper whose number is the immediate.
    CallHelper,
    /// Call of a function of this program.
    CallLocal,
    /// Call of a kernel function by BTF id. Never decoded.
    CallBtf,
    /// Call through a register. Never decoded.
    CallRegister,
    /// Return from a function, or end of the program.
    Exit,
}

/// What a field of an instruction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It must hold this value. Zero where the field is unused; anything else, or zero beside rows of the same
    /// opcode, tells operations apart.
    Fixed(i32),
    /// A register that is read.
    Read,
    /// A register that is written without being read.
    Write,
    /// A register that is read and written.
    Update,
    /// Displacement of a memory access, in bytes.
    Memory,
    /// Displacement of a jump, in slots from the next instruction.
    Target,
    /// A constant.
    Value,
    /// The low half of a 64-bit constant; the next slot's immediate is the high half.
    Wide,
}

/// Conformance groups of RFC 9669 section 2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Group {
    Base32,
    Base64,
    Divmul32,
    Divmul64,
    Atomic32,
    Atomic64,
    Callx,
    Packet,
}

impl Group {
    /// The RFC's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base32 => "base32",
            Self::Base64 => "base64",
            Self::Divmul32 => "divmul32",
            Self::Divmul64 => "divmul64",
            Self::Atomic32 => "atomic32",
            Self::Atomic64 => "atomic64",
            Self::Callx => "callx",
            Self::Packet => "packet",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The operation.
    pub op: Op,
    /// First byte of the encoding.
    pub opcode: u8,
    /// What it is called in assembly; `lock fetch` and the like are part of it.
    pub mnemonic: &'static str,
    /// The destination field.
    pub dst: Role,
    /// The source field.
    pub src: Role,
    /// The offset field.
    pub offset: Role,
    /// The immediate field.
    pub imm: Role,
    /// What it does.
    pub kind: Kind,
    /// Its conformance group.
    pub group: Group,
}

impl Row {
    /// Why a program that contains this instruction is refused whatever its fields hold; None if it is not.
    pub const fn refusal(&self) -> Option<&'static str> {
        match self.kind {
            // What linking makes of a relocation; whether there is such a map is for loading to say.
            Kind::LoadPseudo(Pseudo::MapByIndex | Pseudo::MapValueByIndex) => None,
            Kind::LoadPseudo(_) => Some("it needs a relocation that was not resolved"),
            Kind::LegacyPacket => Some("legacy packet access has no packet here"),
            Kind::CallBtf => Some("kernel functions cannot be called"),
            Kind::CallRegister => Some("calls through registers are not supported"),
            _ => None,
        }
    }

    /// Slots it takes: 2 for a wide load, else 1.
    pub const fn slots(&self) -> u32 {
        if matches!(self.imm, Role::Wide) { 2 } else { 1 }
    }
}

macro_rules! table {
    ($($op:ident, $opcode:literal, $mnemonic:literal, $dst:expr, $src:expr, $offset:expr, $imm:expr, $kind:expr,
       $group:expr;)*) => {
        /// An operation: one for each row of [`TABLE`], in its order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the table says what each is")]
        pub enum Op {
            $($op,)*
        }

        /// All instructions of RFC 9669.
        pub const TABLE: &[Row] = {
            use AluOp::*;
            use Cond::{Eq, Ge, Gt, Le, Lt, Ne, Set, Sge, Sgt, Sle, Slt};
            use Extension::*;
            use Group::*;
            use Kind::*;
            use Operand::*;
            use Order::*;
            use Pseudo::*;
            use Role::*;
            use Size::*;
            use Width::*;
            const _0: Role = Role::Fixed(0);
            const fn is(value: i32) -> Role {
                Role::Fixed(value)
            }
            &[$(Row {
                op: Op::$op,
                opcode: $opcode,
                mnemonic: $mnemonic,
                dst: $dst,
                src: $src,
                offset: $offset,
                imm: $imm,
                kind: $kind,
                group: $group,
            },)*]
        };
    };
}

table! {
    // 32-bit arithmetic
    Add32Imm,    0x04, "add32",     Update, _0,   _0,     Value, Alu(Add, W32, Imm),     Base32;
    Sub32Imm,    0x14, "sub32",     Update, _0,   _0,     Value, Alu(Sub, W32, Imm),     Base32;
    Mul32Imm,    0x24, "mul32",     Update, _0,   _0,     Value, Alu(Mul, W32, Imm),     Divmul32;
    Div32Imm,    0x34, "div32",     Update, _0,   _0,     Value, Alu(Div, W32, Imm),     Divmul32;
    Sdiv32Imm,   0x34, "sdiv32",    Update, _0,   is(1),  Value, Alu(Sdiv, W32, Imm),    Divmul32;
    Or32Imm,     0x44, "or32",      Update, _0,   _0,     Value, Alu(Or, W32, Imm),      Base32;
    And32Imm,    0x54, "and32",     Update, _0,   _0,     Value, Alu(And, W32, Imm),     Base32;
    Lsh32Imm,    0x64, "lsh32",     Update, _0,   _0,     Value, Alu(Lsh, W32, Imm),     Base32;
    Rsh32Imm,    0x74, "rsh32",     Update, _0,   _0,     Value, Alu(Rsh, W32, Imm),     Base32;
    Neg32,       0x84, "neg32",     Update, _0,   _0,     _0,    Alu(Neg, W32, Imm),     Base32;
    Mod32Imm,    0x94, "mod32",     Update, _0,   _0,     Value, Alu(Mod, W32, Imm),     Divmul32;
    Smod32Imm,   0x94, "smod32",    Update, _0,   is(1),  Value, Alu(Smod, W32, Imm),    Divmul32;
    Xor32Imm,    0xa4, "xor32",     Update, _0,   _0,     Value, Alu(Xor, W32, Imm),     Base32;
    Mov32Imm,    0xb4, "mov32",     Write,  _0,   _0,     Value, Alu(Mov, W32, Imm),     Base32;
    Arsh32Imm,   0xc4, "arsh32",    Update, _0,   _0,     Value, Alu(Arsh, W32, Imm),    Base32;
    Add32Reg,    0x0c, "add32",     Update, Read, _0,     _0,    Alu(Add, W32, Reg),     Base32;
    Sub32Reg,    0x1c, "sub32",     Update, Read, _0,     _0,    Alu(Sub, W32, Reg),     Base32;
    Mul32Reg,    0x2c, "mul32",     Update, Read, _0,     _0,    Alu(Mul, W32, Reg),     Divmul32;
    Div32Reg,    0x3c, "div32",     Update, Read, _0,     _0,    Alu(Div, W32, Reg),     Divmul32;
    Sdiv32Reg,   0x3c, "sdiv32",    Update, Read, is(1),  _0,    Alu(Sdiv, W32, Reg),    Divmul32;
    Or32Reg,     0x4c, "or32",      Update, Read, _0,     _0,    Alu(Or, W32, Reg),      Base32;
    And32Reg,    0x5c, "and32",     Update, Read, _0,     _0,    Alu(And, W32, Reg),     Base32;
    Lsh32Reg,    0x6c, "lsh32",     Update, Read, _0,     _0,    Alu(Lsh, W32, Reg),     Base32;
    Rsh32Reg,    0x7c, "rsh32",     Update, Read, _0,     _0,    Alu(Rsh, W32, Reg),     Base32;
    Mod32Reg,    0x9c, "mod32",     Update, Read, _0,     _0,    Alu(Mod, W32, Reg),     Divmul32;
    Smod32Reg,   0x9c, "smod32",    Update, Read, is(1),  _0,    Alu(Smod, W32, Reg),    Divmul32;
    Xor32Reg,    0xac, "xor32",     Update, Read, _0,     _0,    Alu(Xor, W32, Reg),     Base32;
    Mov32Reg,    0xbc, "mov32",     Write,  Read, _0,     _0,    Alu(Mov, W32, Reg),     Base32;
    Movsx8To32,  0xbc, "movsx832",  Write,  Read, is(8),  _0,    Alu(Movsx8, W32, Reg),  Base32;
    Movsx16To32, 0xbc, "movsx1632", Write,  Read, is(16), _0,    Alu(Movsx16, W32, Reg), Base32;
    Arsh32Reg,   0xcc, "arsh32",    Update, Read, _0,     _0,    Alu(Arsh, W32, Reg),    Base32;
    // 64-bit arithmetic
    Add64Imm,    0x07, "add",       Update, _0,   _0,     Value, Alu(Add, W64, Imm),     Base64;
    Sub64Imm,    0x17, "sub",       Update, _0,   _0,     Value, Alu(Sub, W64, Imm),     Base64;
    Mul64Imm,    0x27, "mul",       Update, _0,   _0,     Value, Alu(Mul, W64, Imm),     Divmul64;
    Div64Imm,    0x37, "div",       Update, _0,   _0,     Value, Alu(Div, W64, Imm),     Divmul64;
    Sdiv64Imm,   0x37, "sdiv",      Update, _0,   is(1),  Value, Alu(Sdiv, W64, Imm),    Divmul64;
    Or64Imm,     0x47, "or",        Update, _0,   _0,     Value, Alu(Or, W64, Imm),      Base64;
    And64Imm,    0x57, "and",       Update, _0,   _0,     Value, Alu(And, W64, Imm),     Base64;
    Lsh64Imm,    0x67, "lsh",       Update, _0,   _0,     Value, Alu(Lsh, W64, Imm),     Base64;
    Rsh64Imm,    0x77, "rsh",       Update, _0,   _0,     Value, Alu(Rsh, W64, Imm),     Base64;
    Neg64,       0x87, "neg",       Update, _0,   _0,     _0,    Alu(Neg, W64, Imm),     Base64;
    Mod64Imm,    0x97, "mod",       Update, _0,   _0,     Value, Alu(Mod, W64, Imm),     Divmul64;
    Smod64Imm,   0x97, "smod",      Update, _0,   is(1),  Value, Alu(Smod, W64, Imm),    Divmul64;
    Xor64Imm,    0xa7, "xor",       Update, _0,   _0,     Value, Alu(Xor, W64, Imm),     Base64;
    Mov64Imm,    0xb7, "mov",       Write,  _0,   _0,     Value, Alu(Mov, W64, Imm),     Base64;
    Arsh64Imm,   0xc7, "arsh",      Update, _0,   _0,     Value, Alu(Arsh, W64, Imm),    Base64;
    Add64Reg,    0x0f, "add",       Update, Read, _0,     _0,    Alu(Add, W64, Reg),     Base64;
    Sub64Reg,    0x1f, "sub",       Update, Read, _0,     _0,    Alu(Sub, W64, Reg),     Base64;
    Mul64Reg,    0x2f, "mul",       Update, Read, _0,     _0,    Alu(Mul, W64, Reg),     Divmul64;
    Div64Reg,    0x3f, "div",       Update, Read, _0,     _0,    Alu(Div, W64, Reg),     Divmul64;
    Sdiv64Reg,   0x3f, "sdiv",      Update, Read, is(1),  _0,    Alu(Sdiv, W64, Reg),    Divmul64;
    Or64Reg,     0x4f, "or",        Update, Read, _0,     _0,    Alu(Or, W64, Reg),      Base64;
    And64Reg,    0x5f, "and",       Update, Read, _0,     _0,    Alu(And, W64, Reg),     Base64;
    Lsh64Reg,    0x6f, "lsh",       Update, Read, _0,     _0,    Alu(Lsh, W64, Reg),     Base64;
    Rsh64Reg,    0x7f, "rsh",       Update, Read, _0,     _0,    Alu(Rsh, W64, Reg),     Base64;
    Mod64Reg,    0x9f, "mod",       Update, Read, _0,     _0,    Alu(Mod, W64, Reg),     Divmul64;
    Smod64Reg,   0x9f, "smod",      Update, Read, is(1),  _0,    Alu(Smod, W64, Reg),    Divmul64;
    Xor64Reg,    0xaf, "xor",       Update, Read, _0,     _0,    Alu(Xor, W64, Reg),     Base64;
    Mov64Reg,    0xbf, "mov",       Write,  Read, _0,     _0,    Alu(Mov, W64, Reg),     Base64;
    Movsx8To64,  0xbf, "movsx864",  Write,  Read, is(8),  _0,    Alu(Movsx8, W64, Reg),  Base64;
    Movsx16To64, 0xbf, "movsx1664", Write,  Read, is(16), _0,    Alu(Movsx16, W64, Reg), Base64;
    Movsx32To64, 0xbf, "movsx3264", Write,  Read, is(32), _0,    Alu(Movsx32, W64, Reg), Base64;
    Arsh64Reg,   0xcf, "arsh",      Update, Read, _0,     _0,    Alu(Arsh, W64, Reg),    Base64;
    // byte order
    Le16,    0xd4, "le16",    Update, _0, _0, is(16), ByteOrder(ToLittle, 16), Base32;
    Le32,    0xd4, "le32",    Update, _0, _0, is(32), ByteOrder(ToLittle, 32), Base32;
    Le64,    0xd4, "le64",    Update, _0, _0, is(64), ByteOrder(ToLittle, 64), Base64;
    Be16,    0xdc, "be16",    Update, _0, _0, is(16), ByteOrder(ToBig, 16),    Base32;
    Be32,    0xdc, "be32",    Update, _0, _0, is(32), ByteOrder(ToBig, 32),    Base32;
    Be64,    0xdc, "be64",    Update, _0, _0, is(64), ByteOrder(ToBig, 64),    Base64;
    Bswap16, 0xd7, "bswap16", Update, _0, _0, is(16), ByteOrder(Reverse, 16),  Base32;
    Bswap32, 0xd7, "bswap32", Update, _0, _0, is(32), ByteOrder(Reverse, 32),  Base32;
    Bswap64, 0xd7, "bswap64", Update, _0, _0, is(64), ByteOrder(Reverse, 64),  Base64;
    // wide loads of a constant; the pseudo sources are known so that they can be refused by name
    Lddw,                0x18, "lddw",                 Write, _0,    _0, Wide, LoadImm,                     Base64;
    LddwMapByFd,         0x18, "lddw_map_fd",          Write, is(1), _0, Wide, LoadPseudo(MapByFd),         Base64;
    LddwMapValueByFd,    0x18, "lddw_map_value_fd",    Write, is(2), _0, Wide, LoadPseudo(MapValueByFd),    Base64;
    LddwVariableAddress, 0x18, "lddw_variable",        Write, is(3), _0, Wide, LoadPseudo(VariableAddress), Base64;
    LddwCodeAddress,     0x18, "lddw_code",            Write, is(4), _0, Wide, LoadPseudo(CodeAddress),     Base64;
    LddwMapByIndex,      0x18, "lddw_map_index",       Write, is(5), _0, Wide, LoadPseudo(MapByIndex),      Base64;
    LddwMapValueByIndex, 0x18, "lddw_map_value_index", Write, is(6), _0, Wide, LoadPseudo(MapValueByIndex), Base64;
    // legacy packet access, known so that it can be refused by name
    LdAbsW, 0x20, "ldabsw", _0, _0,   _0, Value, LegacyPacket, Packet;
    LdAbsH, 0x28, "ldabsh", _0, _0,   _0, Value, LegacyPacket, Packet;
    LdAbsB, 0x30, "ldabsb", _0, _0,   _0, Value, LegacyPacket, Packet;
    LdIndW, 0x40, "ldindw", _0, Read, _0, Value, LegacyPacket, Packet;
    LdIndH, 0x48, "ldindh", _0, Read, _0, Value, LegacyPacket, Packet;
    LdIndB, 0x50, "ldindb", _0, Read, _0, Value, LegacyPacket, Packet;
    // loads
    LdxW,  0x61, "ldxw",  Write, Read, Memory, _0, Load(Word, Zero),   Base32;
    LdxH,  0x69, "ldxh",  Write, Read, Memory, _0, Load(Half, Zero),   Base32;
    LdxB,  0x71, "ldxb",  Write, Read, Memory, _0, Load(Byte, Zero),   Base32;
    LdxDw, 0x79, "ldxdw", Write, Read, Memory, _0, Load(Double, Zero), Base64;
    LdxsW, 0x81, "ldxsw", Write, Read, Memory, _0, Load(Word, Sign),   Base32;
    LdxsH, 0x89, "ldxsh", Write, Read, Memory, _0, Load(Half, Sign),   Base32;
    LdxsB, 0x91, "ldxsb", Write, Read, Memory, _0, Load(Byte, Sign),   Base32;
    // stores
    StW,   0x62, "stw",   Read, _0,   Memory, Value, Store(Word, Imm),   Base32;
    StH,   0x6a, "sth",   Read, _0,   Memory, Value, Store(Half, Imm),   Base32;
    StB,   0x72, "stb",   Read, _0,   Memory, Value, Store(Byte, Imm),   Base32;
    StDw,  0x7a, "stdw",  Read, _0,   Memory, Value, Store(Double, Imm), Base64;
    StxW,  0x63, "stxw",  Read, Read, Memory, _0,    Store(Word, Reg),   Base32;
    StxH,  0x6b, "stxh",  Read, Read, Memory, _0,    Store(Half, Reg),   Base32;
    StxB,  0x73, "stxb",  Read, Read, Memory, _0,    Store(Byte, Reg),   Base32;
    StxDw, 0x7b, "stxdw", Read, Read, Memory, _0,    Store(Double, Reg), Base64;
    // atomics
    AtomicAdd32,      0xc3, "lock add32", Read, Read, Memory, is(0x00), Atomic(Rmw::Add, false, Word), Atomic32;
    AtomicFetchAdd32, 0xc3, "lock fetch add32", Read, Update, Memory, is(0x01), Atomic(Rmw::Add, true, Word), Atomic32;
    AtomicOr32,       0xc3, "lock or32", Read, Read, Memory, is(0x40), Atomic(Rmw::Or, false, Word), Atomic32;
    AtomicFetchOr32,  0xc3, "lock fetch or32", Read, Update, Memory, is(0x41), Atomic(Rmw::Or, true, Word), Atomic32;
    AtomicAnd32,      0xc3, "lock and32", Read, Read, Memory, is(0x50), Atomic(Rmw::And, false, Word), Atomic32;
    AtomicFetchAnd32, 0xc3, "lock fetch and32", Read, Update, Memory, is(0x51), Atomic(Rmw::And, true, Word), Atomic32;
    AtomicXor32,      0xc3, "lock xor32", Read, Read, Memory, is(0xa0), Atomic(Rmw::Xor, false, Word), Atomic32;
    AtomicFetchXor32, 0xc3, "lock fetch xor32", Read, Update, Memory, is(0xa1), Atomic(Rmw::Xor, true, Word), Atomic32;
    AtomicXchg32,     0xc3, "lock xchg32", Read, Update, Memory, is(0xe1), Atomic(Rmw::Xchg, true, Word), Atomic32;
    AtomicCmpxchg32,  0xc3, "lock cmpxchg32", Read, Read, Memory, is(0xf1), Atomic(Rmw::Cmpxchg, true, Word), Atomic32;
    AtomicAdd64,      0xdb, "lock add", Read, Read, Memory, is(0x00), Atomic(Rmw::Add, false, Double), Atomic64;
    AtomicFetchAdd64, 0xdb, "lock fetch add", Read, Update, Memory, is(0x01), Atomic(Rmw::Add, true, Double), Atomic64;
    AtomicOr64,       0xdb, "lock or", Read, Read, Memory, is(0x40), Atomic(Rmw::Or, false, Double), Atomic64;
    AtomicFetchOr64,  0xdb, "lock fetch or", Read, Update, Memory, is(0x41), Atomic(Rmw::Or, true, Double), Atomic64;
    AtomicAnd64,      0xdb, "lock and", Read, Read, Memory, is(0x50), Atomic(Rmw::And, false, Double), Atomic64;
    AtomicFetchAnd64, 0xdb, "lock fetch and", Read, Update, Memory, is(0x51), Atomic(Rmw::And, true, Double), Atomic64;
    AtomicXor64,      0xdb, "lock xor", Read, Read, Memory, is(0xa0), Atomic(Rmw::Xor, false, Double), Atomic64;
    AtomicFetchXor64, 0xdb, "lock fetch xor", Read, Update, Memory, is(0xa1), Atomic(Rmw::Xor, true, Double), Atomic64;
    AtomicXchg64,     0xdb, "lock xchg", Read, Update, Memory, is(0xe1), Atomic(Rmw::Xchg, true, Double), Atomic64;
    AtomicCmpxchg64,  0xdb, "lock cmpxchg", Read, Read, Memory, is(0xf1), Atomic(Rmw::Cmpxchg, true, Double), Atomic64;
    // jumps
    Ja,        0x05, "ja",     _0,   _0,   Target, _0,     Jump,                  Base32;
    Ja32,      0x06, "ja32",   _0,   _0,   _0,     Target, Jump,                  Base32;
    Jeq32Imm,  0x16, "jeq32",  Read, _0,   Target, Value,  Branch(Eq, W32, Imm),  Base32;
    Jgt32Imm,  0x26, "jgt32",  Read, _0,   Target, Value,  Branch(Gt, W32, Imm),  Base32;
    Jge32Imm,  0x36, "jge32",  Read, _0,   Target, Value,  Branch(Ge, W32, Imm),  Base32;
    Jset32Imm, 0x46, "jset32", Read, _0,   Target, Value,  Branch(Set, W32, Imm), Base32;
    Jne32Imm,  0x56, "jne32",  Read, _0,   Target, Value,  Branch(Ne, W32, Imm),  Base32;
    Jsgt32Imm, 0x66, "jsgt32", Read, _0,   Target, Value,  Branch(Sgt, W32, Imm), Base32;
    Jsge32Imm, 0x76, "jsge32", Read, _0,   Target, Value,  Branch(Sge, W32, Imm), Base32;
    Jlt32Imm,  0xa6, "jlt32",  Read, _0,   Target, Value,  Branch(Lt, W32, Imm),  Base32;
    Jle32Imm,  0xb6, "jle32",  Read, _0,   Target, Value,  Branch(Le, W32, Imm),  Base32;
    Jslt32Imm, 0xc6, "jslt32", Read, _0,   Target, Value,  Branch(Slt, W32, Imm), Base32;
    Jsle32Imm, 0xd6, "jsle32", Read, _0,   Target, Value,  Branch(Sle, W32, Imm), Base32;
    Jeq32Reg,  0x1e, "jeq32",  Read, Read, Target, _0,     Branch(Eq, W32, Reg),  Base32;
    Jgt32Reg,  0x2e, "jgt32",  Read, Read, Target, _0,     Branch(Gt, W32, Reg),  Base32;
    Jge32Reg,  0x3e, "jge32",  Read, Read, Target, _0,     Branch(Ge, W32, Reg),  Base32;
    Jset32Reg, 0x4e, "jset32", Read, Read, Target, _0,     Branch(Set, W32, Reg), Base32;
    Jne32Reg,  0x5e, "jne32",  Read, Read, Target, _0,     Branch(Ne, W32, Reg),  Base32;
    Jsgt32Reg, 0x6e, "jsgt32", Read, Read, Target, _0,     Branch(Sgt, W32, Reg), Base32;
    Jsge32Reg, 0x7e, "jsge32", Read, Read, Target, _0,     Branch(Sge, W32, Reg), Base32;
    Jlt32Reg,  0xae, "jlt32",  Read, Read, Target, _0,     Branch(Lt, W32, Reg),  Base32;
    Jle32Reg,  0xbe, "jle32",  Read, Read, Target, _0,     Branch(Le, W32, Reg),  Base32;
    Jslt32Reg, 0xce, "jslt32", Read, Read, Target, _0,     Branch(Slt, W32, Reg), Base32;
    Jsle32Reg, 0xde, "jsle32", Read, Read, Target, _0,     Branch(Sle, W32, Reg), Base32;
    Jeq64Imm,  0x15, "jeq",    Read, _0,   Target, Value,  Branch(Eq, W64, Imm),  Base64;
    Jgt64Imm,  0x25, "jgt",    Read, _0,   Target, Value,  Branch(Gt, W64, Imm),  Base64;
    Jge64Imm,  0x35, "jge",    Read, _0,   Target, Value,  Branch(Ge, W64, Imm),  Base64;
    Jset64Imm, 0x45, "jset",   Read, _0,   Target, Value,  Branch(Set, W64, Imm), Base64;
    Jne64Imm,  0x55, "jne",    Read, _0,   Target, Value,  Branch(Ne, W64, Imm),  Base64;
    Jsgt64Imm, 0x65, "jsgt",   Read, _0,   Target, Value,  Branch(Sgt, W64, Imm), Base64;
    Jsge64Imm, 0x75, "jsge",   Read, _0,   Target, Value,  Branch(Sge, W64, Imm), Base64;
    Jlt64Imm,  0xa5, "jlt",    Read, _0,   Target, Value,  Branch(Lt, W64, Imm),  Base64;
    Jle64Imm,  0xb5, "jle",    Read, _0,   Target, Value,  Branch(Le, W64, Imm),  Base64;
    Jslt64Imm, 0xc5, "jslt",   Read, _0,   Target, Value,  Branch(Slt, W64, Imm), Base64;
    Jsle64Imm, 0xd5, "jsle",   Read, _0,   Target, Value,  Branch(Sle, W64, Imm), Base64;
    Jeq64Reg,  0x1d, "jeq",    Read, Read, Target, _0,     Branch(Eq, W64, Reg),  Base64;
    Jgt64Reg,  0x2d, "jgt",    Read, Read, Target, _0,     Branch(Gt, W64, Reg),  Base64;
    Jge64Reg,  0x3d, "jge",    Read, Read, Target, _0,     Branch(Ge, W64, Reg),  Base64;
    Jset64Reg, 0x4d, "jset",   Read, Read, Target, _0,     Branch(Set, W64, Reg), Base64;
    Jne64Reg,  0x5d, "jne",    Read, Read, Target, _0,     Branch(Ne, W64, Reg),  Base64;
    Jsgt64Reg, 0x6d, "jsgt",   Read, Read, Target, _0,     Branch(Sgt, W64, Reg), Base64;
    Jsge64Reg, 0x7d, "jsge",   Read, Read, Target, _0,     Branch(Sge, W64, Reg), Base64;
    Jlt64Reg,  0xad, "jlt",    Read, Read, Target, _0,     Branch(Lt, W64, Reg),  Base64;
    Jle64Reg,  0xbd, "jle",    Read, Read, Target, _0,     Branch(Le, W64, Reg),  Base64;
    Jslt64Reg, 0xcd, "jslt",   Read, Read, Target, _0,     Branch(Slt, W64, Reg), Base64;
    Jsle64Reg, 0xdd, "jsle",   Read, Read, Target, _0,     Branch(Sle, W64, Reg), Base64;
    // calls and exit
    CallHelper, 0x85, "call",       _0,   _0,    _0, Value,  CallHelper,   Base32;
    CallLocal,  0x85, "call local", _0,   is(1), _0, Target, CallLocal,    Base32;
    CallBtf,    0x85, "call btf",   _0,   is(2), _0, Value,  CallBtf,      Base32;
    Callx,      0x8d, "callx",      Read, _0,    _0, _0,     CallRegister, Callx;
    Exit,       0x95, "exit",       _0,   _0,    _0, _0,     Exit,         Base32;
}

impl Op {
    /// Its row.
    pub const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// What it does.
    pub const fn kind(self) -> Kind {
        self.row().kind
    }
}

/// Where the rows of an opcode begin and how many there are.
static BY_OPCODE: [(u8, u8); 256] = {
    let mut index = [(0, 0); 256];
    let mut row = 0;
    while row < TABLE.len() {
        let opcode = TABLE[row].opcode as usize;
        if index[opcode].1 == 0 {
            index[opcode].0 = row as u8;
        }
        index[opcode].1 += 1;
        row += 1;
    }
    index
};

/// The rows that share an opcode; none for an unknown one.
pub fn rows_of(opcode: u8) -> &'static [Row] {
    let (first, count) = BY_OPCODE[usize::from(opcode)];
    let first = usize::from(first);
    TABLE.get(first..first + usize::from(count)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_opcode_are_neighbours_and_distinct() {
        for row in TABLE {
            assert_eq!(row.op.row(), row);
            assert!(rows_of(row.opcode).contains(row), "{row:?}");
            for other in rows_of(row.opcode) {
                assert_eq!(other.opcode, row.opcode, "{row:?} is not beside the rows of its opcode");
                let told_apart = [(row.src, other.src), (row.offset, other.offset), (row.imm, other.imm)]
                    .iter()
                    .any(|pair| matches!(pair, (Role::Fixed(a), Role::Fixed(b)) if a != b));
                assert!(row == other || told_apart, "{row:?} and {other:?} decode alike");
            }
        }
    }

    #[test]
    fn a_mnemonic_and_its_operand_form_name_one_instruction() {
        for row in TABLE {
            for other in TABLE.iter().filter(|other| other.mnemonic == row.mnemonic && other.op != row.op) {
                let form = |row: &Row| (row.src == Role::Fixed(0), row.offset, row.imm);
                assert_ne!(form(row).0, form(other).0, "{row:?} and {other:?} assemble alike");
            }
        }
    }
}
