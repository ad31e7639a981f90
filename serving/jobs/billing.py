"""Bills to Stripe's meters: one meter event a job, however often it is sent."""

from typing import Any

import stripe
from sqlalchemy import Row

from serving.jobs.outbox import NotNow, Outbox, Refused
from serving.storage.tables import BillingOutboxRow

THOUSANDTHS = 1000
"""Meters count whole numbers: thousandths of a step x megapixel, at least one."""


def billing(key: str, event: str, address: str | None = None, hold: float = 30.0) -> Outbox:
    """Meter events named `event`, by Stripe's secret `key`; `address` for a server of your own."""
    client = stripe.StripeClient(
        key,
        base_addresses={} if address is None else {"api": address},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=hold / 3),
    )

    def send(bill: Row[Any]) -> None:
        _send(client, event, bill)

    return Outbox(BillingOutboxRow, BillingOutboxRow.job, send, _pause, hold)


def _send(client: stripe.StripeClient, event: str, bill: Row[Any]) -> None:
    """Stripe takes an identifier once; a request that is repeated gets the first answer."""
    try:
        client.v1.billing.meter_events.create(
            params={
                "event_name": event,
                "identifier": bill.job,
                "timestamp": int(bill.occurred_at.timestamp()),
                "payload": {
                    "stripe_customer_id": bill.customer,
                    "value": str(max(1, round(bill.units * THOUSANDTHS))),
                },
            },
            options={"idempotency_key": bill.job},
        )
    except stripe.InvalidRequestError as error:
        if "already exists" not in str(error):
            raise Refused(_said(error)) from error
    except stripe.StripeError as error:
        raise NotNow(_said(error)) from error


def _said(error: stripe.StripeError) -> str:
    return f"{type(error).__name__}: {error.code or error.http_status or 'no answer'}"


def _pause(tries: int) -> float:
    return min(2.0**tries, 600.0)
