/* A logon that succeeds after many from the same address failed: a guessed password.
 *
 * Detects: a successful logon from an address with at least 10 failed ones in the 10 minutes before it.
 * Why not a rule: it counts for each address, forgets with time, and starts over after a success.
 * State: 4096 addresses of 32 bytes; when there are more, the address that was quiet longest is forgotten, so nobody can
 * fill it.
 */
#include "trapline.h"

TL_RULE(logon_after_failures,
    TL_ID("8d8f7f0e-0a34-4a7e-9f51-3c2f1f7a6d22")
    TL_VERSION("1.0.0")
    TL_TITLE("A logon succeeded after many failures from the same address")
    TL_SEVERITY("high")
    TL_ATTACK("T1110.001")
    TL_FALSE_POSITIVE("A forgotten password, when the address is that of a gateway with many users behind it.")
    TL_NEEDS("source.ip")
    TL_NEEDS("event.outcome")
    TL_OUTPUT("{user.name|someone} logged on from {source.ip} after many failures"));

TL_IP(from, "source.ip");
TL_PREDICATE(failed, "event.outcome", is, "failure");
TL_PREDICATE(succeeded, "event.outcome", is, "success");

#define FAILURES 10
#define WITHIN (10 * TL_MINUTES)

/* An IPv4 address is its four bytes and zeros. */
struct address {
    u64 low, high;
};

struct tries {
    u64 failures;
    s64 first_ns;
};

TL_LRU_HASH(addresses, struct address, struct tries, 4096);

TL_PROGRAM("authentication.login")
int logon_after_failures(TL_EVENT)
{
    if (!tl_present(from))
        return tl_lost(from) ? TL_NOT_EVALUABLE : TL_NO_MATCH;
    struct address key = {tl_bytes_at(from, 0), tl_bytes_at(from, 8)};
    struct tries *known = tl_lookup(&addresses, &key);

    if (tl_true(failed)) {
        if (known && tl_time() - known->first_ns <= (s64)WITHIN) {
            known->failures++;
        } else {
            struct tries fresh = {1, tl_time()};
            tl_update(&addresses, &key, &fresh, TL_ANY);
        }
        return TL_NO_MATCH;
    }
    if (!tl_true(succeeded) || !known)
        return TL_NO_MATCH;
    int guessed = known->failures >= FAILURES && tl_time() - known->first_ns <= (s64)WITHIN;
    tl_delete(&addresses, &key);
    return guessed ? TL_MATCH : TL_NO_MATCH;
}

TL_LICENSE("Apache-2.0 OR MIT");
