//! The binary: hands the arguments to [`envctl::cli`] and exits with its code.

/// The proxy allocates and frees some dozens of pieces for each request, which glibc's allocator takes twice as long for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    envctl::cli::main(std::env::args_os())
}
