-- What a person who has to decide looks at: gone with the end of the task.
CREATE TABLE task_picture (
  task BIGINT PRIMARY KEY,
  pictures TEXT NOT NULL
);
