//! Positions at which something waits, to be taken in ascending order.
//!
//! A set of small numbers as bits, with a bit for each word that is not empty, so that finding the next one is cheap
//! however far away it is: loops of many blocks, few of which are reached, cost what they reach.

const BITS: usize = u64::BITS as usize;

/// A set of numbers below a length given once.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    words: Vec<u64>,
    /// Which words are not zero.
    summary: Vec<u64>,
}

impl Waiting {
    /// Of numbers below `len`.
    pub(super) fn new(len: usize) -> Self {
        let words = len.div_ceil(BITS);
        Self { words: vec![0; words], summary: vec![0; words.div_ceil(BITS)] }
    }

    pub(super) fn insert(&mut self, number: u32) {
        let index = number as usize;
        if let Some(word) = self.words.get_mut(index / BITS) {
            *word |= 1 << (index % BITS);
        }
        if let Some(word) = self.summary.get_mut(index / BITS / BITS) {
            *word |= 1 << (index / BITS % BITS);
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        let index = number as usize;
        let Some(word) = self.words.get_mut(index / BITS) else { return };
        *word &= !(1 << (index % BITS));
        if *word == 0
            && let Some(summary) = self.summary.get_mut(index / BITS / BITS)
        {
            *summary &= !(1 << (index / BITS % BITS));
        }
    }

    /// The least number from `start` on and below `end`.
    pub(super) fn first(&self, start: u32, end: u32) -> Option<u32> {
        let index = start as usize;
        let above = |word: u64, bit: usize| word & (u64::MAX << bit);
        let here = above(self.words.get(index / BITS).copied()?, index % BITS);
        let found = if here != 0 {
            index / BITS * BITS + here.trailing_zeros() as usize
        } else {
            let next = index / BITS + 1;
            let mut at = next / BITS;
            let mut summary = above(self.summary.get(at).copied()?, next % BITS);
            while summary == 0 {
                at += 1;
                summary = self.summary.get(at).copied()?;
            }
            let word = at * BITS + summary.trailing_zeros() as usize;
            word * BITS + self.words.get(word)?.trailing_zeros() as usize
        };
        u32::try_from(found).ok().filter(|found| *found < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_found_wherever_it_is() {
        let len = 70_000;
        let mut waiting = Waiting::new(len as usize);
        let mut plain = std::collections::BTreeSet::new();
        let mut random = 1u64;
        for _ in 0..3000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as u32 % len;
            // Numbers at the edges of words, of words of words, and anywhere.
            let number = [number, number / 64 * 64, number / 4096 * 4096, number / 64 * 64 + 63]
                [(random >> 60) as usize % 4]
                .min(len - 1);
            if random >> 59 & 1 == 0 {
                waiting.insert(number);
                plain.insert(number);
            } else {
                let taken = plain.range(number..).next().copied();
                waiting.remove(taken.unwrap_or(number));
                plain.remove(&taken.unwrap_or(number));
            }
            let end = (number + 5000).min(len);
            assert_eq!(waiting.first(number, end), plain.range(number..end).next().copied());
            assert_eq!(waiting.first(number, len), plain.range(number..).next().copied());
        }
        for number in [5, 63, 64, 4096] {
            let mut one = Waiting::new(len as usize);
            one.insert(number);
            let found = [(0, number), (0, number + 1), (number, number + 1), (number + 1, len)];
            assert_eq!(found.map(|(start, end)| one.first(start, end)), [None, Some(number), Some(number), None]);
        }
        assert_eq!(Waiting::new(0).first(0, 5), None);
        assert_eq!(waiting.first(len, len), None);
    }
}
