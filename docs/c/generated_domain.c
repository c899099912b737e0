/* A DNS name that looks as if a program made it up: many letters, few that could be spoken.
 *
 * Detects: a first label of at least 16 characters, of which few are vowels, many are different, and letters and digits
 * change places often. Malware that makes its names from the date (a domain generation algorithm) asks for hundreds of them.
 * False positives: names of content networks and of mail protection; leave them out with predicates of your own.
 */
#include "trapline.h"

TL_RULE(generated_domain,
    TL_ID("c2b7a7b3-6a1d-4a55-8a6c-8f4f5f8f9e31")
    TL_VERSION("1.0.0")
    TL_TITLE("A DNS name that looks generated")
    TL_SEVERITY("low")
    TL_ATTACK("T1568.002")
    TL_NEEDS("dns.question.name")
    TL_OUTPUT("{process.name|a process} asked for {dns.question.name}"));

TL_STRING(name, "dns.question.name");
TL_PREDICATE(known_good, "dns.question.name", ends_with_fold, ".cloudfront.net", ".akamaiedge.net", ".in-addr.arpa");

/* Labels of DNS are no longer (RFC 1035, 2.3.4). */
#define LABEL_MAX 64
#define LETTER 1
#define VOWEL 2
#define DIGIT 4

/* What a character is; constants lie in .rodata, which programs can read and not write. */
static const u8 kinds[128] = {
    ['0'] = DIGIT,  ['1'] = DIGIT,  ['2'] = DIGIT,  ['3'] = DIGIT,  ['4'] = DIGIT,  ['5'] = DIGIT,
    ['6'] = DIGIT,  ['7'] = DIGIT,  ['8'] = DIGIT,  ['9'] = DIGIT,  ['a'] = LETTER | VOWEL,
    ['b'] = LETTER, ['c'] = LETTER, ['d'] = LETTER, ['e'] = LETTER | VOWEL, ['f'] = LETTER,
    ['g'] = LETTER, ['h'] = LETTER, ['i'] = LETTER | VOWEL, ['j'] = LETTER, ['k'] = LETTER,
    ['l'] = LETTER, ['m'] = LETTER, ['n'] = LETTER, ['o'] = LETTER | VOWEL, ['p'] = LETTER,
    ['q'] = LETTER, ['r'] = LETTER, ['s'] = LETTER, ['t'] = LETTER, ['u'] = LETTER | VOWEL,
    ['v'] = LETTER, ['w'] = LETTER, ['x'] = LETTER, ['y'] = LETTER | VOWEL, ['z'] = LETTER,
};

/* Points for one character after another. Not inlined: it is verified at each call. */
TL_FUNCTION u32 points(u8 before, u8 c)
{
    u8 kind = kinds[c & 127];
    u8 kind_before = kinds[before & 127];
    u32 points = 0;
    if ((kind ^ kind_before) & DIGIT)
        points += 2; /* letters and digits change places */
    if ((kind & kind_before & LETTER) && !((kind | kind_before) & VOWEL))
        points += 1; /* two consonants in a row */
    if (c == 'q' || c == 'x' || c == 'z' || c == 'j')
        points += 1;
    return points;
}

TL_PROGRAM("dns.query")
int generated_domain(TL_EVENT)
{
    if (!tl_present(name))
        return tl_lost(name) ? TL_NOT_EVALUABLE : TL_NO_MATCH;
    if (tl_true(known_good))
        return TL_NO_MATCH;

    /* The first label, in lower case, as far as it can go. */
    u8 label[LABEL_MAX];
    for (u32 i = 0; i < LABEL_MAX; i += 8) {
        u64 word = tl_bytes_at(name, i);
        __builtin_memcpy(label + i, &word, 8);
    }
    u32 len = 0, score = 0;
    u8 before = 0;
    for (u32 i = 0; i < LABEL_MAX; i++) {
        u8 c = label[i];
        if (c == 0 || c == '.')
            break;
        if (c >= 'A' && c <= 'Z')
            c += 'a' - 'A';
        if (i > 0)
            score += points(before, c);
        before = c;
        len++;
    }
    /* On average three points for four characters; names of words have less than two. */
    return len >= 16 && score * 4 >= len * 3 ? TL_MATCH : TL_NO_MATCH;
}

TL_LICENSE("Apache-2.0 OR MIT");
