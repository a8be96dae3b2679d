//! Random moments that follow from a seed, which is printed and can be set to see a failure again.

use std::time::Duration;

/// Sets the seed.
const SEED: &str = "ENVCTL_TEST_SEED";

/// `SplitMix64`: what is drawn is told by the seed alone.
pub struct Random(u64);

impl Random {
    pub fn seeded() -> Self {
        let seed = if let Some(text) = std::env::var_os(SEED) {
            text.to_str().unwrap().parse().unwrap()
        } else {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).unwrap();
            u64::from_le_bytes(bytes)
        };
        println!("{SEED}={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Some time below this.
    pub fn below(&mut self, time: Duration) -> Duration {
        Duration::from_micros(self.next() % u64::try_from(time.as_micros()).unwrap().max(1))
    }
}
