//! `.dockerignore` in Docker's own dialect, which is not git's: patterns are anchored at the root, a later one wins over
//! an earlier one, `!` takes back, `**` is any number of folders, and a match of a folder is one of all below it.

use regex::Regex;

/// A pattern that is none, with the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPattern(pub String);

/// The patterns of one file, in order.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    exception: bool,
    /// The pattern up to its first special character.
    literal: String,
    is_literal: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

/// Which patterns match a folder: they match all that is in it.
pub(super) type Matches = Vec<bool>;

impl Ignore {
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut patterns = vec![];
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (exception, line) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if line.is_empty() {
                if exception {
                    return Err(BadPattern("`!` stands alone".to_owned()));
                }
                continue;
            }
            let cleaned = clean(line);
            let cleaned = match cleaned.strip_prefix('/') {
                Some(rest) if !rest.is_empty() => rest,
                _ => &cleaned,
            };
            patterns.push(Pattern::new(cleaned, exception)?);
        }
        Ok(Self { patterns })
    }

    /// What matches nothing yet: the root.
    pub fn root(&self) -> Matches {
        vec![false; self.patterns.len()]
    }

    /// The patterns that match `path`, which lies in a folder with the matches `folder`.
    pub fn matches(&self, path: &str, folder: &Matches) -> Matches {
        let matched = self.patterns.iter().zip(folder);
        matched.map(|(pattern, above)| *above || pattern.matches(path)).collect()
    }

    /// Whether a path with these matches is left out: the last pattern that matches decides.
    pub fn ignores(&self, matches: &Matches) -> bool {
        let last = self.patterns.iter().zip(matches).rev().find(|(_, matched)| **matched);
        last.is_some_and(|(pattern, _)| !pattern.exception)
    }

    /// Whether an exception may hold for something in this folder.
    pub fn may_except_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        self.patterns.iter().filter(|pattern| pattern.exception).any(|pattern| {
            pattern.literal.starts_with(&folder)
                || (!pattern.is_literal && folder.starts_with(&pattern.literal))
        })
    }
}

impl Pattern {
    fn new(text: &str, exception: bool) -> Result<Self, BadPattern> {
        let special = text.find(['*', '?', '[', '\\']);
        let literal = text[..special.unwrap_or(text.len())].to_owned();
        Ok(Self { exception, literal, is_literal: special.is_none(), kind: kind(text)? })
    }

    fn matches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact(text) => path == text,
            Kind::Prefix(text) => path.starts_with(text),
            Kind::Suffix(text) => path.ends_with(text) || text.strip_prefix('/') == Some(path),
            Kind::Regex(regex) => regex.is_match(path),
        }
    }
}

/// As Docker compiles a pattern, character for character.
fn kind(text: &str) -> Result<Kind, BadPattern> {
    let bad = || BadPattern(format!("`{text}` is no pattern"));
    let mut regex = String::from("(?s)^");
    let (mut starts_any, mut ends_any, mut special, mut class) = (false, false, false, false);
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if class => regex.push('*'),
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    regex.push_str(".*");
                    ends_any = true;
                } else {
                    regex.push_str("(.*/)?");
                    starts_any |= first;
                    special |= !first;
                }
            }
            '*' => {
                regex.push_str("[^/]*");
                special = true;
            }
            '?' if !class => {
                regex.push_str("[^/]");
                special = true;
            }
            '\\' => {
                regex.push_str(&regex::escape(&chars.next().ok_or_else(bad)?.to_string()));
                special = true;
            }
            '[' if !class => {
                regex.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    regex.push('^');
                }
                (class, special) = (true, true);
            }
            ']' if class => {
                regex.push(']');
                class = false;
            }
            '-' if class => regex.push('-'),
            c => regex.push_str(&regex::escape(&c.to_string())),
        }
        first = false;
    }
    regex.push('$');
    if class {
        return Err(bad());
    }
    Ok(match (starts_any, ends_any, special) {
        (false, false, false) => Kind::Exact(text.to_owned()),
        (false, true, false) => {
            Kind::Prefix(text.trim_end_matches('/').trim_end_matches('*').to_owned())
        }
        (true, false, false) => Kind::Suffix(text[2..].to_owned()),
        _ => Kind::Regex(Regex::new(&regex).map_err(|_| bad())?),
    })
}

