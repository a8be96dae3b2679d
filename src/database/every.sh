# What envctl runs in containers of a database's image: sh -c THIS envctl FUNCTION ARGUMENTS, where THIS is this file and
# those of the database. Passwords come from the container's own environment or secrets, and stand in no argument list.
set -eu

# value NAME: PREFIX_NAME or what PREFIX_NAME_FILE holds, for the first of the database's prefixes that has any.
value() {
  for prefix in $prefixes; do
    eval "text=\${${prefix}_$1:-} file=\${${prefix}_$1_FILE:-}"
    if [ -n "$text" ]; then
      printf '%s' "$text"
      return
    elif [ -r "$file" ]; then
      cat "$file"
      return
    fi
  done
}

# Which life of the data it is: empty before the first restore.
life() {
  if [ -r "$data/.envctl-life" ]; then cat "$data/.envctl-life"; fi
}

# What a snapshot tells of the server.
about() {
  version=$(version) life=$(life) key=$(key)
  printf 'version %s\nlife %s\nkey %s\n' "$version" "$life" "$key"
}

# Which key the data is encrypted by; empty where it is not.
key() { :; }

# accept ID: the copy can be read, and begins a life of its own.
accept() {
  read_tables
  rm -rf "$data/.envctl-changes"
  printf '%s' "$1" >"$data/.envctl-life"
  chown "$user:" "$data/.envctl-life"
  sync
}

# What `durable status` tells.
told() {
  encryption
  connections
}

# Whose certificate the server has been given.
authority() {
  if [ -e /run/envctl/tls/server.pem ]; then printf 'local'; fi
}
