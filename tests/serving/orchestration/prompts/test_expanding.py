"""Expansion by rules: deterministic, in the open, and refusable piece by piece."""

from pathlib import Path

import pytest

from luciole.domain import InvalidRequest
from serving.orchestration.prompts.engine import Expansion, PromptEngine
from serving.orchestration.prompts.lexicon import Lexicon
from serving.orchestration.prompts.reading import Reader, Syntax, write
from serving.orchestration.prompts.rules import BadPack, RulePack, read_packs, shipped_packs
from serving.orchestration.prompts.tree import Kind
from serving.orchestration.prompts.vocabulary import SHIPPED, Vocabulary
from serving.orchestration.prompts.words import TaughtWords, Triggers

POCKET = Vocabulary.read(SHIPPED / "pocket.yaml")
READER = Reader(Lexicon.shipped(), {})
ENGINE = PromptEngine(READER, [*shipped_packs().values(), TaughtWords(POCKET)], POCKET)
WISH = "Anime girl walking in rain"
EXPANDED = (
    "1girl, walking, cinematic lighting, detailed background, rain particles, "
    "24fps storyboard style"
)
UNWANTED = "lowres, blurry, bad anatomy, bad hands, extra limbs, text, watermark"


def expanded(text: str, *names: str, refused: tuple[str, ...] = (), seed: int = 0) -> Expansion:
    chosen = ENGINE.chosen(names or ["storyboard"])
    return ENGINE.expand(READER.read(text), chosen, seed, refused)


def words(expansion: Expansion) -> str:
    return write(expansion.prompt.wanted, Syntax.A1111)


def unwanted(expansion: Expansion) -> str:
    return write(expansion.prompt.negatives, Syntax.A1111)


def test_a_wish_becomes_a_frame_of_a_storyboard() -> None:
    expansion = expanded(WISH)
    assert words(expansion) == EXPANDED
    assert unwanted(expansion) == UNWANTED


def test_the_same_prompt_and_seed_give_the_same_expansion() -> None:
    by_seed = {seed: words(expanded("a girl", "pocket", seed=seed)) for seed in range(12)}
    assert by_seed == {seed: words(expanded("a girl", "pocket", seed=seed)) for seed in range(12)}
    assert len(set(by_seed.values())) > 3


def test_every_change_can_be_refused_alone_and_only_it_is_missing() -> None:
    proposals = expanded(WISH).proposals
    ids = [one.change.id for one in proposals]
    assert len(set(ids)) == len(ids)
    for one in proposals:
        rest = expanded(WISH, refused=(one.change.id,))
        assert [p.change.id for p in rest.proposals if not p.taken] == [one.change.id]
        side = unwanted(rest) if one.change.unwanted else words(rest)
        everything = UNWANTED if one.change.unwanted else EXPANDED
        if one.change.text:
            assert one.change.text not in side.split(", ")
        kept = [phrase for phrase in everything.split(", ") if phrase != one.change.text]
        assert [phrase for phrase in side.split(", ") if phrase in kept] == kept or one.change.was


def test_whoever_refuses_all_gets_back_what_they_typed() -> None:
    ids = tuple(one.change.id for one in expanded(WISH).proposals)
    assert words(expanded(WISH, refused=ids)) == WISH


def test_a_refused_replacement_leaves_the_word_that_was_typed() -> None:
    refused = ("storyboard/rain-particles", "storyboard/storyboard-look")
    assert words(expanded(WISH, refused=refused)).split(", ")[-2:] == ["rain", "Anime"]


def test_replacing_keeps_how_loud_a_word_was_and_its_neighbours() -> None:
    assert "(heavy rain particles:1.3)" in words(expanded("a girl in (heavy rain:1.3)"))


def test_what_was_asked_for_is_not_worked_against() -> None:
    asked = expanded("watercolor of a cat, soft light, blurry, bokeh")
    assert "cinematic" not in words(asked)
    assert "storyboard" not in words(asked)
    assert "blurry" not in unwanted(asked)


