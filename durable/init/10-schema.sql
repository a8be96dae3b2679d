-- Run once, when the volume is empty, in the database that MARIADB_DATABASE names.
-- Both colors work on these tables at the same time: later changes must suit the old and the new code.

CREATE TABLE users (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email VARCHAR(254) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    -- Goes up with each change of the user's orders; caches of the list carry it in their key.
    orders_version BIGINT UNSIGNED NOT NULL DEFAULT 0,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    UNIQUE KEY users_email (email)
) ENGINE = InnoDB;

CREATE TABLE orders (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- Given by the API when it took the order. The queue may deliver an order twice; the key is there once.
    order_key CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id BIGINT UNSIGNED NOT NULL,
    item VARCHAR(200) NOT NULL,
    quantity INT UNSIGNED NOT NULL DEFAULT 1,
    status ENUM('new', 'processing', 'done', 'failed') NOT NULL DEFAULT 'new',
    -- Which stack took the order, and which one's processor stored it.
    color VARCHAR(32) NOT NULL,
    release_id VARCHAR(128) NOT NULL,
    processed_by VARCHAR(32) NOT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    UNIQUE KEY orders_key (order_key),
    KEY orders_user (user_id, id),
    KEY orders_status (status, id),
    CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT orders_quantity CHECK (quantity BETWEEN 1 AND 1000)
) ENGINE = InnoDB;
