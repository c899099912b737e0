/* trapline.h: detection rules in C, compiled with `clang -O2 -g -target bpf`.
 *
 * A rule is a header and a function for each family of events that it reads:
 *
 *     #include "trapline.h"
 *
 *     TL_RULE(netcat_listens,
 *         TL_ID("0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01")
 *         TL_TITLE("Netcat was started")
 *         TL_SEVERITY("low"))
 *
 *     TL_STRING(command, "process.command_line");
 *     TL_PREDICATE(listens, "process.command_line", contains, " -l");
 *
 *     TL_PROGRAM("process.exec")
 *     int netcat_listens(TL_EVENT)
 *     {
 *         return tl_true(listens) ? TL_MATCH : TL_NO_MATCH;
 *     }
 *
 * What it compiles to is an ordinary BPF object file. `trapline verify x.o` proves it, `trapline replay --rules x.o` runs
 * it. The verifier must see that the function ends, reads only what it declares and returns TL_NO_MATCH, TL_MATCH or
 * TL_NOT_EVALUABLE; what it cannot see it refuses, with the line of C. docs/c-detections.md has three worked rules.
 */
#ifndef TRAPLINE_H
#define TRAPLINE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

/* ---- Programs ------------------------------------------------------------------------------------------------- */

/* Puts something into a section of the object file. */
#define SEC(name) __attribute__((section(name), used))

/* A rule program for these classes of events: "process.exec", "file.create,file.modify", or a whole family: "process".
 * All must be of one family; a rule on several families has one function for each, named `RULE__anything`. */
#define TL_PROGRAM(classes) SEC("rule/" classes)

/* The parameters of a rule program: the event, and the answers to tests on text. The macros below use them by name; hand
 * them on to functions of yours that test or read (`helper(TL_ARGS)`). */
#define TL_EVENT                                                                                                       \
    const struct tl_event *tl_event __attribute__((unused)), const u8 *tl_tests __attribute__((unused)),               \
        const u8 *tl_masks __attribute__((unused))
#define TL_ARGS tl_event, tl_tests, tl_masks

/* What a rule says of an event. TL_NOT_EVALUABLE: it cannot be told, because a value was lost or cut off. */
#define TL_NO_MATCH 0
#define TL_MATCH 1
#define TL_NOT_EVALUABLE 2

/* A function that stays a function: it is verified at each call, with what is known there. Others may be inlined. */
#define TL_FUNCTION static __attribute__((noinline))
#define TL_INLINE static inline __attribute__((always_inline))

/* A raw program (`trapline verify`, `trapline debug exec`): a writable buffer and its length; any result. Maps and helpers
 * are there, fields and predicates are not. */
#define TL_RAW SEC("raw")

/* The licence of the file, as BPF objects have it. */
#define TL_LICENSE(text) char tl_license[] SEC("license") = text

/* ---- The header of a rule ------------------------------------------------------------------------------------- */

/* TL_RULE(name, entries): entries follow each other without commas, each once unless it says otherwise. The programs of the
 * rule are the functions `name` and `name__…`; if the file has one rule, all of its programs. */
#define TL_RULE(name, entries) static const char tl_rule_##name[] SEC("trapline.rules") = "rule: " #name "\0" entries

#define TL_ENTRY(key, text) key ": " text "\0"
#define TL_ID(text) TL_ENTRY("id", text)                         /* a UUID; default: the name of the rule */
#define TL_VERSION(text) TL_ENTRY("version", text)               /* "1.0.0" */
#define TL_TITLE(text) TL_ENTRY("title", text)                   /* one line: what it means when the rule fires */
#define TL_DESCRIPTION(text) TL_ENTRY("description", text)
#define TL_SEVERITY(word) TL_ENTRY("severity", word)             /* informational, low, medium, high, critical */
#define TL_STATUS(word) TL_ENTRY("status", word)                 /* experimental, test, stable, deprecated */
#define TL_OUTPUT(text) TL_ENTRY("output", text)                 /* "{user.name} ran {process.command_line|?}" */
#define TL_OS(word) TL_ENTRY("os", word)                         /* linux, windows, macos; again for more; default: any */
#define TL_ATTACK(id) TL_ENTRY("attack", id)                     /* "T1059.004"; again for more */
#define TL_REFERENCE(url) TL_ENTRY("reference", url)             /* again for more */
#define TL_FALSE_POSITIVE(text) TL_ENTRY("false_positive", text) /* again for more */
#define TL_AUTHOR(text) TL_ENTRY("author", text)                 /* again for more */
#define TL_TAG(text) TL_ENTRY("tag", text)                       /* again for more */
/* A field that the rule cannot match without; again for more; "" if there is none. Where no source has it, the rule is
 * refused or set aside; fields that are not named may be missing. A rule that says nothing counts as able to match wherever
 * one of its fields is. */
