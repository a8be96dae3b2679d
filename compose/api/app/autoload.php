<?php
declare(strict_types=1);

require '/usr/share/php/Lcobucci/JWT/autoload.php';
spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'Echobase\\')) {
        require __DIR__ . '/src/' . substr($class, strlen('Echobase\\')) . '.php';
    }
});
