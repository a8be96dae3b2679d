<?php
declare(strict_types=1);

namespace Echobase;

/** Whether this stack can serve: its database with the schema, its Redis, and the one with the sessions. */
final readonly class Health
{
    public function __construct(private Stores $stores)
    {
    }

    /** @return array{int, array<string, mixed>} */
    public function check(): array
    {
        $checks = [
            'database' => $this->probe(fn() => $this->stores->query('SELECT 1 FROM orders LIMIT 0')),
            'redis' => $this->probe(fn() => $this->stores->redis()->ping()),
            'sessions' => $this->probe(fn() => $this->stores->sessions()->ping()),
        ];
        $healthy = array_unique(array_values($checks)) === ['ok'];
        return [$healthy ? 200 : 503, ['status' => $healthy ? 'ok' : 'failing', 'checks' => $checks]];
    }

    private function probe(callable $ask): string
    {
        try {
            $ask();
            return 'ok';
        } catch (\PDOException | \RedisException $error) {
            // The reason goes to the log: it can name hosts and users.
            error_log('health: ' . $error->getMessage());
            return 'failing';
        }
    }
}
