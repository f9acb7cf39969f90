"""The tree of turns: where a question goes, what the model is sent, and what becomes of the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kimi_magic.conversation import NOWHERE, Conversation, Origin, Position, Turn
from kimi_magic.messages import Message
from kimi_magic.reply import Reply


def ask(conversation: Conversation, text: str, origin: Origin = NOWHERE) -> Turn:
    """Ask and answer in a conversation, as a session does."""
    parent = conversation.position(origin).parent
    opening = conversation.opening(Message.of("user", text), "", parent)
    return conversation.append(Turn(opening, Reply(f"re: {text}"), parent=parent, origin=origin))


def said(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages() if message.role == "user"]


def cell(name: str, run: str) -> Origin:
    return Origin(name, run, 1)


def test_a_cell_that_runs_again_asks_where_its_turn_stood() -> None:
    conversation = Conversation()
    for name in "abc":
        ask(conversation, name, cell(name, "1"))
    ask(conversation, "b again", cell("b", "2"))
    assert said(conversation) == ["a", "b again"]
    assert list(conversation.states().values()) == ["", "replaced", "stale", ""]
    ask(conversation, "c again", cell("c", "2"))
    assert said(conversation) == ["a", "b again", "c again"]


def test_several_questions_of_one_run_follow_each_other() -> None:
    conversation = Conversation()
    for text in ("one", "two"):
        ask(conversation, text, cell("loop", "1"))
    assert said(conversation) == ["one", "two"]
    for text in ("one", "two", "three"):
        ask(conversation, text, cell("loop", "2"))
    assert said(conversation) == ["one", "two", "three"]


def test_without_a_cells_name_a_question_goes_to_the_end() -> None:
    conversation = Conversation()
    for _ in range(2):
        ask(conversation, "same", Origin("", "run", 3))
    assert said(conversation) == ["same", "same"]


def test_what_was_dropped_is_sent_no_longer_and_says_so() -> None:
    conversation = Conversation()
    for text in "abc":
        ask(conversation, text)
    conversation.dropped |= {2}
    assert said(conversation) == ["a", "c"]
    assert conversation.states()[2] == "dropped"


def test_a_system_message_of_another_branch_is_not_in_force() -> None:
    conversation = Conversation()
    first = ask(conversation, "a")
    opening = conversation.opening(Message.of("user", "b"), "Be brief.")
    conversation.append(Turn(opening, Reply("ok"), parent=first.number))
    assert len(conversation.opening(Message.of("user", "c"), "Be brief.")) == 1
    assert len(conversation.opening(Message.of("user", "c"), "Be brief.", first.number)) == 2


def test_a_fork_shares_the_past_and_the_affinity_and_nothing_else() -> None:
    conversation = Conversation()
    ask(conversation, "a")
    fork = conversation.forked("debug")
    ask(fork, "b")
    ask(conversation, "c")
    assert (said(conversation), said(fork)) == (["a", "c"], ["a", "b"])
    assert fork.affinity == conversation.affinity


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=30))
def test_no_turn_is_lost_and_the_path_holds_each_cell_once(runs: list[tuple[str, int]]) -> None:
    conversation = Conversation()
    for run, (name, undone) in enumerate(runs):
        ask(conversation, f"{name}{run}", cell(name, str(run)))
        for _ in range(undone if undone == 3 else 0):
            conversation.head = conversation.tree[conversation.head].parent if conversation.head else 0
    assert sorted(conversation.tree) == list(range(1, len(runs) + 1))
    cells = [turn.origin.cell for turn in conversation.turns]
    assert len(cells) == len(set(cells))
    states = conversation.states()
    assert all((states[turn.number] == "") == (turn in conversation.turns) for turn in conversation.tree.values())


def test_a_turn_is_named_by_its_question_not_by_what_went_along() -> None:
    block = '<context name="df[&quot;a&quot;]">\npandas Series: 3 values\n</context>'
    beside = ask(Conversation(), f"{block}\n\n{block}\n\nWhat is odd?")
    assert beside.words == "What is odd?"
    inside = ask(Conversation(), f"Compare \n{block}\n with 42.")
    assert inside.words == 'Compare df["a"] with 42.'


def test_a_summary_begins_with_the_system_message_in_force_and_stands_for_what_it_sums_up() -> None:
    conversation = Conversation()
    conversation.append(Turn(conversation.opening(Message.of("user", "a"), "Be brief."), Reply("re: a")))
    for name in "bcd":
        ask(conversation, name, cell(name, "1"))
    kept = conversation.turns[-1:]
    conversation.compact(3, Message.of("user", "Sum up."), Reply("A summary."), kept)
    assert [message.text for message in conversation.messages()][:3] == ["Be brief.", "Sum up.", "A summary."]
    assert said(conversation) == ["Sum up.", "d"]
    assert len(conversation.opening(Message.of("user", "e"), "Be brief.")) == 1
    assert list(conversation.states().values()) == ["summarised"] * 3 + ["stale", "", ""]
    assert [reply.text for reply in conversation.replies] == ["re: a", "re: b", "re: c", "re: d", "A summary."]
    conversation.compact(6, Message.of("user", "Sum up."), Reply("Another."), ())
    assert [turn.number for turn in conversation.lived] == [1, 2, 3, 5, 6, 7]


def test_a_cell_that_was_summarised_asks_where_its_turn_stood_so_that_run_all_says_the_same_again() -> None:
    conversation = Conversation()

    def run_all(run: str) -> list[list[str]]:
        asked = []
        for name in "abcd":
            ask(conversation, name, cell(name, run))
            asked.append(said(conversation))
            if name == "c":
                conversation.compact(2, Message.of("user", "Sum up."), Reply("Both."), conversation.turns[2:])
        return asked

    assert run_all("1") == run_all("2") == [["a"], ["a", "b"], ["a", "b", "c"], ["Sum up.", "c", "d"]]


def test_a_cell_whose_turn_is_on_another_branch_asks_at_the_end_and_is_told_so() -> None:
    conversation = Conversation()
    for name in "abc":
        ask(conversation, name, cell(name, "1"))
    conversation.head = 1
    assert conversation.position(cell("c", "2")) == Position(parent=1, elsewhere=3)
    ask(conversation, "c", cell("c", "2"))
    assert conversation.position(cell("c", "2")) == Position(parent=4)
