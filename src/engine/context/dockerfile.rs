//! The images that a Dockerfile builds on: which it names, and others put in their place.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::{Captures, Regex};

use crate::model::BuildSpec;

/// The names of images that the Dockerfile builds on or takes from: no stages of its own, and variables filled in.
pub fn images(text: &str, args: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = vec![];
    let mut stages: Vec<String> = vec!["scratch".to_owned()];
    walk(text, args, &mut |name, stage| {
        let lower = name.to_lowercase();
        if !stages.contains(&lower) && name.parse::<u32>().is_err() && !found.contains(&lower) {
            found.push(name.to_owned());
        }
        stages.extend(stage.map(str::to_lowercase));
        None
    });
    found
}

/// The Dockerfile with the images of `contexts` (name to `docker-image://…`) in the place of their names.
pub fn with_images(
    text: &str,
    args: &BTreeMap<String, String>,
    contexts: &BTreeMap<String, String>,
) -> String {
    let named = |name: &str| {
        let found = contexts.iter().find(|(context, _)| same_image(context, name))?;
        found.1.strip_prefix(BuildSpec::IMAGE).map(str::to_owned)
    };
    walk(text, args, &mut |name, _| named(name))
}

/// Whether two references name one image: without a tag it is `latest`.
pub fn same_image(a: &str, b: &str) -> bool {
    fn whole(name: &str) -> (&str, &str) {
        let name = name.trim_start_matches("docker.io/").trim_start_matches("library/");
        match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (name, "latest"),
        }
    }
    whole(a) == whole(b)
}

/// Told of an image's name, and of the stage that begins with it; what it returns takes the name's place.
type Replace<'a> = dyn FnMut(&str, Option<&str>) -> Option<String> + 'a;

fn walk(text: &str, args: &BTreeMap<String, String>, replace: &mut Replace<'_>) -> String {
    let escape =
        if text.lines().next().is_some_and(|line| line.contains("escape=`")) { '`' } else { '\\' };
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let (mut out, mut at, mut stages) = (String::new(), 0, 0);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    while at < lines.len() {
        let trimmed = lines[at].trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            out.push_str(lines[at]);
            at += 1;
            continue;
        }
        let start = at;
        // An instruction goes on over comments and over lines that end in the escape.
        while at < lines.len() {
            let line = lines[at].trim();
            at += 1;
            let comment_inside = line.starts_with('#') && at - 1 > start;
            if !(comment_inside || line.ends_with(escape)) {
                break;
            }
        }
        let instruction = lines[start..at].concat();
        let word = instruction.split_whitespace().next().unwrap_or_default().to_uppercase();
        match word.as_str() {
            "ARG" if stages == 0 => note_args(&instruction, args, &mut known),
            "FROM" => stages += 1,
            _ => {}
        }
        out.push_str(&match word.as_str() {
            "FROM" => from(&instruction, &known, replace),
            "COPY" | "ADD" => flags(&instruction, &COPY_FROM, &known, replace),
            "RUN" => flags(&instruction, &MOUNT_FROM, &known, replace),
            _ => instruction.clone(),
        });
        if matches!(word.as_str(), "RUN" | "COPY" | "ADD") {
            for end in HERE.captures_iter(&instruction).map(|found| found[1].to_owned()) {
                let length = lines[at..].iter().position(|line| line.trim() == end);
                for line in &lines[at..at + length.map_or(0, |length| length + 1)] {
                    out.push_str(line);
                }
                at += length.map_or(0, |length| length + 1);
            }
        }
    }
    out
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of our own")
}

/// Flags, the image, and the stage's name.
static FROM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?is)^(\s*FROM[\s\\`]+(?:--\S+[\s\\`]+)*)(\S+)(?:([\s\\`]+AS[\s\\`]+)(\S+))?")
});
static COPY_FROM: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(--from=)(\S+)$"));
static MOUNT_FROM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(--mount=(?:\S+,)?from=)([^,\s]+)"));
static HERE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"<<-?["']?([A-Za-z_][\w.]*)["']?"#));
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})"));

