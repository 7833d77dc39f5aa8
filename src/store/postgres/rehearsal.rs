//! The steps, tried where nobody else is.

use tokio_postgres::IsolationLevel;
use tokio_postgres::types::Type;

use super::error::not_done;
use super::link::{Borrowed, Parameter};
use super::row::Secret;
use super::sql::Statements;
use crate::store::{Grant, StoreError};

/// Does all that steps do, on an account that there is not, and takes it back.
pub(super) async fn rehearse(
    client: &mut Borrowed<'_>,
    steps: &Statements,
) -> Result<(), StoreError> {
    // No account's name has a control character.
    let name = format!("\u{1}{:x}", fastrand::u64(..));
    let account: Parameter<'_> = (&name, Type::TEXT);
    let text: Parameter<'_> = (&"1", Type::TEXT);
    let number: Parameter<'_> = (&1_i64, Type::INT8);
    let flag: Parameter<'_> = (&false, Type::BOOL);
    let secret: Parameter<'_> = (&Secret(Grant::default().to_bytes()), Type::BYTEA);
    let steps: [(&str, &[&Parameter<'_>]); 8] = [
        (&steps.commit, &[&text, &text, &secret, &number]),
        (&steps.read, &[]),
        (&steps.acquire, &[&text, &text, &number, &flag]),
        (&steps.intend, &[&text, &number, &number]),
        (&steps.doubt, &[&text, &number, &text]),
        (&steps.reject, &[&text, &number, &text]),
        (
            &steps.release,
            &[&text, &number, &number, &text, &flag, &number],
        ),
        (&steps.revoke, &[&secret]),
    ];
    let transaction = client.client()?.build_transaction();
    let transaction = transaction.isolation_level(IsolationLevel::ReadCommitted);
    let done = async {
        let transaction = transaction.start().await?;
        for (step, own) in steps {
            let mut parameters = vec![account.clone()];
            if !own.is_empty() {
                // What a notification says: none is sent.
                parameters.push(text.clone());
            }
            parameters.extend(own.iter().map(|&it| it.clone()));
            transaction.query_typed(step, &parameters).await?;
        }
        transaction.rollback().await
    };
    let done: Result<(), tokio_postgres::Error> = done.await;
    done.map_err(|error| {
        client.judged(&error);
        not_done(&error)
    })
}
