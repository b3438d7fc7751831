-- What the transfers of a job wrote, and what was at the destination before.
ALTER TABLE job ADD COLUMN copied BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN copied_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN landed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN landed_bytes BIGINT NOT NULL DEFAULT 0;
