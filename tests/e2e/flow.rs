//! Orders through the queue: each is stored once, whatever happens to colors and workers meanwhile.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Sandbox,
    customer::{Customer, key, order},
    engine,
    http::{self, Connection},
    program, wait,
};

/// Orders to send; the variable is for a machine that has less time.
const COUNT: &str = "ENVCTL_TEST_ORDERS";
const ORDERS: usize = 2000;
const SENDERS: usize = 4;
const SWITCHES: usize = 20;
/// The processor is killed after every so many-th switch.
const KILL: usize = 4;
const LOCALSTACK: u16 = 4;
const QUEUE: &str = "/queue/us-east-1/000000000000/orders";
const STORED: Duration = Duration::from_secs(120);

#[test]
fn each_order_is_stored_once_while_colors_are_switched_and_the_processor_is_killed() {
    let sandbox = Sandbox::demo();
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("test green");
    let port = sandbox.ports.get(0);
    let count = std::env::var_os(COUNT)
        .map_or(ORDERS, |count| count.to_str().unwrap().parse().unwrap())
        / SENDERS
        * SENDERS;
    let customers: Vec<_> =
        (0..SENDERS).map(|n| Customer::register(port, &format!("customer{n}"))).collect();

    // A message that no processor can take is beside the queue after its third try.
    let localstack = sandbox.ports.get(LOCALSTACK);
    let send = format!("{QUEUE}?Action=SendMessage&MessageBody=no-order");
    let _ = http::get(localstack, &send).status(200);
    wait::until_true(STORED, "the dead letter", || letters(localstack, "orders-dlq") == 1);
    let _ = sandbox.ok("aws queue peek orders-dlq").shows("no-order");
    let failures = || -> Vec<String> {
        let log = |color| sandbox.ok(&format!("logs {color} order-processor")).stdout;
        let both = ["blue", "green"].map(log).concat();
        let failed = both.lines().filter(|line| line.contains("the message has no key"));
        failed.map(|line| line[line.find("try").unwrap()..].to_owned()).collect()
    };
    let tries = [1, 2, 3].map(|n| format!("try {n} of an order failed: the message has no key"));
    assert_eq!(failures(), tries);
    // Sent back it is tried anew, beside all that follows.
    let _ = sandbox.ok("aws queue redrive orders").says("moved 1 dead letter back");

    let started = Instant::now();
    let sent = &AtomicUsize::new(0);
    let keys: Vec<String> = thread::scope(|scope| {
        let senders: Vec<_> = customers
            .iter()
            .map(|customer| scope.spawn(move || send_orders(customer, port, count, sent)))
            .collect();
        for number in 0..SWITCHES {
            // Evenly over all orders, as far as the machine gets.
            wait::until_true(STORED, "orders are sent", || {
                sent.load(Relaxed) >= number * count / SWITCHES
            });
            let to = if number % 2 == 0 { "green" } else { "blue" };
            let _ = sandbox.ok(&format!("switch {to}")).says(&format!("{to} is live"));
            let from = if to == "green" { "blue" } else { "green" };
            assert!(!runs(&sandbox, from) && runs(&sandbox, to), "one color's workers run");
            if number % KILL == 1 {
                kill(&sandbox.thing(&format!("{to}-order-processor-1")));
            }
        }
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    let sending = started.elapsed();

    wait::until_true(STORED, "the queue is empty", || letters(localstack, "orders") == 0);
    println!(
        "{count} orders, {SWITCHES} switches, {} kills: taken in {:.1} s, stored in {:.1} s",
        SWITCHES / KILL,
        sending.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    let both = sql(&sandbox, "SELECT DISTINCT processed_by FROM orders ORDER BY processed_by");
    assert_eq!(both, ["blue", "green"]);
    let rows = sql(&sandbox, "SELECT order_key FROM orders");
    assert_eq!(rows.len(), count);
    let rows: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(rows, keys.into_iter().collect::<BTreeSet<_>>());

    wait::until_true(STORED, "the dead letter again", || letters(localstack, "orders-dlq") == 1);
    // Three times at most: a processor that was killed may have had it at hand, and said nothing.
    assert!((4..=6).contains(&failures().len()), "{:?}", failures());
}

/// The messages in a queue, those that somebody has at hand included.
fn letters(localstack: u16, queue: &str) -> usize {
    let path = format!(
        "/queue/us-east-1/000000000000/{queue}?Action=GetQueueAttributes\
         &AttributeName.1=ApproximateNumberOfMessages\
         &AttributeName.2=ApproximateNumberOfMessagesNotVisible"
    );
    let answer = http::get(localstack, &path).status(200).text();
    let values: Vec<usize> = answer
        .split("<Value>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(values.len(), 2, "{answer}");
    values.iter().sum()
}

/// Sends one sender's part of the orders on one kept connection; their keys. Every one has to be taken.
fn send_orders(customer: &Customer, port: u16, count: usize, sent: &AtomicUsize) -> Vec<String> {
    let mut connection = Connection::open(port).unwrap();
    let bearer = customer.bearer();
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut keys = vec![];
    for number in 0..count / SENDERS {
        let body = order(&format!("item {number}")).to_string();
        let answer = connection.request("POST", "/api/orders", &headers, body.as_bytes()).unwrap();
        keys.push(key(&answer.status(202)));
        sent.fetch_add(1, Relaxed);
    }
    keys
}

/// Kills a container's process by its number: `docker kill` would tell the engine not to start it again.
fn kill(container: &str) {
    let pid = engine::ask(&["inspect", "--format", "{{.State.Pid}}", container]);
    let _ = program::run(Command::new("sh").args(["-c", &format!("kill -9 {pid}")])).ok();
}

fn runs(sandbox: &Sandbox, color: &str) -> bool {
    let container = sandbox.thing(&format!("{color}-order-processor-1"));
    let state = engine::ask(&["inspect", "--format", "{{.State.Status}}", &container]);
    matches!(state.as_str(), "running" | "restarting")
}

/// The lines of a query's answer.
fn sql(sandbox: &Sandbox, query: &str) -> Vec<String> {
    let script = format!(
        "MYSQL_PWD=\"$MARIADB_PASSWORD\" mariadb --protocol=tcp --host=127.0.0.1 \
         --user=\"$MARIADB_USER\" --skip-column-names --batch --execute='{query}' \"$MARIADB_DATABASE\""
    );
    let answer = engine::ask(&["exec", &sandbox.thing("durable-mariadb"), "sh", "-c", &script]);
    answer.lines().map(str::to_owned).collect()
}
