-- What was measured of media and what was decided about it: fact sheets by content, verdicts, and tasks with their history.
ALTER TABLE job ADD COLUMN judged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN decoded BIGINT NOT NULL DEFAULT 0;

CREATE TABLE sheet (
  hash TEXT COLLATE "C" PRIMARY KEY,
  sheet TEXT COLLATE "C" NOT NULL,
  measured_at BIGINT NOT NULL
);

-- A declared running time or name is judged with the bytes, so the asset is part of the key.
CREATE TABLE verdict (
  hash TEXT COLLATE "C" NOT NULL,
  digest TEXT COLLATE "C" NOT NULL,
  asset TEXT COLLATE "C" NOT NULL,
  policy TEXT COLLATE "C" NOT NULL,
  verdict TEXT COLLATE "C" NOT NULL,
  report TEXT COLLATE "C" NOT NULL,
  job BIGINT NOT NULL,
  judged_at BIGINT NOT NULL,
  PRIMARY KEY (hash, digest, asset)
);
CREATE INDEX verdict_asset ON verdict (asset, judged_at);

CREATE TABLE task (
  no BIGINT PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  asset TEXT COLLATE "C" NOT NULL,
  title TEXT COLLATE "C" NOT NULL,
  supplier TEXT COLLATE "C",
  policy TEXT COLLATE "C" NOT NULL,
  digest TEXT COLLATE "C" NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  checks TEXT COLLATE "C" NOT NULL,
  findings TEXT COLLATE "C",
  message TEXT COLLATE "C" NOT NULL,
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
  actor TEXT COLLATE "C" NOT NULL,
  event TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
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
