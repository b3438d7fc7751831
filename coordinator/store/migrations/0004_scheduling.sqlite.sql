-- What order and shares are decided by: class, tenant and deadline where operators may change them, learned costs, why a
-- step was passed over, and units with two live executions.
ALTER TABLE job ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE job ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
ALTER TABLE job ADD COLUMN deadline BIGINT;
UPDATE job SET priority = json_extract(workflow, '$.priority'), tenant = json_extract(workflow, '$.tenant'),
  deadline = json_extract(workflow, '$.deadline') WHERE ended_at IS NULL;

CREATE TABLE cost (
  kind TEXT NOT NULL,
  size BIGINT NOT NULL,
  measures BIGINT NOT NULL,
  total_us BIGINT NOT NULL,
  places TEXT NOT NULL,
  PRIMARY KEY (kind, size)
) WITHOUT ROWID;

CREATE TABLE withheld (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  reason TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT,
  PRIMARY KEY (job, step)
) WITHOUT ROWID;

CREATE TABLE speculation (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  older BIGINT NOT NULL,
  newer BIGINT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (job, step, part)
) WITHOUT ROWID;

-- Slices of units that are moved by several workers at a time.
CREATE TABLE slice (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  number BIGINT NOT NULL,
  first BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  state TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  due_at BIGINT,
  receipt TEXT,
  PRIMARY KEY (job, step, part, number)
) WITHOUT ROWID;
