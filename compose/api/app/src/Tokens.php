<?php
declare(strict_types=1);

namespace Echobase;

use DateTimeImmutable;
use Lcobucci\JWT\Encoding\ChainedFormatter;
use Lcobucci\JWT\Encoding\JoseEncoder;
use Lcobucci\JWT\Exception as JwtException;
use Lcobucci\JWT\Signer\Hmac\Sha256;
use Lcobucci\JWT\Signer\Key\InMemory;
use Lcobucci\JWT\Token\Builder;
use Lcobucci\JWT\Token\Parser;
use Lcobucci\JWT\Token\Plain;
use Lcobucci\JWT\Validation\Constraint\IssuedBy;
use Lcobucci\JWT\Validation\Constraint\SignedWith;
use Lcobucci\JWT\Validation\Constraint\StrictValidAt;
use Lcobucci\JWT\Validation\Validator;
use Psr\Clock\ClockInterface;

/**
 * JWT, HS256. Both colors share the secret, and nothing about a login is kept in a color.
 */
final readonly class Tokens
{
    private const string ISSUER = 'echobase';
    public const int SECONDS = 12 * 3600;

    public function __construct(private Settings $settings)
    {
    }

    /** @return array{token: string, id: string} */
    public function issue(int $user): array
    {
        $id = bin2hex(random_bytes(16));
        $token = self::begun(self::SECONDS)
            ->relatedTo((string) $user)
            ->identifiedBy($id)
            ->getToken(new Sha256(), $this->key())
            ->toString();
        return ['token' => $token, 'id' => $id];
    }

    /**
     * A token for the Mercure hub.
     *
     * @param array<string, list<string>> $claim topic selectors, by what they are for
     */
    public static function ofHub(string $secret, array $claim, int $seconds): string
    {
        return self::begun($seconds)
            ->withClaim('mercure', $claim)
            ->getToken(new Sha256(), self::secret('the hub\'s secret', $secret))
            ->toString();
    }

    private static function begun(int $seconds): Builder
    {
        $now = new DateTimeImmutable('@' . time());
        return (new Builder(new JoseEncoder(), ChainedFormatter::withUnixTimestampDates()))
            ->issuedBy(self::ISSUER)
            ->issuedAt($now)
            ->canOnlyBeUsedAfter($now)
            ->expiresAt($now->modify("+$seconds seconds"));
    }

    /** @return array{user: int, id: string} whom the token was given to, and its own id */
    public function verify(string $text): array
    {
        try {
            $token = (new Parser(new JoseEncoder()))->parse($text);
        } catch (JwtException) {
            throw self::refused();
        }
        $clock = new class implements ClockInterface {
            public function now(): DateTimeImmutable
            {
                return new DateTimeImmutable();
            }
        };
        $valid = $token instanceof Plain && (new Validator())->validate(
            $token,
            new SignedWith(new Sha256(), $this->key()),
            new IssuedBy(self::ISSUER),
            new StrictValidAt($clock),
        );
        if (!$valid) {
            throw self::refused();
        }
        return ['user' => (int) $token->claims()->get('sub'), 'id' => (string) $token->claims()->get('jti')];
    }

    public static function refused(): Failure
    {
        return new Failure(401, 'invalid_token', 'Log in first.', ['WWW-Authenticate' => 'Bearer']);
    }

    private function key(): InMemory
    {
        return self::secret('JWT_SECRET', $this->settings->jwtSecret);
    }

    private static function secret(string $name, string $value): InMemory
    {
        if (strlen($value) < 32) {
            throw new \RuntimeException("$name must have at least 32 characters");
        }
        return InMemory::plainText($value);
    }
}
