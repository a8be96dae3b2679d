<?php
declare(strict_types=1);

namespace Echobase;

/** A request that AWS (or what stands for it) refused, or that did not get there. */
final class AwsFailure extends \Exception
{
    public function __construct(string $message, public readonly ?string $type)
    {
        parent::__construct($message);
    }
}
