//! Files as text, and their paths.

use std::{
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use super::{
    canonical::clean_path,
    dotenv,
    problem::{Problem, Problems},
    yaml,
};

/// The path from the root on, without `.` and `..`.
pub fn absolute(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    PathBuf::from(clean_path(&full.to_string_lossy()))
}

/// The text of a file that is to be YAML or an environment file.
pub fn read_text(path: &Path) -> Result<String, Problems> {
    let metadata =
        std::fs::metadata(path).map_err(|error| Problem::of_file(path, reason(&error)))?;
    // Such as `/dev/zero`, which has no end.
    if metadata.file_type().is_char_device() || metadata.file_type().is_block_device() {
        return Err(Problem::of_file(path, "is a device").into());
    }
    if metadata.len() > yaml::MAX_BYTES as u64 {
        let message = format!("is larger than {} MiB", yaml::MAX_BYTES >> 20);
        return Err(Problem::of_file(path, message).into());
    }
    crate::base::files::read_text(path)
        .map_err(|error| Problem::of_file(path, reason(&error.source)).into())
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "is no UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

/// The problem of an environment file; its line is not shown, it may hold a secret.
pub fn env_problem(path: &Path, error: &dotenv::DotenvError) -> Problem {
    let mut problem = Problem::of_file(path, error.to_string());
    problem.line = error.line();
    problem.column = error.column();
    problem
}

/// What is to be warned of in an environment file.
pub fn blanked_problem(path: &Path, blanked: &dotenv::Blanked) -> Problem {
    let message = format!(
        "the value of `{}` uses a variable that is not set, an empty text is used",
        blanked.key
    );
    let mut problem = Problem::of_file(path, message).with_hint(Some(
        "a literal $ is written $$, or the value goes in single quotes".to_owned(),
    ));
    problem.line = blanked.line;
    problem.column = 1;
    problem
}
