<?php
declare(strict_types=1);

namespace Echobase;

/** What the environment says, read once. */
final readonly class Settings
{
    /** @param list<string> $origins */
    private function __construct(
        public string $color,
        public string $release,
        public string $dbHost,
        public int $dbPort,
        public string $dbName,
        public string $dbUser,
        public string $dbPassword,
        public string $dbCa,
        public string $redisHost,
        public int $redisPort,
        public string $sessionsHost,
        public int $sessionsPort,
        public string $jwtSecret,
        public string $awsEndpoint,
        public string $awsRegion,
        public string $awsKey,
        public string $awsSecret,
        public string $ordersQueue,
        public string $databaseSecret,
        public string $mercureUrl,
        public string $publisherSecret,
        public string $subscriberSecret,
        public array $origins,
        public int $authLimit,
        public int $loginLimit,
        public int $limitWindow,
    ) {
    }

    public static function fromEnvironment(): self
    {
        return new self(
            color: self::text('ENVCTL_COLOR', 'none'),
            release: self::text('ENVCTL_RELEASE', 'none'),
            dbHost: self::text('DB_HOST', 'mariadb'),
            dbPort: self::number('DB_PORT', 3306),
            dbName: self::text('DB_NAME', 'echobase'),
            dbUser: self::text('DB_USER', 'echobase'),
            dbPassword: self::text('DB_PASSWORD', ''),
            dbCa: self::text('DB_CA', ''),
            redisHost: self::text('REDIS_HOST', 'redis'),
            redisPort: self::number('REDIS_PORT', 6379),
            sessionsHost: self::text('SESSIONS_HOST', 'sessions'),
            sessionsPort: self::number('SESSIONS_PORT', 6379),
            jwtSecret: self::text('JWT_SECRET', ''),
            awsEndpoint: rtrim(self::text('AWS_ENDPOINT_URL', 'http://localstack:4566'), '/'),
            awsRegion: self::text('AWS_REGION', 'us-east-1'),
            awsKey: self::text('AWS_ACCESS_KEY_ID', 'test'),
            awsSecret: self::text('AWS_SECRET_ACCESS_KEY', 'test'),
            ordersQueue: self::text('ORDERS_QUEUE_URL', ''),
            databaseSecret: self::text('DATABASE_SECRET', ''),
            mercureUrl: self::text('MERCURE_URL', 'http://mercure/.well-known/mercure'),
            publisherSecret: self::text('MERCURE_PUBLISHER_SECRET', ''),
            subscriberSecret: self::text('MERCURE_SUBSCRIBER_SECRET', ''),
            origins: array_values(array_filter(array_map('trim', explode(',', self::text('FRONTEND_ORIGIN', ''))))),
            authLimit: self::number('RATE_LIMIT_AUTH', 60),
            loginLimit: self::number('RATE_LIMIT_LOGIN', 10),
            limitWindow: max(1, self::number('RATE_LIMIT_WINDOW', 60)),
        );
    }

    private static function text(string $name, string $default): string
    {
        $value = getenv($name);
        return $value === false || $value === '' ? $default : $value;
    }

    private static function number(string $name, int $default): int
    {
        return filter_var(self::text($name, (string) $default), FILTER_VALIDATE_INT) ?: $default;
    }
}
