#!/usr/bin/perl
# A web service for tests, of nothing but the base image: answers every request with what it is, and each path of its
# own with what a test wants to see.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{TERM} = $SIG{INT} = sub { exit 0 };    # process 1 ignores what it does not handle
$SIG{CHLD} = 'IGNORE';
$| = 1;
my ($color, $release, $mark) = map { $ENV{$_} // 'none' } qw(ENVCTL_COLOR ENVCTL_RELEASE MARK);
my $port = $ENV{PORT} // 8080;
my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 128, ReuseAddr => 1) or die "no port $port: $!";
print "serving as $color on port $port\n";

while (1) {
    my $client = $server->accept or next;
    my $pid = fork // die "no fork: $!";
    if ($pid) { close $client; next }
    close $server;
    serve($client);
    exit 0;
}

sub serve {
    my $client = shift;
    $client->autoflush(1);
    while (defined(my $request = <$client>)) {
        my ($path) = $request =~ m{^\S+ (\S+)} or return;
        while (defined(my $header = <$client>)) { last if $header =~ /^\r?\n$/ }
        return events($client) if $path eq '/events';
        my ($status, $body) = answer($path);
        printf $client "HTTP/1.1 %s\r\nX-Color: %s\r\nX-Release: %s\r\nContent-Length: %d\r\n\r\n%s",
            $status, $color, $release, length $body, $body;
    }
}

# An event stream without an end.
sub events {
    my $client = shift;
    print $client "HTTP/1.1 200 OK\r\nX-Color: $color\r\nContent-Type: text/event-stream\r\n\r\n";
    for (my $id = 1; print $client "id: $id\ndata: $color\n\n"; $id++) { select undef, undef, undef, 0.1 }
}

sub answer {
    my $path = shift;
    return ('200 OK', $mark) if $path eq '/mark';
    if ($path =~ m{^/slow\?ms=(\d+)$}) { select undef, undef, undef, $1 / 1000 }
    # Answered once there is a file: /until/FILE.
    if ($path =~ m{^/until/(\w+)$}) {
        print "waiting until $1\n";
        select undef, undef, undef, 0.05 until -e "/$1";
    }
    return ('200 OK', $ENV{$1} // '') if $path =~ m{^/env/(\w+)$};
    # What only one color has: /only/COLOR/…
    return ($1 eq $color ? '200 OK' : '404 Not Found', "$1\n") if $path =~ m{^/only/(\w+)/};
    # The first bytes that a TCP service says: /greeting/HOST/PORT.
    if ($path =~ m{^/greeting/([\w.-]+)/(\d+)$}) {
        my $other = IO::Socket::INET->new(PeerAddr => $1, PeerPort => $2, Timeout => 5) or return ("502 Bad Gateway", "$1:$2: $@");
        sysread $other, my $said, 100;
        return ('200 OK', $said);
    }
    # What another web service answers: /ask/HOST/PORT.
    if ($path =~ m{^/ask/([\w.-]+)/(\d+)$}) {
        my $other = IO::Socket::INET->new(PeerAddr => $1, PeerPort => $2, Timeout => 5) or return ("502 Bad Gateway", "$1:$2: $@");
        print $other "GET / HTTP/1.1\r\nHost: $1\r\n\r\n";
        sysread $other, my $said, 1000;
        return ('200 OK', $said);
    }
    return ('200 OK', "$color $release $mark\n");
}
