//! The binary: hands the arguments to [`envctl::cli`] and exits with its code.

fn main() -> std::process::ExitCode {
    envctl::cli::main(std::env::args_os())
}
