"""Tokens and cost: of each reply, the conversation, the kernel and the day, in memory and in the store."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic import models, present
from kimi_magic.books import midnight
from kimi_magic.messages import Usage
from kimi_magic.reply import Reply
from kimi_magic.store import Store, Used
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def account(server: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An account at the scripted server, and a store of its own."""
    return {
        "CLOUDFLARE_ACCOUNT_ID": "0" * 32,
        "CLOUDFLARE_API_TOKEN": server.token,
        "CLOUDFLARE_API_BASE_URL": server.url,
        "KIMI_HOME": str(tmp_path_factory.mktemp("spent")),
    }


@pytest.fixture(scope="module")
def paying(account: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Kernel]]:
    """Give a kernel with an account, its extension loaded afresh."""
    with Kernel(account, tmp_path_factory.mktemp("paying")) as kernel:
        assert kernel.run("%load_ext kimi_magic").ok

        def fresh() -> Kernel:
            assert kernel.run("%reload_ext kimi_magic").ok
            return kernel

        yield fresh


def rows(kernel: Kernel) -> dict[str, list[str]]:
    """The rows of `%kimi usage`, by turn or by whose they are."""
    found = kernel.value("get_ipython().run_line_magic('kimi', 'usage').rows")
    return {row[0] or row[1]: list(row[2:]) for row in found}


def today(kernel: Kernel) -> tuple[int, float]:
    """The day's tokens out, and its cost in dollars."""
    note = kernel.value("get_ipython().run_line_magic('kimi', 'usage').note")
    out, cost = re.search(r"Today, all kernels since 00:00 .*?([\d,]+) out, \$([\d.]+\d)", note).groups()
    return int(out.replace(",", "")), float(cost)


def test_a_reply_is_counted_in_all_four_places(paying: Callable[[], Kernel]) -> None:
    kernel = paying()
    assert kernel.run("%%kimi -q\n<<say first>>").ok
    before = today(kernel)[0]
    kernel = paying()
    assert kernel.run("%%kimi one -q\n<<think so>><<say " + "word " * 50 + ">>" + "x" * 2_000).ok
    assert kernel.run("%%kimi two -q\nagain <<say ok>>").ok
    assert kernel.run("%%kimi aside -q --no-history\n<<say aside>>").ok
    found = rows(kernel)
    fresh, cached, _, out, neurons, cost = found["2"]
    used = kernel.value("(two.usage.input, two.usage.cached, two.usage.output, two.usage.neurons, two.cost)")
    assert (fresh, cached, out) == (f"{used[0] - used[1]:,}", f"{used[1]:,}", f"{used[2]:,}")
    assert used[1] > 0
    assert neurons == f"{used[3]:,.1f}"
    assert cost == present.dollars(used[4]) == present.dollars(used[3] * models.NEURON_PRICE)
    outs = [kernel.value(f"{name}.usage.output") for name in ("one", "two", "aside")]
    assert found["this conversation"][3] == f"{sum(outs[:2]):,}"
    assert found["all"][3] == f"{sum(outs):,}"
    assert today(kernel)[0] == before + sum(outs)


def dollars(text: str) -> float:
    return float(text.removeprefix("$"))


def test_the_conversations_sum_is_that_of_its_rows(paying: Callable[[], Kernel]) -> None:
    kernel = paying()
    kernel.run("%kimi ask -q one <<say a>>\n%kimi ask -q two <<say b>>\n%kimi fork x\n%kimi ask -q --rerun always 3")
    found = rows(kernel)
    assert sum(dollars(found[n][5]) for n in "123") == pytest.approx(dollars(found["this conversation"][5]), rel=0.05)
    assert sum(int(found[n][3]) for n in "123") == int(found["this conversation"][3])
    kernel.run("%kimi undo")
    assert rows(kernel)["this conversation, with what was replaced or left"] == found["this conversation"]


def test_the_last_turns_are_listed_and_all_if_wanted(paying: Callable[[], Kernel]) -> None:
    kernel = paying()
    kernel.run("%kimi ask -q hi")
    kernel.run(
        "from kimi_magic import kernel as _k\nfrom dataclasses import replace as _r\n_c = _k.current().conversation\n"
        "for n in range(300): _c.append(_r(_c.tree[1], parent=_c.head))"
    )
    report = kernel.run("%kimi usage")
    assert "101 earlier turns are counted, not shown: %kimi usage --all" in report.text
    assert len(kernel.run("%kimi usage --all").text.splitlines()) == len(report.text.splitlines()) + 101


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0.0000"), (2, "$2.0000"), (0.01234, "$0.0123"), (0.00003456, "$0.000035"), (1e-12, "$0.000000000")],
)
def test_small_sums_have_digits_enough_to_add_up(amount: float, shown: str) -> None:
    assert present.dollars(amount) == shown


