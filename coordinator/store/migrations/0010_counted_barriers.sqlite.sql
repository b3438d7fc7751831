-- How many instances of a barrier are in each state: counted as they change, never by looking at all of them. Triggers
-- count, as on PostgreSQL.
CREATE TABLE barrier_count (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  total BIGINT NOT NULL,
  released BIGINT NOT NULL,
  held BIGINT NOT NULL,
  spreading BIGINT NOT NULL,
  PRIMARY KEY (job, step)
) WITHOUT ROWID;
INSERT INTO barrier_count (job, step, total, released, held, spreading)
SELECT job, step, COUNT(*), SUM(state = 'released'), SUM(state = 'held'),
       SUM(state = 'released' AND spread < last_part)
FROM barrier GROUP BY job, step;

CREATE TRIGGER barrier_added AFTER INSERT ON barrier BEGIN
  INSERT INTO barrier_count (job, step, total, released, held, spreading)
  VALUES (NEW.job, NEW.step, 1, NEW.state = 'released', NEW.state = 'held',
          NEW.state = 'released' AND NEW.spread < NEW.last_part)
  ON CONFLICT (job, step) DO UPDATE SET total = total + excluded.total, released = released + excluded.released,
    held = held + excluded.held, spreading = spreading + excluded.spreading;
END;
CREATE TRIGGER barrier_changed AFTER UPDATE ON barrier
WHEN NEW.state <> OLD.state
  OR (NEW.state = 'released' AND (NEW.spread < NEW.last_part) <> (OLD.spread < OLD.last_part)) BEGIN
  UPDATE barrier_count SET released = released + (NEW.state = 'released') - (OLD.state = 'released'),
    held = held + (NEW.state = 'held') - (OLD.state = 'held'),
    spreading = spreading + (NEW.state = 'released' AND NEW.spread < NEW.last_part)
      - (OLD.state = 'released' AND OLD.spread < OLD.last_part)
  WHERE job = NEW.job AND step = NEW.step;
END;
CREATE TRIGGER barrier_removed AFTER DELETE ON barrier BEGIN
  UPDATE barrier_count SET total = total - 1, released = released - (OLD.state = 'released'),
    held = held - (OLD.state = 'held'),
    spreading = spreading - (OLD.state = 'released' AND OLD.spread < OLD.last_part)
  WHERE job = OLD.job AND step = OLD.step;
END;

-- Units that lists ask for by their state, where few are in it.
CREATE INDEX unit_rare ON unit (job, state, step, part) WHERE state IN ('planned', 'retrying', 'dead', 'cancelled');
CREATE INDEX job_open ON job (no) WHERE ended_at IS NULL;
CREATE INDEX task_unit_of_job ON task_unit (job, task);
CREATE INDEX task_pending_kind ON task (kind, due_at) WHERE ended_at IS NULL;
