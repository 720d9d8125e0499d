use super::*;

const PLACE: Place<'_> = Place {
    table: "apps",
    row: &[1],
    column: "publish_key",
};

#[test]
fn a_sealed_value_opens_only_in_its_own_place() {
    let key = SealingKey::from_bytes(&[7; 32]);
    let sealed = key.seal(PLACE, "s3cret").expect("sealed");
    assert_eq!(key.open(PLACE, &sealed).expect("opens").expose(), "s3cret");
    for other in [
        Place { row: &[2], ..PLACE },
        Place {
            column: "callback_secret",
            ..PLACE
        },
        Place {
            table: "server_secrets",
            ..PLACE
        },
    ] {
        assert!(key.open(other, &sealed).is_err());
    }
}

#[test]
fn two_seals_of_one_secret_differ_and_never_show_it() {
    let key = SealingKey::from_bytes(&[7; 32]);
    let first = key.seal(PLACE, "s3cret").expect("sealed");
    let second = key.seal(PLACE, "s3cret").expect("sealed");
    assert_ne!(first, second);
    assert!(!first.windows(6).any(|w| w == b"s3cret"));
}

#[test]
fn every_changed_or_missing_byte_is_refused() {
    let key = SealingKey::from_bytes(&[7; 32]);
    let sealed = key.seal(PLACE, "s3cret").expect("sealed");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(key.open(PLACE, &changed).is_err(), "byte {at}");
        assert!(key.open(PLACE, &sealed[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn the_key_file_is_private_complete_and_never_replaced() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("secrets.key");
    assert!(
        SealingKey::load(&path)
            .expect("absent is no error")
            .is_none()
    );
    let made = SealingKey::create(&path).expect("made");
    let mode = path.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let loaded = SealingKey::load(&path).expect("readable").expect("there");
    assert_eq!(made.id(), loaded.id());
    assert!(SealingKey::create(&path).is_err());
    fs::write(&path, "not a key\n").expect("written");
    assert!(matches!(SealingKey::load(&path), Err(LedgerError::Key(_))));
}
