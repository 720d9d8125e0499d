//! SplitMix64: the same campaign for the same seed, as far as two machines can agree on time.

pub(crate) struct Dice(u64);

impl Dice {
    /// A die of its own for each part of the campaign.
    pub(crate) fn of(seed: u64, part: usize) -> Self {
        let mut dice = Self(seed ^ (part as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is small.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 33).expect("31 bits") % end
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
