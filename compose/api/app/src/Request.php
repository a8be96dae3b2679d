<?php
declare(strict_types=1);

namespace Echobase;

/** The request as the rest of the code wants to see it. */
final readonly class Request
{
    private function __construct(
        public string $method,
        public string $path,
        public string $address,
        public ?string $origin,
        /** Whether the client talks TLS to the proxy. */
        public bool $secure,
    ) {
    }

    public static function current(): self
    {
        $method = $_SERVER['REQUEST_METHOD'];
        return new self(
            $method === 'HEAD' ? 'GET' : $method,
            rtrim((string) strtok($_SERVER['REQUEST_URI'], '?'), '/') ?: '/',
            $_SERVER['REMOTE_ADDR'],
            $_SERVER['HTTP_ORIGIN'] ?? null,
            ($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https',
        );
    }

    /** The bearer token, or null. */
    public function token(): ?string
    {
        return preg_match('/^Bearer +(\S+)$/i', $_SERVER['HTTP_AUTHORIZATION'] ?? '', $found) ? $found[1] : null;
    }

    public function number(string $name, int $default, int $low, int $high): int
    {
        $value = filter_var($_GET[$name] ?? $default, FILTER_VALIDATE_INT);
        if ($value === false) {
            throw new Failure(400, 'invalid_parameter', "`$name` must be a whole number.");
        }
        return min(max($value, $low), $high);
    }

    /** @return array<string, mixed> */
    public function json(): array
    {
        // Only this type: a form of another site can send all the others without asking first.
        if (!preg_match('#^application/json\s*(;|$)#i', $_SERVER['CONTENT_TYPE'] ?? '')) {
            throw new Failure(415, 'unsupported_type', 'The body must be application/json.');
        }
        $body = json_decode((string) file_get_contents('php://input'), true, 16);
        if (!is_array($body) || ($body !== [] && array_is_list($body))) {
            throw new Failure(400, 'invalid_json', 'The body must be a JSON object.');
        }
        return $body;
    }
}
