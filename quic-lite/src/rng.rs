//! Deterministic random bytes from a seed the caller supplies. No RFC.
//!
//! Connection IDs and PATH_CHALLENGE data must be unpredictable (RFC 9000 §5.1, §8.2.1), while a
//! simulation must repeat itself: so the generator is a ChaCha20 key stream, and only the caller knows
//! whether its seed came from the system or from a test. It never reads an entropy source itself.

use core::fmt;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

/// A stream of random bytes: ChaCha20 under the seed, one block number per call.
#[derive(Clone)]
pub struct Rng {
    seed: [u8; 32],
    calls: u64,
}

impl Rng {
    /// The generator that `seed` determines.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, calls: 0 }
    }

    /// A generator from a small number, for tests and simulations.
    pub fn from_number(number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Self::new(seed)
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.calls.to_le_bytes());
        self.calls = self.calls.wrapping_add(1);
        out.fill(0);
        ChaCha20::new(&self.seed.into(), &nonce.into()).apply_keystream(out);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number over the whole range.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A random number below `bound`; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of one multiplication is bound/2^64: of no weight for the uses here.
        let wide = u128::from(self.number()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// An independent generator, for example one per connection of an endpoint.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bytes())
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed would reveal every connection ID still to come.
        f.debug_struct("Rng")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_bytes() {
        let (mut one, mut two) = (Rng::from_number(7), Rng::from_number(7));
        assert_eq!(one.bytes::<40>(), two.bytes::<40>());
        assert_ne!(one.number(), Rng::from_number(8).number());
    }

    #[test]
    fn calls_and_forks_do_not_repeat() {
        let mut rng = Rng::from_number(1);
        let first = rng.number();
        assert_ne!(first, rng.number());
        assert_ne!(first, rng.fork().number());
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut rng = Rng::from_number(3);
        assert!((0..1000).all(|_| rng.below(17) < 17));
        assert_eq!(rng.below(0), 0);
    }
}
