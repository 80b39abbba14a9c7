//! The configuration of a blend and of its members.

use crate::arrays::is_member_name;
use crate::documented::documented;
use crate::evaluation::EvaluationConfig;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::gru4rec::config::TrainingConfig;
use crate::kind::Scale;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

documented! {
    /// The configuration of [`Blend`](super::Blend).
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct BlendConfig {
        /// The members, 2 to 16: names of kinds, such as `["gru4rec", "vstan"]`, or tables with a `kind` and its fields.
        /// Networks are trained by the `[training]` table, of which a member's own `training` table changes fields, as in
        /// `{ kind = "gru4rec", training = { seed = 7 } }`. A member is named after its kind, or by a `name`. The default is our
        /// choice.
        pub members: Vec<Member>,
        /// Number of items that each member lists, 20 to 10,000. The default is our choice.
        pub depth: usize,
        /// Share of the training sessions, the newest ones, on which the weights are learnt, above 0 and below 1. The
        /// default is our choice.
        pub held_out: f32,
    }
}

/// The default number of items that a member lists.
pub(crate) const DEPTH: usize = 100;

impl Default for BlendConfig {
    fn default() -> Self {
        let kinds = [ModelKind::Gru4rec, ModelKind::Vstan, ModelKind::Sr, ModelKind::Repeat];
        Self {
            members: kinds.map(|kind| Member::new(ModelConfig::of_kind(kind))).to_vec(),
            depth: DEPTH,
            held_out: 0.1,
        }
    }
}

/// A member of a blend: the configuration of a model of any other kind. It is read from the name of a kind, which stands for
/// its defaults, or from a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
#[non_exhaustive]
pub struct Member {
    /// Its name, of `a` to `z`, `0` to `9` and `-`; `None` stands for the name of its kind, with a number from the second of a
    /// kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model.
    #[serde(flatten)]
    pub model: ModelConfig,
    /// The fields of the `[training]` table that are others for this member.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub training: Map<String, Value>,
}

/// The forms in which a member is read.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a member is the name of a kind of models, or a table with a kind")]
enum Written {
    Name(String),
    Table(Map<String, Value>),
}

impl TryFrom<Written> for Member {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        let mut table = match written {
            Written::Name(name) => Map::from_iter([("kind".to_owned(), Value::String(name))]),
            Written::Table(table) => table,
        };
        let training = match table.remove("training") {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => {
                return Err("the training of a member is a table, as in training = { seed = 7 }".to_owned());
            }
        };
        let name = match table.remove("name") {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err("the name of a member is a text, as in name = \"large\"".to_owned()),
        };
        let kind = match table.get("kind") {
            Some(Value::String(name)) => name.parse::<ModelKind>().map_err(|error| match error {
                Error::Config { reason, .. } => reason,
                other => other.to_string(),
            })?,
            Some(_) => return Err("the kind of a member is the name of a kind of models".to_owned()),
            None => return Err("a member needs a kind, as in { kind = \"vstan\" }".to_owned()),
        };
        if kind == ModelKind::Blend {
            return Err("a blend cannot be a member: name its members instead".to_owned());
        }
        let model =
            serde_json::from_value(Value::Object(table)).map_err(|error| format!("{kind}: {error}"))?;
        let member = Self { name, model, training };
        member.training(&TrainingConfig::default()).map_err(|error| format!("{kind}: training: {error}"))?;
        Ok(member)
    }
}

impl Member {
    /// A member that is trained by the `[training]` table, and named after its kind.
    pub fn new(model: ModelConfig) -> Self {
        Self { name: None, model, training: Map::new() }
    }

    /// The member of an experiment in a blend with this `[training]` table.
    pub(super) fn trained_as(name: &str, experiment: &Experiment, all: &TrainingConfig) -> Self {
        let kind = experiment.model.kind();
        let table = |training: &TrainingConfig| match serde_json::to_value(training) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let all = table(all);
        let mut training = table(&experiment.training);
        training.retain(|field, value| kind.reads_training(field) && all.get(field) != Some(value));
        let name = (name != kind.name()).then(|| name.to_owned());
        Self { name, model: experiment.model.clone(), training }
    }

