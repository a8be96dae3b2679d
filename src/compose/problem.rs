//! What is wrong in a file, with its place: `compose.yml:14:7 services.api.ports[0]: …`.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::base::files::shown;

/// A spot in one of the files that were read; line and column count from 1, 0 stands for "the whole file".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub file: u32,
    pub line: u32,
    pub column: u32,
}

/// A file that was read, kept so that an error can show its line.
#[derive(Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: Arc<str>,
}

/// All files that were read; a [`Place`] names one by its index.
#[derive(Debug, Clone, Default)]
pub struct Files(Vec<Arc<SourceFile>>);

impl Files {
    /// Adds a file and returns its index.
    pub fn add(&mut self, path: &Path, text: Arc<str>) -> u32 {
        self.0.push(Arc::new(SourceFile { path: shown(path).to_owned(), text }));
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The file's path, as messages show it.
    pub fn path(&self, file: u32) -> &Path {
        self.0.get(file as usize).map_or(Path::new(""), |file| &file.path)
    }

    /// Where a file stands in the order of reading.
    pub fn position(&self, path: &Path) -> usize {
        self.0.iter().position(|file| file.path == path).unwrap_or(usize::MAX)
    }

    /// The problem at that place, with the line that it is about.
    pub fn problem(&self, place: Place, key_path: &str, message: impl Into<String>) -> Problem {
        let line = self
            .0
            .get(place.file as usize)
            .filter(|_| place.line > 0)
            .and_then(|file| file.text.lines().nth(place.line as usize - 1));
        Problem {
            file: self.path(place.file).to_owned(),
            line: place.line,
            column: place.column,
            key_path: key_path.to_owned(),
            message: message.into(),
            source_line: line.unwrap_or_default().to_owned(),
            hint: None,
        }
    }
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; 0 when the whole file is meant.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// `services.api.ports[0]`; empty when the place is not one of a key.
    pub key_path: String,
    /// Cause and expectation, a lowercase fragment.
    pub message: String,
    /// The offending line, as it stands in the file.
    pub source_line: String,
    /// The near name for a typo, or another way out.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: shown(file).to_owned(),
            line: 0,
            column: 0,
            key_path: String::new(),
            message: message.into(),
            source_line: String::new(),
            hint: None,
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key_path.is_empty() {
            write!(f, " {}", self.key_path)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.source_line.trim().is_empty() {
            let shown: String = self.source_line.trim_end().chars().take(160).collect();
            write!(f, "\n  {:>4} | {shown}", self.line)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n       = {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order it was found; never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds a problem that is not there yet; of very many, the further ones are only told of.
    pub fn push(&mut self, problem: Problem) {
        if self.is_full() || self.0.contains(&problem) {
            return;
        }
        self.0.push(problem);
        if self.0.len() == Self::MOST {
            self.0.push(Problem::of_file(Path::new("…"), "further problems are not shown"));
        }
    }

    /// Whether more problems would not be kept.
    pub fn is_full(&self) -> bool {
        self.0.len() > Self::MOST
    }

    const MOST: usize = 50;

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` when there is none.
    pub fn or_ok(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
