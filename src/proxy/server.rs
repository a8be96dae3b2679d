//! Starting and stopping: the threads, their runtimes and listeners, the signals.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    accept::{Place, accept},
    access::AccessLog,
    clock::Clock,
    control::Control,
    control_io,
    error::ProxyError,
    gate::Gate,
    health, metrics,
    options::Options,
    snapshot::{Shared, Snapshot},
    store::Store,
    target::Names,
    tls::{self, Tls},
    traffic::Traffic,
};
use crate::model::{Color, Listener};

/// A worker's socket on a listener's port.
type Opened = (std::net::TcpListener, Listener, Option<TlsAcceptor>);

/// A proxy that runs. Dropping it stops it.
pub(super) struct Running {
    pub control: Arc<Control>,
    /// Where each of the options' listeners listens.
    pub addresses: Vec<SocketAddr>,
    /// Where metrics are asked for.
    pub metrics: Option<SocketAddr>,
    pub shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// Runs a proxy until SIGTERM or SIGINT, then lets its requests finish.
///
/// Starts runtimes of its own: call it outside of any. Its log goes through `tracing`; standard output belongs to the
/// answers to the control requests that come on standard input.
pub fn serve(options: &Options) -> Result<(), ProxyError> {
    let running = start(options, Names::System)?;
    for address in running.addresses.iter().chain(&running.metrics) {
        tracing::info!(%address, "listening");
    }
    let Some(runtime) = &running.runtime else { return Ok(()) };
    let handle = runtime.handle();
    let start = |source| ProxyError::Start { source };
    let input = std::io::BufReader::new(std::io::stdin());
    control_io::lines(&running.control, handle, input, std::io::stdout()).map_err(start)?;
    runtime
        .block_on(async {
            let mut term = signal(SignalKind::terminate())?;
            let mut int = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            Ok(())
        })
        .map_err(start)?;
    running.stop();
    Ok(())
}

/// Opens everything and starts serving.
pub(super) fn start(options: &Options, names: Names) -> Result<Running, ProxyError> {
    let failed = |source| ProxyError::Start { source };
    let store = Store::new(&options.state);
    let routing = store.load()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .thread_name("control")
        .thread_stack_size(512 << 10)
        .enable_all()
        .build()
        .map_err(failed)?;

    let workers = options.workers.max(1);
    let log = match options.access_log {
        Some(format) => {
            Some(Arc::new(AccessLog::start(options.state.join("access"), format).map_err(failed)?))
        }
        None => None,
    };
    let loads = [Arc::default(), Arc::default()];
    let snapshot = Snapshot::new(&routing, &loads, workers);
    let shared = Arc::new(Shared {
        snapshot: ArcSwap::from_pointee(snapshot),
        loads,
        limits: options.limits.clone(),
        workers,
        names,
        trust_forwarded: options.trust_forwarded,
        stopping: CancellationToken::new(),
        stopped: AtomicBool::new(false),
        clock: Clock::new(),
        traffic: Traffic::new(log),
        gate: Gate::default(),
        ids: AtomicU64::new(getrandom::u64().unwrap_or_default()),
    });

    let tls = if options.listeners.iter().any(|listener| listener.tls) {
        Some(Arc::new(Tls::new(options)?))
    } else {
        None
    };
    let mut opened: Vec<Vec<Opened>> = (0..workers).map(|_| vec![]).collect();
    let mut addresses = vec![];
    {
        let _inside = runtime.enter();
        for listener in &options.listeners {
            let mut address = SocketAddr::new(options.bind, listener.port);
            let acceptor = match &tls {
                Some(tls) if listener.tls => Some(
                    tls.acceptor(listener.route, !listener.tcp)
                        .map_err(|reason| ProxyError::Ca { folder: options.ca.clone(), reason })?,
                ),
                _ => None,
            };
            for worker in &mut opened {
                let socket =
                    listen(address).map_err(|source| ProxyError::Listen { address, source })?;
                address = socket.local_addr().map_err(failed)?;
                worker.push((socket, listener.clone(), acceptor.clone()));
            }
            addresses.push(address);
        }
    }

    let control = Arc::new(Control::new(
        Arc::clone(&shared),
        store,
        routing,
        options.listeners.clone(),
        runtime.handle().clone(),
        tls.clone(),
    ));
    if let Some(tls) = tls {
        runtime.spawn(tls::keep(tls));
    }
    runtime.spawn(health::watch(Arc::clone(&shared)));
    let metrics = options.metrics.map(|port| {
        let address = SocketAddr::new(options.bind, port);
        let _inside = runtime.enter();
        let listen = |source| ProxyError::Listen { address, source };
        let socket = listen_once(address).map_err(listen)?;
        let at = socket.local_addr().map_err(listen)?;
        shared.traffic.count();
        runtime.spawn(metrics::serve(socket, Arc::clone(&shared)));
        Ok::<_, ProxyError>(at)
    });
    let metrics = metrics.transpose()?;
    control_io::socket(&control, runtime.handle(), &options.state)?;

    let mut running =
        Running { control, addresses, metrics, shared, workers: vec![], runtime: Some(runtime) };
    for (worker, listeners) in opened.into_iter().enumerate() {
        let shared = Arc::clone(&running.shared);
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(16)
            .thread_stack_size(512 << 10)
            .enable_all()
            .build()
            .map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name(format!("worker {worker}"))
            .spawn(move || {
                runtime.block_on(work(shared, worker, listeners));
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        running.workers.push(thread);
    }
    Ok(running)
}

/// Opens a port. Each worker has a socket of its own on it, among which the system spreads the connections.
fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    // Both pass on to the connections that are accepted.
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(1024)?.into_std()
}

/// Opens a port that one task serves.
fn listen_once(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(16)
}

/// One worker: serves its listeners until the proxy stops, then what is still open for a while.
async fn work(shared: Arc<Shared>, worker: usize, listeners: Vec<Opened>) {
    let tasks = TaskTracker::new();
    for (socket, listener, tls) in listeners {
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let place = Arc::new(Place::new(&shared, &listener, worker, &tasks, tls));
                tokio::spawn(accept(socket, place));
            }
            Err(error) => {
                tracing::error!(port = listener.port, %error, "the port cannot be served");
            }
        }
    }
    tokio::spawn(sweep(Arc::clone(&shared), worker));
    shared.stopping.cancelled().await;
    tasks.close();
    let _ = timeout(shared.limits.stop_time, tasks.wait()).await;
}

/// Moves the clock on and closes connections to services that nobody needs.
async fn sweep(shared: Arc<Shared>, worker: usize) {
    let mut turn = tokio::time::interval(shared.limits.turn().min(Duration::from_secs(1)));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        shared.clock.tick();
        for target in shared.snapshot.load().targets() {
            target.sweep(worker, &shared);
        }
    }
}

impl Running {
    /// The runtime of the control.
    #[cfg(test)]
    pub fn runtime(&self) -> tokio::runtime::Handle {
        self.runtime.as_ref().unwrap().handle().clone()
    }

    /// Takes no more connections, lets requests finish, closes what would stay.
    pub fn stop(mut self) {
        self.end();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        if let Some(log) = &self.shared.traffic.log {
            log.flush();
        }
    }

    fn end(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        self.shared.stopping.cancel();
        for color in Color::ALL {
            for end in self.shared.load(color).staying(true) {
                end.cancel();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
