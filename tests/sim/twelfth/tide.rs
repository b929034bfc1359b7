//! `kind = "tide"`: when it is high water at a port, by an almanac of the operator's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::catalog::{ConfigError, KindConfig, Place, Settings, Table};
use shared::domain::record::FailureCode;
use shared::ports::HttpRequest;
use shared::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// Its settings in `providers.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TideConfig {
    /// `input`: the input field with the port; `port` if the file does not say.
    input: String,
    /// `almanac`: whom to ask, the beginning of a URL.
    almanac: String,
    almanac_at: Place,
    /// `days`: how many days ahead, 1 to 14; 1 if the file does not say.
    days: u64,
}

impl KindConfig for TideConfig {
    const NAME: &'static str = "tide";
    const KEYS: &'static [&'static [&'static str]] = &[&["input", "almanac", "days"]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let almanac = table.need("almanac", "such as \"https://almanac.example/\"")?;
        if !almanac.str()?.starts_with("https://") {
            return Err(almanac.error("an almanac is asked by https://"));
        }
        Ok(Self {
            input: table.input("port")?,
            almanac: almanac.str()?.to_owned(),
            almanac_at: almanac.place(),
            days: table.number("days", 1, 14)?.unwrap_or(1),
        })
    }
}

impl Settings for TideConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(vec!["high_water".to_owned()])
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(5))
    }

    fn one_upstream(&self) -> bool {
        true
    }

    fn places(&mut self) -> Vec<&mut Place> {
        vec![&mut self.almanac_at]
    }
}

impl BuildKind for TideConfig {
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        if (context.environment)("NO_TIDES").is_some() {
            return Err(self.almanac_at.error("there are no tides here"));
        }
        Ok(Arc::new(Tide(self.clone())))
    }
}

#[derive(Debug)]
struct Tide(TideConfig);

#[async_trait]
impl Provider for Tide {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let Some(port) = question.input.get(&self.0.input).and_then(Value::as_str) else {
            return Answer::Invalid(format!("`{}` is needed", self.0.input));
        };
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: format!("{}{port}?days={}", self.0.almanac, self.0.days),
            headers: Vec::new(),
            body: Vec::new(),
            deadline: question.limit,
            plain_http: false,
            max_response_bytes: 1 << 10,
        };
        match ports.http.send(request).await {
            Ok(answer) if answer.status == 404 => Answer::NotFound,
            Ok(answer) if answer.status == 200 => Answer::Found {
                fields: Map::from_iter([(
                    "high_water".to_owned(),
                    String::from_utf8_lossy(&answer.body).into(),
                )]),
                confidence: None,
            },
            other => Answer::Failed {
                code: FailureCode::ProviderError,
                detail: format!("{:?}", other.map(|answer| answer.status)),
            },
        }
    }
}
