//! Search spaces: which fields of an experiment are searched, and over which values.

use super::{Domain, TuningOptions};
use crate::experiment::{Experiment, File, ModelKind, known_keys, plain};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// The fields to search, in the order of their file. A space is written like an experiment, with a domain for each
/// value:
///
/// ```toml
/// [training]
/// learning_rate = { log = [0.005, 0.5] }
/// batch_size = { choice = [32, 64, 128] }
/// dropout_hidden = { uniform = [0, 0.8] }
///
/// [model]
/// layers = { choice = [[100], [100, 100]] }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchSpace {
    /// The parameters, at least one.
    parameters: Vec<Parameter>,
}

/// A field to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The dotted name of the field, such as `training.learning_rate`.
    pub key: String,
    /// The values to try.
    pub domain: Domain,
}

impl SearchSpace {
    /// Reads a search space for an experiment from a file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; those of [`from_toml`](Self::from_toml).
    pub fn load(path: impl AsRef<Path>, experiment: &Experiment) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        Self::from_toml(&text, &path.display().to_string(), experiment)
    }

    /// Parses a search space for an experiment; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`Error::ExperimentFile`] with line and column for bad TOML, an invalid domain, a field that the experiment's
    /// model does not have, and a value of the wrong type or outside the field's range; [`Error::UnknownKey`] for a key
    /// that is not a field of an experiment.
    pub fn from_toml(text: &str, origin: &str, experiment: &Experiment) -> Result<Self> {
        let file = File { text, origin };
        let table = DeTable::parse(text).map_err(|e| file.toml_error("", &e))?.into_inner();
        file.check_keys(&table, "", &known_keys())?;
        let mut found = Vec::new();
        collect(&file, &table, "", &mut found)?;
        // Parsed TOML tables are sorted by name; the order of the file counts.
        found.sort_by_key(|(place, _)| *place);
        let searched: Vec<String> = found.iter().map(|(_, (_, parameter))| parameter.key.clone()).collect();
        let mut parameters = Vec::new();
        for (_, (span, parameter)) in found {
            check(&parameter, experiment).map_err(|reason| file.error(&span, reason))?;
            // With some values of the field that it depends on, it has an effect.
            if let Some(idle) = experiment.idle(&parameter.key)
                && !searched.iter().any(|key| key == idle.depends_on)
            {
                return Err(file.error(&span, format!("{}: {idle}", parameter.key)));
            }
            parameters.push(parameter);
        }
        if parameters.is_empty() {
            return Err(file.error(
                &(0..0),
                "names no field to search: write one, as in [training] learning_rate = { log = [0.01, 0.5] }"
                    .to_owned(),
            ));
        }
        Ok(Self { parameters })
    }

    /// The default search space of the experiment's model kind.
    ///
    /// # Errors
    /// [`Error::Config`] for a kind without parameters to search; those of [`from_toml`](Self::from_toml) if the
    /// experiment does not fit the space.
    pub fn of_kind(experiment: &Experiment) -> Result<Self> {
        let kind = experiment.model.kind();
        Self::from_toml(Self::text_of_kind(kind)?, &format!("the space of {kind}"), experiment)
    }

    /// The default search space of a model kind, as TOML.
    ///
    /// # Errors
    /// [`Error::Config`] for a kind without parameters to search.
    pub fn text_of_kind(kind: ModelKind) -> Result<&'static str> {
        kind.space().ok_or_else(|| {
            Error::config("model.kind", format!("a model of kind \"{kind}\" has no parameter to search over"))
        })
    }

    /// Number of points; `None` if a domain is continuous.
    pub(super) fn size(&self) -> Option<usize> {
        self.parameters.iter().try_fold(1_usize, |size, parameter| size.checked_mul(parameter.domain.size()?))
    }

    /// Number of points that a search samples, and the largest number of trials that refine the best one.
    pub fn trials(&self, options: &TuningOptions) -> (usize, usize) {
        let sampled = self.size().map_or(options.trials, |size| size.min(options.trials));
        let refined = if options.refine {
            self.parameters.iter().map(|parameter| parameter.domain.most_neighbours()).sum()
        } else {
            0
        };
        (sampled, refined)
    }

    /// The parameters in the order of the file.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
}

