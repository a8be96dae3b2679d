//! Builds with `BuildKit`.

use std::sync::Mutex;

use futures_util::TryStreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{
    super::call::{Path, QUICK, bytes_of, request},
    LIMIT, Sandbox, sandbox,
};
use crate::{
    engine::{Engine as _, EngineError, Step},
    model::{BuildSecret, BuildSpec, Image},
};

impl Sandbox {
    /// Builds, and returns what was told.
    async fn told(&self, spec: &BuildSpec) -> (Result<Image, EngineError>, Vec<Step>) {
        let steps = Mutex::new(vec![]);
        let note = |step| steps.lock().unwrap().push(step);
        let built = tokio::time::timeout(LIMIT, self.docker.build(spec, &note)).await.unwrap();
        (built, steps.into_inner().unwrap())
    }

    async fn lines(&self, spec: &BuildSpec) -> Vec<String> {
        let (built, steps) = self.told(spec).await;
        built.unwrap();
        let line = |step| if let Step::Line(line) = step { Some(line) } else { None };
        steps.into_iter().filter_map(line).collect()
    }

    fn inline(&self, dockerfile: &str) -> (tempfile::TempDir, BuildSpec) {
        self.context(&[("Dockerfile", dockerfile)])
    }

    /// The image as `docker save` writes it: its configuration and all its layers.
    async fn saved(&self, tag: &str) -> Vec<u8> {
        let path = Path::new(&["images", tag, "get"]);
        let request = request(http::Method::GET, path.as_str())
            .body(super::super::transport::full(bytes::Bytes::new()))
            .unwrap();
        let answer = self.docker.send(request, QUICK).await.unwrap();
        let parts: Vec<bytes::Bytes> = bytes_of(answer).try_collect().await.unwrap();
        parts.concat()
    }
}

