//! The end of the demo: what happened to each buyer, then books against chain.

use serde_json::json;

use super::{buyers::Story, world::World};
use crate::{
    commands::reconcile,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    wiring::{database_failure, open_store},
};

/// Reconciles, verifies and prints. Fails unless everything came as it must.
pub(super) async fn finish(world: &mut World, stories: Vec<Story>, form: Form) -> Outcome {
    let store = open_store(&world.settings.database).await?;
    let lines = reconcile::collect(&world.settings, &store).await?;
    let failed = |why| database_failure("cannot verify the ledger", why);
    let verified = inspay_reports::verify_ledger(&store, None, |_| {}).await.map_err(failed)?;
    let laws = &verified.broken_laws;
    let holds = verified.holds();
    let ok =
        stories.iter().all(|story| story.ok) && lines.iter().all(reconcile::Line::agrees) && holds;
    match form {
        Form::Json => output::json(&json!({
            "ok": ok,
            "database": world.settings.database.to_string(),
            "buyers": stories,
            "reconciliation": lines.iter().map(reconcile::Line::to_json).collect::<Vec<_>>(),
            "ledger": {
                "entries": verified.entries,
                "head": verified.head_hash,
                "verified": holds,
                "broken_laws": laws.iter().map(|law| law.law).collect::<Vec<_>>(),
            },
        }))?,
        Form::People => {
            let rows = stories
                .iter()
                .map(|story| {
                    vec![
                        if story.ok { "ok".to_owned() } else { "WRONG".to_owned() },
                        story.name.to_owned(),
                        story.did.clone(),
                        story.came.clone(),
                        story.credits.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            output::line("What happened to each buyer")?;
            output::table(
                &["", "story", "what was sent", "what came of it", "credits"],
                &[4],
                rows,
            )?;
            output::line("\nReconciliation: opening + in - out = balanceOf")?;
            reconcile::print(&lines)?;
            output::line(&format!(
                "\nLedger: {} entries, {}",
                verified.entries,
                if holds { "every hash, balance and law holds" } else { "BROKEN" }
            ))?;
        }
    }
    if ok {
        Ok(())
    } else {
        Err(Failure::plain(FailureKind::Differs, "the demo did not end as it must"))
    }
}