    /// The `[training]` table of this member.
    fn training(&self, all: &TrainingConfig) -> serde_json::Result<TrainingConfig> {
        if self.training.is_empty() {
            return Ok(all.clone());
        }
        let mut table = serde_json::to_value(all)?;
        if let Value::Object(fields) = &mut table {
            fields.extend(self.training.clone());
        }
        serde_json::from_value(table)
    }
}

impl BlendConfig {
    /// Checks every field, and the members with their training.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self, training: &TrainingConfig) -> Result<()> {
        if !(2..=16).contains(&self.members.len()) {
            let reason = format!("a blend has 2 to 16 members, not {}", self.members.len());
            return Err(Error::config("model.members", reason));
        }
        if !(20..=10_000).contains(&self.depth) {
            return Err(Error::config("model.depth", format!("must be 20 to 10000, not {}", self.depth)));
        }
        if !(self.held_out > 0.0 && self.held_out < 1.0) {
            let reason = format!("must be above 0 and below 1, not {}", self.held_out);
            return Err(Error::config("model.held_out", reason));
        }
        if self.members.iter().all(|member| member.model.kind().scale() == Scale::Fixed) {
            let reason = "all of them recommend the same after every session: add one that reads the session, such as gru4rec or vstan";
            return Err(Error::config("model.members", reason));
        }
        let names = self.names();
        for (at, member) in self.members.iter().enumerate() {
            let kind = member.model.kind();
            let place = format!("model.members[{at}] ({kind})");
            if !is_member_name(&names[at]) {
                let reason = format!("name: `{}` has other characters than a to z, 0 to 9 and -", names[at]);
                return Err(Error::config(place, reason));
            }
            if names[..at].contains(&names[at]) {
                let reason =
                    format!("name: another member is named {}, too: name them differently", names[at]);
                return Err(Error::config(place, reason));
            }
            if kind == ModelKind::Blend {
                return Err(Error::config(place, "a blend cannot be a member: name its members instead"));
            }
            if let Some(field) = member.training.keys().find(|field| !kind.reads_training(field)) {
                return Err(Error::config(place, format!("training.{field}: {}", kind.does_not_read(field))));
            }
            let own = member.training(training).map_err(|error| Error::config(&place, error.to_string()))?;
            member.model.validate(&own).map_err(|error| match error {
                Error::Config { field, reason } => Error::config(&place, format!("{field}: {reason}")),
                other => other,
            })?;
        }
        Ok(())
    }

    /// The names of the members: their own, or those of their kinds, with numbers from the second of a kind.
    fn names(&self) -> Vec<String> {
        let kind = |member: &Member| member.model.kind();
        let by_kind = |at: usize, member: &Member| {
            let same = |other: &&Member| other.name.is_none() && kind(other) == kind(member);
            match self.members[..at].iter().filter(same).count() {
                0 => kind(member).to_string(),
                before => format!("{}-{}", kind(member), before + 1),
            }
        };
        let name =
            |(at, member): (usize, &Member)| member.name.clone().unwrap_or_else(|| by_kind(at, member));
        self.members.iter().enumerate().map(name).collect()
    }

    /// The experiments of the members, with their names.
    pub(crate) fn experiments(
        &self,
        training: &TrainingConfig,
        evaluation: &EvaluationConfig,
    ) -> Vec<(String, Experiment)> {
        let experiment = |(name, member): (String, &Member)| {
            let experiment = Experiment {
                model: member.model.clone(),
                // `validate` has refused fields that do not parse.
                training: member.training(training).unwrap_or_else(|_| training.clone()),
                evaluation: evaluation.clone(),
                ..Experiment::default()
            };
            (name, experiment.resolved())
        };
        self.names().into_iter().zip(&self.members).map(experiment).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(members: &str) -> Result<Experiment> {
        let text = format!(
            "[model]\nkind = \"blend\"\nmembers = {members}\n[training]\nepochs = 3\nlearning_rate = 0.02\n"
        );
        let experiment = Experiment::from_toml(&text, "blend.toml")?;
        experiment.validate()?;
        Ok(experiment)
    }

    #[test]
    fn members_are_names_or_tables_with_their_own_training() {
        let experiment = read(
            "[\"pop\", { kind = \"vs-knn\", k = 7 }, \"gru4rec\", { kind = \"gru4rec\", layers = [9], training = { seed = 7, epochs = 5 } }]",
        )
        .unwrap();
        let members = experiment.members();
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["pop", "vs-knn", "gru4rec", "gru4rec-2"]);
        let ModelConfig::VsKnn(knn) = &members[1].1.model else { panic!() };
        assert_eq!(knn.k, 7);
        let training = |m: usize| {
            let training = &members[m].1.training;
            (training.seed, training.epochs, training.learning_rate)
        };
        assert_eq!((training(2), training(3)), ((42, 3, 0.02), (7, 5, 0.02)));
        assert_eq!(members[3].1.model.network().unwrap().layers, [9]);
        let text = toml::to_string(&experiment).unwrap();
        assert_eq!(Experiment::from_toml(&text, "again").unwrap(), experiment);
        let text = serde_json::to_string(&experiment).unwrap();
        assert_eq!(serde_json::from_str::<Experiment>(&text).unwrap(), experiment);
    }

    #[test]
    fn members_have_names_of_their_own_or_those_of_their_kinds() {
        let experiment =
            read("[\"sr\", { kind = \"sr\", name = \"late-2\", half_life = 0.1 }, \"sr\", \"vstan\"]")
                .unwrap();
        let names: Vec<String> = experiment.members().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["sr", "late-2", "sr-2", "vstan"]);
        let text = toml::to_string(&experiment).unwrap();
        assert_eq!(Experiment::from_toml(&text, "again").unwrap(), experiment);
    }

    #[test]
    fn members_that_make_no_sense_are_refused_by_place_and_reason() {
        let refused = |members: &str, words: &[&str]| {
            let message = read(members).unwrap_err().to_string();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        };
        refused("[\"pop\"]", &["2 to 16"]);
        refused("[\"pop\", \"decay-pop\"]", &["the same after every session"]);
        refused("[\"pop\", \"blend\"]", &["cannot be a member"]);
        refused("[\"pop\", \"vsknn\"]", &["`vsknn` is no model", "vs-knn"]);
        refused("[\"pop\", { k = 3 }]", &["needs a kind"]);
        refused("[\"pop\", { kind = \"sr\", name = \"Late\" }]", &["members[1] (sr)", "`Late`", "a to z"]);
        refused(
            "[\"sr\", { kind = \"vstan\", name = \"sr\" }]",
            &["members[1] (vstan)", "name them differently"],
        );
        refused("[\"sr\", { kind = \"vstan\", name = 3 }]", &["name of a member is a text"]);
        refused("[\"pop\", { kind = \"sr\", stepz = 3 }]", &["sr", "stepz"]);
        refused("[\"pop\", { kind = \"vs-knn\", k = 0 }]", &["members[1] (vs-knn)", "k"]);
        refused("[\"pop\", { kind = \"gru4rec\", training = { epoch = 3 } }]", &["gru4rec", "epoch"]);
        refused(
            "[\"pop\", { kind = \"gru4rec\", training = { epochs = 0 } }]",
            &["members[1] (gru4rec)", "epochs"],
        );
        refused(
            "[\"pop\", { kind = \"sr\", training = { epochs = 2 } }]",
            &["members[1] (sr)", "does not read"],
        );
    }

    #[test]
    fn members_are_assigned_by_their_names() {
        let mut experiment = Experiment::default();
        experiment.set("model.kind=blend").unwrap();
        experiment.set("model.members=vstan, repeat").unwrap();
        let names: Vec<String> = experiment.members().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["vstan", "repeat"]);
        experiment.set("model.members=pop").unwrap();
        assert!(experiment.validate().unwrap_err().to_string().contains("2 to 16 members, not 1"));
    }
}
