/* A URL whose host is an IPv4 address written as one number: `curl http://3232235777/x` fetches from 192.168.1.1.
 *
 * Browsers and tools take it, people and lists of bad hosts do not see it. A pattern finds "digits after ://" and with them
 * every host name that begins with a digit; whether the number is an address takes arithmetic.
 *
 * Detects: command lines with `://` and then 8 to 10 digits, at least 2^24 and below 2^32, up to the end of the host.
 * False positives: none known; internal tools that do this deserve the question.
 */
#include "trapline.h"

TL_RULE(url_with_integer_address,
    TL_ID("5f0c3a52-6a5e-4f43-9d5a-7f1a4c9f2b10")
    TL_VERSION("1.0.0")
    TL_TITLE("A URL with its address written as one number")
    TL_SEVERITY("high")
    TL_ATTACK("T1027")
    TL_ATTACK("T1105")
    TL_REFERENCE("https://attack.mitre.org/techniques/T1027/")
    TL_NEEDS("process.command_line")
    TL_OUTPUT("{process.name|a process} was given a URL with a number for a host: {process.command_line}"));

TL_STRING(command, "process.command_line");
/* The engine looks for this in all rules at once; most events end here. */
TL_PREDICATE(has_url, "process.command_line", contains, "://");

/* Bytes of a command line that are looked at. */
#define LOOKED_AT 512

#define IS_DIGIT(c) ((u8)((c) - '0') <= 9)
/* What can follow a host: the end, a path, a port, a query, a fragment, a quote, a blank. */
#define ENDS_HOST(c)                                                                                                   \
    ((c) == 0 || (c) == '/' || (c) == ':' || (c) == '?' || (c) == '#' || (c) == '"' || (c) == '\'' || (c) == ' ')

TL_PROGRAM("process.exec")
int url_with_integer_address(TL_EVENT)
{
    if (!tl_true(has_url))
        return tl_known(has_url) || !tl_lost(command) ? TL_NO_MATCH : TL_NOT_EVALUABLE;

    u32 slashes = 0; /* how much of "://" the bytes before this one are */
    u32 digits = 0;  /* digits of the host so far; 0 outside of a host */
    u64 value = 0;
    u64 word = 0;
    for (u32 i = 0; i < LOOKED_AT; i++) {
        if (i % 8 == 0)
            word = tl_bytes_at(command, i);
        u8 c = word & 0xff;
        word >>= 8;
        if (slashes == 3) {
            if (IS_DIGIT(c) && digits < 11) {
                digits++;
                value = (value * 10 + (c - '0')) & 0xfffffffffffull;
                continue;
            }
            if (ENDS_HOST(c) && digits >= 8 && digits <= 10 && value >= 1ull << 24 && value < 1ull << 32)
                return TL_MATCH;
            slashes = digits = 0;
            value = 0;
        }
        if (c == 0)
            break;
        slashes = c == ':' ? 1 : c == '/' && slashes > 0 ? slashes + 1 : 0;
    }
    return TL_NO_MATCH;
}

TL_LICENSE("Apache-2.0 OR MIT");
