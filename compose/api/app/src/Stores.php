<?php
declare(strict_types=1);

namespace Echobase;

use PDO;
use Redis;

/**
 * The database, the color's own Redis for what is cached, and the durable one for what holds over a switch: sessions and
 * rate limits. Connected when first asked for and kept by the worker.
 */
final class Stores
{
    private ?PDO $pdo = null;
    private ?Redis $redis = null;
    private ?Redis $sessions = null;

    /** @param ?\Closure(): array{username: string, password: string} $credentials in place of those of the environment */
    public function __construct(private readonly Settings $settings, private readonly ?\Closure $credentials = null)
    {
    }

    public function database(): PDO
    {
        if ($this->pdo !== null) {
            return $this->pdo;
        }
        $s = $this->settings;
        $own = ['username' => $s->dbUser, 'password' => $s->dbPassword];
        ['username' => $user, 'password' => $password] = $this->credentials ? ($this->credentials)() : $own;
        return $this->pdo = new PDO(
            "mysql:host=$s->dbHost;port=$s->dbPort;dbname=$s->dbName;charset=utf8mb4",
            $user,
            $password,
            [
                PDO::ATTR_PERSISTENT => true,
                PDO::ATTR_TIMEOUT => 3,
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
                // Prepared by the server: values never become part of a statement.
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::MYSQL_ATTR_MULTI_STATEMENTS => false,
            ] + ($s->dbCa === '' ? [] : [
                // TLS, with a server that this authority vouches for under the name it is reached by.
                PDO::MYSQL_ATTR_SSL_CA => $s->dbCa,
                PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true,
            ]),
        );
    }

    /** @param array<string, mixed> $values */
    public function query(string $sql, array $values = []): \PDOStatement
    {
        $statement = $this->database()->prepare($sql);
        $statement->execute($values);
        return $statement;
    }

    /** The next query connects anew, with credentials asked for anew. */
    public function forgetDatabase(): void
    {
        $this->pdo = null;
    }

    public function redis(): Redis
    {
        return $this->redis ??= self::connected($this->settings->redisHost, $this->settings->redisPort);
    }

    public function sessions(): Redis
    {
        return $this->sessions ??= self::connected($this->settings->sessionsHost, $this->settings->sessionsPort);
    }

    private static function connected(string $host, int $port): Redis
    {
        $redis = new Redis();
        $redis->pconnect($host, $port, 2.0, null, 0, 2.0);
        return $redis;
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
