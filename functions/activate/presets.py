"""The known platforms, each a row of settings as in the document of sources. A new platform is a new row.

In a body that is not an order of the platform's, `paid` finds null: that is "unrecognised", and not "not paid". So does
`reversed`, which is true only for an order that is cancelled, or refunded in full; a partial refund never makes it true.
A source's own settings override its preset. A setting that a row omits has to be set by the merchant.
A preset's regular expressions are fixed and safe, and so are compiled by `re`; an operator's are compiled by RE2.
The sources of the facts are in docs/webhooks/, a page for each platform.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_SECRET_IN_URL: Final = {"scheme": "token", "query": "token", "field": "token"}
"""For platforms that sign nothing: the merchant pastes an address ending in `?token=...`, or sends the token as a field."""

_SALEOR_ORDER: Final = "(order || data.order || (data.*.order | [0]))"
"""The order in a subscription to `event { ... }`, and in one to an event by name, whose payload is in GraphQL's envelope."""

_BIGCOMMERCE_STATUS: Final = "data.status.new_status_id"

_ALWAYS: Final = "`true`"

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "shopify": {
        "auth": {
            "scheme": "hmac",
            "header": ["X-Shopify-Hmac-SHA256", "Shopify-Hmac-SHA256"],
            "encoding": "base64",
        },
        # From the body, because the header with the topic is not signed. A test notification is voided and cancelled.
        "paid": "financial_status && contains(['paid', 'partially_refunded'], financial_status) && !cancelled_at",
        # Who cancels refunds all or nothing; if a part was refunded nevertheless, a person has to decide.
        # shopify.dev, "OrderDisplayFinancialStatus"; Shopify Help Center, "Canceling orders".
        "reversed": (
            "financial_status && (financial_status == 'refunded' || cancelled_at"
            " && contains(['authorized', 'expired', 'paid', 'partially_paid', 'pending', 'voided'], financial_status))"
        ),
        "order_id": "id",
        # Not discount_codes[].code, which also lists the titles of discounts that staff typed in by hand.
        "codes": "discount_applications[?type == 'discount_code'].code",
    },
    "woocommerce": {
        "auth": {"scheme": "hmac", "header": "X-WC-Webhook-Signature", "encoding": "base64"},
        "handshake": re.compile("webhook_id=[0-9]+"),
        "paid": "status && contains(['processing', 'completed'], status)",
        # An order of which a part was refunded keeps its status. WooCommerce documentation, "Order statuses".
        "reversed": "status && contains(['cancelled', 'refunded'], status)",
        "order_id": "id",
        "codes": "coupon_lines[].code",
        # WooCommerce writes a code's & as &amp;: github.com/woocommerce/woocommerce/issues/44795.
        "unescape": "html",
    },
    "standard-webhooks": {
        "auth": {"scheme": "standard-webhooks"},
        "paid": "status && status == 'paid'",
        "reversed": "status && contains(['cancelled', 'refunded'], status)",
        "order_id": "order_id",
        "codes": "codes",
    },
    "shopware": {
        "auth": {"scheme": "hmac", "header": "shopware-shop-signature", "encoding": "hex"},
        "paid": "data.event && data.event == 'state_enter.order_transaction.state.paid'",
        # Not order_transaction.state.cancelled: a customer whose payment failed pays the same order by another transaction.
        # Shopware developer documentation, "Webhook event reference" and "Using the state machine".
        "reversed": (
            "data.event && contains(['state_enter.order.state.cancelled',"
            " 'state_enter.order_transaction.state.refunded'], data.event)"
        ),
        "order_id": "data.payload.order.id",
        "codes": "data.payload.order.lineItems[?type == 'promotion'].payload.code",
    },
    "saleor": {
        "auth": {"scheme": "hmac", "header": "Saleor-Signature", "encoding": "hex"},
        "paid": f"{_SALEOR_ORDER}.isPaid",
        # docs.saleor.io, "OrderStatus" and "PaymentChargeStatusEnum". The subscription's query has to ask for both fields.
        "reversed": (
            f"{_SALEOR_ORDER} | (status || paymentStatus)"
            " && (status == 'CANCELED' || paymentStatus == 'FULLY_REFUNDED')"
        ),
        "order_id": f"{_SALEOR_ORDER}.id",
        "codes": f"[{_SALEOR_ORDER}.voucherCode][?@]",
    },
    "tilda": {
        "auth": _SECRET_IN_URL,
        "handshake": re.compile("test=test(&.*)?"),
        # Every form of the site can post here; only a cart's has an order. By two settings of the webhook it has three shapes:
        # fields like payment[orderid], one field that holds JSON, and a body that is JSON.
        "json_fields": ["payment"],
        "paid": 'payment.orderid || "payment[orderid]"',
        "order_id": 'payment.orderid || "payment[orderid]"',
        "codes": '[payment.promocode || "payment[promocode]"][?@]',
    },
    "retailcrm": {
        "auth": _SECRET_IN_URL,
        # The merchant defines a trigger, with the parameters of docs/webhooks/retailcrm.md; it fires only for paid orders.
        "paid": _ALWAYS,
        "order_id": "order_id",
        "codes": "codes",
        "split": ";",
    },
    "insales": {
        "auth": _SECRET_IN_URL,
        "paid": "financial_status && financial_status == 'paid'",
        # InSales' word for a cancelled order. InSales API documentation, "Order".
        "reversed": "fulfillment_status && fulfillment_status == 'declined'",
        "order_id": "id",
        # No `codes`: which field of discounts[] holds the code is not documented, and a wrong guess would go unnoticed.
    },
    "stripe": {
        "auth": {"scheme": "stripe"},
        "paid": (
            "type && contains(['checkout.session.completed', 'checkout.session.async_payment_succeeded'], type)"
            " && data.object.payment_status == 'paid'"
        ),
        # The charge is refunded in full; the event comes for a part too. Stripe API reference, "The Charge object".
        "reversed": "type && type == 'charge.refunded' && data.object.refunded",
        "order_id": "data.object.id",
        # Stripe's own discounts hold ids, not codes: the shop writes the code into the session's metadata.
        "codes": "[data.object.metadata.promo_code][?@]",
    },
    "ecwid": {
        # Ecwid signs only its event's id, and not the event's content; the order is fetched from its API.
        "auth": _SECRET_IN_URL,
        "paid": "paymentStatus && paymentStatus == 'PAID'",
        # Ecwid developer documentation, "Get order".
        "reversed": "paymentStatus && contains(['CANCELLED', 'REFUNDED'], paymentStatus)",
        "order_id": "id",
        "codes": "[discountCoupon.code][?@]",
    },
    "bigcommerce": {
        "auth": {"scheme": "standard-webhooks", "key_encoding": "text"},
        # Shipped, partially shipped, awaiting pickup, awaiting shipment, completed, awaiting fulfilment, partially refunded.
        "paid": f"{_BIGCOMMERCE_STATUS} && contains(`[2, 3, 8, 9, 10, 11, 14]`, {_BIGCOMMERCE_STATUS})",
        # Refunded, cancelled. BigCommerce developer documentation, "Order status".
        "reversed": f"{_BIGCOMMERCE_STATUS} && contains(`[4, 5]`, {_BIGCOMMERCE_STATUS})",
        "order_id": "data.id",
        "codes": "[].code",
    },
    "generic": {},
}

