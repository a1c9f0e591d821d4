-- A study: what was asked for, as it was asked for. One file holds many.
CREATE TABLE studies (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE CHECK (name <> ''),
    source     TEXT NOT NULL,
    plan       TEXT NOT NULL CHECK (json_valid(plan)),
    metric     TEXT NOT NULL,
    direction  TEXT NOT NULL CHECK (direction IN ('minimize', 'maximize')),
    -- An unsigned number in 64 bits, kept by its bits.
    seed       INTEGER NOT NULL,
    space      TEXT NOT NULL CHECK (json_valid(space)),
    created_at INTEGER NOT NULL
) STRICT;
