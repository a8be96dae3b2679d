//! Outputs of the stack in the variables of services.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    aws,
    model::{ServiceSpec, hash_of, labels},
    plan::uses_outputs,
};

/// The specification with outputs in its variables, and a label that tells which; the name of the first output that
/// there is not.
pub fn filled<'a>(
    spec: &'a ServiceSpec,
    outputs: &BTreeMap<String, String>,
) -> Result<Cow<'a, ServiceSpec>, String> {
    if !uses_outputs(spec) {
        return Ok(Cow::Borrowed(spec));
    }
    let mut filled = spec.clone();
    for value in filled.environment.values_mut() {
        *value = aws::fill(value, outputs)?;
    }
    let hash = outputs_hash(spec, outputs);
    filled.labels.insert(labels::AWS_OUTPUTS.to_owned(), hash);
    Ok(Cow::Owned(filled))
}

/// Hash of the outputs that a container's variables have.
pub fn outputs_hash(spec: &ServiceSpec, outputs: &BTreeMap<String, String>) -> String {
    let used = spec.environment.values().flat_map(|value| aws::uses(value));
    hash_of(&used.map(|name| (name, outputs.get(name))).collect::<BTreeMap<_, _>>())
}
