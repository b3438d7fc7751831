-- Rows that could not be used count as failed members of the barriers of their title: which title, and after which
-- partition they would have come. A row whose partition is not known yet waits to be counted.
ALTER TABLE row_error ADD COLUMN title TEXT;
ALTER TABLE row_error ADD COLUMN part BIGINT;
CREATE INDEX row_error_waiting ON row_error (job, title, asset, line) WHERE title IS NOT NULL AND part IS NULL;
CREATE INDEX row_error_title ON row_error (job, title) WHERE title IS NOT NULL;
