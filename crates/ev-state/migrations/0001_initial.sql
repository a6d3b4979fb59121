-- The state of one cluster's log, for any number of sinks. Never edited: a change is a new file.
--
-- Every row belongs to a sink, through its lane where it has one. Words (roads, forms, reasons)
-- are stored as text, so that the file can be read with any SQLite shell.

-- What holds for all sinks; one row, made by the first claim.
CREATE TABLE state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    cluster  TEXT NOT NULL,
    flavour  TEXT NOT NULL
) STRICT;

CREATE TABLE sink (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    -- Grows with every opening; a commit under another one is refused.
    epoch         INTEGER NOT NULL,
    -- Whole seconds since 1970-01-01T00:00:00Z.
    start_seconds INTEGER NOT NULL,
    seen_version  TEXT,
    passed        INTEGER NOT NULL DEFAULT 0,
    delivered     INTEGER NOT NULL DEFAULT 0,
    filtered      INTEGER NOT NULL DEFAULT 0,
    parked        INTEGER NOT NULL DEFAULT 0,
    resolved      INTEGER NOT NULL DEFAULT 0,
    dropped       INTEGER NOT NULL DEFAULT 0,
    given_up      INTEGER NOT NULL DEFAULT 0,
    by_native     INTEGER NOT NULL DEFAULT 0,
    by_table      INTEGER NOT NULL DEFAULT 0,
    by_module     INTEGER NOT NULL DEFAULT 0,
    inexact       INTEGER NOT NULL DEFAULT 0,
    sessions      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE lane (
    id     INTEGER PRIMARY KEY,
    sink   INTEGER NOT NULL REFERENCES sink (id),
    -- `window/<start>/<pass>`, `chunk/<date>/<name>` or `session/<id>`.
    name   TEXT NOT NULL,
    -- The token, opaque to everybody but the source that made it.
    road   TEXT NOT NULL,
    format INTEGER NOT NULL,
    token  BLOB NOT NULL,
    -- Number of the page at the token.
    page   INTEGER NOT NULL DEFAULT 0,
    done   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sink, name)
) STRICT;

-- Ids of settled events: one row per lane, page and commit, 16 bytes an id, one behind the other.
CREATE TABLE known_ids (
    id     INTEGER PRIMARY KEY,
    lane   INTEGER NOT NULL REFERENCES lane (id) ON DELETE CASCADE,
    page   INTEGER NOT NULL,
    inner  BLOB NOT NULL CHECK (length(inner) % 16 = 0),
    border BLOB NOT NULL CHECK (length(border) % 16 = 0)
) STRICT;
CREATE INDEX known_ids_by_lane ON known_ids (lane, page);

-- Events that could not be decoded or delivered. They outlive their lane, so its name is kept.
-- The raw bytes come last: rows can be listed without reading them.
CREATE TABLE parked (
    -- AUTOINCREMENT: a number that was seen once never names another event.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    sink          INTEGER NOT NULL REFERENCES sink (id),
    lane          TEXT NOT NULL,
    digest        BLOB NOT NULL CHECK (length(digest) = 16),
    form          TEXT NOT NULL,
    version       TEXT NOT NULL,
    reason        TEXT NOT NULL,
    detail        TEXT NOT NULL,
    decoder       TEXT NOT NULL,
    first_seconds INTEGER NOT NULL,
    first_nanos   INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    last_seconds  INTEGER,
    last_nanos    INTEGER,
    bytes         BLOB NOT NULL,
    UNIQUE (sink, lane, digest)
) STRICT;
CREATE INDEX parked_by_sink ON parked (sink, id);

-- The last good decoder artifact of each Auth version, verified again whenever it is read.
CREATE TABLE artifact (
    version  TEXT PRIMARY KEY,
    envelope BLOB NOT NULL,
    payload  BLOB NOT NULL
) STRICT;
