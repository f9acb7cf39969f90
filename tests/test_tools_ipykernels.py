"""Async tools on the loops of the oldest and the newest kernel that this package runs in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD = Path(sys.prefix, "ipykernel-6.29")
"""Where the Makefile puts it, beside the one that is installed."""
POOL = '''
import asyncio

class Pool:
    """What a database driver does: its connections belong to the loop that made them."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.free = asyncio.Queue()
        for number in range(2):
            self.free.put_nowait(number)

    async def query(self, text):
        assert asyncio.get_running_loop() is self.loop
        connection = await self.free.get()
        await asyncio.sleep(0.3)
        self.free.put_nowait(connection)
        return f"{text} by {connection}"

async def opened():
    await asyncio.sleep(0)
    return Pool()

pool = await opened()

async def ask_database(text: str) -> str:
    """Ask the database."""
    return await pool.query(text)
'''
CALLS = "".join(f'<<tool ask_database {{"text": "q{n}"}}>>' for n in range(4))


@pytest.fixture(params=["6.29", "7"])
def kernel(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Iterator[Kernel]:
    here = str(Path(__file__).parents[1])
    paths = [str(OLD), here] if request.param == "6.29" else [here]
    with Kernel(environment | {"PYTHONPATH": ":".join(paths)}, tmp_path) as kernel:
        kernel.run("import ipykernel\n%load_ext kimi_magic")
        assert kernel.value("ipykernel.__version__").startswith(f"{request.param}.")
        yield kernel


def test_a_pool_of_an_earlier_cell_serves_and_no_message_is_lost(kernel: Kernel) -> None:
    cell = kernel.run(POOL)
    assert cell.ok, cell.text
    client = kernel.client
    asked = client.execute(f"%%kimi answer -t ask_database\nAsk. {CALLS}")
    later = [client.execute(f"later = {number}") for number in range(5)]
    wanted, replies = {asked, *later}, {}
    while wanted - replies.keys():
        reply = client.get_shell_msg(timeout=30)
        replies[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
    assert set(replies.values()) == {"ok"}
    answers = kernel.value("sorted(call.text.split()[0] for call in answer.calls)")
    assert answers == ["q0", "q1", "q2", "q3"]
    assert kernel.value("later") == 4
    assert kernel.value("pool.free.qsize()") == 2
    assert kernel.run("print(await pool.query('after'))").text.startswith("after by")
