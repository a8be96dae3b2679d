<?php
declare(strict_types=1);

namespace Echobase;

use PDO;
use Redis;

/** The database and Redis, connected when first asked for and kept by the worker. */
final class Stores
{
    private ?PDO $pdo = null;
    private ?Redis $redis = null;

    public function __construct(private readonly Settings $settings)
    {
    }

    public function database(): PDO
    {
        $s = $this->settings;
        return $this->pdo ??= new PDO(
            "mysql:host=$s->dbHost;port=$s->dbPort;dbname=$s->dbName;charset=utf8mb4",
            $s->dbUser,
            $s->dbPassword,
            [
                PDO::ATTR_PERSISTENT => true,
                PDO::ATTR_TIMEOUT => 3,
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
                // Prepared by the server: values never become part of a statement.
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::MYSQL_ATTR_MULTI_STATEMENTS => false,
            ],
        );
    }

    /** @param array<string, mixed> $values */
    public function query(string $sql, array $values = []): \PDOStatement
    {
        $statement = $this->database()->prepare($sql);
        $statement->execute($values);
        return $statement;
    }

    public function redis(): Redis
    {
        if ($this->redis === null) {
            $redis = new Redis();
            $redis->pconnect($this->settings->redisHost, $this->settings->redisPort, 2.0, null, 0, 2.0);
            $this->redis = $redis;
        }
        return $this->redis;
    }

    /** What the cache holds under the key, or null: also when Redis is away, for a cache is not worth an error. */
    public function cached(string $key): ?array
    {
        try {
            $text = $this->redis()->get($key);
        } catch (\RedisException) {
            return null;
        }
        return is_string($text) ? json_decode($text, true) : null;
    }

    public function cache(string $key, array $value, int $seconds): void
    {
        try {
            $this->redis()->setex($key, $seconds, json_encode($value, JSON_THROW_ON_ERROR));
        } catch (\RedisException) {
        }
    }
}
