-- The page asks for the last plan of a night; most studies have none, which a scan would find out last.
CREATE INDEX events_planned ON events (study, seq) WHERE kind = 'planned';
