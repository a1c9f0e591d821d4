-- What the log does not tell of a trial but people want to see; nothing of the search depends on it.
CREATE TABLE assignments (
    study   INTEGER NOT NULL,
    trial   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    slot    TEXT NOT NULL,
    device  TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (study, trial, attempt),
    FOREIGN KEY (study, trial) REFERENCES trials (study, number) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE TABLE recipes (
    study INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    toml  TEXT NOT NULL,
    PRIMARY KEY (study, trial),
    FOREIGN KEY (study, trial) REFERENCES trials (study, number) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE TABLE log_lines (
    id      INTEGER PRIMARY KEY,
    study   INTEGER NOT NULL,
    trial   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    level   TEXT NOT NULL CHECK (level IN ('error', 'warn', 'info', 'debug', 'trace')),
    text    TEXT NOT NULL,
    FOREIGN KEY (study, trial) REFERENCES trials (study, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX log_lines_by_trial ON log_lines (study, trial, id);
