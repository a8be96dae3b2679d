//! `docs/troubleshooting.md` has every message that a command can end with.

use std::{fs, path::Path};

const OPENING: &str = "#[error(";
/// The least length of a fixed part that the page does not have by chance.
const LENGTH: usize = 8;
/// Messages with less than that of their own, and what stands for them on the page: nothing where the text is another's.
const SHORT: [(&str, &str); 13] = [
    ("{0}", ""),
    ("{}", ""),
    ("{failure}", ""),
    ("{text}", ""),
    ("{message}", ""),
    ("{source}{}{}", ""),
    ("`{}`: {source}", "`FILE`: …"),
    ("`{}`: {reason}", "`FILE`: …"),
    ("{action}: {message} ({code})", "CreateQueue: … (AccessDenied)"),
    ("{intention}: {reason}", "the engine cannot …: …"),
    ("{color} {}{}", "green was not deployed"),
    ("{color} is live", "blue is live"),
    ("release `{release}` is live", "release … is live"),
];

/// The texts of the errors below a folder: what stands first in `#[error("…")]`.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for (at, _) in source.match_indices(OPENING) {
            let rest = source[at + OPENING.len()..].trim_start();
            let Some(text) = rest.strip_prefix('"') else {
                assert!(rest.starts_with("transparent"), "{}: {rest:.40}", path.display());
                continue;
            };
            let ends = |(at, _): &(usize, &str)| !text[..*at].ends_with('\\');
            let (end, _) = text.match_indices('"').find(ends).unwrap();
            found.push((path.display().to_string(), text[..end].replace("\\n", "\n")));
        }
    }
}

/// The longest part of a message that is the same each time.
fn fixed(message: &str) -> String {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for letter in message.chars() {
        match letter {
            '{' | '}' | '\n' => {
                inside = letter == '{';
                parts.push(String::new());
            }
            _ if inside => {}
            _ => parts.last_mut().unwrap().push(letter),
        }
    }
    let trimmed = |part: &String| part.trim_matches(|c: char| " `,:;.()".contains(c)).to_owned();
    parts.iter().map(trimmed).max_by_key(String::len).unwrap()
}

#[test]
fn every_error_has_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    // A line may be broken within a sentence.
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = vec![];
    texts(&root.join("src"), &mut found);
    assert!(found.len() > 100, "{} errors were found", found.len());
    let lacking: Vec<String> = found
        .iter()
        .filter(|(_, message)| {
            let own = fixed(message);
            if own.len() >= LENGTH {
                return !page.contains(&own);
            }
            let named = SHORT.iter().find(|(short, _)| short == message);
            named.is_none_or(|(_, instead)| !page.contains(instead))
        })
        .map(|(path, message)| format!("{path}: {message}"))
        .collect();
    assert!(lacking.is_empty(), "docs/troubleshooting.md lacks:\n{}", lacking.join("\n"));
}
