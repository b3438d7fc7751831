-- What was measured of media and what was decided about it: fact sheets by content, verdicts, and tasks with their history.
ALTER TABLE job ADD COLUMN judged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN decoded BIGINT NOT NULL DEFAULT 0;

CREATE TABLE sheet (
  hash TEXT PRIMARY KEY,
  sheet TEXT NOT NULL,
  measured_at BIGINT NOT NULL
);

-- A declared running time or name is judged with the bytes, so the asset is part of the key.
CREATE TABLE verdict (
  hash TEXT NOT NULL,
  digest TEXT NOT NULL,
  asset TEXT NOT NULL,
  policy TEXT NOT NULL,
  verdict TEXT NOT NULL,
  report TEXT NOT NULL,
  job BIGINT NOT NULL,
  judged_at BIGINT NOT NULL,
  PRIMARY KEY (hash, digest, asset)
);
CREATE INDEX verdict_asset ON verdict (asset, judged_at);

CREATE TABLE task (
  no BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  subject TEXT NOT NULL,
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  asset TEXT NOT NULL,
  title TEXT NOT NULL,
  supplier TEXT,
  policy TEXT NOT NULL,
  digest TEXT NOT NULL,
  hash TEXT NOT NULL,
  checks TEXT NOT NULL,
  findings TEXT,
  message TEXT NOT NULL,
  round BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  due_at BIGINT,
  ended_at BIGINT
);
CREATE UNIQUE INDEX task_pending ON task (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX task_pending_no ON task (no) WHERE ended_at IS NULL;
CREATE INDEX task_asset ON task (asset, no);

CREATE TABLE task_event (
  task BIGINT NOT NULL,
  no BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  event TEXT NOT NULL,
  reason TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (task, no)
);

-- Units that wait for a task: those of several jobs, when an asset fails in each.
CREATE TABLE task_unit (
  task BIGINT NOT NULL,
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  PRIMARY KEY (task, job, step, part)
);
CREATE INDEX task_unit_job ON task_unit (job, step, part);