#define TL_NEEDS(field) TL_ENTRY("needs", field)

/* ---- The event ------------------------------------------------------------------------------------------------ */

/* What every event has. */
struct tl_event {
    u64 catalogue;
    u32 class_number;
    u32 flags;
    s64 time_ns; /* when it happened: nanoseconds since 1970, UTC */
    u64 sequence;
    u32 slots_len;
    u32 total_len;
    u64 reserved;
};

#define TL_FLAG_IMPAIRED 1u /* some field of the event is lost or cut off */

/* When the event happened. State that ages uses this and no other clock, so that a replay says what a live run said. */
#define tl_time() (tl_event->time_ns)
/* The system it happened on: 0 unknown, 1 Linux, 2 Windows, 3 macOS. */
#define tl_os() ((tl_event->flags >> 8) & 0xff)

/* A number that is known only when the rule is loaded: the address of a symbol that nothing defines. The empty assembly
 * keeps the compiler from drawing conclusions from its being an address. */
#define TL_NUMBER_OF(symbol)                                                                                           \
    ({                                                                                                                 \
        u64 tl_number_ = (u64)(symbol);                                                                                \
        __asm__("" : "+r"(tl_number_));                                                                                \
        tl_number_;                                                                                                    \
    })

/* ---- Fields --------------------------------------------------------------------------------------------------- */

/* Each declares a field of the catalogue (`trapline fields`) under a name of yours. Loading refuses a field that events of
 * the program's family do not have, or that is of another kind. */
#define TL_FIELD(name, field, kind)                                                                                    \
    extern const u8 name##__slot[] __asm__(field);                                                                     \
    extern const u8 name##__state[] __asm__(field "$state");                                                           \
    extern const u8 name##__number[] __asm__(field "$number");                                                         \
    static const char name##__kind[] SEC("trapline.fields") = field "\0" kind

/* A number, boolean (0, 1), time or duration (nanoseconds), decimal (millionths) or enumeration (index). */
#define TL_INT(name, field) TL_FIELD(name, field, "number")
/* Text, paths included. */
#define TL_STRING(name, field) TL_FIELD(name, field, "string")
/* Bytes, such as a hash. */
#define TL_BYTES(name, field) TL_FIELD(name, field, "bytes")
/* An address: 4 or 16 bytes in network order. */
#define TL_IP(name, field) TL_FIELD(name, field, "ip")
/* A list, for its length and for helpers. */
#define TL_LIST(name, field) TL_FIELD(name, field, "list")

/* The state of a field: these bits, 0 for a field that the event does not have. */
#define TL_PRESENT 1
#define TL_LOST 2      /* there was a value and it did not reach us */
#define TL_TRUNCATED 4 /* the beginning of the value is there (with TL_PRESENT) */
#define tl_state(name) (((const u8 *)tl_event)[TL_NUMBER_OF(name##__state)])
#define tl_present(name) ((tl_state(name) & TL_PRESENT) != 0)
#define tl_lost(name) ((tl_state(name) & TL_LOST) != 0)
#define tl_truncated(name) ((tl_state(name) & TL_TRUNCATED) != 0)

/* The slot of a field as it is. */
#define tl_slot(name) (*(const u64 *)((const u8 *)tl_event + TL_NUMBER_OF(name##__slot)))
/* The value of a number; ask tl_present first: 0 where there is none. */
#define tl_int(name) ((s64)tl_slot(name))
/* Bytes of a text, elements of a list; 0 where there is none. */
#define tl_len(name) ((u32)(tl_slot(name) >> 32))
/* The number of a field's slot, for helpers. */
#define tl_number(name) TL_NUMBER_OF(name##__number)

/* ---- Tests on text -------------------------------------------------------------------------------------------- */

