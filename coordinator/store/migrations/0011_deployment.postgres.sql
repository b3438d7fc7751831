-- Which deployment this database belongs to: made once, and compared with what the transport says.
CREATE TABLE deployment (id TEXT COLLATE "C" NOT NULL);
INSERT INTO deployment (id) VALUES (left(replace(gen_random_uuid()::TEXT, '-', ''), 16));
