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
    let bin = sandbox.path("../bin");
    let tmp = sandbox.path("../tmp");
    for folder in [&bin, &tmp] {
        fs::create_dir(folder).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_envctl"), bin.join("envctl")).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let path = format!("{}:{}", bin.display(), path.to_str().unwrap());
    let mut run = 0;
    for (page, text) in pages() {
        for (line, block) in blocks(&text, "sh") {
            println!("{page}:{line}");
            let mut command = Command::new("bash");
            command.args(["-euo", "pipefail", "-c", &block]).current_dir(sandbox.path(""));
            command.env("PATH", &path).env("TMPDIR", &tmp).env("HOME", sandbox.path("../home"));
            let outcome = program::run(&mut command);
            assert_eq!(outcome.code, Some(0), "{page}:{line}: {outcome}");
            run += 1;
        }
    }
    assert!(run > 0, "no block was found");
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