/* TL_PREDICATE(name, "field", test, "literal", …): a test that the engine makes for all rules at once; it holds if any of
 * the (1 to 16) literals does. Tests: equals, contains, starts_with, ends_with, like (`*`, `?`), regex, under (a path), each
 * also with _fold (without regard to case); bytes (hexadecimal), cidr ("10.0.0.0/8"; also of text that is an address);
 * int_eq, int_ne, int_lt, int_le, int_gt, int_ge (decimal); number_lt and so on (text that is a number); hour_lt and so on,
 * also minute, day, week, month, year (a time, or text that is one); is (the name of a value of an enumeration). Of a
 * list: any element. */
#define TL_PREDICATE(name, field, test, ...)                                                                           \
    static const char name[] SEC("trapline.predicates") = field "\0any\0" #test TL_STRINGS(__VA_ARGS__);               \
    extern const u8 name##__byte[] __asm__(#name "$byte");                                                             \
    extern const u8 name##__true[] __asm__(#name "$true");                                                             \
    extern const u8 name##__known[] __asm__(#name "$known")

/* Whether the test holds, and whether it could be made: of a field that is absent or lost nothing is known. */
#define tl_true(name) ((tl_tests[TL_NUMBER_OF(name##__byte)] & TL_NUMBER_OF(name##__true)) != 0)
#define tl_known(name) ((tl_tests[TL_NUMBER_OF(name##__byte)] & TL_NUMBER_OF(name##__known)) != 0)

/* The same for each of the first 64 elements of a list: bit i of a word is about element i. */
#define TL_MASK(name, field, test, ...)                                                                                \
    static const char name[] SEC("trapline.predicates") = field "\0elements\0" #test TL_STRINGS(__VA_ARGS__);          \
    extern const u8 name##__mask[] __asm__(#name "$mask")
#define tl_mask_word(name, at) (*(const u64 *)(tl_masks + TL_NUMBER_OF(name##__mask) + (at)))
#define tl_mask_true(name) tl_mask_word(name, 0)
#define tl_mask_known(name) tl_mask_word(name, 8)
#define tl_mask_lost(name) tl_mask_word(name, 16)

/* "a", "b" as "\0a" "\0b". */
#define TL_STRINGS(...) TL_STRINGS_(__VA_ARGS__, TL_16, TL_15, TL_14, TL_13, TL_12, TL_11, TL_10, TL_9, TL_8, TL_7,    \
                                    TL_6, TL_5, TL_4, TL_3, TL_2, TL_1)(__VA_ARGS__)
#define TL_STRINGS_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, pick, ...) pick
#define TL_1(a) "\0" a
#define TL_2(a, ...) "\0" a TL_1(__VA_ARGS__)
#define TL_3(a, ...) "\0" a TL_2(__VA_ARGS__)
#define TL_4(a, ...) "\0" a TL_3(__VA_ARGS__)
#define TL_5(a, ...) "\0" a TL_4(__VA_ARGS__)
#define TL_6(a, ...) "\0" a TL_5(__VA_ARGS__)
#define TL_7(a, ...) "\0" a TL_6(__VA_ARGS__)
#define TL_8(a, ...) "\0" a TL_7(__VA_ARGS__)
#define TL_9(a, ...) "\0" a TL_8(__VA_ARGS__)
#define TL_10(a, ...) "\0" a TL_9(__VA_ARGS__)
#define TL_11(a, ...) "\0" a TL_10(__VA_ARGS__)
#define TL_12(a, ...) "\0" a TL_11(__VA_ARGS__)
#define TL_13(a, ...) "\0" a TL_12(__VA_ARGS__)
#define TL_14(a, ...) "\0" a TL_13(__VA_ARGS__)
#define TL_15(a, ...) "\0" a TL_14(__VA_ARGS__)
#define TL_16(a, ...) "\0" a TL_15(__VA_ARGS__)

/* ---- State ---------------------------------------------------------------------------------------------------- */

/* Maps: what a rule remembers between events. All their memory is there from the start. */
struct tl_map {
    u32 kind;
    u32 key_len;
    u32 value_len;
    u32 entries;
    u64 time_ns;
    u32 parts;
    u32 zero;
};
_Static_assert(sizeof(struct tl_map) == 32, "the record that the loader reads");

#define TL_MAP(name, kind, key_len, value_len, entries, time_ns, parts)                                                \
    struct tl_map name SEC(".maps") = {kind, key_len, value_len, entries, time_ns, parts, 0}

