<?php
declare(strict_types=1);

namespace Echobase;

/**
 * Rate limits, by fixed windows, in the Redis that both colors share: a switch begins no window anew. Without it there is
 * no answer, rather than one without a limit.
 */
final readonly class Limits
{
    public function __construct(private Settings $settings, private Stores $stores)
    {
    }

    public function ofAddress(string $address): void
    {
        $this->take("limit:auth:$address", $this->settings->authLimit);
    }

    public function ofAccount(string $email): void
    {
        $this->take('limit:login:' . hash('sha256', $email), $this->settings->loginLimit);
    }

    public function forgetAccount(string $email): void
    {
        $this->stores->sessions()->del('limit:login:' . hash('sha256', $email));
    }

    private function take(string $key, int $limit): void
    {
        // One transaction, and the expiry first: a counter without an expiry would lock out for ever.
        [, $count, $left] = $this->stores->sessions()->multi()
            ->set($key, '0', ['nx', 'ex' => $this->settings->limitWindow])
            ->incr($key)
            ->ttl($key)
            ->exec();
        if ($count > $limit) {
            throw new Failure(429, 'too_many_requests', 'Too many attempts; try again later.', [
                'Retry-After' => (string) max(1, (int) $left),
            ]);
        }
    }
}