def test_today_is_shown_over_all_kernels(paying: Callable[[], Kernel], account: dict[str, str], tmp_path: Path) -> None:
    paying().run("%%kimi -q\n<<say one>>")
    before = today(paying())[1]
    with Kernel(account, tmp_path) as other:
        other.run("%load_ext kimi_magic")
        assert other.run("%%kimi reply -q\n<<tokens 5000>>").ok
        cost = other.value("reply.cost")
        assert today(other)[1] == pytest.approx(before + cost, abs=2e-4)


def test_a_cut_reply_is_written_too(paying: Callable[[], Kernel], account: dict[str, str]) -> None:
    kernel = paying()
    from pathlib import Path

    store = Store(Path(account["KIMI_HOME"]))
    before = len(store.usage(0))
    cell = kernel.run("%%kimi\n<<tokens 5000>><<rate 200>>", watch=kernel.interrupt_when(has_text))
    assert not cell.ok
    written = store.usage(0)[before:]
    store.close()
    assert len(written) == 1
    assert written[0].charged
    assert written[0].output > 0
    assert written[0].cost is not None
    assert written[0].cost == written[0].counted > 0


def has_text(message: dict[str, Any]) -> bool:
    return "word" in str(message["content"].get("data", {})) or "the" in str(message["content"].get("data", {}))


def test_no_price_no_figure(paying: Callable[[], Kernel]) -> None:
    kernel = paying()
    assert kernel.run("%%kimi reply -q -m moonshotai/kimi-k2.5\n<<usage none>><<say hi>>").ok
    assert kernel.value("reply.cost") is None
    found = rows(kernel)
    assert (found["1"][5], found["all"][5]) == ("–", "–")


def test_a_reply_that_the_service_did_not_count_has_no_figure() -> None:
    assert Reply("hi", model=models.DEFAULT).cost is None
    assert Reply("hi", model=models.DEFAULT, usage=Usage(10, 0, 1)).cost == pytest.approx(13.5e-6)


def test_the_local_model_costs_nothing_and_says_nothing_of_money(kernel: Kernel) -> None:
    kernel.run("%%kimi -q\n<<say hi>>")
    report = kernel.run("%kimi usage --plot")
    assert rows(kernel)["1"][5] == "–"
    assert 'role="img"' in report.html
    assert "Tokens of each reply" in report.text


def test_the_source_of_money_figures_is_told(paying: Callable[[], Kernel]) -> None:
    kernel = paying()
    kernel.run("%%kimi -q\n<<say hi>>")
    told = kernel.run("%kimi usage").text
    assert "exact where neurons are reported" in told
    assert "00:00 UTC" in told
    assert kernel.run("%kimi usage --bogus").reply["ename"] == "CommandError"


def test_the_store_gives_what_was_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    used = Used(time.time(), "h", "m", "c", 10, 5, None, 3, None, None, 0.25, charged=True, kernel="k")
    store.record_usage(used)
    store.record_usage(Used(midnight() - 1, "h", "m", "c", counted=9.0, kernel="k"))
    assert store.usage(midnight()) == [used]
    assert store.spent(midnight()) == 0.25
    assert store.spent(0) == 9.25
    store.close()


def test_the_day_begins_at_local_midnight() -> None:
    begun = time.localtime(midnight())
    assert (begun.tm_hour, begun.tm_min, begun.tm_yday) == (0, 0, time.localtime().tm_yday)


@pytest.mark.parametrize(("used", "remark"), [(190_000, ""), (200_000, "76 % of the window; %kimi compact, or --new")])
def test_the_footer_says_when_the_window_is_nearly_full(used: int, remark: str) -> None:
    reply = Reply("hi", model=models.DEFAULT, usage=Usage(used - 1_000, 0, 1_000))
    assert ("window" in " ".join(reply.facts)) == bool(remark)
    assert remark in " ".join(reply.facts)


def test_the_footer_says_so_in_a_kernel(kernel: Kernel) -> None:
    body = "x" * 14_000
    assert "of the window; %kimi compact, or --new" not in kernel.run("%%kimi\n<<say hi>>" + body).html
    assert "of the window; %kimi compact, or --new" in kernel.run("%%kimi\n<<say hi>>" + body).html
