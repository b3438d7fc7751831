-- A job that retention is removing is gone for everybody from its first transaction on. A submission is known by the digest of
-- its idempotency key, whatever the job in it is called.
ALTER TABLE job ADD COLUMN removing BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN submission TEXT;
CREATE UNIQUE INDEX job_submission ON job (submission) WHERE submission IS NOT NULL;
