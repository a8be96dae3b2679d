-- Run once, when the volume is empty, in the database that POSTGRES_DB names.
CREATE TABLE notes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text VARCHAR(2000) NOT NULL
);
