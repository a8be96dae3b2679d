<?php
declare(strict_types=1);

namespace Echobase;

/** Sends JSON; each body names the color and the release, as nginx does in the headers. */
final class Answer
{
    /** @var array<string, string> */
    private array $headers = ['Cache-Control' => 'no-store', 'X-Content-Type-Options' => 'nosniff'];

    public function __construct(private readonly Settings $settings)
    {
    }

    /** @param array<string, string> $headers */
    public function add(array $headers): void
    {
        $this->headers = [...$this->headers, ...$headers];
    }

    /**
     * @param array<string, mixed>|null $body
     * @param array<string, string> $headers
     */
    public function send(int $status, ?array $body, array $headers = []): void
    {
        http_response_code($status);
        foreach ([...$this->headers, ...$headers] as $name => $value) {
            header("$name: $value");
        }
        if ($body === null) {
            return;
        }
        $body += ['color' => $this->settings->color, 'release' => $this->settings->release];
        $text = json_encode($body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE) . "\n";
        header('Content-Type: application/json; charset=utf-8');
        header('Content-Length: ' . strlen($text));
        echo $text;
    }

    public function fail(Failure $failure): void
    {
        $this->send($failure->status, [
            'error' => ['code' => $failure->id, 'message' => $failure->getMessage()],
        ], $failure->headers);
    }
}