/* Values by index: the key is a u32 below `entries`; every entry is there from the start, zero. */
#define TL_ARRAY(name, value, entries) TL_MAP(name, 2, 4, sizeof(value), entries, 0, 0)
/* Values by key. A full one takes no new key. */
#define TL_HASH(name, key, value, entries) TL_MAP(name, 1, sizeof(key), sizeof(value), entries, 0, 0)
/* Values by key. A full one gives up the least recently used entry for a new key: the right kind where others choose keys. */
#define TL_LRU_HASH(name, key, value, entries) TL_MAP(name, 9, sizeof(key), sizeof(value), entries, 0, 0)
/* Values by bit prefix: the key is a u32 number of bits and then the bytes, most significant bit first. */
#define TL_LPM_TRIE(name, key, value, entries) TL_MAP(name, 11, sizeof(key), sizeof(value), entries, 0, 0)
/* For each key, amounts summed over the last `window_ns`, which slides by `panes` (1 to 64) parts. tl_window_add. */
#define TL_WINDOW(name, key, entries, window_ns, panes) TL_MAP(name, 1024, sizeof(key), 0, entries, window_ns, panes)
/* For each key, distinct members of the last `window_ns`, exact up to `members`. tl_distinct_add. */
#define TL_DISTINCT(name, key, member, entries, window_ns, members)                                                    \
    TL_MAP(name, 1025, sizeof(key), sizeof(member), entries, window_ns, members)
/* Keys seen in the last `ttl_ns`. tl_seen. */
#define TL_SEEN(name, key, entries, ttl_ns) TL_MAP(name, 1026, sizeof(key), 0, entries, ttl_ns, 0)

#define TL_SECONDS 1000000000ull
#define TL_MINUTES (60 * TL_SECONDS)
#define TL_HOURS (60 * TL_MINUTES)

/* ---- Helpers -------------------------------------------------------------------------------------------------- */

#define TL_HELPER(result, name, number, ...)                                                                           \
    static result (*const name)(__VA_ARGS__) __attribute__((unused)) = (result(*)(__VA_ARGS__))number

/* The address of the value under a key, or 0: compare with 0 before use. */
TL_HELPER(void *, tl_lookup, 1, const void *map, const void *key);
/* Puts a value under a key. 0, or a negative error number: -7 full, -17 exists, -2 is not there, -22 makes no sense. */
TL_HELPER(s64, tl_update, 2, const void *map, const void *key, const void *value, u64 flags);
#define TL_ANY 0
#define TL_NOEXIST 1
#define TL_EXIST 2
/* Removes a key. 0, or -2 is not there, -22 an array. */
TL_HELPER(s64, tl_delete, 3, const void *map, const void *key);
/* Adds an amount at a time and returns the sum of the window. */
TL_HELPER(s64, tl_window_add, 1032, const void *map, const void *key, s64 time_ns, s64 amount);
/* Adds a member at a time and returns how many distinct ones the window has. */
TL_HELPER(s64, tl_distinct_add, 1033, const void *map, const void *key, const void *member, s64 time_ns);
/* Whether the key was seen before within its time; it is from now on. */
TL_HELPER(u64, tl_seen, 1034, const void *map, const void *key, s64 time_ns);

/* Compares two fields of one event: 0 false, 1 true, 2 unknown. `how`: TL_EQUALS … and flags. */
TL_HELPER(u64, tl_compare, 1024, const void *event, u64 left, u64 right, u64 how);
#define TL_EQUALS 0
#define TL_CONTAINS 1
#define TL_STARTS_WITH 2
#define TL_ENDS_WITH 3
#define TL_FOLD 0x100
/* Characters of a text; 0 without a value. */
TL_HELPER(u64, tl_chars_of, 1030, const void *event, u64 number);
#define tl_chars(name) tl_chars_of(tl_event, tl_number(name))
/* Eight bytes of a text, bytes or an address from a byte offset on, the first in the lowest bits; 0 beyond its end. */
TL_HELPER(u64, tl_load, 1035, const void *event, u64 number, u64 offset);
#define tl_bytes_at(name, offset) tl_load(tl_event, tl_number(name), offset)
/* One byte; 0 beyond the end. */
#define tl_byte_at(name, offset) ((u8)tl_bytes_at(name, offset))

#endif
