<?php
declare(strict_types=1);

namespace Echobase;

/** The queue of orders: the API puts them in, the order processor takes them out. */
final readonly class Queue
{
    public function __construct(private Settings $settings, private Aws $aws)
    {
    }

    /** @param array<string, mixed> $order */
    public function send(array $order): void
    {
        $this->call('SendMessage', ['MessageBody' => json_encode($order, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE)]);
    }

    /** @return list<array{body: string, receipt: string, tries: int}> what came within so many seconds, ten at most */
    public function receive(int $seconds): array
    {
        $answer = $this->call('ReceiveMessage', [
            'MaxNumberOfMessages' => 10,
            'WaitTimeSeconds' => $seconds,
            'AttributeNames' => ['ApproximateReceiveCount'],
        ]);
        return array_map(fn(array $message): array => [
            'body' => $message['Body'],
            'receipt' => $message['ReceiptHandle'],
            'tries' => (int) ($message['Attributes']['ApproximateReceiveCount'] ?? 1),
        ], $answer['Messages'] ?? []);
    }

    public function done(string $receipt): void
    {
        $this->call('DeleteMessage', ['ReceiptHandle' => $receipt]);
    }

    /** Shows the message again after that time; the queue itself moves it aside when it was shown often enough. */
    public function again(string $receipt, int $seconds): void
    {
        $this->call('ChangeMessageVisibility', ['ReceiptHandle' => $receipt, 'VisibilityTimeout' => $seconds]);
    }

    /**
     * @param array<string, mixed> $input
     * @return array<string, mixed>
     */
    private function call(string $operation, array $input): array
    {
        $url = $this->settings->ordersQueue ?: throw new AwsFailure('ORDERS_QUEUE_URL names no queue', null);
        return $this->aws->call('sqs', '1.0', "AmazonSQS.$operation", ['QueueUrl' => $url] + $input);
    }
}
