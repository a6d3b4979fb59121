-- The highest Auth version seen, whichever was seen last: what the downgrade policy goes by.

CREATE TABLE highest_version (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version  TEXT NOT NULL
) STRICT;

-- Until now only the last one was kept; there is one sink so far.
INSERT INTO highest_version (only_row, version)
SELECT 1, seen_version FROM sink WHERE seen_version IS NOT NULL ORDER BY id LIMIT 1;
