-- Credentials at vendors. strict: the vendor compares domain, app and stream.
CREATE TABLE accounts (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL UNIQUE,
    vendor         TEXT    NOT NULL,
    access_key_id  TEXT    NOT NULL,
    secret         BLOB    NOT NULL,
    security_token BLOB,
    scheme         TEXT,
    region         TEXT,
    project_id     TEXT,
    endpoint       TEXT,
    strict         INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL,
    rotated_ms     INTEGER
) STRICT;

-- leaving_ms: when it was removed, while bans are still to be lifted there.
ALTER TABLE targets ADD COLUMN account     INTEGER REFERENCES accounts (id);
ALTER TABLE targets ADD COLUMN play_domain TEXT;
ALTER TABLE targets ADD COLUMN play_urls   TEXT;
ALTER TABLE targets ADD COLUMN play_key    BLOB;
ALTER TABLE targets ADD COLUMN leaving_ms  INTEGER;
ALTER TABLE targets ADD COLUMN probe       TEXT;
CREATE INDEX targets_of_account ON targets (account) WHERE account IS NOT NULL;

-- What a vendor's ban is keyed by. site: publish domain/RTMP app, or * for every one of them.
CREATE TABLE objects (
    account INTEGER NOT NULL REFERENCES accounts (id),
    site    TEXT    NOT NULL,
    stream  TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    version INTEGER NOT NULL,
    due_ms  INTEGER,
    PRIMARY KEY (account, site, stream)
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_due ON objects (account, due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE budgets (
    account INTEGER PRIMARY KEY REFERENCES accounts (id),
    state   TEXT NOT NULL
) STRICT;

-- Made anew without the reference to targets: ending a target would read every placement for it.
-- Of a leaving target, wanted is one above the last decision that reached it: open.
ALTER TABLE placements RENAME TO earlier_placements;
CREATE TABLE placements (
    app_id      INTEGER NOT NULL,
    stream      TEXT    NOT NULL,
    target      INTEGER NOT NULL,
    wanted      INTEGER NOT NULL,
    accepted    INTEGER,
    accepted_ms INTEGER,
    observed    TEXT,
    observed_ms INTEGER,
    watch       TEXT,
    look_ms     INTEGER,
    PRIMARY KEY (app_id, stream, target)
) STRICT, WITHOUT ROWID;
INSERT INTO placements (app_id, stream, target, wanted, accepted, accepted_ms)
SELECT app_id, stream, target, wanted, accepted, accepted_ms FROM earlier_placements;
DROP TABLE earlier_placements;
CREATE INDEX placements_to_look_at ON placements (target, look_ms) WHERE look_ms IS NOT NULL;
CREATE INDEX placements_unsettled ON placements (target, stream) WHERE accepted IS NULL OR accepted < wanted;
