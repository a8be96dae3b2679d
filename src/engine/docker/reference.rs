//! References of images.

/// Repository and tag or digest: `localhost:5000/a` is `("localhost:5000/a", "latest")`.
pub(super) fn split(reference: &str) -> (String, String) {
    if let Some((repository, digest)) = reference.split_once('@') {
        // A tag beside a digest says nothing.
        return (without_tag(repository).0.to_owned(), digest.to_owned());
    }
    let (repository, tag) = without_tag(reference);
    (repository.to_owned(), tag.unwrap_or("latest").to_owned())
}

fn without_tag(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (reference, None),
    }
}

/// The registry of a reference: its first part, where that looks like a host; else Docker's.
pub(super) fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (reference, repository, tag, host) in [
            ("mariadb", "mariadb", "latest", "docker.io"),
            ("mariadb:11.8", "mariadb", "11.8", "docker.io"),
            ("library/mariadb:11", "library/mariadb", "11", "docker.io"),
            ("localhost/a", "localhost/a", "latest", "localhost"),
            ("localhost:5000/a/b", "localhost:5000/a/b", "latest", "localhost:5000"),
            ("ghcr.io/a/b:1@sha256:ab", "ghcr.io/a/b", "sha256:ab", "ghcr.io"),
        ] {
            assert_eq!(split(reference), (repository.to_owned(), tag.to_owned()));
            assert_eq!(registry(reference), host);
        }
    }
}
