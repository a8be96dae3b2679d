<?php
declare(strict_types=1);

namespace Echobase;

/** The orders of a user. Each keeps which color and release took it, and which color's processor stored it. */
final readonly class Orders
{
    private const int CACHE_SECONDS = 300;

    public function __construct(private Settings $settings, private Stores $stores, private Queue $queue)
    {
    }

    /**
     * @param array{id: int} $user
     * @return array{int, array<string, mixed>}
     */
    public function list(array $user, Request $request): array
    {
        $limit = $request->number('limit', 50, 1, 200);
        $before = $request->number('before', PHP_INT_MAX, 1, PHP_INT_MAX);
        // The order processor writes behind this cache's back, so the version is asked of the database: a list that is out
        // of date is never found again.
        $version = $this->stores->query('SELECT orders_version FROM users WHERE id = :id', ['id' => $user['id']])
            ->fetchColumn();
        if ($version === false) {
            throw Tokens::refused();
        }
        $key = "orders:{$user['id']}:$version:$limit:$before";
        $orders = $this->stores->cached($key);
        $cached = $orders !== null;
        if (!$cached) {
            $orders = $this->stores->query(
                'SELECT id, order_key AS `key`, item, quantity, status, color, release_id AS `release`, processed_by,
                        DATE_FORMAT(created_at, "%Y-%m-%dT%TZ") AS created_at
                 FROM orders WHERE user_id = :user AND id < :before ORDER BY id DESC LIMIT :limit',
                ['user' => $user['id'], 'before' => $before, 'limit' => $limit],
            )->fetchAll();
            $this->stores->cache($key, $orders, self::CACHE_SECONDS);
        }
        return [200, [
            'orders' => $orders,
            'next' => count($orders) === $limit ? end($orders)['id'] : null,
            'cached' => $cached,
        ]];
    }

    /**
     * Takes an order: it is checked, and put into the queue. The order processor of the live color stores it.
     *
     * @param array{id: int} $user
     * @return array{int, array<string, mixed>}
     */
    public function add(array $user, Request $request): array
    {
        $body = $request->json();
        $item = is_string($body['item'] ?? null) ? trim($body['item']) : '';
        $quantity = $body['quantity'] ?? 1;
        if ($item === '' || iconv_strlen($item, 'UTF-8') > 200) {
            throw new Failure(422, 'invalid_item', '`item` must have 1 to 200 characters.');
        }
        if (!is_int($quantity) || $quantity < 1 || $quantity > 1000) {
            throw new Failure(422, 'invalid_quantity', '`quantity` must be a whole number from 1 to 1000.');
        }
        $order = [
            'key' => self::key(),
            'user' => $user['id'],
            'item' => $item,
            'quantity' => $quantity,
            'color' => substr($this->settings->color, 0, 32),
            'release' => substr($this->settings->release, 0, 128),
        ];
        $this->queue->send($order);
        unset($order['user']);
        return [202, ['order' => $order + ['status' => 'queued']]];
    }

    /** A random UUID. What has one is stored once, however often the queue delivers it. */
    private static function key(): string
    {
        $bytes = random_bytes(16);
        $bytes[6] = chr(ord($bytes[6]) & 0x0f | 0x40);
        $bytes[8] = chr(ord($bytes[8]) & 0x3f | 0x80);
        return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
    }
}
