-- What an operation is to do as JSON, how far it is, and why it ended before its time. An operation of the version before has
-- none of them: its plan is the text in `filter`, and its units were counted when it was asked for.
ALTER TABLE operation ADD COLUMN plan TEXT;
ALTER TABLE operation ADD COLUMN progress TEXT;
ALTER TABLE operation ADD COLUMN message TEXT;
-- Corrected input of an operation until it ends: apart from its row, which is read at every turn.
CREATE TABLE operation_input (
  operation BIGINT PRIMARY KEY,
  input TEXT NOT NULL
);
