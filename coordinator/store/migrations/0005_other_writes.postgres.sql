-- Counts writes of processes that do not lead: what a leader remembers of jobs and counters holds while it stands still.
CREATE SEQUENCE other_writes;
