//! The table of helpers.

use super::{
    ArgType, Caller, Callers, Helper, HelperTable, Invalidates, MapKinds, Returns, Run, STR_TEST_FLAGS, Work, maps,
    numbers, record,
};
use crate::map::MEMBERS_MAX;
use crate::predicate::Cmp;
use crate::record::LONG_STRING_LEN_MAX;

/// Numbers of helpers that Linux does not have begin here.
pub const OWN_HELPERS_MIN: u32 = 1024;

/// For raw programs.
pub static RAW_HELPERS: HelperTable = HelperTable { name: "raw", caller: Caller::Raw };
/// For rule programs.
pub static RULE_HELPERS: HelperTable = HelperTable { name: "rule", caller: Caller::Rule };

const ANY_SCALAR: Returns = Returns::Number { min: i64::MIN, max: i64::MAX };
const THREE_VALUED: Returns = Returns::Number { min: 0, max: 2 };
/// 0, or an error number of Linux, negated.
const ERRNO: Returns = Returns::Number { min: maps::ERRNO_MIN, max: 0 };
const COUNT: Returns = Returns::Number { min: 0, max: i64::MAX };

const LINUX: &str = "bpf-helpers(7), include/uapi/linux/bpf.h of Linux";
const LANGUAGE: &str = "docs/language.md";
const STATE: &str = "the module `map`";
const OWN: &str = "`trapline debug exec`";

