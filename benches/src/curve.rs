//! What the publisher has sent and when: the scale on which every player's lag is read.

use std::time::{Duration, Instant};

use crate::media::{Shape, marker_offset};

/// Bytes of an FLV tag around its body.
const TAG: u64 = 15;

/// How far a player's position may be off because its framing is not FLV's, between two
/// markers. Less than the smallest tag.
const SLACK: u64 = 256;

/// One frame sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) shape: Shape,
    /// Position just past its tag.
    end: u64,
    at: Instant,
}

/// Everything sent so far, by position in the stream as FLV.
#[derive(Default, Debug)]
pub(crate) struct Curve(Vec<Sent>);

impl Curve {
    pub(crate) fn push(&mut self, shape: Shape, at: Instant) {
        let len = u64::try_from(shape.len).unwrap_or(0);
        let end = self.end() + len + TAG;
        self.0.push(Sent { shape, end, at });
    }

    /// Index of the next frame.
    pub(crate) fn next_index(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Sent> {
        self.0.get(usize::try_from(index).ok()?)
    }

    /// Where the marker of a frame is.
    pub(crate) fn marker_position(&self, index: u64) -> Option<u64> {
        let sent = self.get(index)?;
        let len = u64::try_from(sent.shape.len).ok()?;
        let offset = u64::try_from(marker_offset(sent.shape.kind)).ok()?;
        // The previous-tag-size takes the last 4 bytes of the tag.
        Some(sent.end.checked_sub(len + 4)? + offset)
    }

    /// How long ago the byte at `position` was sent; none when it has not been sent yet.
    pub(crate) fn age(&self, position: u64, now: Instant) -> Option<Duration> {
        let position = position.saturating_add(SLACK);
        let at = self.0.partition_point(|sent| sent.end <= position);
        self.0
            .get(at)
            .map(|sent| now.saturating_duration_since(sent.at))
    }

    fn end(&self) -> u64 {
        self.0.last().map_or(0, |sent| sent.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Source;

    #[test]
    fn a_position_is_as_old_as_the_frame_that_covers_it() {
        let start = Instant::now();
        let mut source = Source::new();
        let mut curve = Curve::default();
        for second in 0..3 {
            curve.push(source.step(), start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(10);
        assert_eq!(curve.age(0, now), Some(Duration::from_secs(10)));
        let second = curve.marker_position(1).unwrap();
        assert_eq!(curve.age(second, now), Some(Duration::from_secs(9)));
        assert_eq!(curve.age(curve.end(), now), None);
        assert_eq!(curve.marker_position(0), Some(11 + 10));
    }
}
