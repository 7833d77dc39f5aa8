//! The statements, tried where nobody is.

use tokio_postgres::IsolationLevel;
use tokio_postgres::types::Type;

use super::error::{not_done, will_not_do};
use super::link::{Borrowed, Parameter};
use super::row::Values;
use super::sql::Statements;
use crate::store::{Draft, Generation, Grant, Issued, StoreError, Version};

/// Writes an account that there is not, over nothing and over itself, reads it, lists it, and takes
/// all of it back.
pub(super) async fn rehearse(
    client: &mut Borrowed<'_>,
    statements: &Statements,
) -> Result<(), StoreError> {
    // No account's name has a control character.
    let name = format!("\u{1}{:x}", fastrand::u64(..));
    let account: Parameter<'_> = (&name, Type::TEXT);
    let nothing = Issued::authorized(Generation::FIRST, Grant::default(), None);
    let draft = Draft::issued(Version::draw(), nothing);
    let over_nothing = Values::new(&name, None, &draft)?;
    let over_itself = Values::new(&name, Some(draft.version), &draft)?;
    let transaction = client.client()?.build_transaction();
    let transaction = transaction.isolation_level(IsolationLevel::ReadCommitted);
    let kept = async {
        let transaction = transaction.start().await?;
        let mut kept = true;
        for values in [over_nothing, over_itself] {
            let parameters = values.parameters();
            let row = transaction.query_typed_one(&statements.replace, &parameters);
            kept &= row.await?.try_get::<_, bool>("done")?;
        }
        let page = [account.clone(), (&1_i64, Type::INT8)];
        transaction
            .query_typed(&statements.load, &[account])
            .await?;
        transaction.query_typed(&statements.list, &page).await?;
        transaction.rollback().await?;
        Ok(kept)
    };
    match kept.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(will_not_do(
            "what is written to its table does not stand there",
        )),
        Err(error) => {
            client.judged(&error);
            Err(not_done(&error))
        }
    }
}
