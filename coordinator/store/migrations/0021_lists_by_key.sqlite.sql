-- Lists of tasks, jobs and rejected rows are ranges of a key, however rare what they ask for is. Without statistics the key of
-- the table looks as good to a planner, and walks all of it; an expression leaves it no choice, as on PostgreSQL.
CREATE INDEX task_by_state ON task ((state || ''), kind, (no + 0));
CREATE INDEX task_by_title ON task ((title || ''), state, kind, (no + 0));
CREATE INDEX job_by_state ON job ((state || ''), (no + 0));
CREATE INDEX job_by_end ON job ((ended_at + 0), no) WHERE ended_at IS NOT NULL;
CREATE INDEX job_removing ON job ((no + 0)) WHERE removing = 1;
CREATE INDEX row_error_by_part ON row_error ((job + 0), part) WHERE title IS NOT NULL AND part IS NOT NULL;
CREATE INDEX row_error_by_line ON row_error ((-job), line, message) WHERE title IS NOT NULL AND part IS NOT NULL;
CREATE INDEX row_error_by_title ON row_error ((job + 0), title, line, message) WHERE title IS NOT NULL AND part IS NOT NULL;

-- Tasks of the units of a job by state and kind. Triggers write them, as on PostgreSQL.
CREATE TABLE job_task (
  job BIGINT NOT NULL,
  state TEXT NOT NULL,
  kind TEXT NOT NULL,
  task BIGINT NOT NULL,
  PRIMARY KEY (job, state, kind, task)
) WITHOUT ROWID;
INSERT INTO job_task (job, state, kind, task)
SELECT DISTINCT u.job, t.state, t.kind, t.no FROM task_unit u CROSS JOIN task t ON t.no = u.task;

CREATE TRIGGER job_task_added AFTER INSERT ON task_unit BEGIN
  INSERT INTO job_task (job, state, kind, task) SELECT NEW.job, state, kind, no FROM task WHERE no = NEW.task
  ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER job_task_changed AFTER UPDATE ON task WHEN NEW.state <> OLD.state OR NEW.kind <> OLD.kind BEGIN
  DELETE FROM job_task WHERE job IN (SELECT job FROM task_unit WHERE task = OLD.no) AND state = OLD.state
    AND kind = OLD.kind AND task = OLD.no;
  INSERT INTO job_task (job, state, kind, task)
  SELECT job, NEW.state, NEW.kind, NEW.no FROM task_unit WHERE task = NEW.no ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER job_task_removed AFTER DELETE ON task BEGIN
  DELETE FROM job_task WHERE job IN (SELECT job FROM task_unit WHERE task = OLD.no) AND state = OLD.state
    AND kind = OLD.kind AND task = OLD.no;
END;
