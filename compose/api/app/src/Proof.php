<?php
declare(strict_types=1);

namespace Echobase;

/** What the tests of a switch need: answers that take long and big bodies. */
final class Proof
{
    /** @return array{int, array<string, mixed>} */
    public static function slow(Request $request): array
    {
        $ms = $request->number('ms', 2000, 0, 10_000);
        usleep($ms * 1000);
        return [200, ['slept_ms' => $ms]];
    }

    /** @return array{int, array<string, mixed>} */
    public static function upload(): array
    {
        $bytes = 0;
        $hash = hash_init('sha256');
        $body = fopen('php://input', 'rb');
        while (!feof($body)) {
            $chunk = fread($body, 65536);
            if ($chunk === false) {
                break;
            }
            $bytes += strlen($chunk);
            hash_update($hash, $chunk);
        }
        return [200, ['bytes' => $bytes, 'sha256' => hash_final($hash)]];
    }
}
