-- Trials as the log tells them; made again from it by rebuild.
CREATE TABLE trials (
    study         INTEGER NOT NULL REFERENCES studies (id),
    number        INTEGER NOT NULL CHECK (number >= 0),
    state         TEXT NOT NULL
        CHECK (state IN ('waiting', 'running', 'paused', 'complete', 'pruned', 'failed', 'lost')),
    params        TEXT NOT NULL CHECK (json_valid(params)),
    why           TEXT NOT NULL,
    attempt       INTEGER NOT NULL CHECK (attempt > 0),
    steps         INTEGER NOT NULL DEFAULT 0,
    -- Set when the trial completes or is pruned.
    value         REAL,
    last_value    REAL,
    best_value    REAL,
    best_step     INTEGER,
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    -- Time under a worker in attempts that have ended; the one that runs began at running_since.
    active_ms     INTEGER NOT NULL DEFAULT 0,
    running_since INTEGER,
    pause         TEXT,
    cause         TEXT,
    message       TEXT,
    -- 1 where smaller is better, else -1: the study's direction, here so that an index can rank.
    sense         INTEGER NOT NULL CHECK (sense IN (1, -1)),
    shown         REAL GENERATED ALWAYS AS (coalesce(value, last_value)) VIRTUAL,
    loss          REAL GENERATED ALWAYS AS (coalesce(value, last_value) * sense) VIRTUAL,
    -- Complete trials rank before those whose value is only the latest; what failed has no rank.
    standing      INTEGER GENERATED ALWAYS AS (
        CASE
            WHEN coalesce(value, last_value) IS NULL OR state IN ('failed', 'lost') THEN NULL
            WHEN state = 'complete' THEN 0
            ELSE 1
        END
    ) VIRTUAL,
    PRIMARY KEY (study, number),
    -- A worker has exactly the trials that run.
    CHECK ((state = 'running') = (running_since IS NOT NULL)),
    CHECK ((state IN ('complete', 'pruned', 'failed', 'lost')) = (finished_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX trials_by_rank ON trials (study, standing, loss, number);
CREATE INDEX trials_by_state ON trials (study, state);

-- What trials said of themselves, once for each step.
CREATE TABLE reports (
    study   INTEGER NOT NULL,
    trial   INTEGER NOT NULL,
    step    INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    value   REAL,
    metrics TEXT NOT NULL CHECK (json_valid(metrics)),
    at      INTEGER NOT NULL,
    PRIMARY KEY (study, trial, step),
    -- Checked at the commit, so that a rebuild can empty both tables and fill them again.
    FOREIGN KEY (study, trial) REFERENCES trials (study, number) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
