-- The row of a unit is looked up by its whole key. As a join the planner may, with statistics from before a table grew,
-- scan all units of the job for each partition.
DROP VIEW units;
CREATE VIEW units AS
SELECT job.id AS job, step.id AS step, step.kind AS kind, partition.part AS part, partition.title AS title,
       partition.first AS first_asset, partition.assets AS assets,
       COALESCE(unit.state,
         CASE WHEN streak.last >= partition.part THEN 'succeeded'
              WHEN step.computed = 1 AND partition.part <= step.cursor THEN 'leased'
              WHEN job.ended_at IS NOT NULL THEN 'cancelled'
              WHEN step.computed = 1 THEN 'ready'
              ELSE 'planned' END) AS state,
       COALESCE(unit.epoch, CASE WHEN step.computed = 1 AND partition.part <= step.cursor THEN 1 ELSE 0 END) AS epoch,
       COALESCE(unit.attempt, 0) AS attempt, unit.due_at AS due_at,
       COALESCE(unit.duration_us,
         CASE WHEN streak.last >= partition.part THEN streak.busy_us / (streak.last - streak.first + 1) END) AS duration_us,
       job.no AS job_no, step.step AS step_no
FROM job JOIN step ON step.job = job.no AND step.kind NOT IN ('barrier', 'seal')
JOIN partition ON partition.job = job.no
LEFT JOIN LATERAL
  (SELECT u.state, u.epoch, u.attempt, u.due_at, u.duration_us FROM unit u
   WHERE u.job = job.no AND u.step = step.step AND u.part = partition.part LIMIT 1) AS unit ON true
LEFT JOIN LATERAL
  (SELECT s.first, s.last, s.busy_us FROM streak s WHERE s.job = job.no AND s.step = step.step AND s.first <= partition.part
   ORDER BY s.first DESC LIMIT 1) AS streak ON true;
