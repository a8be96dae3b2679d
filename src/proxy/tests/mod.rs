//! The proxy on real sockets. Ports are the system's choice; services are small servers of the test's own.

mod backend;
mod choosing;
mod conformance;
mod control;
mod gate;
mod grpc;
mod http;
mod idle;
mod retiring;
mod routing;
mod seeing;
mod sharing;
mod stage;
mod staying;
mod switching;
mod tls;
