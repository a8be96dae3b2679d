//! What envctl does not support on purpose: refused by name, with its place and the reason.

use super::{
    node::Node,
    problem::{Files, Problems},
};

/// By key of a service: why.
pub const SERVICE_KEYS: &[(&str, &str)] = &[
    ("develop", "it is for `docker compose watch`; envctl deploys finished images"),
    ("provider", "it hands a service to a program outside of the engine"),
    ("models", "AI models are run by Docker Desktop, not by the engine"),
    ("credential_spec", "it is for Windows containers"),
    (
        "use_api_socket",
        "it hands the engine and your registry credentials to the container; \
         mount the socket under `volumes` if you mean that",
    ),
];

/// Reports what is not supported and takes it out of the tree.
pub fn document(node: &mut Node, files: &Files, problems: &mut Problems) {
    for (name, service) in node.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten()
    {
        let Some(map) = service.as_map_mut() else { continue };
        for (key, reason) in SERVICE_KEYS {
            if let Some(node) = map.shift_remove(*key) {
                let message = format!("`{key}` is not supported by envctl: {reason}");
                problems.push(files.problem(node.key, &format!("services.{name}.{key}"), message));
            }
        }
    }
}
