//! The published settings, compiled in from `experiments/NAME.toml`.

#[cfg(feature = "toml")]
use {super::Experiment, crate::Result};

macro_rules! settings {
    ($($name:literal,)*) => {
        /// Names and texts of the published settings.
        const SETTINGS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../experiments/", $name, ".toml"))),)*];
    };
}

settings! {
    "coveo-bprmax-512",
    "diginetica-bprmax-512",
    "rees46-xe-512",
    "retailrocket-bprmax-224",
    "rsc15-bpr-100",
    "rsc15-bpr-1000",
    "rsc15-bprmax-100",
    "rsc15-bprmax-100-shared",
    "rsc15-top1-100",
    "rsc15-top1-1000",
    "rsc15-xe-100",
    "rsc15-xe-100-cikm",
    "rsc15-xe-100-paper",
    "rsc15-xe-1000-paper",
    "video-bpr-100",
    "video-bpr-1000",
    "video-top1-100",
    "video-top1-1000",
    "video-xe-100",
    "video-xe-1000",
    "yoochoose-xe-480",
}

/// The names of the published settings of GRU4Rec (ICLR 2016, CIKM 2018, RecSys 2023), in alphabetical order.
pub fn published_names() -> impl ExactSizeIterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _)| *name)
}

/// The experiment file of a published setting as text; `None` for an unknown name.
pub fn published_text(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(feature = "toml")]
impl Experiment {
    /// A published setting by its name, such as `rsc15-xe-100`; `None` for an unknown name.
    ///
    /// # Errors
    /// Those of [`from_toml`](Self::from_toml), which do not occur with the files of a release.
    pub fn published(name: &str) -> Result<Option<Self>> {
        published_text(name).map(|text| Self::from_toml(text, name)).transpose()
    }
}
