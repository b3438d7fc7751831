-- Pending tasks of a kind by the minute in which they are due, -1 for those that are never: counted as they change, never by
-- looking at all of them. Triggers count, as on PostgreSQL.
CREATE TABLE task_count (
  kind TEXT NOT NULL,
  minute BIGINT NOT NULL,
  pending BIGINT NOT NULL,
  PRIMARY KEY (kind, minute)
) WITHOUT ROWID;
INSERT INTO task_count (kind, minute, pending)
SELECT kind, COALESCE(due_at / 60000000, -1), COUNT(*) FROM task WHERE ended_at IS NULL GROUP BY 1, 2;

CREATE TRIGGER task_added AFTER INSERT ON task WHEN NEW.ended_at IS NULL BEGIN
  INSERT INTO task_count (kind, minute, pending) VALUES (NEW.kind, COALESCE(NEW.due_at / 60000000, -1), 1)
  ON CONFLICT (kind, minute) DO UPDATE SET pending = pending + 1;
END;
CREATE TRIGGER task_changed AFTER UPDATE ON task
WHEN (NEW.ended_at IS NULL) <> (OLD.ended_at IS NULL) OR NEW.due_at IS NOT OLD.due_at OR NEW.kind <> OLD.kind BEGIN
  UPDATE task_count SET pending = pending - 1
  WHERE OLD.ended_at IS NULL AND kind = OLD.kind AND minute = COALESCE(OLD.due_at / 60000000, -1);
  INSERT INTO task_count (kind, minute, pending)
  SELECT NEW.kind, COALESCE(NEW.due_at / 60000000, -1), 1 WHERE NEW.ended_at IS NULL
  ON CONFLICT (kind, minute) DO UPDATE SET pending = pending + 1;
  DELETE FROM task_count WHERE kind = OLD.kind AND minute = COALESCE(OLD.due_at / 60000000, -1) AND pending <= 0;
END;
CREATE TRIGGER task_removed AFTER DELETE ON task WHEN OLD.ended_at IS NULL BEGIN
  UPDATE task_count SET pending = pending - 1
  WHERE kind = OLD.kind AND minute = COALESCE(OLD.due_at / 60000000, -1);
  DELETE FROM task_count WHERE kind = OLD.kind AND minute = COALESCE(OLD.due_at / 60000000, -1) AND pending <= 0;
END;

-- How many different workers a unit was lost with: a new leader asks for the units that were lost with several.
CREATE TABLE loss_count (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  workers BIGINT NOT NULL,
  PRIMARY KEY (job, step, part)
) WITHOUT ROWID;
INSERT INTO loss_count (job, step, part, workers)
SELECT job, step, part, COUNT(DISTINCT worker) FROM loss GROUP BY job, step, part;
CREATE INDEX loss_count_workers ON loss_count (workers);

CREATE TRIGGER loss_added AFTER INSERT ON loss BEGIN
  INSERT INTO loss_count (job, step, part, workers) VALUES (NEW.job, NEW.step, NEW.part, 1)
  ON CONFLICT (job, step, part) DO UPDATE SET workers =
    (SELECT COUNT(DISTINCT worker) FROM loss WHERE job = NEW.job AND step = NEW.step AND part = NEW.part);
END;
CREATE TRIGGER loss_removed AFTER DELETE ON loss BEGIN
  UPDATE loss_count SET workers =
    (SELECT COUNT(DISTINCT worker) FROM loss WHERE job = OLD.job AND step = OLD.step AND part = OLD.part)
  WHERE job = OLD.job AND step = OLD.step AND part = OLD.part;
  DELETE FROM loss_count WHERE job = OLD.job AND step = OLD.step AND part = OLD.part AND workers = 0;
END;
