//! Quantiles and conversions.

use std::time::Duration;

/// Samples of one quantity, in milliseconds.
#[derive(Clone, Default, Debug)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(millis(time));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this part (0 to 1) of the samples lies, by nearest rank; not a
    /// number when there are none.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (part * float(sorted.len())).ceil().max(1.0);
        sorted
            .iter()
            .zip(1u32..)
            .find(|(_, at)| f64::from(*at) >= rank)
            .map_or(f64::NAN, |(value, _)| *value)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / float(self.0.len())
    }

    pub(crate) fn p50(&self) -> f64 {
        self.quantile(0.50)
    }

    pub(crate) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }
}

/// Millions of samples of a lag, to the millisecond.
#[derive(Clone, Default, Debug)]
pub(crate) struct Lags {
    /// How many samples lasted so many milliseconds.
    counts: Vec<u64>,
}

impl Lags {
    pub(crate) fn note(&mut self, lag: Duration) {
        let ms = usize::try_from(lag.as_millis()).unwrap_or(usize::MAX);
        let ms = ms.min(60_000);
        if self.counts.len() <= ms {
            self.counts.resize(ms + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(ms) {
            *count += 1;
        }
    }

    /// As [`Samples::quantile`], rounded up to whole milliseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let all: u64 = self.counts.iter().sum();
        let rank = (part * float64(all)).ceil().max(1.0);
        let mut below = 0;
        for (count, ms) in self.counts.iter().zip(1u32..) {
            below += count;
            if float64(below) >= rank {
                return f64::from(ms);
            }
        }
        f64::NAN
    }
}

/// Milliseconds with their fraction.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A count as a float; exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts here stay far below 2^53"
)]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// A count of bytes as a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts here stay far below 2^53"
)]
pub(crate) fn float64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut samples = Samples::default();
        for ms in 1..=100 {
            samples.push(Duration::from_millis(ms));
        }
        assert_eq!(samples.p50(), 50.0);
        assert_eq!(samples.p99(), 99.0);
        assert_eq!(samples.quantile(1.0), 100.0);
        assert!(Samples::default().p50().is_nan());
    }

    #[test]
    fn lags_are_counted_to_the_millisecond() {
        let mut lags = Lags::default();
        for us in (500..100_000).step_by(1000) {
            lags.note(Duration::from_micros(us));
        }
        assert_eq!((lags.quantile(0.5), lags.quantile(0.99)), (50.0, 99.0));
        assert!(Lags::default().quantile(0.5).is_nan());
    }
}
