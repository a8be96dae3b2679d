<?php
declare(strict_types=1);

namespace Echobase;

/** Takes orders out of the queue, stores each exactly once, and tells the user's pages. */
final class Processor
{
    /** Looked at by the health check: it is touched whenever the queue has answered. */
    private const string BEAT = '/tmp/beat';

    private bool $stopping = false;

    public function __construct(
        private readonly Settings $settings,
        private readonly Stores $stores,
        private readonly Queue $queue,
        private readonly Mercure $hub,
    ) {
    }

    /** Ends after the messages at hand. */
    public function stop(): void
    {
        $this->stopping = true;
    }

    public function run(): void
    {
        [$wait, $pause] = [0, 0];
        while (!$this->stopping) {
            try {
                // A stop waits for the answer, for one that is given up could have taken messages along. The first comes
                // at once, and with it the first beat.
                $messages = $this->queue->receive($wait);
                touch(self::BEAT);
                [$wait, $pause] = [1, 0];
            } catch (AwsFailure $error) {
                error_log($error->getMessage());
                $pause = min(5, $pause + 1);
                // A signal ends it.
                sleep($pause);
                continue;
            }
            foreach ($messages as $message) {
                $this->take($message);
            }
        }
    }

    /** @param array{body: string, receipt: string, tries: int} $message */
    private function take(array $message): void
    {
        try {
            $order = $this->order($message['body']);
            if (!$this->store($order)) {
                error_log("order {$order['key']} was delivered again and is stored already");
            }
        } catch (\Throwable $error) {
            error_log("try {$message['tries']} of an order failed: " . $error->getMessage());
            // A connection that is gone, or a password that was changed: the next order connects anew.
            if ($error instanceof \PDOException) {
                $this->stores->forgetDatabase();
            }
            $this->settle(fn() => $this->queue->again($message['receipt'], $message['tries']));
            return;
        }
        try {
            $this->tell($order);
        } catch (\RuntimeException $error) {
            // The order stands; its page shows it when it asks the next time.
            error_log("order {$order['key']} is stored and not told of: " . $error->getMessage());
        }
        $this->settle(fn() => $this->queue->done($message['receipt']));
    }

    /** What the queue does not hear of it delivers again. */
    private function settle(callable $call): void
    {
        try {
            $call();
        } catch (AwsFailure $error) {
            error_log($error->getMessage());
        }
    }

    /** @return array{key: string, user: int, item: string, quantity: int, color: string, release: string} */
    private function order(string $body): array
    {
        $order = json_decode($body, true);
        $kinds = ['key' => 'string', 'user' => 'int', 'item' => 'string', 'quantity' => 'int', 'color' => 'string', 'release' => 'string'];
        foreach ($kinds as $name => $kind) {
            if (!is_array($order) || get_debug_type($order[$name] ?? null) !== $kind) {
                throw new \UnexpectedValueException("the message has no $name");
            }
        }
        return array_intersect_key($order, $kinds);
    }

    /**
     * In one transaction, under a key that no two rows have.
     *
     * @param array<string, mixed> $order
     * @return bool whether it is new
     */
    private function store(array $order): bool
    {
        $database = $this->stores->database();
        $database->beginTransaction();
        try {
            $this->stores->query(
                'INSERT INTO orders (order_key, user_id, item, quantity, status, color, release_id, processed_by)
                 VALUES (:key, :user, :item, :quantity, "done", :color, :release, :by)',
                $order + ['by' => substr($this->settings->color, 0, 32)],
            );
            $this->stores->query('UPDATE users SET orders_version = orders_version + 1 WHERE id = :id', ['id' => $order['user']]);
            $database->commit();
            return true;
        } catch (\PDOException $error) {
            if ($database->inTransaction()) {
                $database->rollBack();
            }
            if (($error->errorInfo[1] ?? 0) === 1062) {
                return false;
            }
            throw $error;
        }
    }

    /** @param array<string, mixed> $order */
    private function tell(array $order): void
    {
        $stored = $this->stores->query(
            'SELECT id, order_key AS `key`, item, quantity, status, color, release_id AS `release`, processed_by,
                    DATE_FORMAT(created_at, "%Y-%m-%dT%TZ") AS created_at
             FROM orders WHERE order_key = :key',
            ['key' => $order['key']],
        )->fetch();
        $this->hub->publish($order['user'], $order['key'], $stored);
    }
}
