-- Locks that were decided on and are not set yet: they are committed with the events that they
-- follow from, so that they outlive the process. A row goes when its lock is set, or is over.

CREATE TABLE due_lock (
    sink            INTEGER NOT NULL REFERENCES sink (id),
    name            TEXT NOT NULL,
    user            TEXT NOT NULL,
    login           TEXT NOT NULL,
    message         TEXT NOT NULL,
    -- Whole seconds since 1970-01-01T00:00:00Z and nanoseconds; none if it never ends.
    expires_seconds INTEGER,
    expires_nanos   INTEGER,
    PRIMARY KEY (sink, name)
) STRICT, WITHOUT ROWID;