/// The start of a parameter's key in the file, the range of its value, and the parameter.
type Found = (usize, (Range<usize>, Parameter));

/// Collects the domains of a table and its sub-tables. `prefix` is the dotted path of `table`, with a dot at its end.
fn collect(file: &File, table: &DeTable<'_>, prefix: &str, found: &mut Vec<Found>) -> Result<()> {
    let known = known_keys();
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        if let (false, DeValue::Table(inner)) = (known.contains(&path), value.get_ref()) {
            collect(file, inner, &format!("{path}."), found)?;
            continue;
        }
        let domain = domain(file, &path, value)?;
        found.push((key.span().start, (value.span(), Parameter { key: path, domain })));
    }
    Ok(())
}

fn domain(file: &File, path: &str, value: &Spanned<DeValue<'_>>) -> Result<Domain> {
    const KINDS: &str =
        "{ uniform = [0, 0.5] }, { log = [0.01, 1] }, { integer = [1, 10] } or { choice = [\"a\", \"b\"] }";
    let DeValue::Table(_) = value.get_ref() else {
        let reason = format!(
            "{path}: is one value, and a space holds domains: write {KINDS}, and give fields that stay as they are by --config or --set"
        );
        return Err(file.error(&value.span(), reason));
    };
    Domain::deserialize(ValueDeserializer::from(value.clone())).map_err(|e| {
        let reason = format!("{path}: {}: a domain is one of {KINDS}", plain(e.message()));
        file.error(&e.span().unwrap_or(value.span()), reason)
    })
}

/// Checks a parameter by itself: the experiment must have the field, and the field must accept the domain's values.
fn check(parameter: &Parameter, experiment: &Experiment) -> std::result::Result<(), String> {
    let Parameter { key, domain } = parameter;
    let refuse = |reason: &str| Err(format!("{key}: {reason}"));
    if key.starts_with("data.") || key.starts_with("evaluation.") {
        return refuse("does not change the model: a search is over fields of [model] and [training]");
    }
    match key.as_str() {
        "model.kind" => return refuse("kinds have different fields: search over one kind at a time"),
        "training.seed" => return refuse("is luck, and no parameter"),
        "training.patience" => {
            return refuse("a search judges after the last epoch; search over training.epochs instead");
        }
        _ => {}
    }
    let kind = experiment.model.kind();
    if let Some(field) = key.strip_prefix("model.")
        && !kind.has_field(field)
    {
        return Err(format!("{key}: a model of kind \"{kind}\" has no such field"));
    }
    if let Some(field) = key.strip_prefix("training.")
        && !kind.reads_training(field)
    {
        return Err(format!("{key}: {}", kind.does_not_read(field)));
    }
    if let Some(objection) = domain.objection() {
        return Err(format!("{key}: {objection}"));
    }
    let mut tried: Vec<(Experiment, String)> = Vec::new();
    for value in domain.representatives() {
        let mut changed = experiment.clone();
        let shown = value.to_string();
        changed
            .set_value(key, value)
            .map_err(|e| format!("{key}: {shown} cannot be its value: {}", reason(e)))?;
        // A value may be invalid only in combination with others: such points are rejected when points are drawn.
        if let Err(Error::Config { field, reason }) = changed.validate()
            && field == *key
        {
            return Err(format!("{key}: {shown} cannot be its value: {reason}"));
        }
        if let Some((_, same)) = tried.iter().find(|(experiment, _)| *experiment == changed) {
            return Err(format!("{key}: {same} and {shown} are the same value: leave one out"));
        }
        tried.push((changed, shown));
    }
    Ok(())
}