def test_every_addition_says_which_rule_it_came_from() -> None:
    phrases = expanded(WISH).prompt.wanted.phrases
    named = {p.text: p.pieces[0].origin for p in phrases}
    assert named["cinematic lighting"].name == "storyboard/cinematic-lighting"
    assert named["walking"].kind == Kind.TYPED
    assert (named["walking"].start, named["walking"].end) == (11, 18)


def test_several_people_are_replaced_each_under_its_own_id() -> None:
    expansion = expanded("a girl and a woman")
    ids = [one.change.id for one in expansion.proposals if "one-girl" in one.change.id]
    assert ids == ["storyboard/one-girl", "storyboard/one-girl-2"]
    refused = expanded("a girl and a woman", refused=("storyboard/one-girl-2",))
    assert "woman" in words(refused)


@pytest.mark.parametrize("name", ["storyboard/no-such-rule", "pocket/shot", "nothing"])
def test_an_id_that_nobody_can_propose_is_an_error(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        expanded(WISH, refused=(name,))


def test_an_expander_that_is_not_here_is_named() -> None:
    with pytest.raises(InvalidRequest, match="there are pocket, storyboard, taught"):
        ENGINE.chosen(["cinema"])


def test_the_pack_of_pocket_says_only_words_that_pocket_knows() -> None:
    pack = shipped_packs()["pocket"]
    assert [POCKET.missing(text) for rule in pack.rules for text in rule.add if text] == [
        [] for rule in pack.rules for _ in rule.add
    ]


def test_additions_with_untaught_words_say_so_and_can_be_left_out_together() -> None:
    prompt, chosen = READER.read(WISH), ENGINE.chosen(["storyboard"])
    strange = {p.change.text: p.untaught for p in ENGINE.expand(prompt, chosen).proposals}
    assert strange["cinematic lighting"] == ("cinematic", "lighting")
    assert strange["1girl"] == ()
    taught = ENGINE.expand(prompt, chosen, taught_only=True)
    assert words(taught) == "1girl, walking, rain, Anime"


def test_taught_words_are_proposed_in_place_of_others() -> None:
    text = "a woman with purple hair in a jacket jogging through the woods"
    assert words(expanded(text, "taught")) == (
        "a girl with pink hair in a coat running in the forest"
    )
    refused = expanded(text, "taught", refused=("taught/jacket",))
    assert "in a jacket running" in words(refused)


def test_triggers_are_added_where_they_are_missing() -> None:
    triggers = Triggers({"ink": ["ink style"], "neon": ["neon night"]})
    prompt = READER.read("a girl, neon night")
    expansion = ENGINE.expand(prompt, [triggers])
    assert words(expansion) == "a girl, neon night, ink style"
    assert words(ENGINE.expand(prompt, [triggers], refused=["trigger/ink"])) == "a girl, neon night"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name: x\nabout: y\nrules: [{id: a, add: b, to: nowhere}]", "to"),
        ("name: x\nabout: y\nrules: [{id: a, add: [], to: style}]", "add"),
        ("name: x\nabout: y\nrules: [{id: a, add: b, to: style, typo: 1}]", "typo"),
        (
            "name: x\nabout: y\nrules: [{id: a, add: b, to: style}, {id: a, add: c, to: style}]",
            "twice",
        ),
        (
            "name: x\nabout: y\nrules: [{id: a, add: b, replace: c, to: style, unwanted: true}]",
            "only adds",
        ),
        ("a: [", "expected"),
    ],
)
def test_a_pack_that_cannot_be_read_is_named_with_its_fault(
    text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadPack, match=why) as caught:
        RulePack.read(tmp_path / "mine.yaml")
    assert caught.value.field == "mine.yaml"


def test_packs_are_found_in_a_folder_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: mine\nabout: y\nrules: []")
    assert list(read_packs(tmp_path)) == ["mine"]