/// Go's `filepath.Clean`: no `.`, no doubled or trailing `/`, `..` resolved where it can be.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(patterns: &str, path: &str) -> bool {
        let ignore = Ignore::parse(patterns).unwrap();
        let (mut matches, mut at) = (ignore.root(), String::new());
        for part in path.split('/') {
            at = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
            matches = ignore.matches(&at, &matches);
        }
        ignore.ignores(&matches)
    }

    #[test]
    fn the_dialect_is_dockers() {
        // Patterns, what they leave out, what they keep. Mostly from moby's own tests of its matcher.
        let table: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["a", "a/b"]),
            ("# a\n\n  \n", &[], &["a", "# a"]),
            ("\u{feff}a", &["a"], &["b"]),
            ("a", &["a", "a/b", "a/b/c"], &["b/a", "ab"]),
            ("  a  ", &["a"], &[]),
            ("/a", &["a"], &["b/a"]),
            ("./a/", &["a", "a/b"], &[]),
            ("a/../b", &["b"], &["a"]),
            ("a//b", &["a/b"], &[]),
            ("*", &["a", ".a", "a/b"], &[]),
            ("*.md", &["a.md", ".md"], &["a/b.md", "a.mdx"]),
            ("*/temp*", &["a/temp", "a/temporary.txt"], &["temp", "a/b/temp"]),
            ("*/*/temp*", &["a/b/temp"], &["a/temp"]),
            ("temp?", &["tempa", "tempb"], &["temp", "temp/x", "tempab"]),
            ("**", &["a", "a/b"], &[]),
            ("**/", &["a", "a/b"], &[]),
            ("**/*.go", &["a.go", "b/a.go", "b/c/a.go"], &["a.gox"]),
            ("**/foo", &["foo", "a/foo", "a/b/foo", "a/foo/x"], &["xfoo", "foox"]),
            ("**/a/b", &["a/b", "x/a/b"], &["xa/b"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/bc", "b"]),
            ("a/**/*.txt", &["a/b.txt", "a/x/b.txt"], &["a/b.md"]),
            ("a**/b", &["a/b", "ab", "axx/b"], &["b"]),
            ("**/**/x", &["x", "a/x", "a/b/x"], &["y"]),
            ("**/.git", &[".git", "a/.git", "a/.git/config"], &["a.git"]),
            ("[a-c]x", &["ax", "cx"], &["dx"]),
            ("[^a]x", &["bx"], &["ax"]),
            ("a\\*b", &["a*b"], &["aXb"]),
            ("a\\[b", &["a[b"], &[]),
            ("a.b", &["a.b"], &["aXb"]),
            ("a+(b)|{c}$", &["a+(b)|{c}$"], &["aab"]),
            ("*\n!a", &["b"], &["a", "a/b"]),
            ("*\n!a/b", &["a", "a/c"], &["a/b", "a/b/c"]),
            ("*\n! a", &["b"], &["a"]),
            ("!a\n*", &["a"], &[]),
            ("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md"]),
            ("**\n!**/*.rs", &["a", "a/b.c"], &["a.rs", "a/b.rs"]),
            ("docs\n!docs/**/*.md", &["docs", "docs/x.txt"], &["docs/x.md", "docs/a/x.md"]),
            ("a\n!a/b\na/b/c", &["a/x", "a/b/c"], &["a/b", "a/b/d"]),
            ("#a\n\\#b", &["#b"], &["#a"]),
        ];
        for (patterns, left_out, kept) in table {
            for path in *left_out {
                assert!(ignored(patterns, path), "{patterns:?} should leave out {path}");
            }
            for path in *kept {
                assert!(!ignored(patterns, path), "{patterns:?} should keep {path}");
            }
        }
    }

    #[test]
    fn a_line_that_is_no_pattern_is_an_error() {
        for text in ["!", "a\n[", "a\\"] {
            assert!(Ignore::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ignored_folders_are_read_only_where_an_exception_can_hold() {
        let below =
            |patterns: &str, folder| Ignore::parse(patterns).unwrap().may_except_below(folder);
        assert!(!below("*", "a"));
        assert!(below("*\n!a/b", "a"));
        assert!(!below("*\n!a/b", "b"));
        assert!(!below("*\n!a/b", "a/b/c"));
        assert!(below("*\n!**/b", "anything/at/all"));
        assert!(below("*\n!a/*/b", "a/x"));
        assert!(!below("*\n!a/*/b", "b"));
    }
}