fn reason(error: Error) -> String {
    match error {
        Error::Config { reason, .. } => reason,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::ModelConfig;

    fn parse(text: &str) -> Result<SearchSpace> {
        SearchSpace::from_toml(text, "my.toml", &Experiment::default())
    }

    #[test]
    fn fields_stand_in_the_order_of_the_file() {
        let space = parse(
            "[training]\nmomentum = { uniform = [0, 0.9] }\nbatch_size = { choice = [32, 64] }\n\n[model]\nlayers = { choice = [[50], [50, 50]] }\n",
        )
        .unwrap();
        let keys: Vec<&str> = space.parameters().iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["training.momentum", "training.batch_size", "model.layers"]);
        assert_eq!(space.parameters()[0].domain, Domain::Uniform([0.0, 0.9]));
        assert_eq!(parse("training.epochs = { integer = [1, 3] }").unwrap().parameters().len(), 1);
    }

    #[test]
    fn bad_spaces_are_refused_with_place_field_and_reason() {
        for (text, words) in [
            ("[training]\nlearning_rat = { log = [0.1, 1] }", ["my.toml:2", "learning_rate"]),
            ("[training]\nbatch_size = { uniform = [10, 20] }", ["my.toml:2:14", "whole number"]),
            ("[training]\nloss = { choice = [\"top1\", \"bpx\"] }", ["my.toml:2:8", "did you mean `bpr`"]),
            (
                "[training]\nmomentum = { uniform = [0, 1] }",
                ["my.toml:2:12", "training.momentum: 1.0 cannot"],
            ),
            ("[training]\nmomentum = 0.5", ["my.toml:2:12", "is one value"]),
            ("[training]\nmomentum = { unifrom = [0, 0.5] }", ["my.toml:2", "unifrom"]),
            ("[training]\nmomentum = { uniform = [0.5] }", ["my.toml:2", "training.momentum"]),
            ("[training]\nmomentum = { uniform = [0.5, 0] }", ["my.toml:2:12", "larger"]),
            ("[training]\nmomentum = { choice = [0, 0.0, 0.5] }", ["my.toml:2:12", "0 and 0.0 are the same"]),
            ("[training]\nseed = { integer = [1, 9] }", ["my.toml:2:8", "luck"]),
            ("[model]\nfactors = { integer = [1, 9] }", ["my.toml:2:11", "no such field"]),
            ("[model]\nkind = { choice = [\"pop\", \"ar\"] }", ["my.toml:2:8", "one kind"]),
            (
                "[evaluation]\nties = { choice = [\"median\", \"standard\"] }",
                ["my.toml:2:8", "does not change"],
            ),
            ("", ["my.toml:1:1", "no field"]),
            ("[training]\nmomentum = {", ["my.toml:2", ""]),
        ] {
            let message = parse(text).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{text}\n{message}\nlacks {word}");
            }
        }
    }

    #[test]
    fn a_field_without_effect_is_searched_only_with_the_field_that_it_depends_on() {
        let decay = "[training]\nrmsprop_decay = { uniform = [0.5, 0.9] }\n";
        let message = parse(decay).unwrap_err().to_string();
        assert!(message.contains("training.optimizer is not rmsprop"), "{message}");
        let with_optimizer = format!("{decay}optimizer = {{ choice = [\"adagrad\", \"rmsprop\"] }}\n");
        assert_eq!(parse(&with_optimizer).unwrap().parameters().len(), 2);
    }

    #[test]
    fn every_kind_with_fields_has_a_space_that_fits_it() {
        for kind in ModelKind::ALL {
            let experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
            let bare = matches!(kind, ModelKind::Pop | ModelKind::SPop | ModelKind::Markov);
            match SearchSpace::of_kind(&experiment) {
                Ok(space) => assert!(!bare && !space.parameters().is_empty(), "{kind}"),
                Err(error) => assert!(bare && error.to_string().contains("no parameter"), "{kind}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_trained_by_itself_is_not_searched_by_the_training_of_networks() {
        let experiment =
            Experiment { model: ModelConfig::of_kind(ModelKind::BprMf), ..Experiment::default() };
        let error = SearchSpace::from_toml("training.epochs = { integer = [1, 3] }", "s", &experiment);
        assert!(error.unwrap_err().to_string().contains("use model.epochs"));
    }
}
