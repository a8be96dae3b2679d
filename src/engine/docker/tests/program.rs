//! What runs inside the containers of these tests: this binary itself, told by its arguments which part to be.

use std::{
    io::{self, BufRead as _, Write as _},
    path::Path,
    time::Duration,
};

/// The command that runs one of the functions below.
pub(super) fn command(name: &str) -> Vec<String> {
    let test = format!("engine::docker::tests::program::{name}");
    ["/program", "--exact", &test, "--ignored", "--nocapture"].map(str::to_owned).to_vec()
}

/// Whether this is a container: outside, the programs do nothing.
fn inside() -> bool {
    std::env::current_exe().is_ok_and(|path| path == Path::new("/program"))
}

#[expect(clippy::exit, reason = "the end of a program")]
fn end(code: i32) -> ! {
    io::stdout().flush().unwrap();
    std::process::exit(code)
}

fn idle() -> ! {
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

#[test]
#[ignore = "runs inside a container"]
fn idles() {
    if inside() {
        println!("ready");
        idle();
    }
}

#[test]
#[ignore = "runs inside a container"]
fn ends_with_seven() {
    if inside() {
        println!("out");
        eprintln!("err");
        end(7);
    }
}

#[test]
#[ignore = "runs inside a container"]
fn prints_and_idles() {
    if inside() {
        for n in 1..=5 {
            println!("out {n}");
            eprintln!("err {n}");
        }
        idle();
    }
}

#[test]
#[ignore = "runs inside a container"]
fn fails_loudly() {
    if inside() {
        for n in 1..=30 {
            println!("line {n}");
        }
        end(3);
    }
}

/// Answers each line, after noise on both streams.
#[test]
#[ignore = "runs inside a container"]
fn answers() {
    if inside() {
        for line in io::stdin().lock().lines() {
            let line = line.unwrap();
            if line == "end" {
                end(0);
            }
            eprintln!("answer to {line}: not this one");
            print!("noise\nanswer to ");
            io::stdout().flush().unwrap();
            println!("{line}: yes");
        }
    }
}

/// Counts its runs in `/cache`.
#[test]
#[ignore = "runs inside a container"]
fn counts() {
    if inside() {
        let mut file =
            std::fs::File::options().create(true).append(true).open("/cache/count").unwrap();
        file.write_all(b".").unwrap();
        println!("run {}", file.metadata().unwrap().len());
        end(0);
    }
}

/// Leaves its name in `/cache`, and ends when another's is there.
#[test]
#[ignore = "runs inside a container"]
fn meets_another() {
    if inside() {
        std::fs::write(Path::new("/cache").join(var("ME")), "").unwrap();
        while std::fs::read_dir("/cache").unwrap().count() < 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        end(0);
    }
}

/// Tells the size of the secret, and that it is what it should be, without saying it.
#[test]
#[ignore = "runs inside a container"]
fn reads_a_secret() {
    if inside() {
        let secret = std::fs::read("/run/secrets/token").unwrap();
        let sum: u64 = secret.iter().map(|byte| u64::from(*byte)).sum();
        println!("{} bytes, {sum}", secret.len());
        end(0);
    }
}

#[test]
#[ignore = "runs inside a container"]
fn talks_to_the_agent() {
    if inside() {
        let mut agent = std::os::unix::net::UnixStream::connect(var("SSH_AUTH_SOCK")).unwrap();
        agent.write_all(b"question\n").unwrap();
        let mut answer = String::new();
        io::BufReader::new(agent).read_line(&mut answer).unwrap();
        print!("{answer}");
        end(0);
    }
}

#[expect(clippy::disallowed_methods, reason = "a program's own environment")]
fn var(name: &str) -> String {
    std::env::var(name).unwrap()
}

#[test]
#[ignore = "runs inside a container"]
fn eats_memory() {
    if inside() {
        let mut eaten = vec![];
        loop {
            eaten.push(vec![1_u8; 1 << 20]);
        }
    }
}

/// Ends well when the name `mysql` is known.
#[test]
#[ignore = "runs inside a container"]
fn looks_a_name_up() {
    if inside() {
        let found = std::net::ToSocketAddrs::to_socket_addrs(&("mysql", 1)).is_ok();
        end(if found { 0 } else { 4 });
    }
}

#[test]
#[ignore = "runs inside a container"]
fn lists_the_root() {
    if inside() {
        let mut stack = vec![Path::new("/context").to_owned()];
        while let Some(folder) = stack.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                println!("file {}", path.display());
                if path.is_dir() {
                    stack.push(path);
                }
            }
        }
        end(0);
    }
}
