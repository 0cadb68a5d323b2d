//! Cases as finance sees them.

use inspay_ports::CaseRecord;
use inspay_primitives::{CaseKind, Timestamp};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};

/// Something that a person has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Case)]
pub(crate) struct CaseBody {
    /// Its number; the later one has the higher number.
    #[schema(example = 7)]
    id: i64,
    /// What it is about.
    #[schema(schema_with = kind_schema)]
    kind: &'static str,
    /// Whom or what it concerns: unique among the open ones of its kind.
    #[schema(
        example = "1/0xdac17f958d2ee523a2206206994597c13d831ec7/0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    )]
    subject: String,
    /// When it was found.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// The facts as they were found. Which there are depends on the kind; amounts are texts.
    #[schema(value_type = Object)]
    facts: serde_json::Value,
    /// When it was found to be over; absent while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Timestamp>,
    /// What ended it.
    resolution: Option<String>,
}

/// A page of cases, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CasesPage {
    /// The cases.
    pub(crate) items: Vec<CaseBody>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

fn kind_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What it is about."))
        .enum_values(Some(CaseKind::ALL.map(CaseKind::as_str)))
        .build()
}

impl CaseBody {
    /// A case as kept. Fails where its facts are no JSON.
    pub(crate) fn new(case: CaseRecord) -> Result<Self, serde_json::Error> {
        let (resolved_at, resolution) = case.resolved.unzip();
        Ok(Self {
            id: case.id.0,
            kind: case.opening.kind.as_str(),
            subject: case.opening.subject,
            opened_at: case.opening.opened_at,
            facts: serde_json::from_str(&case.opening.body_json)?,
            resolved_at,
            resolution,
        })
    }
}
