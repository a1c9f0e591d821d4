-- Most of a log are reports; who had which trial when is read without them.
CREATE INDEX events_but_reports ON events (study, seq) WHERE kind <> 'reported';
