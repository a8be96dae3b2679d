<?php
declare(strict_types=1);

namespace Echobase;

/** Registering, logging in, and who a request comes from. */
final readonly class Accounts
{
    private const array BCRYPT = ['cost' => 11];

    public function __construct(
        private Settings $settings,
        private Stores $stores,
        private Tokens $tokens,
        private Limits $limits,
    ) {
    }

    /** @return array{int, array<string, mixed>} */
    public function register(Request $request): array
    {
        $this->limits->ofAddress($request->address);
        [$email, $password] = $this->credentials($request);
        // bcrypt reads 72 bytes and ignores the rest.
        if (strlen($password) < 8 || strlen($password) > 72) {
            throw new Failure(422, 'invalid_password', 'The password must have 8 to 72 characters.');
        }
        $hash = password_hash($password, PASSWORD_BCRYPT, self::BCRYPT);
        try {
            $this->stores->query('INSERT INTO users (email, password_hash) VALUES (:email, :hash)', [
                'email' => $email,
                'hash' => $hash,
            ]);
        } catch (\PDOException $error) {
            if (($error->errorInfo[1] ?? 0) === 1062) {
                throw new Failure(409, 'email_taken', 'This address is registered already.');
            }
            throw $error;
        }
        return [201, $this->session((int) $this->stores->database()->lastInsertId(), $email)];
    }

    /** @return array{int, array<string, mixed>} */
    public function login(Request $request): array
    {
        $this->limits->ofAddress($request->address);
        [$email, $password] = $this->credentials($request);
        $this->limits->ofAccount($email);
        $user = $this->stores->query('SELECT id, email, password_hash FROM users WHERE email = :email', [
            'email' => $email,
        ])->fetch();
        // An unknown address costs the same time as a wrong password.
        $hash = $user['password_hash'] ?? '$2y$11$abcdefghijklmnopqrstuuG0ZQXnrbyJGHKo5Fn1aASVUEqfbpBKu';
        if (!password_verify($password, $hash) || $user === false) {
            throw new Failure(401, 'invalid_credentials', 'The address or the password is wrong.');
        }
        $this->limits->forgetAccount($email);
        return [200, $this->session((int) $user['id'], $user['email'])];
    }

    /**
     * The user of the request's session. A token alone does not do: its session has to be there, in the Redis that both
     * colors share. So a switch logs nobody out, and a logout holds everywhere.
     *
     * @return array{id: int, email: string}
     */
    public function authenticate(Request $request): array
    {
        $session = $this->stores->sessions()->get($this->key($request));
        $user = is_string($session) ? json_decode($session, true) : throw Tokens::refused();
        return ['id' => (int) $user['id'], 'email' => $user['email']];
    }

    /** @return array{int, null} */
    public function logout(Request $request): array
    {
        $this->stores->sessions()->del($this->key($request));
        return [204, null];
    }

    private function key(Request $request): string
    {
        $token = $this->tokens->verify($request->token() ?? throw Tokens::refused());
        return "session:{$token['id']}";
    }

    /** @return array<string, mixed> */
    private function session(int $id, string $email): array
    {
        $user = ['id' => $id, 'email' => $email];
        ['token' => $token, 'id' => $session] = $this->tokens->issue($id);
        $this->stores->sessions()->setex("session:$session", Tokens::SECONDS, json_encode($user, JSON_THROW_ON_ERROR));
        return ['token' => $token, 'expires_in' => Tokens::SECONDS, 'user' => $user];
    }

    /** @return array{string, string} */
    private function credentials(Request $request): array
    {
        $body = $request->json();
        $email = $body['email'] ?? null;
        $password = $body['password'] ?? null;
        if (!is_string($email) || strlen($email) > 254 || !filter_var(trim($email), FILTER_VALIDATE_EMAIL)) {
            throw new Failure(422, 'invalid_email', 'This is not an email address.');
        }
        if (!is_string($password) || $password === '' || str_contains($password, "\0")) {
            throw new Failure(422, 'invalid_password', 'A password is needed.');
        }
        return [strtolower(trim($email)), $password];
    }
}