FETCHES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ecwid": {
        "fetch": {
            "host": "app.ecwid.com",
            "path": "/api/v3/{storeId}/orders/{data.orderId}",
            "headers": {"Authorization": "Bearer {secret}"},
            "when": "data.newPaymentStatus && data.newPaymentStatus == 'PAID'",
        },
    },
    "bigcommerce": {
        # `base` is the store's: /stores/abc123. Without coupons the answer is 204.
        "fetch": {
            "host": "api.bigcommerce.com",
            "path": "/v2/orders/{data.id}/coupons",
            "headers": {"X-Auth-Token": "{secret}"},
            "answers": "codes",
        },
    },
    "insales": {
        # The order has a coupon's id, and not its code.
        "fetch": {
            "path": "/admin/discount_codes/{discounts[].discount_code_id}.json",
            "headers": {"Authorization": "Basic {secret_base64}"},
            "answers": "codes",
        },
        "codes": "[code || discount_code.code][?@]",
    },
    "stripe": {
        "fetch": {
            "host": "api.stripe.com",
            "path": "/v1/promotion_codes/{not_null(data.object.discounts, `[]`)[].promotion_code}",
            "headers": {"Authorization": "Bearer {secret}"},
            "answers": "codes",
        },
        "codes": "[code][?@]",
        # A refunded charge has no discounts, so its promotion codes cannot be fetched.
        "reversed": None,
    },
}
"""Further presets for sources with `fetch`; a source can override each part of it. None: there is no such setting."""

REVERSALS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Their orders have a state of the payment and one of the order: what was paid and then cancelled stays paid.
    "saleor": {
        "paid": (f"{_SALEOR_ORDER} | isPaid && status != 'CANCELED' && paymentStatus != 'FULLY_REFUNDED'"),
    },
    "insales": {
        "paid": "financial_status && financial_status == 'paid' && fulfillment_status != 'declined'",
    },
    # A refunded charge does not name the Checkout session; both name the payment intent.
    "stripe": {
        "order_id": "data.object.payment_intent || data.object.id",
    },
    "ecwid": {
        "fetch": {
            "when": "data.newPaymentStatus && contains(['PAID', 'CANCELLED', 'REFUNDED'], data.newPaymentStatus)",
        },
    },
}
"""Further presets for sources with `on_reversal` `deactivate`; without it a source reads its orders as before there was one."""

WITHOUT_FETCH: Final = frozenset({"insales", "stripe"})
"""The platforms of `FETCHES` whose sources may omit `fetch`."""