/// All helpers, ascending by number. Numbers and meanings never change; new ones are added at the end.
pub static HELPERS: &[Helper] = &[
    Helper {
        number: 1,
        name: "map_lookup_elem",
        doc: "The address of the value under a key, or 0. The least recently used entry is told by this, too.",
        callers: Callers::All,
        args: &[ArgType::Map(MapKinds::Values), ArgType::Key],
        returns: Returns::NullableValue,
        invalidates: Invalidates::Nothing,
        cost: "the key; in a trie, LEVEL_WORK for each level",
        work: Work::Map { of: maps::lookup_work, most: maps::LOOKUP_WORK_MAX },
        source: LINUX,
        run: Run::Memory(maps::lookup),
    },
    Helper {
        number: 2,
        name: "map_update_elem",
        doc: "Puts a value under a key: always (flags 0), only a new key (1), only a known one (2). 0, or -E2BIG (full), -EEXIST, -ENOENT, -EINVAL.",
        callers: Callers::All,
        args: &[ArgType::Map(MapKinds::Entries), ArgType::Key, ArgType::Value, ArgType::Scalar],
        returns: ERRNO,
        invalidates: Invalidates::ValuesIfEvicting,
        cost: "the key and the value; in a trie, LEVEL_WORK for each level",
        work: Work::Map { of: maps::update_work, most: maps::UPDATE_WORK_MAX },
        source: LINUX,
        run: Run::Memory(maps::update),
    },
    Helper {
        number: 3,
        name: "map_delete_elem",
        doc: "Removes a key. 0, or -ENOENT, -EINVAL (an array, whose entries stay).",
        callers: Callers::All,
        args: &[ArgType::Map(MapKinds::Entries), ArgType::Key],
        returns: ERRNO,
        invalidates: Invalidates::Values,
        cost: "the key; in a trie, LEVEL_WORK for each level",
        work: Work::Map { of: maps::delete_work, most: maps::DELETE_WORK_MAX },
        source: LINUX,
        run: Run::Memory(maps::delete),
    },
    Helper {
        number: 5,
        name: "identity",
        doc: "Returns its first argument.",
        callers: Callers::Only(Caller::Raw),
        args: &[ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        cost: "",
        work: Work::None,
        source: OWN,
        run: Run::Values(|_, args| Ok(args[0])),
    },
    Helper {
        number: 1024,
        name: "str_test",
        doc: "Compares the string, path, bytes or ip of two slots: 0 false, 1 true, 2 unknown.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Record, ArgType::Slot, ArgType::Slot, ArgType::ConstMask(STR_TEST_FLAGS | 3)],
        returns: THREE_VALUED,
        invalidates: Invalidates::Nothing,
        cost: "the bytes of both values; for each element of a list 8 more",
        work: Work::Bytes { of: record::str_test_work, most: record::str_test_work_max },
        source: LANGUAGE,
        run: Run::Values(record::str_test),
    },
    Helper {
        number: 1025,
        name: "sat_add",
        doc: "Signed sum, saturating.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Scalar, ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        cost: "",
        work: Work::None,
        source: LANGUAGE,
        run: Run::Values(|_, args| Ok(numbers::signed(args, i64::saturating_add))),
    },
    Helper {
        number: 1026,
        name: "sat_sub",
        doc: "Signed difference, saturating.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Scalar, ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        cost: "",
        work: Work::None,
        source: LANGUAGE,
        run: Run::Values(|_, args| Ok(numbers::signed(args, i64::saturating_sub))),
    },
    Helper {
        number: 1027,
        name: "sat_mul",
        doc: "Signed product, saturating.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Scalar, ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        cost: "",
        work: Work::None,
        source: LANGUAGE,
        run: Run::Values(|_, args| Ok(numbers::signed(args, i64::saturating_mul))),
    },
    Helper {
        number: 1028,
        name: "decimal_mul",
        doc: "Product of two counts of millionths, towards zero, saturating.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Scalar, ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        cost: "",
        work: Work::None,
        source: LANGUAGE,
        run: Run::Values(|_, args| Ok(numbers::signed(args, numbers::decimal_mul))),
    },
    Helper {
        number: 1029,
        name: "decimal_div",
        doc: "Quotient of two counts of millionths, towards zero, saturating; 0 for a divisor of 0.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Scalar, ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        cost: "",
        work: Work::None,
        source: LANGUAGE,
        run: Run::Values(|_, args| Ok(numbers::signed(args, numbers::decimal_div))),
    },
    Helper {
        number: 1030,
        name: "str_len",
        doc: "Length of a string slot in characters (of what is kept of it); 0 without a value.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Record, ArgType::Slot],
        returns: Returns::Number { min: 0, max: LONG_STRING_LEN_MAX as i64 },
        invalidates: Invalidates::Nothing,
        cost: "the bytes of the value",
        work: Work::Bytes { of: record::str_len_work, most: |_| LONG_STRING_LEN_MAX },
        source: LANGUAGE,
        run: Run::Values(record::str_len),
    },
    Helper {
        number: 1031,
        name: "int_list_test",
        doc: "Compares any element of a list of numbers with a number: 0 false, 1 true, 2 unknown.",
        callers: Callers::Only(Caller::Rule),
        args: &[ArgType::Record, ArgType::Slot, ArgType::ConstMax(Cmp::Ge as u64), ArgType::Scalar],
        returns: THREE_VALUED,
        invalidates: Invalidates::Nothing,
        cost: "8 for each element",
        work: Work::Bytes { of: record::int_list_work, most: |_| record::INT_LIST_WORK_MAX },
        source: LANGUAGE,
        run: Run::Values(record::int_list_test),
    },
    Helper {
        number: 1032,
        name: "window_add",
        doc: "Adds an amount at a time to what is counted under a key; the sum over the window that ends at the latest time given for the key.",
        callers: Callers::All,
        args: &[ArgType::Map(MapKinds::Window), ArgType::Key, ArgType::Scalar, ArgType::Scalar],
        returns: COUNT,
        invalidates: Invalidates::Nothing,
        cost: "the key, and PANE_WORK for each pane",
        work: Work::Map { of: maps::window_add_work, most: maps::WINDOW_ADD_WORK_MAX },
        source: STATE,
        run: Run::Memory(maps::window_add),
    },
    Helper {
        number: 1033,
        name: "distinct_add",
        doc: "Notes a member under a key at a time; how many distinct ones the window holds that ends at the latest time given for the key.",
        callers: Callers::All,
        args: &[ArgType::Map(MapKinds::Distinct), ArgType::Key, ArgType::Value, ArgType::Scalar],
        returns: Returns::Number { min: 1, max: MEMBERS_MAX as i64 },
        invalidates: Invalidates::Nothing,
        cost: "the key, the member, and MEMBER_WORK for each member that a key can have",
        work: Work::Map { of: maps::distinct_add_work, most: maps::DISTINCT_ADD_WORK_MAX },
        source: STATE,
        run: Run::Memory(maps::distinct_add),
    },
    Helper {
        number: 1034,
        name: "seen",
        doc: "Notes a key at a time: 1 if it was seen within its time to live, else 0.",
        callers: Callers::All,
        args: &[ArgType::Map(MapKinds::Seen), ArgType::Key, ArgType::Scalar],
        returns: Returns::Number { min: 0, max: 1 },
        invalidates: Invalidates::Nothing,
        cost: "the key",
        work: Work::Map { of: maps::seen_work, most: maps::SEEN_WORK_MAX },
        source: STATE,
        run: Run::Memory(maps::seen),
    },
];
