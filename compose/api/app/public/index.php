<?php
declare(strict_types=1);

use Echobase\{Accounts, Answer, Aws, AwsFailure, Cors, Failure, Health, Limits, Mercure, Orders, Proof, Queue, Request, Settings};
use Echobase\{Stores, Tokens};

require __DIR__ . '/../autoload.php';

$settings = Settings::fromEnvironment();
$answer = new Answer($settings);
try {
    $request = Request::current();
    $stores = new Stores($settings);
    $limits = new Limits($settings, $stores);
    $tokens = new Tokens($settings);
    $accounts = new Accounts($settings, $stores, $tokens, $limits);
    $orders = new Orders($settings, $stores, new Queue($settings, new Aws($settings)));

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
        '/api/auth/logout' => ['POST' => fn() => $accounts->logout($request)],
        '/api/auth/me' => ['GET' => fn() => [200, ['user' => $accounts->authenticate($request)]]],
        '/api/orders' => [
            'GET' => fn() => $orders->list($accounts->authenticate($request), $request),
            'POST' => fn() => $orders->add($accounts->authenticate($request), $request),
        ],
        '/api/stream' => [
            'POST' => fn() => (new Mercure($settings))->subscription($accounts->authenticate($request), $request),
        ],
        '/slow' => ['GET' => fn() => Proof::slow($request)],
        '/upload' => ['POST' => fn() => Proof::upload(), 'PUT' => fn() => Proof::upload()],
    ];
    $methods = $routes[$request->path] ?? throw new Failure(404, 'not_found', 'There is nothing at this path.');
    $run = $methods[$request->method] ?? throw new Failure(405, 'method_not_allowed',
        'This path does not know the method.', ['Allow' => implode(', ', array_keys($methods))]);
    [$status, $body, $headers] = $run() + [2 => []];
    $answer->send($status, $body, $headers);
} catch (Failure $failure) {
    $answer->fail($failure);
} catch (PDOException $error) {
    error_log('database: ' . $error->getMessage());
    $answer->fail(new Failure(503, 'database_unavailable', 'The database does not answer.', ['Retry-After' => '1']));
} catch (AwsFailure $error) {
    error_log('aws: ' . $error->getMessage());
    $answer->fail(new Failure(503, 'queue_unavailable', 'Orders cannot be taken now.', ['Retry-After' => '1']));
} catch (RedisException $error) {
    error_log('redis: ' . $error->getMessage());
    $answer->fail(new Failure(503, 'redis_unavailable', 'Redis does not answer.', ['Retry-After' => '1']));
} catch (Throwable $error) {
    error_log(get_class($error) . ': ' . $error->getMessage() . ' at ' . $error->getFile() . ':' . $error->getLine());
    $answer->fail(new Failure(500, 'internal', 'Something went wrong; the log of the api service says what.'));
}
