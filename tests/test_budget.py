"""A budget stops before the question that might pass it, and never after."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimi_magic import models
from kimi_magic.books import Books, Hold
from kimi_magic.budget import Budget
from kimi_magic.errors import AccountError, BudgetReached
from kimi_magic.messages import Message, Usage
from kimi_magic.reply import Reply
from kimi_magic.store import Store
from kimi_magic.wire import Request
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Seen

UNPRICED = "moonshotai/kimi-k2.5"


def request(limit: int = 1_000, text: str = "hi", model: str = models.DEFAULT) -> Request:
    return Request(model, (Message.of("user", text),), limit)


def reply(output: int, asked: Request) -> Reply:
    return Reply("words", model=asked.model, usage=Usage(5, 0, output), request_id="r")


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("$2", Budget(2)), ("2", Budget(2)), ("$0.05 / day", Budget(0.05, "day")), ("$2/day", Budget(2, "day")),
        ("2 a day", Budget(2, "day")), (".5", Budget(0.5)), ("off", None),
    ],
)  # fmt: skip
def test_budgets_are_read(text: str, budget: Budget | None) -> None:
    assert Budget.parse(text) == budget
    assert budget is None or Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "two", "-1", "$2/week", "2,50", "1e3", "nan", "$", "$2 $3"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no"):
        Budget.parse(text)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 0.1), st.lists(st.tuples(st.integers(1, 16_000), st.floats(0, 1)), max_size=30))
def test_what_is_spent_never_passes_it(dollars: float, questions: list[tuple[int, float]]) -> None:
    books, budget = Books(), Budget(dollars)
    for limit, share in questions:
        try:
            admitted, hold = books.admit(request(limit), budget, charged=True)
        except BudgetReached:
            continue
        assert admitted.max_tokens <= limit
        books.settle(hold, reply(int(admitted.max_tokens * share), admitted), "", "")
        assert books.spent(budget) <= dollars
    assert books.in_flight == 0


def test_two_threads_cannot_both_take_the_last_cent() -> None:
    books, budget = Books(), Budget(0.005)
    together = threading.Barrier(8)
    got: list[Hold | BudgetReached] = []

    def ask() -> None:
        together.wait()
        try:
            got.append(books.admit(request(1_000), budget, charged=True)[1])
        except BudgetReached as error:
            got.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Hold) for one in got) == 1
    assert books.in_flight <= 0.005


def test_what_is_not_billed_or_has_no_price_is_not_counted() -> None:
    books, nothing = Books(), Budget(0)
    books.admit(request(), nothing, charged=False)
    books.admit(request(model=UNPRICED), nothing, charged=True)
    with pytest.raises(BudgetReached) as caught:
        books.admit(request(), nothing, charged=True)
    assert isinstance(caught.value, AccountError)
    assert "%kimi budget $0.01" in caught.value.hint


def test_a_reply_that_the_service_did_not_count_counts_at_its_most() -> None:
    books, budget = Books(), Budget(1)
    admitted, hold = books.admit(request(), budget, charged=True)
    books.settle(hold, Reply("words", model=admitted.model, request_id="r"), "", "")
    assert 0 < books.spent(budget) <= hold.sent + hold.reply
    assert (books.cost, books.unpriced) == (0, 1)


def test_a_question_that_was_refused_costs_nothing() -> None:
    books, budget = Books(), Budget(1)
    admitted, hold = books.admit(request(), budget, charged=True)
    books.settle(hold, Reply(model=admitted.model), "", "")
    assert (books.spent(budget), books.in_flight, books.replies) == (0, 0, 0)


def test_a_day_counts_other_kernels_too(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    budget = Budget(0.01, "day")
    books = Books(lambda: one)
    admitted, hold = books.admit(request(2_000), budget, charged=True)
    books.settle(hold, reply(2_000, admitted), "", "")
    assert Books(lambda: other).spent(budget) == pytest.approx(0.008, rel=0.01)
    with pytest.raises(BudgetReached, match="over all kernels"):
        Books(lambda: other).admit(request(300, text="x" * 3_000), budget, charged=True)
    one.close()
    other.close()


@pytest.fixture
def payer(server: Any, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with an account; nothing spent in it yet, no budget."""
    account = {
        "CLOUDFLARE_ACCOUNT_ID": "0" * 32,
        "CLOUDFLARE_API_TOKEN": server.token,
        "CLOUDFLARE_API_BASE_URL": server.url,
        "KIMI_HOME": str(tmp_path / "home"),
    }
    with Kernel(account, tmp_path) as kernel:
        assert kernel.run("%load_ext kimi_magic").ok
        yield kernel


