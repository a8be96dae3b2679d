//! Starting and stopping: the threads, their runtimes and listeners, the signals.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    accept::{Place, accept},
    control::Control,
    control_io,
    error::ProxyError,
    options::Options,
    snapshot::{Shared, Snapshot},
    store::Store,
    target::Names,
};
use crate::model::{Color, Listener};

/// A proxy that runs. Dropping it stops it.
pub(super) struct Running {
    pub control: Arc<Control>,
    /// Where each of the options' listeners listens.
    pub addresses: Vec<SocketAddr>,
    pub shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// Runs a proxy until SIGTERM or SIGINT, then lets its requests finish.
///
/// Starts runtimes of its own: call it outside of any. Its log goes through `tracing`; standard output belongs to the
/// answers to the control requests that come on standard input.
pub fn serve(options: Options) -> Result<(), ProxyError> {
    let running = start(options, Names::System)?;
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
pub(super) fn start(mut options: Options, names: Names) -> Result<Running, ProxyError> {
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
        ids: AtomicU64::new(getrandom::u64().unwrap_or_default()),
    });

    let mut opened: Vec<Vec<(std::net::TcpListener, Listener)>> =
        (0..workers).map(|_| vec![]).collect();
    let mut addresses = vec![];
    {
        let _inside = runtime.enter();
        for listener in &mut options.listeners {
            let mut address = SocketAddr::new(options.bind, listener.port);
            for worker in &mut opened {
                let socket =
                    listen(address).map_err(|source| ProxyError::Listen { address, source })?;
                address = socket.local_addr().map_err(failed)?;
                worker.push((socket, listener.clone()));
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
    ));
    control_io::socket(&control, runtime.handle(), &options.state)?;

    let mut running =
        Running { control, addresses, shared, workers: vec![], runtime: Some(runtime) };
    for (worker, listeners) in opened.into_iter().enumerate() {
        let shared = Arc::clone(&running.shared);
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(4)
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
    socket.bind(address)?;
    socket.listen(1024)?.into_std()
}

/// One worker: serves its listeners until the proxy stops, then what is still open for a while.
async fn work(
    shared: Arc<Shared>,
    worker: usize,
    listeners: Vec<(std::net::TcpListener, Listener)>,
) {
    let tasks = TaskTracker::new();
    for (socket, listener) in listeners {
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let place = Arc::new(Place::new(&shared, &listener, worker, &tasks));
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

/// Closes connections to services that nobody needs.
async fn sweep(shared: Arc<Shared>, worker: usize) {
    let mut turn = tokio::time::interval(Duration::from_secs(1));
    loop {
        turn.tick().await;
        for target in shared.snapshot.load().targets() {
            target.sweep(worker, &shared.limits);
        }
    }
}

impl Running {
    /// Takes no more connections, lets requests finish, closes what would stay.
    pub fn stop(mut self) {
        self.end();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }

    fn end(&mut self) {
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
