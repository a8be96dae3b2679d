-- Run once, when the volume is empty, in the database that MYSQL_DATABASE names.
CREATE TABLE notes (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    text VARCHAR(2000) NOT NULL
);
