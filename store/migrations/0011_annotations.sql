-- What people wrote about trials, as the log tells it; made again from it by rebuild.
CREATE TABLE annotations (
    study   INTEGER NOT NULL,
    trial   INTEGER NOT NULL,
    note    TEXT NOT NULL DEFAULT '',
    tags    TEXT NOT NULL DEFAULT '[]' CHECK (json_type(tags) = 'array'),
    pinned  INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    starred INTEGER NOT NULL DEFAULT 0 CHECK (starred IN (0, 1)),
    PRIMARY KEY (study, trial),
    FOREIGN KEY (study, trial) REFERENCES trials (study, number) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
