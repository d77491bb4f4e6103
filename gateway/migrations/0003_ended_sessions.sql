-- Sessions of browsers that were ended before their time. The others need no row: their cookies tell.
CREATE TABLE ended_session (
    id TEXT PRIMARY KEY NOT NULL,
    -- Milliseconds since the epoch: from then on the cookie itself holds no longer.
    until INTEGER NOT NULL
) STRICT;

CREATE INDEX ended_session_until ON ended_session (until);
