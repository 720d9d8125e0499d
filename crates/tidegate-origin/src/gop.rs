//! The frames since the last key frame, bounded, for whoever joins.

use std::time::Duration;

use crate::frame::Frame;

/// What a frame is counted for beside its payload, so that many tiny ones are bounded too.
pub(crate) const FRAME_COST: usize = 64;

/// The GOP cache of a stream.
#[derive(Debug)]
pub(crate) struct Gop {
    frames: Vec<Frame>,
    bytes: usize,
    max_bytes: usize,
    max_ms: u32,
}

impl Gop {
    pub(crate) fn new(max_bytes: usize, max_duration: Duration) -> Self {
        Self {
            frames: Vec::new(),
            bytes: 0,
            max_bytes,
            max_ms: u32::try_from(max_duration.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Takes in the next frame. A GOP that grows past its bounds is dropped whole: half of one
    /// cannot be decoded.
    pub(crate) fn push(&mut self, frame: &Frame) {
        if frame.is_key() {
            self.clear();
        } else if self.frames.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(frame.payload.len() + FRAME_COST);
        self.frames.push(frame.clone());
        let first = self.frames.first().map_or(0, |f| f.timestamp);
        // A timestamp that runs backwards is an encoder's hiccup, not an age.
        let age = frame.timestamp.wrapping_sub(first);
        let too_old = age < u32::MAX / 2 && age > self.max_ms;
        if self.bytes > self.max_bytes || too_old {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes = 0;
        // Releases the memory too: a stream without video never fills it again.
        self.frames = Vec::new();
    }

    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tidegate_media::flv::TagKind;
    use tidegate_media::packet::{Class, Role};

    fn frame(role: Role, timestamp: u32, size: usize) -> Frame {
        Frame {
            kind: TagKind::Video,
            class: Class {
                role,
                ..Class::OPAQUE
            },
            timestamp,
            payload: Bytes::from(vec![0; size]),
        }
    }

    #[test]
    fn starts_at_the_last_key_frame() {
        let mut gop = Gop::new(1000, Duration::from_secs(10));
        gop.push(&frame(Role::Frame, 0, 1));
        assert!(gop.frames().is_empty());
        gop.push(&frame(Role::KeyFrame, 40, 1));
        gop.push(&frame(Role::Frame, 80, 1));
        gop.push(&frame(Role::KeyFrame, 120, 1));
        gop.push(&frame(Role::Frame, 160, 1));
        let times: Vec<u32> = gop.frames().iter().map(|f| f.timestamp).collect();
        assert_eq!(times, [120, 160]);
    }

    #[test]
    fn a_gop_past_its_bounds_is_dropped_until_the_next_key_frame() {
        for (late, size) in [(11_000, 1), (50, 2000)] {
            let mut gop = Gop::new(1000, Duration::from_secs(10));
            gop.push(&frame(Role::KeyFrame, 0, 1));
            gop.push(&frame(Role::Frame, late, size));
            assert!(gop.frames().is_empty(), "{late} {size}");
            gop.push(&frame(Role::Frame, late + 1, 1));
            assert!(gop.frames().is_empty(), "{late} {size}");
            gop.push(&frame(Role::KeyFrame, late + 2, 1));
            assert_eq!(gop.frames().len(), 1, "{late} {size}");
        }
    }
}
