<?php
declare(strict_types=1);

namespace Echobase;

/** Signed requests to AWS's JSON APIs (Signature Version 4, by libcurl). One connection, kept. */
final class Aws
{
    private ?\CurlHandle $curl = null;

    public function __construct(private readonly Settings $settings)
    {
    }

    /**
     * @param string $service as it is signed: `sqs`
     * @param string $target the API's name and the operation: `AmazonSQS.SendMessage`
     * @param array<string, mixed> $input
     * @return array<string, mixed>
     */
    public function call(string $service, string $version, string $target, array $input): array
    {
        $s = $this->settings;
        $this->curl ??= curl_init();
        curl_setopt_array($this->curl, [
            CURLOPT_URL => $s->awsEndpoint . '/',
            CURLOPT_POSTFIELDS => json_encode($input, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES),
            CURLOPT_HTTPHEADER => ["Content-Type: application/x-amz-json-$version", "X-Amz-Target: $target", 'Expect:'],
            CURLOPT_AWS_SIGV4 => "aws:amz:$s->awsRegion:$service",
            CURLOPT_USERPWD => "$s->awsKey:$s->awsSecret",
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => 3,
            CURLOPT_TIMEOUT => 15,
        ]);
        $text = curl_exec($this->curl);
        if (!is_string($text)) {
            throw new AwsFailure("$target: " . curl_error($this->curl), null);
        }
        $output = json_decode($text, true);
        $status = curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE);
        if ($status !== 200 || !is_array($output)) {
            $code = is_array($output) ? ($output['__type'] ?? null) : null;
            $message = is_array($output) ? ($output['message'] ?? $output['Message'] ?? '') : '';
            throw new AwsFailure("$target: $status $code $message", is_string($code) ? $code : null);
        }
        return $output;
    }
}
