-- Facts about the ledger itself: key id, counters, holds, the admin token's digest.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE clock (
    only          INTEGER PRIMARY KEY CHECK (only = 1),
    wall_ms       INTEGER NOT NULL,
    since_boot_ms INTEGER NOT NULL,
    boot          TEXT    NOT NULL
) STRICT;

CREATE TABLE apps (
    id                 INTEGER PRIMARY KEY,
    place              INTEGER NOT NULL UNIQUE,
    name               TEXT    NOT NULL,
    disabled           INTEGER NOT NULL,
    created_ms         INTEGER NOT NULL,
    publish_auth       TEXT    NOT NULL,
    bind_nonces        INTEGER NOT NULL,
    default_forbid_ms  INTEGER,
    callback_secret    BLOB    NOT NULL,
    publish_key        BLOB    NOT NULL,
    publish_key_backup BLOB
) STRICT;

CREATE TABLE server_secrets (
    app_id     INTEGER NOT NULL REFERENCES apps (id),
    serial     INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    expires_ms INTEGER,
    PRIMARY KEY (app_id, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id         INTEGER NOT NULL REFERENCES apps (id),
    vendor         TEXT    NOT NULL,
    publish_domain TEXT    NOT NULL,
    rtmp_app       TEXT    NOT NULL,
    UNIQUE (vendor, publish_domain, rtmp_app)
) STRICT;
CREATE INDEX targets_of_app ON targets (app_id);
CREATE UNIQUE INDEX one_origin_an_app ON targets (app_id) WHERE vendor = 'origin';

-- The hash chain. Each link has one history row of the same number, or a batch of attempts.
CREATE TABLE chain (
    seq    INTEGER PRIMARY KEY,
    kind   TEXT NOT NULL,
    digest BLOB NOT NULL,
    hash   BLOB NOT NULL
) STRICT;

-- until_ms: NULL when the decision set no block, 9223372036854775807 for "until lifted".
-- held: a resume that was recorded while resumes are held.
CREATE TABLE decisions (
    link       INTEGER PRIMARY KEY,
    app_id     INTEGER NOT NULL REFERENCES apps (id),
    stream     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    verb       TEXT    NOT NULL,
    until_ms   INTEGER,
    held       INTEGER NOT NULL,
    actor      TEXT,
    operator   TEXT,
    client     TEXT,
    reason     TEXT,
    at_ms      INTEGER NOT NULL,
    request_id INTEGER,
    UNIQUE (app_id, stream, generation)
) STRICT;

CREATE TABLE attempts (
    link              INTEGER NOT NULL,
    place             INTEGER NOT NULL,
    app_id            INTEGER NOT NULL,
    stream            TEXT    NOT NULL,
    target            INTEGER NOT NULL,
    generation        INTEGER NOT NULL,
    at_ms             INTEGER NOT NULL,
    result            TEXT    NOT NULL,
    vendor_request_id TEXT    NOT NULL,
    words             TEXT    NOT NULL,
    PRIMARY KEY (link, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_of_stream ON attempts (app_id, stream, link, place);

-- What happened to the ledger as a whole: a restore, and its confirmation.
CREATE TABLE events (
    link       INTEGER PRIMARY KEY,
    verb       TEXT    NOT NULL,
    actor      TEXT,
    operator   TEXT,
    client     TEXT,
    detail     TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    request_id INTEGER
) STRICT;

CREATE TABLE blocks (
    app_id      INTEGER NOT NULL REFERENCES apps (id),
    stream      TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    since_ms    INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,
    held_resume INTEGER,
    PRIMARY KEY (app_id, stream)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_by_end ON blocks (until_ms) WHERE until_ms < 9223372036854775807;
CREATE INDEX blocks_held ON blocks (held_resume) WHERE held_resume IS NOT NULL;

CREATE TABLE placements (
    app_id      INTEGER NOT NULL,
    stream      TEXT    NOT NULL,
    target      INTEGER NOT NULL REFERENCES targets (id),
    wanted      INTEGER NOT NULL,
    accepted    INTEGER,
    accepted_ms INTEGER,
    PRIMARY KEY (app_id, stream, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE nonces (
    app_id     INTEGER NOT NULL REFERENCES apps (id),
    nonce      TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    expires_ms INTEGER NOT NULL,
    request_id INTEGER NOT NULL,
    stream     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    answer     TEXT,
    PRIMARY KEY (app_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX nonces_by_end ON nonces (expires_ms);
