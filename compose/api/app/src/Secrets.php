<?php
declare(strict_types=1);

namespace Echobase;

/** Credentials from Secrets Manager, which keeps them encrypted with a KMS key and decrypts them for who may ask. */
final readonly class Secrets
{
    public function __construct(private Settings $settings, private Aws $aws)
    {
    }

    /** @return array{username: string, password: string} */
    public function database(): array
    {
        $name = $this->settings->databaseSecret ?: throw new AwsFailure('DATABASE_SECRET names no secret', null);
        $answer = $this->aws->call('secretsmanager', '1.1', 'secretsmanager.GetSecretValue', ['SecretId' => $name]);
        $secret = json_decode($answer['SecretString'] ?? '', true);
        if (!is_string($secret['username'] ?? null) || !is_string($secret['password'] ?? null)) {
            throw new AwsFailure("the secret $name has not a `username` and a `password`", null);
        }
        return $secret;
    }
}
