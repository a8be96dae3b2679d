<?php
declare(strict_types=1);

use Echobase\{Accounts, Answer, Cors, Failure, Health, Limits, Orders, Proof, Request, Settings, Stores, Tokens};

require '/usr/share/php/Lcobucci/JWT/autoload.php';
spl_autoload_register(function (string $class): void {
    require __DIR__ . '/../src/' . substr($class, strlen('Echobase\\')) . '.php';
});

$settings = Settings::fromEnvironment();
$answer = new Answer($settings);
try {
    $request = Request::current();
    $stores = new Stores($settings);
    $limits = new Limits($settings, $stores);
    $tokens = new Tokens($settings);
    $accounts = new Accounts($settings, $stores, $tokens, $limits);
    $orders = new Orders($settings, $stores);

    $cors = new Cors($settings);
    if ($cors->handles($request)) {
        $answer->send(204, null, $cors->preflight($request));
        return;
    }
    $answer->add($cors->headers($request));

    $routes = [
        '/health' => ['GET' => fn() => (new Health($stores))->check()],
        '/api/health' => ['GET' => fn() => (new Health($stores))->check()],
        '/' => ['GET' => fn() => [200, []]],
        '/api/version' => ['GET' => fn() => [200, []]],
        '/api/auth/register' => ['POST' => fn() => $accounts->register($request)],
        '/api/auth/login' => ['POST' => fn() => $accounts->login($request)],
        '/api/auth/me' => ['GET' => fn() => [200, ['user' => $accounts->authenticate($request)]]],
        '/api/orders' => [
            'GET' => fn() => $orders->list($accounts->authenticate($request), $request),
            'POST' => fn() => $orders->add($accounts->authenticate($request), $request),
        ],
        '/slow' => ['GET' => fn() => Proof::slow($request)],
        '/upload' => ['POST' => fn() => Proof::upload(), 'PUT' => fn() => Proof::upload()],
    ];
    $methods = $routes[$request->path] ?? throw new Failure(404, 'not_found', 'There is nothing at this path.');
    $run = $methods[$request->method] ?? throw new Failure(405, 'method_not_allowed',
        'This path does not know the method.', ['Allow' => implode(', ', array_keys($methods))]);
    [$status, $body] = $run();
    $answer->send($status, $body);
} catch (Failure $failure) {
    $answer->fail($failure);
} catch (PDOException $error) {
    error_log('database: ' . $error->getMessage());
    $answer->fail(new Failure(503, 'database_unavailable', 'The database does not answer.', ['Retry-After' => '1']));
} catch (RedisException $error) {
    error_log('redis: ' . $error->getMessage());
    $answer->fail(new Failure(503, 'redis_unavailable', 'Redis does not answer.', ['Retry-After' => '1']));
} catch (Throwable $error) {
    error_log(get_class($error) . ': ' . $error->getMessage() . ' at ' . $error->getFile() . ':' . $error->getLine());
    $answer->fail(new Failure(500, 'internal', 'Something went wrong; the log of the api service says what.'));
}
