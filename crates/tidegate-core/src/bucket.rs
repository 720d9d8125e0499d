//! Token buckets: capacity and refill are the same documented number per second.

/// One bucket. Times are milliseconds on a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Thousandths of a token.
    level: u64,
    filled_at_ms: u64,
}

impl Bucket {
    /// A full bucket for `per_second` requests.
    pub fn full(per_second: u32, now_ms: u64) -> Self {
        Self {
            level: u64::from(per_second) * 1000,
            filled_at_ms: now_ms,
        }
    }

    /// Takes one token if there is one. `per_second` is both refill and capacity, so a changed
    /// limit takes effect on the next call.
    pub fn take(&mut self, per_second: u32, now_ms: u64) -> bool {
        let capacity = u64::from(per_second) * 1000;
        let elapsed = now_ms.saturating_sub(self.filled_at_ms);
        let refill = elapsed.saturating_mul(u64::from(per_second));
        self.level = self.level.saturating_add(refill).min(capacity);
        self.filled_at_ms = self.filled_at_ms.max(now_ms);
        match self.level.checked_sub(1000) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_the_capacity_through_at_once_and_then_the_refill() {
        let mut bucket = Bucket::full(20, 0);
        assert_eq!((0..30).filter(|_| bucket.take(20, 0)).count(), 20);
        assert!(!bucket.take(20, 49));
        assert!(bucket.take(20, 50));
        assert!(!bucket.take(20, 50));
        assert_eq!((0..100).filter(|_| bucket.take(20, 10_000)).count(), 20);
    }

    #[test]
    fn a_clock_that_stands_or_steps_back_grants_nothing() {
        let mut bucket = Bucket::full(1, 1000);
        assert!(bucket.take(1, 1000));
        assert!(!bucket.take(1, 0));
        assert!(!bucket.take(1, 1999));
        assert!(bucket.take(1, 2000));
    }

    #[test]
    fn a_zero_rate_refuses_all() {
        let mut bucket = Bucket::full(0, 0);
        assert!(!bucket.take(0, u64::MAX));
    }
}
