//! Environment files in Compose's dialect: `export`, quotes, escapes, comments, variables; and the `raw` format.

use indexmap::IndexMap;

use super::template;
pub use super::template::Lookup;

/// What is wrong in an environment file. Its line is not shown: it may hold a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DotenvError {
    #[error("unexpected character `{character}` in the name of a variable")]
    Character { line: u32, column: u32, character: char },
    #[error("the name of a variable cannot contain a space")]
    Space { line: u32 },
    #[error("unterminated quoted value of `{key}`")]
    Unterminated { line: u32, key: String },
    #[error("the value of `{key}`: {cause}")]
    Template { line: u32, key: String, cause: template::TemplateError },
}

impl DotenvError {
    pub fn column(&self) -> u32 {
        if let Self::Character { column, .. } = self { *column } else { 1 }
    }

    pub fn line(&self) -> u32 {
        match self {
            Self::Character { line, .. }
            | Self::Space { line }
            | Self::Unterminated { line, .. }
            | Self::Template { line, .. } => *line,
        }
    }
}

/// A value that uses a variable which is set nowhere: often a password with a `$` in it. What it uses is not named, as
/// it may be a part of one.
#[derive(Debug, PartialEq, Eq)]
pub struct Blanked {
    pub line: u32,
    pub key: String,
}

/// Adds the file's variables to `vars`, over those that are there; they may use each other and `lookup`, which is asked
/// first. Returns the values that lost something.
pub fn parse(
    text: &str,
    vars: &mut IndexMap<String, String>,
    lookup: Lookup,
) -> Result<Vec<Blanked>, DotenvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text, line: 1 };
    let mut blanked = vec![];
    while reader.next_statement() {
        let line = reader.line;
        let (key, has_value) = reader.key()?;
        if key.contains(' ') {
            return Err(DotenvError::Space { line });
        }
        if has_value {
            let mut undefined = vec![];
            let value = reader.value(&key, vars, lookup, &mut undefined)?;
            if !undefined.is_empty() {
                blanked.push(Blanked { line, key: key.clone() });
            }
            vars.insert(key, value);
        } else if let Some(value) = lookup(&key) {
            vars.insert(key, value);
        }
    }
    Ok(blanked)
}

/// Adds the variables of a file of lines `NAME=VALUE`, the values as they stand; a name alone is looked up.
pub fn parse_raw(text: &str, vars: &mut IndexMap<String, String>, lookup: Lookup) {
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) => {
                vars.insert(key.to_owned(), value.to_owned());
            }
            None => {
                if let Some(value) = lookup(line) {
                    vars.insert(line.to_owned(), value);
                }
            }
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
}

/// White space that does not end a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl<'t> Reader<'t> {
    fn advance(&mut self, bytes: usize) -> &'t str {
        let (before, after) = self.rest.split_at(bytes);
        let lines = before.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = after;
        before
    }

    fn skip_while(&mut self, skip: impl Fn(char) -> bool) {
        let end = self.rest.find(|c| !skip(c)).unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Goes to the next statement over blank lines and comments; whether there is one.
    fn next_statement(&mut self) -> bool {
        loop {
            self.skip_while(char::is_whitespace);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.skip_while(|c| c != '\n');
        }
    }

    /// The name, and whether a value follows.
    fn key(&mut self) -> Result<(String, bool), DotenvError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.advance("export".len());
            self.skip_while(is_space);
        }
        let mut end = self.rest.len();
        let mut separator = None;
        for (at, c) in self.rest.char_indices() {
            match c {
                '=' | ':' | '\n' => {
                    (end, separator) = (at, Some(c));
                    break;
                }
                '_' | '.' | '-' | '[' | ']' => {}
                c if is_space(c) || c.is_alphanumeric() => {}
                character => {
                    let column = u32::try_from(self.rest[..at].chars().count() + 1);
                    let column = column.unwrap_or(u32::MAX);
                    return Err(DotenvError::Character { line: self.line, column, character });
                }
            }
        }
        let key = self.advance(end).trim_end().to_owned();
        self.advance(separator.map_or(0, char::len_utf8));
        self.skip_while(is_space);
        Ok((key, matches!(separator, Some('=' | ':'))))
    }

    fn value(
        &mut self,
        key: &str,
        vars: &IndexMap<String, String>,
        lookup: Lookup,
        undefined: &mut Vec<String>,
    ) -> Result<String, DotenvError> {
        let line = self.line;
        let mut expand = |text: &str| {
            let from = |name: &str| lookup(name).or_else(|| vars.get(name).cloned());
            template::expand(text, &from, undefined).map_err(|cause| DotenvError::Template {
                line,
                key: key.to_owned(),
                cause,
            })
        };
        let Some(quote @ (b'"' | b'\'')) = self.rest.as_bytes().first().copied() else {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let value = self.advance(end);
            let value = value.split_once(" #").map_or(value, |(value, _)| value);
            return expand(value.trim_end());
        };
        let unterminated = DotenvError::Unterminated { line, key: key.to_owned() };
        let (value, length) = quoted(&self.rest[1..], quote).ok_or(unterminated)?;
        self.advance(length + 1);
        if quote == b'"' { expand(&unescape(&value)) } else { Ok(value) }
    }
}

/// The text up to the closing quote, with escaped quotes resolved, and the bytes it takes with that quote.
fn quoted(text: &str, quote: u8) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == char::from(quote) {
            if !escaped {
                return Some((value, at + 1));
            }
            escaped = false;
        } else if escaped {
            value.push('\\');
            escaped = false;
        } else if c == '\\' {
            escaped = true;
            continue;
        }
        value.push(c);
    }
    None
}

/// Resolves `\n` and its like, `\0123` (octal) and `\$`, which becomes `$$`; what is no escape stays.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (known, length) = match after.as_bytes().first() {
            Some(b'a') => ("\u{7}", 1),
            Some(b'b') => ("\u{8}", 1),
            Some(b'f') => ("\u{c}", 1),
            Some(b'n') => ("\n", 1),
            Some(b'r') => ("\r", 1),
            Some(b't') => ("\t", 1),
            Some(b'v') => ("\u{b}", 1),
            Some(b'"') => ("\"", 1),
            Some(b'\\') => ("\\", 1),
            Some(b'$') => ("$$", 1),
            Some(b'0') => {
                let digits = after[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
                let code = u8::from_str_radix(&after[1..=digits], 8).ok().filter(|_| digits == 3);
                if let Some(code) = code {
                    out.push(char::from(code));
                } else {
                    out.push('\\');
                    out.push_str(&after[1..=digits]);
                }
                rest = &after[digits + 1..];
                continue;
            }
            _ => ("\\", 0),
        };
        out.push_str(known);
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}