#[tokio::test]
async fn real_engine_keeps_a_cache_mount_between_builds() {
    sandbox(async |s| {
        let mount = format!("--mount=type=cache,id={},target=/cache", s.id);
        let run = Sandbox::instruction(&mount, "counts");
        let text = format!("FROM {}\nARG NUMBER\nENV NUMBER=$NUMBER\n{run}\n", s.image);
        let (_folder, mut spec) = s.inline(&text);
        for number in ["1", "2"] {
            spec.args.insert("NUMBER".into(), number.into());
            let lines = s.lines(&spec).await;
            assert!(lines.contains(&format!("run {number}")), "{lines:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_shows_a_secret_to_its_instruction_and_keeps_it_nowhere() {
    sandbox(async |s| {
        let secret = format!("geheim-{}-{}", s.id, "x".repeat(20));
        let sum: u64 = secret.bytes().map(u64::from).sum();
        let told = format!("{} bytes, {sum}", secret.len());
        let run =
            Sandbox::instruction("--mount=type=secret,id=token,required=true", "reads_a_secret");
        let (folder, mut spec) = s.inline(&format!("FROM {}\n{run}\n", s.image));
        spec.no_cache = true;
        let (built, _) = s.told(&spec).await;
        let error = built.unwrap_err().to_string();
        assert!(error.contains("token") && error.contains("not found"), "{error}");

        let file = folder.path().with_extension("secret");
        std::fs::write(&file, &secret).unwrap();
        for source in
            [BuildSecret::Value(secret.clone().into_bytes()), BuildSecret::File(file.clone())]
        {
            assert!(!format!("{source:?}").contains(&secret));
            spec.secrets.insert("token".into(), source);
            let (built, steps) = s.told(&spec).await;
            built.unwrap();
            assert!(steps.contains(&Step::Line(told.clone())), "{steps:?}");
            assert!(!format!("{steps:?}").contains(&secret));
        }
        // Only the top layers can have it; the program's own is below them and large.
        let saved = s.saved(&spec.tag).await;
        assert!(saved.len() > 1 << 20);
        assert!(memchr::memmem::find(&saved, secret.as_bytes()).is_none());
        assert!(memchr::memmem::find(&saved, b"reads_a_secret").is_some());

        std::fs::remove_file(file).unwrap();
        let (built, _) = s.told(&spec).await;
        let error = built.unwrap_err().to_string();
        assert!(error.contains("secret `token` cannot be read"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_builds_only_what_the_target_needs() {
    sandbox(async |s| {
        let fails = Sandbox::instruction("", "fails_loudly");
        let text =
            format!("FROM {} AS unused\n{fails}\nFROM scratch AS wanted\nCOPY a /\n", s.image);
        let (_folder, mut spec) = s.context(&[("Dockerfile", &text), ("a", &s.id)]);
        spec.target = Some("wanted".into());
        let (built, steps) = s.told(&spec).await;
        built.unwrap();
        let instructions: Vec<_> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Instruction { number, of, text } => Some((*number, *of, text.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(instructions, [(1, 1, "[wanted 1/1] COPY a /")]);
    })
    .await;
}

#[tokio::test]
async fn real_engine_builds_two_images_at_once() {
    sandbox(async |s| {
        let mount = format!("--mount=type=cache,id={},target=/cache", s.id);
        let run = Sandbox::instruction(&mount, "meets_another");
        let text = format!("FROM {}\nARG ME\nENV ME=$ME\n{run}\n", s.image);
        let build = async |me: &str| {
            let (_folder, mut spec) = s.inline(&text);
            spec.tag = format!("{}:{me}", s.name("image"));
            spec.args.insert("ME".into(), me.into());
            s.docker.build(&spec, &|_| {}).await.unwrap();
        };
        let both = async { tokio::join!(build("a"), build("b")) };
        tokio::time::timeout(LIMIT, both).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn real_engine_is_sent_only_what_it_has_not_from_an_earlier_build() {
    sandbox(async |s| {
        let large = "0123456789abcdef".repeat(1 << 16);
        let text = "FROM scratch AS one\nCOPY large /\nFROM scratch AS two\nCOPY . /\n";
        let (folder, mut spec) =
            s.context(&[("Dockerfile", text), ("large", &large), ("small", "1")]);
        let sent = async |spec: &BuildSpec| {
            let (built, steps) = s.told(spec).await;
            built.unwrap();
            let bytes = |step: &Step| if let Step::Bytes { done, .. } = step { *done } else { 0 };
            steps.iter().map(bytes).max().unwrap_or(0)
        };
        spec.target = Some("one".into());
        assert!(sent(&spec).await > 1 << 20);
        spec.target = Some("two".into());
        assert!(sent(&spec).await < 1 << 16);
        // What changed is sent, and is in the image.
        std::fs::write(folder.path().join("small"), "2-changed").unwrap();
        assert!(sent(&spec).await < 1 << 16);
        let saved = s.saved(&spec.tag).await;
        assert!(memchr::memmem::find(&saved, b"2-changed").is_some());
    })
    .await;
}

#[tokio::test]
async fn real_engine_sees_a_dockerfile_that_changed_in_one_letter() {
    sandbox(async |s| {
        let (folder, spec) = s.context(&[("Dockerfile", "FROM scratch\nLABEL of=1\n")]);
        let first = s.told(&spec).await.0.unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nLABEL of=2\n").unwrap();
        assert_ne!(s.told(&spec).await.0.unwrap().id, first.id);
    })
    .await;
}

#[tokio::test]
async fn real_engine_ends_a_build_that_is_dropped() {
    sandbox(async |s| {
        let mount = format!("--mount=type=cache,id={},target=/cache,sharing=locked", s.id);
        let idles = Sandbox::instruction(&mount, "idles");
        let (_folder, spec) = s.inline(&format!("FROM {}\n{idles}\n", s.image));
        let ready = tokio::sync::Notify::new();
        let note = |step| {
            if step == Step::Line("ready".into()) {
                ready.notify_one();
            }
        };
        tokio::select! {
            built = tokio::time::timeout(LIMIT, s.docker.build(&spec, &note)) => panic!("{built:?}"),
            () = ready.notified() => {}
        }
        // The lock is free only when the first has ended.
        let counts = Sandbox::instruction(&mount, "counts");
        let (_folder, spec) = s.inline(&format!("FROM {}\n{counts}\n", s.image));
        assert!(s.lines(&spec).await.contains(&"run 1".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn real_engine_takes_from_further_contexts_with_either_builder() {
    sandbox(async |s| {
        let text = "FROM shop/base:1 AS base\nFROM scratch\nCOPY --from=base / /\nCOPY --from=more . /more/\n";
        let (_folder, mut spec) = s.inline(text);
        let more = tempfile::tempdir().unwrap();
        std::fs::write(more.path().join("kept"), "kept-file").unwrap();
        std::fs::write(more.path().join("left-out"), "ignored-file").unwrap();
        std::fs::write(more.path().join(".dockerignore"), "left-out\n.dockerignore\n").unwrap();
        let (_base_folder, mut base) = s.context(&[("Dockerfile", "FROM scratch\nCOPY b /\n"), ("b", "base-file")]);
        base.tag = format!("{}:base", s.name("image"));
        s.docker.build(&base, &|_| {}).await.unwrap();
        spec.contexts.insert("shop/base:1".into(), format!("docker-image://{}", base.tag));
        spec.contexts.insert("more".into(), more.path().display().to_string());
        for docker in [s.docker.clone(), s.docker.clone().with_classic_builder()] {
            spec.no_cache = true;
            docker.build(&spec, &|_| {}).await.unwrap();
            let saved = s.saved(&spec.tag).await;
            let has = |text: &str| memchr::memmem::find(&saved, text.as_bytes()).is_some();
            assert!(has("base-file") && has("kept-file") && !has("ignored-file"));
            let context = format!("{}-context-1", spec.tag);
            assert!(s.docker.image(&context).await.unwrap().is_none());
        }
        spec.contexts.insert("more".into(), "https://example.com/x.git".into());
        let error = s.docker.build(&spec, &|_| {}).await.unwrap_err().to_string();
        assert!(error.contains("additional context `more`"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_lets_an_instruction_talk_to_the_ssh_agent() {
    sandbox(async |s| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let agent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.split();
            let line = BufReader::new(read).lines().next_line().await.unwrap().unwrap();
            write.write_all(format!("answer to {line}\n").as_bytes()).await.unwrap();
        });
        let run = Sandbox::instruction("--mount=type=ssh", "talks_to_the_agent");
        let (_folder, mut spec) = s.inline(&format!("FROM {}\n{run}\n", s.image));
        spec.ssh = vec![format!("default={}", socket.display())];
        assert!(s.lines(&spec).await.contains(&"answer to question".to_owned()));
        agent.await.unwrap();

        for (ssh, part) in [("default", "SSH_AUTH_SOCK"), ("default=/etc/passwd", "ssh-add")] {
            spec.ssh = vec![ssh.to_owned()];
            let error = s.docker.build(&spec, &|_| {}).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_names_a_frontend_that_cannot_be_pulled() {
    sandbox(async |s| {
        // Nobody listens on a port that was just given back.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let named = format!("127.0.0.1:{port}/frontend:1");
        let (_folder, spec) = s.inline(&format!("# syntax={named}\nFROM scratch\n"));
        match tokio::time::timeout(LIMIT, s.docker.build(&spec, &|_| {})).await.unwrap() {
            Err(EngineError::Frontend { frontend, reason, .. }) => {
                assert_eq!(frontend, named);
                assert!(reason.contains("refused"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_takes_the_context_once_for_each_of_two_builds_at_one_time() {
    const SIZE: usize = 8 << 20;
    sandbox(async |s| {
        let (folder, one) = s.inline("FROM scratch\nCOPY . /one/\n");
        let mut content = vec![0; SIZE];
        getrandom::fill(&mut content).unwrap();
        std::fs::write(folder.path().join("large"), content).unwrap();
        let mut two = one.clone();
        two.tag = format!("{}:1", s.name("two"));
        two.dockerfile_inline = Some("FROM scratch\nCOPY . /two/\n".to_owned());
        let (first, second) = tokio::join!(s.told(&one), s.told(&two));
        let (first, second) = (&first, &second);
        let ids = [first, second].map(|(built, _)| built.as_ref().unwrap().id.clone());
        assert_ne!(ids[0], ids[1]);
        let sent = |steps: &[Step]| {
            let bytes = |step: &Step| match step {
                Step::Bytes { done, .. } => usize::try_from(*done).ok(),
                _ => None,
            };
            steps.iter().filter_map(bytes).max().unwrap_or(0)
        };
        // The engine looks for an ignore file besides.
        for (_, steps) in [first, second] {
            assert!((SIZE..SIZE * 3 / 2).contains(&sent(steps)), "{}", sent(steps));
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_still_asks_for_a_secret_when_a_build_of_the_same_session_has_ended() {
    sandbox(async |s| {
        let secret = format!("geheim-{}", s.id);
        let (_folder, mut short) = s.inline("FROM scratch\nCOPY . /\n");
        short.secrets.insert("token".into(), BuildSecret::Value(secret.clone().into_bytes()));
        let mut long = short.clone();
        long.tag = format!("{}:1", s.name("long"));
        long.no_cache = true;
        let takes_time = Sandbox::instruction("", "lists_the_root");
        let reads =
            Sandbox::instruction("--mount=type=secret,id=token,required=true", "reads_a_secret");
        let lines = [format!("FROM {}", s.image), "COPY . /context/".to_owned()];
        let waits = vec![takes_time; 4];
        let text = [&lines[..], &waits, &[reads]].concat().join("\n");
        long.dockerfile_inline = Some(text);
        let timed = async |spec: &BuildSpec| {
            s.told(spec).await.0.unwrap();
            std::time::Instant::now()
        };
        let (first, second) = tokio::join!(timed(&short), timed(&long));
        assert!(first < second, "the short one ends before");
    })
    .await;
}
