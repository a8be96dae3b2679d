//! One service.

use super::{
    super::node::{Map, Node, Value},
    Context, command, forms, ports, volumes,
};

/// Brings a service into its long form.
pub fn canonical(node: &mut Node, path: &str, context: &mut Context) {
    if node.as_map().is_none() {
        return;
    }
    for key in ["annotations", "labels", "sysctls"] {
        let path = format!("{path}.{key}");
        forms::member(node, key, |pairs| forms::pairs(pairs, &path, false, context));
    }
    for key in ["command", "entrypoint"] {
        let path = format!("{path}.{key}");
        forms::member(node, key, |line| command::words(line, &path, context));
    }
    for key in ["dns", "dns_search", "tmpfs", "label_file"] {
        forms::member(node, key, forms::list);
    }
    forms::member(node, "dns", |dns| {
        if let Value::List(list) = &mut dns.value {
            list.retain(|entry| !entry.is_null() && entry.as_text() != Some(""));
        }
    });
    for key in ["expose", "group_add"] {
        forms::member(node, key, forms::list_of_texts);
    }
    environment(node, path, context);
    forms::member(node, "extra_hosts", |hosts| {
        forms::hosts(hosts, &format!("{path}.extra_hosts"), context);
    });
    forms::member(node, "build", |build| self::build(build, &format!("{path}.build"), context));
    forms::member(node, "depends_on", |list| {
        forms::names(list, |name| {
            Value::Map(Map::from([
                ("condition".to_owned(), Node::text("service_started", name)),
                ("required".to_owned(), Node::new(Value::Bool(true), name)),
            ]))
        });
    });
    for key in ["networks", "models"] {
        forms::member(node, key, |list| forms::names(list, |_| Value::Null));
    }
    forms::member(node, "networks", |networks| {
        for (name, attachment) in networks.as_map_mut().into_iter().flatten() {
            let path = format!("{path}.networks.{name}.driver_opts");
            forms::member(attachment, "driver_opts", |options| {
                forms::texts(options, &path, context);
            });
        }
    });
    forms::member(node, "env_file", forms::list);
    forms::elements(node, "env_file", path, |file, _| forms::wrap(file, "path"));
    for key in ["secrets", "configs"] {
        forms::elements(node, key, path, |mount, _| forms::wrap(mount, "source"));
    }
    forms::member(node, "ports", |list| ports::expand(list, &format!("{path}.ports"), context));
    forms::elements(node, "devices", path, |device, path| volumes::device(device, path, context));
    forms::elements(node, "volumes", path, |mount, path| {
        volumes::mount(mount, path, context);
        forms::member(mount, "volume", |options| {
            forms::member(options, "labels", |labels| forms::pairs(labels, path, false, context));
        });
    });
    forms::member(node, "ulimits", ulimits);
    forms::member(node, "storage_opt", |options| forms::texts(options, path, context));
    forms::member(node, "logging", |logging| {
        let path = format!("{path}.logging.options");
        forms::member(logging, "options", |options| forms::texts(options, &path, context));
    });
    forms::member(node, "healthcheck", |healthcheck| forms::member(healthcheck, "test", test));
    forms::member(node, "gpus", |gpus| {
        if gpus.as_text() == Some("all") {
            let all = Map::from([("count".to_owned(), Node::text("all", gpus))]);
            gpus.value = Value::List(vec![Node::new(Value::Map(all), gpus)]);
        }
    });
    forms::elements(node, "gpus", path, |device, path| device_options(device, path, context));
    forms::member(node, "deploy", |deploy| {
        let path = format!("{path}.deploy");
        let labels_path = format!("{path}.labels");
        forms::member(deploy, "labels", |labels| {
            forms::pairs(labels, &labels_path, false, context);
        });
        forms::member(deploy, "resources", |resources| {
            forms::member(resources, "reservations", |reservations| {
                let path = format!("{path}.resources.reservations");
                forms::elements(reservations, "devices", &path, |device, path| {
                    device_options(device, path, context);
                });
            });
        });
    });
    for key in ["pre_start", "post_start", "pre_stop"] {
        forms::elements(node, key, path, |hook, path| {
            let line_path = format!("{path}.command");
            forms::member(hook, "command", |line| command::words(line, &line_path, context));
            environment(hook, path, context);
        });
    }
}

fn environment(node: &mut Node, path: &str, context: &mut Context) {
    let path = format!("{path}.environment");
    forms::member(node, "environment", |variables| {
        let is_list = variables.as_list().is_some();
        forms::pairs(variables, &path, true, context);
        for (name, value) in variables.as_map().into_iter().flatten() {
            if is_list && name.ends_with(char::is_whitespace) {
                let message = format!("the name `{name}` ends with a space");
                context.wrong(value, &path, message);
            }
        }
    });
}

fn build(node: &mut Node, path: &str, context: &mut Context) {
    forms::wrap(node, "context");
    let mut pairs = |key: &str, nullable: bool| {
        let path = format!("{path}.{key}");
        forms::member(node, key, |pairs| forms::pairs(pairs, &path, nullable, context));
    };
    pairs("args", true);
    pairs("labels", false);
    forms::member(node, "additional_contexts", |contexts| {
        let path = format!("{path}.additional_contexts");
        for entry in contexts.as_list().into_iter().flatten() {
            if entry.as_text().is_some_and(|text| !text.contains('=')) {
                context.wrong(entry, &path, "expected NAME=CONTEXT");
            }
        }
        forms::pairs(contexts, &path, false, context);
    });
    forms::member(node, "ssh", |keys| ssh(keys, &format!("{path}.ssh"), context));
    forms::member(node, "extra_hosts", |hosts| {
        forms::hosts(hosts, &format!("{path}.extra_hosts"), context);
    });
    forms::member(node, "no_cache_filter", forms::list);
    for key in ["provenance", "sbom"] {
        forms::member(node, key, |switch| {
            if let Value::Bool(value) = switch.value {
                switch.value = Value::Text(value.to_string());
            }
        });
    }
    forms::elements(node, "secrets", path, |mount, _| forms::wrap(mount, "source"));
    forms::member(node, "ulimits", ulimits);
}

/// A mapping of ids to paths; only `default` may go without.
fn ssh(node: &mut Node, path: &str, context: &mut Context) {
    for entry in node.as_list().into_iter().flatten() {
        if entry.as_text().is_some_and(|text| !text.contains('=') && text != "default") {
            context.wrong(entry, path, "expected `default` or ID=PATH");
        }
    }
    forms::pairs(node, path, true, context);
}

/// One number is both limits.
fn ulimits(node: &mut Node) {
    for (_, limit) in node.as_map_mut().into_iter().flatten() {
        if matches!(limit.value, Value::Int(_) | Value::Text(_)) {
            let number = Node::new(std::mem::take(&mut limit.value), limit);
            limit.value = Value::Map(Map::from([
                ("soft".to_owned(), number.clone()),
                ("hard".to_owned(), number),
            ]));
        }
    }
}

fn test(node: &mut Node) {
    if node.as_text().is_some() {
        let line = Node::new(std::mem::take(&mut node.value), node);
        node.value = Value::List(vec![Node::text("CMD-SHELL", node), line]);
    }
}

fn device_options(node: &mut Node, path: &str, context: &mut Context) {
    forms::member(node, "options", |options| {
        forms::pairs(options, &format!("{path}.options"), false, context);
    });
}
