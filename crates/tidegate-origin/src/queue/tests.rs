use super::*;
use tidegate_media::flv::TagKind;
use tidegate_media::packet::{Class, Role};

const BOUNDS: Bounds = Bounds {
    gop_bytes: 10_000,
    gop_ms: 10_000,
    behind_bytes: 10_000,
};

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

fn queue() -> Queue {
    Queue::new(Arc::default(), BOUNDS)
}

#[test]
fn a_batch_never_crosses_a_key_frame() {
    let mut queue = queue();
    let roles = [Role::Frame, Role::KeyFrame, Role::Frame, Role::KeyFrame];
    let at = |(at, role)| frame(role, at, 1);
    queue.push((0..).zip(roles).map(at).collect());
    let starts: Vec<u32> = (0..queue.end())
        .filter_map(|seq| queue.get(seq).map(|b| b.timestamp))
        .collect();
    assert_eq!(starts, [0, 1, 3]);
    assert_eq!(queue.join_at(), Some(2));
}

#[test]
fn a_container_that_comes_late_has_the_kept_batches_too() {
    let mut queue = queue();
    let plain = queue.form_of(Container::Plain);
    queue.push(vec![frame(Role::KeyFrame, 0, 9)]);
    let chunked = queue.form_of(Container::Chunked);
    let batch = queue.get(0).expect("kept");
    assert_eq!(batch.form(plain).len(), 9 + 15);
    assert!(batch.form(chunked).len() > 9 + 15);
    assert_eq!(queue.form_of(Container::Plain), plain);
}

#[test]
fn the_gop_is_kept_for_joiners_and_older_batches_only_while_needed() {
    let mut queue = queue();
    queue.push(vec![frame(Role::KeyFrame, 0, 1)]);
    queue.push(vec![frame(Role::Frame, 40, 1)]);
    queue.push(vec![frame(Role::KeyFrame, 80, 1)]);
    queue.trim(1);
    assert!(queue.get(0).is_none());
    assert!(queue.get(1).is_some());
    queue.trim(queue.end());
    assert!(queue.get(1).is_none());
    assert_eq!(queue.join_at(), Some(2));
}

#[test]
fn a_player_too_far_behind_does_not_hold_batches() {
    let mut queue = queue();
    for at in 0..10 {
        queue.push(vec![frame(Role::KeyFrame, at, 4_000)]);
        queue.trim(0);
    }
    assert!(queue.get(0).is_none());
    assert!(queue.get(8).is_some());
    assert_eq!(queue.join_at(), Some(9));
}

#[test]
fn a_gop_past_its_bounds_is_no_place_to_join() {
    for (timestamp, size) in [(20, 11_000), (11_000, 1)] {
        let mut queue = queue();
        queue.push(vec![frame(Role::KeyFrame, 0, 1)]);
        queue.push(vec![frame(Role::Frame, timestamp, size)]);
        assert_eq!(queue.join_at(), None, "{timestamp} {size}");
        queue.push(vec![frame(Role::KeyFrame, timestamp + 1, 1)]);
        assert_eq!(queue.join_at(), Some(2), "{timestamp} {size}");
    }
}

#[test]
fn without_key_frames_one_joins_at_the_end() {
    let mut queue = queue();
    queue.push(vec![frame(Role::Frame, 0, 1)]);
    assert_eq!(queue.join_at(), Some(1));
    queue.trim(1);
    assert!(queue.get(0).is_none());
}

#[test]
fn a_cut_leaves_nothing() {
    let mut queue = queue();
    queue.push(vec![frame(Role::KeyFrame, 0, 1)]);
    queue.clear();
    assert_eq!(queue.join_at(), None);
    assert!(queue.get(0).is_none());
}
