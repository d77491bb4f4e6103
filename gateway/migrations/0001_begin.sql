-- What people asked for. The settings are JSON: what a person chose, without defaults.
CREATE TABLE intent (
    model      TEXT    NOT NULL PRIMARY KEY,
    serve      INTEGER NOT NULL CHECK (serve IN (0, 1)),
    settings   TEXT    NOT NULL,
    changed_at INTEGER NOT NULL, -- milliseconds since the epoch, like every time here
    changed_by TEXT    NOT NULL
) STRICT;

-- The event log. AUTOINCREMENT: an id is never used twice, so that a page token stays good when old rows are gone.
CREATE TABLE event (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    model   TEXT    NOT NULL,
    version INTEGER,          -- null for facts about the model
    fact    TEXT    NOT NULL  -- JSON, tagged by "type"
) STRICT;
CREATE INDEX event_of_model ON event (model, id);
CREATE INDEX event_of_version ON event (model, version, id);
CREATE INDEX event_by_age ON event (at);

-- Tokens: never the token, only its digest.
CREATE TABLE token (
    id        TEXT    NOT NULL PRIMARY KEY,
    digest    BLOB    NOT NULL UNIQUE,
    principal TEXT    NOT NULL,
    scopes    TEXT    NOT NULL, -- JSON
    comment   TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER           -- null: until it is revoked
) STRICT;

-- What was given to principals. The pattern of an admin is empty.
CREATE TABLE granted (
    principal TEXT NOT NULL,
    what      TEXT NOT NULL CHECK (what IN ('admin', 'manage', 'read')),
    pattern   TEXT NOT NULL,
    PRIMARY KEY (principal, what, pattern)
) STRICT;

-- Tells processes that share this file that tokens or grants have changed. Kept by triggers, so no change can forget it.
CREATE TABLE token_revision (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    number   INTEGER NOT NULL
) STRICT;
INSERT INTO token_revision (only_row, number) VALUES (1, 0);

CREATE TRIGGER token_inserted AFTER INSERT ON token
BEGIN UPDATE token_revision SET number = number + 1; END;
CREATE TRIGGER token_updated AFTER UPDATE ON token
BEGIN UPDATE token_revision SET number = number + 1; END;
CREATE TRIGGER token_deleted AFTER DELETE ON token
BEGIN UPDATE token_revision SET number = number + 1; END;
CREATE TRIGGER granted_inserted AFTER INSERT ON granted
BEGIN UPDATE token_revision SET number = number + 1; END;
CREATE TRIGGER granted_updated AFTER UPDATE ON granted
BEGIN UPDATE token_revision SET number = number + 1; END;
CREATE TRIGGER granted_deleted AFTER DELETE ON granted
BEGIN UPDATE token_revision SET number = number + 1; END;

-- What the registry said last, so that a start without the registry serves what was served.
CREATE TABLE last_aspired (
    only_row   INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    value      TEXT    NOT NULL, -- JSON
    written_at INTEGER NOT NULL
) STRICT;
