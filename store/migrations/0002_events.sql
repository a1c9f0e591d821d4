-- The log of a study: the truth that everything else is made from.
CREATE TABLE events (
    study INTEGER NOT NULL REFERENCES studies (id),
    -- Dense from 1 in each study, so that a gap would be seen.
    seq   INTEGER NOT NULL CHECK (seq > 0),
    at    INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    trial INTEGER,
    body  TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (study, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_by_trial ON events (study, trial, seq) WHERE trial IS NOT NULL;
CREATE INDEX events_by_kind ON events (study, kind, seq) WHERE kind IN ('opened', 'closed');

-- What was logged stays as it was logged.
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;
