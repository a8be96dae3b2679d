<?php
declare(strict_types=1);

namespace Echobase;

/** Lets pages of the frontend's origins call the API, and of no other. */
final readonly class Cors
{
    public function __construct(private Settings $settings)
    {
    }

    public function handles(Request $request): bool
    {
        return $request->method === 'OPTIONS';
    }

    /** @return array<string, string> */
    public function preflight(Request $request): array
    {
        $headers = $this->headers($request);
        if (!isset($headers['Access-Control-Allow-Origin'])) {
            throw new Failure(403, 'origin_not_allowed', 'Pages of this origin may not call the API.', $headers);
        }
        return $headers + [
            'Access-Control-Allow-Methods' => 'GET, POST',
            'Access-Control-Allow-Headers' => 'Authorization, Content-Type',
            'Access-Control-Max-Age' => '600',
        ];
    }

    /** @return array<string, string> */
    public function headers(Request $request): array
    {
        $headers = ['Vary' => 'Origin'];
        if (in_array($request->origin, $this->settings->origins, true)) {
            $headers['Access-Control-Allow-Origin'] = $request->origin;
            $headers['Access-Control-Expose-Headers'] = 'X-Color, X-Release, Retry-After';
        }
        return $headers;
    }
}
