-- What was delivered by the handler from which a sink was taken over: everything up to a second, of
-- which the ledger has all from another second on. In whole seconds since 1970-01-01T00:00:00Z; none
-- for a sink that was not taken over.

ALTER TABLE sink ADD COLUMN known_from_seconds INTEGER;
ALTER TABLE sink ADD COLUMN taken_over_seconds INTEGER;
