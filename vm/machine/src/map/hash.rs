//! Keyed hashing: SipHash-1-3, so that nobody who chooses keys can choose collisions.
//!
//! Hashes decide where a key is looked for, never what an operation answers or whom it pushes out.
//!
//! Reference: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012; with one round a word and
//! three at the end, as the standard library hashes. Its own `SipHasher` is deprecated and its `RandomState` cannot be
//! given a key, hence this one.

use std::hash::{BuildHasher, RandomState};

/// The key of the hashes of one memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// A key that nobody knows, from the operating system's randomness.
    pub fn random() -> Self {
        let state = RandomState::new();
        Self(state.hash_one(0u8), state.hash_one(1u8))
    }

    /// The hash of these bytes.
    #[inline]
    pub(super) fn hash(self, bytes: &[u8]) -> u64 {
        siphash::<1, 3>(self, bytes)
    }

    /// Half of it.
    #[inline]
    pub(super) fn tag(self, bytes: &[u8]) -> u32 {
        let hash = self.hash(bytes);
        (hash ^ hash >> 32) as u32
    }
}

#[inline]
fn siphash<const WORD: usize, const END: usize>(key: HashKey, bytes: &[u8]) -> u64 {
    let mut v = [
        key.0 ^ 0x736f_6d65_7073_6575,
        key.1 ^ 0x646f_7261_6e64_6f6d,
        key.0 ^ 0x6c79_6765_6e65_7261,
        key.1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb::<WORD>(&mut v, u64::from_le_bytes(*word));
    }
    let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    absorb::<WORD>(&mut v, (bytes.len() as u64) << 56 | last);
    v[2] ^= 0xff;
    (0..END).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn absorb<const WORD: usize>(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    (0..WORD).for_each(|_| round(v));
    v[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hasher};

    /// The example of the paper's appendix A, for two and four rounds.
    #[test]
    fn the_example_of_the_paper() {
        let key = HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(siphash::<2, 4>(key, &message), 0xa129_ca61_49be_45e5);
    }

    /// The standard library's hasher is SipHash-1-3 under the key 0, 0.
    #[test]
    fn as_the_standard_library() {
        let bytes: Vec<u8> = (0..40u8).map(|byte| byte.wrapping_mul(7)).collect();
        for len in 0..bytes.len() {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes[..len]);
            assert_eq!(HashKey(0, 0).hash(&bytes[..len]), hasher.finish(), "{len}");
        }
    }

    #[test]
    fn keys_differ() {
        assert_ne!(HashKey::random(), HashKey::random());
        assert_ne!(HashKey(1, 2).hash(b"x"), HashKey(2, 1).hash(b"x"));
    }
}
