<?php
declare(strict_types=1);

namespace Echobase;

/** An answer that is an error: its status, a code for programs, a sentence for people. */
final class Failure extends \Exception
{
    /** @param array<string, string> $headers */
    public function __construct(
        public readonly int $status,
        public readonly string $id,
        string $message,
        public readonly array $headers = [],
    ) {
        parent::__construct($message);
    }
}
