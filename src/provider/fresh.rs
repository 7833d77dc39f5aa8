use super::random::random;
use crate::Timestamp;

/// What is new in each request: the time, and random bits for a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    time: Timestamp,
    random: Option<u64>,
}

impl Fresh {
    /// Of a request that is made at `time`, by the clock of whoever checks it as far as that is known.
    #[inline]
    pub const fn at(time: Timestamp) -> Self {
        Self { time, random: None }
    }

    /// With these bits in place of random ones, so that the result can be compared.
    #[must_use]
    pub const fn with_random(mut self, random: u64) -> Self {
        self.random = Some(random);
        self
    }

    /// The time, in milliseconds.
    #[inline]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Random bits, new ones each time this is called: unlikely to come twice, which is all that a
    /// nonce needs, and not meant to be hard to guess. They come from a generator of this thread.
    #[inline]
    pub fn random(&self) -> u64 {
        self.random.unwrap_or_else(random)
    }
}

impl From<Timestamp> for Fresh {
    #[inline]
    fn from(time: Timestamp) -> Self {
        Self::at(time)
    }
}
