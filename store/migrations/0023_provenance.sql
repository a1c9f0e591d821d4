-- What an attempt ran on and with, so that it can be repeated; nothing of the search depends on it.
CREATE TABLE provenance (
    study   INTEGER NOT NULL,
    trial   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body    TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (study, trial, attempt),
    FOREIGN KEY (study, trial) REFERENCES trials (study, number) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
