"""Functions of a row from training to the service: failures, changes, what explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock
from holdfast.errors import ContractError, UserCodeError
from holdfast.loop.project import Project
from tests.simulation import tiny

CLOCK = FixedClock(tiny.NOW + tiny.DAY)
FUNCTION = """

@hf.row_feature(Payment.amount, Payment.channel.upper(), returns=float)
def risk(amount, channel):
    return 100.0 / (amount - 13.0) + len(channel)


@hf.row_feature(Payment.shop, Payment.channel, returns=str)
def kind(shop, channel):
    return f"{shop or 'none'}:{channel}"

"""
FEATURES = """
    risk = risk
    kind = kind
    usual_risk = by_card.mean(risk, over="30d")
    online = by_card.sum(hf.when(Payment.channel.starts_with("on"), Payment.amount, 0), over="7d")
"""
USUAL = '    usual = by_card.mean(Payment.amount, over="30d")\n'


def write(folder: Path) -> Path:
    """The tiny project with functions in its definition."""
    path = tiny.write(folder) / "tiny.py"
    text = path.read_text(encoding="utf-8").replace("\nby_card =", FUNCTION + "\nby_card =")
    path.write_text(text.replace(USUAL, USUAL + FEATURES), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write(tmp_path_factory.mktemp("functions"))
    Project(made, clock=CLOCK).train()
    return made


def payment(number: int, amount: float) -> dict[str, Any]:
    return {"payment_id": f"n{number}", "paid_at": CLOCK.now_us(), "card": "c1", "shop": "s1",
            "amount": amount, "channel": "online"}  # fmt: skip


def test_functions_are_features_from_training_to_the_service(folder: Path) -> None:
    project = Project(folder, clock=CLOCK)
    rows = project.training_set()
    texts = rows.categories["kind"].values()
    assert "s1:online" in texts and "none:chip" in texts
    with project.service() as service:
        answer = service.predict(payment(1, 14.0))
        assert answer.by == "model"
        named = dict(zip(service.plan.feature_names, answer.features, strict=True))
        assert named["risk"] == 106.0
        again = service.predict(payment(2, 15.0))
        later = dict(zip(service.plan.feature_names, again.features, strict=True))
        assert later["usual_risk"] is not None
    served = Project(folder, clock=CLOCK).parity(rows=200)
    assert served["served"] is not None and served["served"].differ == 0
    assert served["history"] is not None and served["history"].differ == 0


def test_where_a_function_fails_the_fallback_answers_and_is_counted(folder: Path) -> None:
    with Project(folder, clock=CLOCK).service() as service:
        before = service.head()["next_offset"]
        answer = service.predict(payment(10, 13.0))
        assert (answer.by, answer.decision) == ("fallback", "review")
        assert answer.failure is not None and "`risk(13.0, 'ONLINE')` raised" in answer.failure
        assert (service.counts["failures"], service.counts["fallbacks"]) == (1, 1)
        assert service.head()["next_offset"] == before
        with pytest.raises(UserCodeError, match="HF330"):
            service.event("Payment", payment(11, 13.0))
        assert service.head()["next_offset"] == before
        assert service.predict(payment(12, 14.0)).by == "model"


def test_a_function_that_fails_on_history_stops_training(tmp_path: Path) -> None:
    folder = write(tmp_path)
    with (folder / "payments.csv").open("a", encoding="utf-8") as file:
        file.write("bad,2025-02-20T00:00:00Z,c1,s1,13.0,online\n")
    with pytest.raises(UserCodeError, match=r"`risk\(13\.0, 'ONLINE'\)` raised") as caught:
        Project(folder, clock=CLOCK).training_set()
    assert str(caught.value.site).startswith("tiny.py:")


def test_a_changed_function_is_not_served_with_the_old_model(folder: Path) -> None:
    path = folder / "tiny.py"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("100.0 / (", "90.0 / ("), encoding="utf-8")
        with (
            pytest.raises(ContractError, match="`risk` is not the one") as caught,
            Project(folder, clock=CLOCK).service(),
        ):
            pass
        assert caught.value.code == "HF334"
        comment = text.replace("    return 100.0", "    # as agreed\n    return 100.0")
        path.write_text(comment, encoding="utf-8")
        with Project(folder, clock=CLOCK).service() as service:
            assert service.predict(payment(20, 14.0)).by == "model"
    finally:
        path.write_text(text, encoding="utf-8")


def test_batch_calls_the_functions(folder: Path, tmp_path: Path) -> None:
    file_in, file_out = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = ["payment_id,paid_at,card,shop,amount,channel"]
    lines += [f"f{n},2025-03-02T10:00:00Z,c1,s1,{20 + n},chip" for n in range(3)]
    file_in.write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = Project(folder, clock=CLOCK).predict_file(None, file_in, file_out)
    assert counts["by_model"] == 3