def test_it_stops_before_the_question_and_a_raise_goes_on(payer: Kernel, seen: Seen) -> None:
    assert "$0.00" in payer.run("%kimi budget $0.001").text
    cell = payer.run("%%kimi\n<<say hi>>")
    assert cell.reply["ename"] == "BudgetReached"
    assert seen.all() == []
    assert "%kimi budget $0.07" in cell.text
    assert payer.run("%kimi egress").text.count("question") == 0
    assert payer.run("%kimi budget $1").ok
    assert payer.run("%%kimi\n<<say hi>>").text == "hi"
    assert "left" in payer.run("%kimi budget").text
    assert "None is set" in payer.run("%kimi budget off").text


def test_the_limit_is_made_smaller_where_that_makes_it_fit(payer: Kernel, seen: Seen) -> None:
    payer.run("%kimi budget $0.004")
    cell = payer.run("%%kimi reply\n<<tokens 2000>>")
    assert cell.ok, cell.text
    limit = payer.value("reply.max_tokens")
    assert 300 <= limit < 1_000
    assert "by the budget of $0.004" in cell.html
    assert "all that the budget of $0.004 allowed" in cell.html
    assert payer.value("reply.cost") <= 0.004
    assert payer.run("%%kimi\nagain").reply["ename"] == "BudgetReached"
    assert len(seen.all()) == 1


def test_a_reply_within_a_smaller_limit_is_replayed_by_what_was_wanted(payer: Kernel) -> None:
    payer.run("%kimi budget $0.004")
    for reply in ("<<say short>>", "<<tokens 2000>>"):
        assert payer.run(f"%kimi ask -q --no-history --max-tokens 3000 {reply}").ok
    assert payer.run("%kimi ask --no-history --max-tokens 3000 --rerun only <<say short>>").ok
    cell = payer.run("%kimi ask --no-history --max-tokens 3000 --rerun only <<tokens 2000>>")
    assert cell.reply["ename"] == "NotRecorded"


def test_two_threads_of_a_kernel_cannot_both_pass(payer: Kernel, seen: Seen) -> None:
    payer.run("%kimi budget $0.003")
    payer.run(
        "import threading, kimi_magic\nfrom kimi_magic.errors import BudgetReached\ntold = []\n"
        "def ask():\n    try:\n        told.append(kimi_magic.ask('<<tokens 600>>', quiet=True).cost <= 0.003)\n"
        "    except BudgetReached:\n        told.append('reached')\n"
        "threads = [threading.Thread(target=ask) for _ in range(2)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads];"
    )
    assert payer.value("sorted(told, key=str)") == [True, "reached"]
    assert len(seen.all()) == 1


def test_a_model_without_a_price_is_told(payer: Kernel) -> None:
    payer.run("%kimi budget $2/day")
    payer.run(f"%kimi model {UNPRICED}")
    told = payer.run("%kimi budget").text
    assert f"No price is known for {UNPRICED}" in told
    assert "your local day" in told
    assert payer.run("%kimi budget two").reply["ename"] == "CommandError"


def test_a_cut_reply_of_a_priced_model_has_a_price(payer: Kernel) -> None:
    payer.run("%kimi budget $1")
    assert not payer.run("%%kimi\n<<usage none>><<fault cut after=1>><<say one two three>>").ok
    told = payer.run("%kimi budget").text
    assert "spent   $0.0000\n" not in told
    assert "No price is known" not in told


def test_what_others_bill_is_told(payer: Kernel, server: Any) -> None:
    payer.run("%kimi budget $1")
    assert "bills is not known" not in payer.run("%kimi budget").text
    payer.run(f"%config KimiMagics.api_key = {server.token!r}")
    payer.run(f"%kimi use {server.url}/accounts/{'0' * 32}/ai/v1\n%kimi model {models.DEFAULT}")
    assert "What 127.0.0.1 bills is not known, and not counted." in payer.run("%kimi budget").text
    assert payer.run("%%kimi\n<<say hi>>").ok
    payer.run("%kimi use cloudflare")
    assert "What 127.0.0.1 bills is not known, and not counted." in payer.run("%kimi budget").text


def test_a_kernel_has_spent_what_it_has_whatever_is_reloaded(payer: Kernel, seen: Seen) -> None:
    payer.run("%kimi budget $0.004")
    assert payer.run("%%kimi\n<<tokens 2000>>").ok
    payer.run("%reload_ext kimi_magic\n%kimi budget $0.004")
    assert payer.run("%%kimi\n<<tokens 2000>>").reply["ename"] == "BudgetReached"
    assert len(seen.all()) == 1


def test_a_setting_is_a_budget_too(payer: Kernel) -> None:
    payer.run("%config KimiMagics.budget = '$0.0001'")
    assert payer.run("%%kimi\nhi").reply["ename"] == "BudgetReached"
    assert "$0.0001" in payer.run("%kimi config").text
