-- More than one road: groups of parked events are of one form each, and it is known since when the
-- log is read by the present road.

DROP INDEX parked_by_group;

-- What a round over parked events asks first is answered from this index alone.
CREATE INDEX parked_by_group ON parked (sink, version, reason, decoder, form);

ALTER TABLE sink ADD COLUMN road TEXT;
-- Whole seconds since 1970-01-01T00:00:00Z; none as long as there is no road.
ALTER TABLE sink ADD COLUMN road_seconds INTEGER;
