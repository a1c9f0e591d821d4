-- What people asked for is few among many events, and stands on the first page.
CREATE INDEX events_ordered ON events (study, seq) WHERE kind = 'ordered';
