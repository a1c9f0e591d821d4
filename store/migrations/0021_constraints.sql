-- What a good trial's metrics keep, as the plan says it.
ALTER TABLE studies ADD COLUMN constraints TEXT
    GENERATED ALWAYS AS (coalesce(plan ->> '$.knowledge.constraints', '[]')) VIRTUAL;

-- By how much the latest report breaks them, all together; a trial that breaks any ranks behind those that keep them.
ALTER TABLE trials ADD COLUMN violation REAL NOT NULL DEFAULT 0;

DROP INDEX trials_by_rank;
CREATE INDEX trials_by_rank ON trials (study, standing, violation, loss, number);
