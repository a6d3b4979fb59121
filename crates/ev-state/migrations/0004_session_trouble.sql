-- Recordings that cannot be read: since when, how often they were asked for, and which of them were
-- given up. A row goes when something of its recording comes.

CREATE TABLE session_trouble (
    sink             INTEGER NOT NULL REFERENCES sink (id),
    session          TEXT NOT NULL,
    -- Whole seconds since 1970-01-01T00:00:00Z, here and below.
    since_seconds    INTEGER NOT NULL,
    attempts         INTEGER NOT NULL CHECK (attempts >= 0),
    missing          INTEGER NOT NULL,
    reason           TEXT NOT NULL,
    -- None while the recording is asked for.
    given_up_seconds INTEGER,
    PRIMARY KEY (sink, session)
) STRICT, WITHOUT ROWID;
