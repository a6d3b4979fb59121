-- How much is parked, groups of parked events, and the ledger of what has passed.

-- Kept by triggers, so that it is right whoever adds or deletes rows.
ALTER TABLE sink ADD COLUMN parked_bytes INTEGER NOT NULL DEFAULT 0;

UPDATE sink SET parked_bytes =
    (SELECT coalesce(sum(length(parked.bytes)), 0) FROM parked WHERE parked.sink = sink.id);

CREATE TRIGGER parked_added AFTER INSERT ON parked BEGIN
    UPDATE sink SET parked_bytes = parked_bytes + length(NEW.bytes) WHERE id = NEW.sink;
END;

CREATE TRIGGER parked_removed AFTER DELETE ON parked BEGIN
    UPDATE sink SET parked_bytes = parked_bytes - length(OLD.bytes) WHERE id = OLD.sink;
END;

-- What a round over parked events asks first is answered from this index alone.
CREATE INDEX parked_by_group ON parked (sink, version, reason, decoder);

-- One row per hour of event time.
CREATE TABLE ledger (
    sink   INTEGER NOT NULL REFERENCES sink (id),
    -- Whole seconds since 1970-01-01T00:00:00Z divided by 3,600, rounded down.
    hour   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    sum    BLOB NOT NULL CHECK (length(sum) = 16),
    sketch BLOB NOT NULL,
    PRIMARY KEY (sink, hour)
) STRICT;

-- One row per session recording.
CREATE TABLE session_ledger (
    sink           INTEGER NOT NULL REFERENCES sink (id),
    session        TEXT NOT NULL,
    last_index     INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    sum            BLOB NOT NULL CHECK (length(sum) = 16),
    gaps           INTEGER NOT NULL,
    -- Whole seconds since 1970-01-01T00:00:00Z; none while the recording is being read.
    closed_seconds INTEGER,
    PRIMARY KEY (sink, session)
) STRICT, WITHOUT ROWID;

-- The secret by which the ledger hashes events: made once, so that nobody who chooses ids can have
-- two different hours look equal.
ALTER TABLE state ADD COLUMN ledger_key BLOB;

UPDATE state SET ledger_key = randomblob(16);