fn from(text: &str, known: &BTreeMap<String, String>, replace: &mut Replace<'_>) -> String {
    FROM.replace(text, |found: &Captures<'_>| {
        let stage = found.get(4).map(|stage| stage.as_str());
        let name = filled(&found[2], known);
        let name = replace(&name, stage).unwrap_or_else(|| found[2].to_owned());
        let middle = found.get(3).map_or("", |middle| middle.as_str());
        format!("{}{name}{middle}{}", &found[1], stage.unwrap_or_default())
    })
    .into_owned()
}

/// Replaces names in the flags that stand before an instruction's own words.
fn flags(
    text: &str,
    flag: &Regex,
    known: &BTreeMap<String, String>,
    replace: &mut Replace<'_>,
) -> String {
    let (mut out, mut rest) = (String::new(), text);
    let mut first = true;
    loop {
        let gap = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\\', '`']).len();
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = &rest[..end];
        if !first && !word.starts_with("--") {
            return out + rest;
        }
        out.push_str(&flag.replace(word, |found: &Captures<'_>| {
            let name = filled(&found[2], known);
            let name = replace(&name, None).unwrap_or_else(|| found[2].to_owned());
            format!("{}{name}", &found[1])
        }));
        rest = &rest[end..];
        first = false;
    }
}

/// The arguments before the first stage: those of the build win over the file's own.
fn note_args(text: &str, args: &BTreeMap<String, String>, known: &mut BTreeMap<String, String>) {
    for word in text.split_whitespace().skip(1) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let value = value.trim_matches(['"', '\'']);
        let value = args.get(name).cloned().unwrap_or_else(|| filled(value, known));
        known.insert(name.to_owned(), value);
    }
}

fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let filled = VARIABLE.replace_all(text, |found: &Captures<'_>| {
        let name = found.get(1).or(found.get(2)).map_or("", |name| name.as_str());
        let value = known.get(name).filter(|value| !value.is_empty());
        value.cloned().unwrap_or_else(|| found.get(3).map_or("", |it| it.as_str()).to_owned())
    });
    filled.trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# syntax=docker/dockerfile:1\n\
        ARG BASE=shop/base:1\n\
        ARG TAG=8 OTHER\n\
        # FROM comment\n\
        FROM --platform=linux/amd64 ${BASE} AS build\n\
        COPY --from=tools --chown=1 /a /from=tools\n\
        RUN --mount=type=cache,target=/c --mount=type=bind,from=tools,target=/t make --from=tools \\\n\
        # between\n\
        && echo FROM x\n\
        RUN <<EOF\n\
        FROM nothing\n\
        EOF\n\
        FROM redis:$TAG\n\
        COPY --from=build /a /b\n\
        COPY --from=0 /a /b\n\
        COPY --from=ghcr.io/x/y:2 /a /b\n";

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn the_images_that_a_dockerfile_builds_on_are_found() {
        assert_eq!(images(TEXT, &map(&[])), ["shop/base:1", "tools", "redis:8", "ghcr.io/x/y:2"]);
        let args = map(&[("BASE", "other"), ("TAG", "9")]);
        assert_eq!(images(TEXT, &args)[..], ["other", "tools", "redis:9", "ghcr.io/x/y:2"]);
        assert!(images("FROM scratch\nCOPY . /\n", &map(&[])).is_empty());
    }

    #[test]
    fn other_images_take_their_place_and_nothing_else_changes() {
        let contexts = map(&[
            ("shop/base:1", "docker-image://shop/base:1-ab"),
            ("tools", "docker-image://shop/tools:cd"),
        ]);
        let changed = with_images(TEXT, &map(&[]), &contexts);
        let expected = TEXT
            .replace("${BASE} AS", "shop/base:1-ab AS")
            .replace("COPY --from=tools", "COPY --from=shop/tools:cd")
            .replace("bind,from=tools", "bind,from=shop/tools:cd");
        assert_eq!(changed, expected);
        assert_eq!(with_images(TEXT, &map(&[]), &map(&[])), TEXT);
    }

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        assert!(same_image("shop/base", "shop/base:latest"));
        assert!(same_image("docker.io/library/redis:8", "redis:8"));
        assert!(!same_image("localhost:5000/a", "localhost:5000/b"));
        assert!(!same_image("redis:8", "redis:9"));
    }
}
