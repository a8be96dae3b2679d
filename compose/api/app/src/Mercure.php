<?php
declare(strict_types=1);

namespace Echobase;

/** The Mercure hub: the order processor publishes, the page of the user who ordered is told. */
final class Mercure
{
    private const string HUB = '/.well-known/mercure';
    private const string TOPICS = 'https://echobase.example/users/{user}/orders';
    private const int SUBSCRIBER_SECONDS = 3600;
    private const int PUBLISHER_SECONDS = 600;

    private ?\CurlHandle $curl = null;
    private string $token = '';
    private int $expires = 0;

    public function __construct(private readonly Settings $settings)
    {
    }

    /**
     * What a page needs to listen. An EventSource sends no header of its own, so the token is a cookie that scripts do
     * not see and that goes to the hub alone.
     *
     * @param array{id: int} $user
     * @return array{int, array<string, mixed>, array<string, string>}
     */
    public function subscription(array $user, Request $request): array
    {
        $topic = self::topic($user['id']);
        $token = Tokens::ofHub($this->settings->subscriberSecret, ['subscribe' => [$topic]], self::SUBSCRIBER_SECONDS);
        $cookie = "mercureAuthorization=$token; Path=" . self::HUB . '; Max-Age=' . self::SUBSCRIBER_SECONDS
            . '; HttpOnly; SameSite=Strict' . ($request->secure ? '; Secure' : '');
        $body = ['hub' => self::HUB, 'topic' => $topic, 'expires_in' => self::SUBSCRIBER_SECONDS];
        return [200, $body, ['Set-Cookie' => $cookie, 'Link' => '<' . self::HUB . '>; rel="mercure"']];
    }

    /**
     * Tells the user's pages, and nobody else's, of an order. The id is the order's: told twice, it is the same event.
     *
     * @param array<string, mixed> $order
     */
    public function publish(int $user, string $id, array $order): void
    {
        $this->curl ??= curl_init();
        curl_setopt_array($this->curl, [
            CURLOPT_URL => $this->settings->mercureUrl,
            CURLOPT_POSTFIELDS => http_build_query([
                'topic' => self::topic($user),
                'private' => 'on',
                'id' => "urn:uuid:$id",
                'type' => 'order',
                'data' => json_encode($order, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
            ]),
            CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . $this->publisher()],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => 2,
            CURLOPT_TIMEOUT => 5,
        ]);
        $answer = curl_exec($this->curl);
        $status = curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE);
        if ($status !== 200) {
            throw new \RuntimeException('the hub: ' . (is_string($answer) ? "$status $answer" : curl_error($this->curl)));
        }
    }

    private function publisher(): string
    {
        if ($this->expires < time() + 60) {
            $claim = ['publish' => [self::TOPICS]];
            $this->token = Tokens::ofHub($this->settings->publisherSecret, $claim, self::PUBLISHER_SECONDS);
            $this->expires = time() + self::PUBLISHER_SECONDS;
        }
        return $this->token;
    }

    private static function topic(int $user): string
    {
        return str_replace('{user}', (string) $user, self::TOPICS);
    }
}
