//! `durable up` on a real engine, from states that each of the layer's things can be in.

use crate::support::{
    Sandbox,
    engine::{self, Kind},
};

/// A durable service that is up in a second; its files are in a volume.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::small();
    sandbox.write(
        "envctl.yaml",
        "name: @NAME@\ndurable: { compose: [durable.yaml] }\napp: { compose: [compose.yaml] }\n",
    );
    sandbox.write(
        "durable.yaml",
        "services:\n  hub:\n    build: web\n    environment: { MARK: first }\n    volumes: [\"data:/data\"]\n    stop_grace_period: 2s\nvolumes: { data: }\n",
    );
    sandbox
}

/// Makes things of the layer's names, and takes them away: `docker` lines with `C`, `N`, `V`, `S` for the container, the
/// network, the volume and the proxy's state, `I` for an image, `L` for labels of the test alone, and `E` for labels of
/// another environment.
const STATES: &[(&str, &[&str], Option<&str>)] = &[
    ("all there", &[], None),
    ("stopped", &["stop C"], None),
    ("killed", &["kill C"], None),
    ("paused", &["pause C"], None),
    ("container gone", &["rm --force C"], None),
    ("never started", &["rm --force C", "AGAIN", "rm --force C"], None),
    ("network gone", &["network disconnect --force N C", "network rm N"], None),
    ("container and network gone", &["rm --force C", "network rm N"], None),
    ("container and volume gone", &["rm --force C", "volume rm V"], None),
    ("all gone", &["rm --force C", "network rm N", "volume rm V"], None),
    ("state gone", &["stop C", "volume rm S"], None),
    (
        "foreign container",
        &["rm --force C", "create L --name C I"],
        Some("the container `C` is there and not envctl's own"),
    ),
    (
        "another environment's container",
        &["rm --force C", "create E --name C I"],
        Some("of the envctl project `T`, ci, durable"),
    ),
    (
        "foreign network",
        &["rm --force C", "network rm N", "network create L N"],
        Some("the network `N` is there and not envctl's own"),
    ),
    (
        "foreign volume",
        &["rm --force C", "volume rm V", "volume create L V"],
        Some("the volume `V` is there and not envctl's own"),
    ),
    (
        "another environment's volume",
        &["rm --force C", "volume rm V", "volume create E V"],
        Some("of the envctl project `T`, ci, durable"),
    ),
    ("foreign state", &["stop C", "volume rm S", "volume create L S"], None),
];

#[test]
fn durable_up_converges_or_refuses_with_its_reason_from_states_of_a_real_engine() {
    let sandbox = sandbox();
    let (container, network) = (sandbox.thing("durable-hub"), sandbox.thing("durable-network"));
    let (volume, state) = (sandbox.thing("durable-data"), sandbox.thing("proxy-state"));
    let base = engine::base();
    let other = format!(
        "{} --label dev.envctl.project={} --label dev.envctl.env=ci --label dev.envctl.layer=durable",
        sandbox.mark(),
        sandbox.name
    );
    let mark = sandbox.mark();
    let words = [
        ("C", container.as_str()),
        ("N", &network),
        ("V", &volume),
        ("S", &state),
        ("I", &base),
        ("L", &mark),
        ("E", &other),
    ];
    let filled = |line: &str| -> String {
        let fill = |word: &str| {
            words
                .iter()
                .find(|(short, _)| *short == word)
                .map_or(word.to_owned(), |(_, long)| (*long).to_owned())
        };
        line.split(' ').map(fill).collect::<Vec<_>>().join(" ")
    };
    for (name, lines, refusal) in STATES {
        println!("{name}");
        let _ = sandbox.ok("durable up");
        for line in *lines {
            if *line == "AGAIN" {
                let _ = sandbox.ok("durable up");
            } else {
                let _ = engine::docker(&filled(line)).ok();
            }
        }
        match refusal {
            None => {
                let _ = sandbox.ok("durable up");
                let again = sandbox.ok("durable up");
                let _ = again.says("was up already");
                let runs = engine::ask(&[
                    "inspect",
                    "--format",
                    "{{.State.Running}} {{.State.Paused}}",
                    &container,
                ]);
                assert_eq!(runs, "true false", "{name}");
            }
            Some(reason) => {
                let reason = reason
                    .replace("`C`", &format!("`{container}`"))
                    .replace("`N`", &format!("`{network}`"));
                let reason = reason
                    .replace("`V`", &format!("`{volume}`"))
                    .replace("`T`", &format!("`{}`", sandbox.name));
                let things =
                    || Kind::ALL.map(|kind| engine::named(kind, &sandbox.thing("durable")));
                let before = things();
                let _ = sandbox.envctl("durable up").run().code(1).says(&reason);
                assert_eq!(things(), before, "{name}");
                // What was put there goes: the next state begins with all there.
                for line in ["rm --force C", "network rm N", "volume rm V"] {
                    let _ = engine::docker(&filled(line));
                }
            }
        }
        if *name == "foreign state" {
            assert_eq!(
                engine::ask(&[
                    "volume",
                    "inspect",
                    "--format",
                    "{{index .Labels \"dev.envctl.project\"}}",
                    &state
                ]),
                "",
                "it is not taken over"
            );
            let _ = engine::docker(&filled("volume rm S")).ok();
        }
    }
}
