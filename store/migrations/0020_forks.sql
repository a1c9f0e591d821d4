-- Where a trial began that is a fork of another: after how many epochs of which, and whose place it took.
ALTER TABLE trials ADD COLUMN parent INTEGER CHECK (parent < number);
ALTER TABLE trials ADD COLUMN forked_after INTEGER;
ALTER TABLE trials ADD COLUMN replaces INTEGER;

CREATE INDEX trials_by_parent ON trials (study, parent) WHERE parent IS NOT NULL;
