//! What the README and the pages under `docs/` tell people to type works as it stands there.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::support::{Sandbox, program};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages with their texts.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    paths.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The fenced blocks of a kind, each with the number of its first line.
fn blocks(text: &str, kind: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line == format!("```{kind}") => open = Some((number + 2, String::new())),
            None => {}
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, block)) => block.push_str(&format!("{line}\n")),
        }
    }
    found
}

#[test]
fn each_sh_block_runs_to_its_end() {
    let sandbox = Sandbox::demo();
    let _ = sandbox.ok("credentials");
    let bin = sandbox.path("../bin");
    let tmp = sandbox.path("../tmp");
    for folder in [&bin, &tmp] {
        fs::create_dir(folder).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_envctl"), bin.join("envctl")).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let path = format!("{}:{}", bin.display(), path.to_str().unwrap());
    let (mut run, mut said) = (0, String::new());
    for (page, text) in pages() {
        for (line, block) in blocks(&text, "sh") {
            println!("{page}:{line}");
            let mut command = Command::new("bash");
            command.args(["-euo", "pipefail", "-c", &block]).current_dir(sandbox.path(""));
            command.env("PATH", &path).env("TMPDIR", &tmp).env("HOME", sandbox.path("../home"));
            let outcome = program::run(&mut command);
            assert_eq!(outcome.code, Some(0), "{page}:{line}: {outcome}");
            said.push_str(&outcome.stdout);
            run += 1;
        }
    }
    assert!(run > 0, "no block was found");

    // What the README shows of it, without a command of its own.
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown = blocks(&readme, "console").into_iter().filter(|(_, it)| !it.contains("$ "));
    let shown: Vec<_> = shown.collect();
    assert!(!shown.is_empty(), "the plan that the README shows");
    let said: Vec<String> = said.lines().map(shape).collect();
    for (line, block) in shown {
        for text in block.lines() {
            assert!(said.contains(&shape(text)), "README.md:{line}: nothing says `{text}`");
        }
    }
}

/// A line less what differs from one time to the next: times, addresses, releases, hashes, columns.
fn shape(line: &str) -> String {
    let word = |word: &str| -> String {
        let hash = |part: &str| part.len() == 12 && part.chars().all(|c| c.is_ascii_hexdigit());
        if word.contains('T') && word.contains("Z-") && word.starts_with("20") {
            return "RELEASE".to_owned();
        }
        let mut out = String::new();
        for part in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
            let own = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            let number = !own.is_empty() && own.chars().all(|c| c.is_ascii_digit() || c == '.');
            out.push_str(if number || hash(own) { "#" } else { own });
            out.push_str(&part[own.len()..]);
        }
        out
    };
    let words: Vec<String> = line.split_whitespace().map(word).collect();
    let text = words.join(" ").replace("# min ", "").replace("# ms", "# s");
    // The slowest step is another one each time.
    text.split_once("slowest:").map_or_else(|| text.clone(), |_| "slowest:".to_owned())
}

/// The commands of a tour, each with what is shown of its output.
fn tour(text: &str) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = vec![];
    for line in text.lines() {
        match (line.strip_prefix("$ envctl "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), vec![])),
            (None, Some((_, shown))) => shown.push(shape(line)),
            (None, None) => panic!("`{line}` is before the first command"),
        }
    }
    all
}

#[test]
fn the_tour_of_the_readme_shows_what_its_commands_print() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("## In 60 seconds\n").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let sandbox = Sandbox::demo();
    let _ = sandbox.ok("up").says("blue is live");
    let mut commands = 0;
    for (_, block) in blocks(section, "console") {
        for (command, mut shown) in tour(&block) {
            let outcome = sandbox.ok(&command);
            let text = format!("{}\n{}", outcome.stdout, outcome.stderr);
            let text = text.replace(&sandbox.name, "echobase");
            let mut printed: Vec<String> =
                text.lines().filter(|line| !line.trim().is_empty()).map(shape).collect();
            // What is done at one time ends in any order.
            printed.sort();
            shown.sort();
            assert_eq!(printed, shown, "envctl {command}: {outcome}");
            commands += 1;
        }
    }
    assert!(commands >= 5, "{commands} commands");
}

/// The commands of `console` blocks and those within sentences, each with the number of its line.
fn commands(text: &str) -> Vec<(usize, String)> {
    let shown = blocks(text, "console").into_iter().flat_map(|(line, block)| {
        let commands = block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned);
        commands.map(|command| (line, command)).collect::<Vec<_>>()
    });
    let mut fenced = false;
    let inline = text.lines().enumerate().flat_map(|(number, line)| {
        fenced ^= line.starts_with("```");
        let spans = line.split('`').skip(1).step_by(2);
        let commands = spans.filter(|span| !fenced && span.starts_with("envctl "));
        commands.map(|command| (number + 1, command.to_owned())).collect::<Vec<_>>()
    });
    shown.chain(inline).collect()
}

#[test]
fn each_command_that_the_pages_show_exists_with_its_options() {
    let mut seen = 0;
    for (page, text) in pages() {
        for (line, command) in commands(&text) {
            let command = command.split(" #").next().unwrap().split(" > ").next().unwrap();
            let mut words: Vec<&str> = command.split_whitespace().collect();
            let place = format!("{page}:{line}: `{command}`");
            match words.remove(0) {
                "envctl" if words[0] == "help" => {}
                "envctl" => {
                    words.push("--help");
                    let mut program = Command::new(env!("CARGO_BIN_EXE_envctl"));
                    let outcome = program::run(program.args(&words));
                    assert_eq!(outcome.code, Some(0), "{place}: {outcome}");
                }
                script if script.starts_with("scripts/") => {
                    assert!(root().join(script).is_file(), "{place}: no such script");
                }
                _ => {}
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} commands were found");
}
