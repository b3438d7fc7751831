-- Pending tasks of a kind by the minute in which they are due, -1 for those that are never: counted as they change, never by
-- looking at all of them. Triggers count, so that a coordinator of the version before, which works beside a newer one,
-- counts as well.
CREATE TABLE task_count (
  kind TEXT COLLATE "C" NOT NULL,
  minute BIGINT NOT NULL,
  pending BIGINT NOT NULL,
  PRIMARY KEY (kind, minute)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO task_count (kind, minute, pending)
SELECT kind, COALESCE(due_at / 60000000, -1), COUNT(*) FROM task WHERE ended_at IS NULL GROUP BY 1, 2;

CREATE FUNCTION task_added() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO task_count (kind, minute, pending)
  SELECT kind, COALESCE(due_at / 60000000, -1), COUNT(*) FROM added WHERE ended_at IS NULL GROUP BY 1, 2
  ON CONFLICT (kind, minute) DO UPDATE SET pending = task_count.pending + excluded.pending;
  RETURN NULL;
END $$;

CREATE FUNCTION task_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO task_count (kind, minute, pending)
  SELECT kind, minute, SUM(n) FROM (
    SELECT kind, COALESCE(due_at / 60000000, -1) AS minute, 1 AS n FROM after WHERE ended_at IS NULL
    UNION ALL
    SELECT kind, COALESCE(due_at / 60000000, -1), -1 FROM before WHERE ended_at IS NULL
  ) AS changes GROUP BY kind, minute HAVING SUM(n) <> 0
  ON CONFLICT (kind, minute) DO UPDATE SET pending = task_count.pending + excluded.pending;
  DELETE FROM task_count AS c USING (
    SELECT DISTINCT kind, COALESCE(due_at / 60000000, -1) AS minute FROM before WHERE ended_at IS NULL
  ) AS b WHERE c.kind = b.kind AND c.minute = b.minute AND c.pending <= 0;
  RETURN NULL;
END $$;

CREATE FUNCTION task_removed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  UPDATE task_count AS c SET pending = c.pending - b.n FROM (
    SELECT kind, COALESCE(due_at / 60000000, -1) AS minute, COUNT(*) AS n FROM removed WHERE ended_at IS NULL GROUP BY 1, 2
  ) AS b WHERE c.kind = b.kind AND c.minute = b.minute;
  DELETE FROM task_count AS c USING (
    SELECT DISTINCT kind, COALESCE(due_at / 60000000, -1) AS minute FROM removed WHERE ended_at IS NULL
  ) AS b WHERE c.kind = b.kind AND c.minute = b.minute AND c.pending <= 0;
  RETURN NULL;
END $$;

CREATE TRIGGER task_added AFTER INSERT ON task REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION task_added();
CREATE TRIGGER task_changed AFTER UPDATE ON task REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION task_changed();
CREATE TRIGGER task_removed AFTER DELETE ON task REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION task_removed();

-- How many different workers a unit was lost with: a new leader asks for the units that were lost with several.
CREATE TABLE loss_count (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  workers BIGINT NOT NULL,
  PRIMARY KEY (job, step, part)
);
INSERT INTO loss_count (job, step, part, workers)
SELECT job, step, part, COUNT(DISTINCT worker) FROM loss GROUP BY job, step, part;
CREATE INDEX loss_count_workers ON loss_count (workers);

CREATE FUNCTION loss_added() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO loss_count (job, step, part, workers)
  SELECT u.job, u.step, u.part, (
    SELECT COUNT(DISTINCT l.worker) FROM (
      SELECT worker FROM loss WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS l)
  FROM (SELECT DISTINCT job, step, part FROM added) AS u
  ON CONFLICT (job, step, part) DO UPDATE SET workers = excluded.workers;
  RETURN NULL;
END $$;

CREATE FUNCTION loss_removed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO loss_count (job, step, part, workers)
  SELECT u.job, u.step, u.part, (
    SELECT COUNT(DISTINCT l.worker) FROM (
      SELECT worker FROM loss WHERE job = u.job AND step = u.step AND part = u.part OFFSET 0) AS l)
  FROM (SELECT DISTINCT job, step, part FROM removed) AS u
  ON CONFLICT (job, step, part) DO UPDATE SET workers = excluded.workers;
  DELETE FROM loss_count AS c USING (SELECT DISTINCT job, step, part FROM removed) AS u
  WHERE c.job = u.job AND c.step = u.step AND c.part = u.part AND c.workers = 0;
  RETURN NULL;
END $$;

CREATE TRIGGER loss_added AFTER INSERT ON loss REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION loss_added();
CREATE TRIGGER loss_removed AFTER DELETE ON loss REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION loss_removed();
