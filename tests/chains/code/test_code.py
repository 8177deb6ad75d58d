from typing import Any, cast

import pytest

from chains import CHAINS
from chains.code import parsing
from chains.root import OpaqueRoot
from chains.spec import ChainDeps
from core.errors import InvalidRequest
from core.settings import Settings
from providers.base import ModelFacts
from tests.chains.fakes import ScriptedChat, ScriptedModels

GOOD = "```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
BROKEN = "```python\ndef add(a, b)\n    return a + b\n```\nIt adds."


@pytest.fixture
def model() -> ScriptedChat:
    return ScriptedChat()


def root(name: str, settings: Settings, model: ScriptedChat, facts: ModelFacts | None = None) -> OpaqueRoot:
    deps = ChainDeps(settings, cast("Any", ScriptedModels(model, facts)), cast("Any", None), cast("Any", None))
    built: OpaqueRoot = CHAINS.load(name).build(deps)
    return built


async def test_code_comes_out_of_its_fence_with_its_explanation(settings: Settings) -> None:
    answer = await root("code/generate", settings, ScriptedChat(GOOD)).ainvoke({"instruction": "add"})
    assert answer["output"] == {
        "code": "def add(a, b):\n    return a + b",
        "language": "python",
        "explanation": "It adds.",
        "valid": True,
        "problems": [],
    }
    assert answer["usage"]["output_tokens"] > 0


async def test_code_that_does_not_parse_is_repaired_once(settings: Settings) -> None:
    model = ScriptedChat(BROKEN, GOOD)
    answer = await root("code/generate", settings, model).ainvoke({"instruction": "add"})
    assert answer["output"]["valid"] is True
    assert len(model.prompts) == 2
    assert "Line 1" in model.prompts[1][-1].text


async def test_code_that_still_does_not_parse_says_so(settings: Settings) -> None:
    model = ScriptedChat(BROKEN, BROKEN, GOOD)
    answer = await root("code/generate", settings, model).ainvoke({"instruction": "add"})
    assert answer["output"]["valid"] is False
    assert answer["output"]["problems"][0]["line"] == 1
    assert len(model.prompts) == 2


async def test_a_language_that_no_parser_knows_is_not_judged(settings: Settings) -> None:
    answer = await root("code/generate", settings, ScriptedChat("```\n++++.\n```")).ainvoke(
        {"instruction": "add", "language": "Brainfuck"}
    )
    assert (answer["output"]["valid"], answer["output"]["language"]) == (None, "brainfuck")


async def test_what_the_parser_finds_is_told_to_the_model_that_fixes(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append(GOOD)
    answer = await root("code/fix", settings, model).ainvoke({"code": "def add(a, b)\n    return a + b"})
    assert "Line 1: expected ':'" in model.prompts[0][-1].text
    assert answer["output"]["valid"] is True


async def test_tests_are_written_in_the_languages_own_framework(settings: Settings, model: ScriptedChat) -> None:
    await root("code/tests", settings, model).ainvoke({"code": "fn add(a: i32) -> i32 { a }"})
    assert "Rust's built-in tests" in model.prompts[0][0].text


async def test_a_translation_is_parsed_as_its_target(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append("```js\nfunction add(a, b) { return a + b; }\n```")
    answer = await root("code/translate", settings, model).ainvoke(
        {"code": "def add(a, b): return a + b", "target_language": "JS"}
    )
    assert (answer["output"]["language"], answer["output"]["valid"]) == ("javascript", True)
    assert "python code to javascript" in model.prompts[0][-1].text


async def test_code_in_another_language_than_asked_is_not_valid_and_named_as_what_it_is(
    settings: Settings, model: ScriptedChat
) -> None:
    model.answers += [GOOD, GOOD]
    answer = await root("code/translate", settings, model).ainvoke({"code": "x = 1", "target_language": "go"})
    assert (answer["output"]["language"], answer["output"]["valid"]) == ("python", False)
    assert answer["output"]["problems"] == [{"line": 1, "message": "asked for go, this is python"}]
    assert "asked for go, this is python" in model.prompts[1][-1].text


@pytest.mark.parametrize("target", ["PL/SQL", "Visual Basic", "Klingon (2nd edition)"])
async def test_code_in_a_language_that_no_parser_knows_is_not_said_to_be_another(
    settings: Settings, model: ScriptedChat, target: str
) -> None:
    model.answers.append(GOOD)
    answer = await root("code/translate", settings, model).ainvoke({"code": "x = 1", "target_language": target})
    assert (answer["output"]["language"], answer["output"]["valid"]) == (target.lower(), None)
    assert answer["output"]["problems"] == [{"line": 1, "message": "no parser knows this language; it parses as python"}]
    assert len(model.prompts) == 1


SPELT = [
    ("Python 3", GOOD, "python"),
    ("Node.js", "```js\nlet a = 1;\n```", "javascript"),
    ("C++17", "```cpp\nint a;\n```", "cpp"),
]


@pytest.mark.parametrize(("said", "answered", "meant"), SPELT, ids=[said for said, _, _ in SPELT])
@pytest.mark.parametrize("name", ["code/generate", "code/fix", "code/tests", "code/translate"])
async def test_a_language_in_an_everyday_spelling_is_written_and_parsed(
    settings: Settings, model: ScriptedChat, name: str, said: str, answered: str, meant: str
) -> None:
    model.answers += [answered] * 2
    asked = {"instruction": "Add", "code": "add", "language": said, "target_language": said}
    fields = {"code/generate": ("instruction", "language"), "code/translate": ("code", "target_language")}
    given = {field: asked[field] for field in fields.get(name, ("code", "language"))}
    answer = (await root(name, settings, model).ainvoke(given))["output"]
    assert answer["language"] == meant
    assert not [
        problem for problem in answer["problems"] if "asked for" in problem["message"] or "parser" in problem["message"]
    ]


async def test_a_review_and_an_explanation_read_a_language_in_an_everyday_spelling(
    settings: Settings, model: ScriptedChat
) -> None:
    model.answers += ["Nothing.", "It evaluates."]
    given = {"code": "def f(x=[]):\n    return eval(x)\n", "language": "Python 3.11"}
    review = (await root("code/review", settings, model).ainvoke(given))["output"]
    assert len([one for one in review["findings"] if one["source"] == "parser"]) == 2
    assert (await root("code/explain", settings, model).ainvoke(given))["output"]["outline"]


@pytest.mark.parametrize(("language", "valid"), [("Python 2.7", True), ("Python 3", False)])
async def test_each_python_is_read_by_its_own_parser(
    settings: Settings, model: ScriptedChat, language: str, valid: bool
) -> None:
    model.answers += ["```python\nprint 'hi'\n```"] * 2
    answer = await root("code/generate", settings, model).ainvoke({"instruction": "hi", "language": language})
    assert answer["output"]["valid"] is valid


async def test_a_translation_into_the_wrong_language_is_made_again(settings: Settings, model: ScriptedChat) -> None:
    model.answers += [GOOD, "```go\npackage a\n\nfunc add(a, b int) int { return a + b }\n```\nNow in Go."]
    answer = await root("code/translate", settings, model).ainvoke({"code": "x = 1", "target_language": "go"})
    assert (answer["output"]["language"], answer["output"]["valid"]) == ("go", True)
    assert (answer["output"]["problems"], answer["output"]["explanation"]) == ([], "Now in Go.")


async def test_python_under_the_name_of_a_language_without_a_parser_is_not_passed_on_as_that(settings: Settings) -> None:
    answer = await root("code/generate", settings, ScriptedChat(*[GOOD.replace("python", "brainfuck")] * 2)).ainvoke(
        {"instruction": "add", "language": "brainfuck"}
    )
    assert answer["output"]["valid"] is None
    assert "it parses as python" in answer["output"]["problems"][0]["message"]


ADD = "def add(a, b):\n    return a + b"
CASE = "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_add(self):\n        add(1, 2)"


@pytest.mark.parametrize(("written", "problem"), [(ADD, "the code itself"), (CASE, "nothing is asserted")])
async def test_what_tests_nothing_is_made_again_and_then_said_to_be_no_test(
    settings: Settings, written: str, problem: str
) -> None:
    untested = f"```python\n{written}\n```\nIt adds."
    model = ScriptedChat(untested, untested)
    answer = await root("code/tests", settings, model).ainvoke({"code": ADD})
    assert answer["output"]["valid"] is False
    assert problem in answer["output"]["problems"][0]["message"]
    mended = ScriptedChat(untested, "```python\ndef test_add():\n    assert add(1, 2) == 3\n```")
    answer = await root("code/tests", settings, mended).ainvoke({"code": ADD})
    assert (answer["output"]["valid"], len(mended.prompts)) == (True, 2)


async def test_of_a_small_models_tests_it_is_said_that_nobody_has_run_them(settings: Settings) -> None:
    written = "```python\ndef test_add():\n    assert add(10, 2) == 30\n```\nIt tests adding."
    small = root("code/tests", settings, ScriptedChat(written, written), ModelFacts(context_tokens=1000, small=True))
    said = (await small.ainvoke({"code": ADD}))["output"]["explanation"]
    assert said == "Nobody has run these tests: check what they expect."
    large = root("code/tests", settings, ScriptedChat(written))
    assert (await large.ainvoke({"code": ADD}))["output"]["explanation"] == "It tests adding."


async def test_tests_run_on_the_given_code_and_not_on_what_the_model_wrote_in_its_place(settings: Settings) -> None:
    own = "```python\ndef is_even(n):\n    return n % 2 == 0\n\nassert is_even(3) == False\n```\nThey test it."
    tested = (
        await root("code/tests", settings, ScriptedChat(own)).ainvoke({"code": "def is_even(n):\n    return n % 2 == 1"})
    )["output"]
    assert (tested["code"], tested["valid"]) == ("assert is_even(3) == False", True)
    assert tested["explanation"] == (
        "The model had written `is_even` anew; that was taken out, so that the given code is tested. They test it."
    )


async def test_that_the_code_to_be_tested_does_not_parse_is_said(settings: Settings) -> None:
    model = ScriptedChat("```python\nassert area(2, 3) == 6\n```")
    tested = (await root("code/tests", settings, model).ainvoke({"code": "def area(w, h)\n    return w * h"}))["output"]
    assert tested["explanation"] == (
        "The code that was given does not parse (line 1: expected ':'): no test of it can run yet."
    )


async def test_tests_of_what_the_code_has_not_are_not_valid(settings: Settings) -> None:
    wrong = "```python\ndef test():\n    assert add(1) == 1\n```"
    tested = (await root("code/tests", settings, ScriptedChat(wrong, wrong)).ainvoke({"code": ADD}))["output"]
    assert tested["valid"] is False
    assert tested["problems"] == [{"line": 1, "message": "line 2: `add` takes 2 arguments, not 1"}]


async def test_tests_that_call_nothing_of_the_code_are_no_tests_of_it(settings: Settings) -> None:
    beside = "```python\ndef test_sum():\n    assert total(1, 2) == 3\n```\nThey test it."
    model = ScriptedChat(beside, beside)
    answer = await root("code/tests", settings, model).ainvoke({"code": ADD})
    assert answer["output"]["valid"] is False
    assert answer["output"]["problems"] == [{"line": 1, "message": "nothing of the code is called: `add`"}]
    assert "nothing of the code is called" in model.prompts[1][-1].text


async def test_a_repair_that_lost_the_program_is_made_again_and_then_the_code_is_given_back(settings: Settings) -> None:
    other, right = "```js\nconsole.log(this);\n```", "```js\nconsole.log('x');\n```"
    asked = {"code": "console.log('x'", "language": "javascript"}
    answer = await root("code/fix", settings, ScriptedChat(other, other)).ainvoke(asked)
    given = {field: answer["output"][field] for field in ("code", "valid", "problems", "changes")}
    problem = {"line": 1, "message": "this does not parse"}
    assert given == {"code": "console.log('x'", "valid": False, "problems": [problem], "changes": []}
    assert "what it says is gone from it" in answer["output"]["explanation"]
    answer = await root("code/fix", settings, ScriptedChat(other, right)).ainvoke(asked)
    assert (answer["output"]["valid"], answer["output"]["code"]) == (True, "console.log('x');")


async def test_a_repair_tells_its_changes_and_a_small_model_is_not_believed_what_it_says_of_them(settings: Settings) -> None:
    wrong = "```python\ndef add(a, b):\n    return a + b\n```\nThe indentation was wrong, and `b` was undefined."
    asked = {"code": "\ndef add(a, b)\n    return a + b"}
    changed = [{"line": 2, "before": ["def add(a, b)"], "after": ["def add(a, b):"]}]
    said = (await root("code/fix", settings, ScriptedChat(wrong)).ainvoke(asked))["output"]
    assert said["changes"] == changed
    assert said["explanation"] == "The indentation was wrong, and `b` was undefined."
    small = root("code/fix", settings, ScriptedChat(wrong), ModelFacts(context_tokens=1000, small=True))
    told = (await small.ainvoke(asked | {"instruction": "it does not parse"}))["output"]
    assert told["changes"] == changed
    assert told["explanation"] == "Line 2: expected ':'. Line 2, `def add(a, b)`, is now `def add(a, b):`."


async def test_a_small_model_is_not_asked_for_what_can_be_done_without_one(settings: Settings, model: ScriptedChat) -> None:
    small = root("code/fix", settings, model, ModelFacts(context_tokens=1000, small=True))
    answer = await small.ainvoke({"code": "def add(a, b)\n    return a + b", "language": "python"})
    assert answer["output"] == {
        "code": "def add(a, b):\n    return a + b",
        "language": "python",
        "explanation": "Line 1: expected ':'. Line 1, `def add(a, b)`, is now `def add(a, b):`.",
        "valid": True,
        "problems": [],
        "changes": [{"line": 1, "before": ["def add(a, b)"], "after": ["def add(a, b):"]}],
    }
    assert answer["model"] is None
    fine = (await small.ainvoke({"code": "def fine(a):\n    return a + 1"}))["output"]
    assert (fine["code"], fine["valid"], fine["changes"]) == ("def fine(a):\n    return a + 1", True, [])
    assert fine["explanation"].startswith("Nothing was found wrong")
    assert model.prompts == []


async def test_what_can_be_seen_to_be_wrong_in_code_that_parses_is_told_to_a_small_model(settings: Settings) -> None:
    model = ScriptedChat("```python\nname = 'x'\nprint('Hello ' + name)\n```")
    small = root("code/fix", settings, model, ModelFacts(context_tokens=1000, small=True))
    fixed = (await small.ainvoke({"code": "name = 'x'\nprint('Hello ' + nme)"}))["output"]
    assert "Undefined name 'nme'" in model.prompts[0][-1].text
    assert fixed["explanation"] == (
        "Line 2: Undefined name 'nme'. Line 2, `print('Hello ' + nme)`, is now `print('Hello ' + name)`."
    )


async def test_a_repair_that_uses_what_nobody_has_defined_is_made_again_and_then_said_to_be_none(settings: Settings) -> None:
    made_up = "```python\ndef read(p):\n    return open_file(p)\n```"
    asked = {"code": "def read(p):\n    f = open(p)\n    return f.read()", "instruction": "close the file"}
    output = (await root("code/fix", settings, ScriptedChat(made_up, made_up)).ainvoke(asked))["output"]
    assert output["valid"] is False
    assert output["problems"] == [{"line": 1, "message": "line 2: undefined name 'open_file'"}]


REWRITTEN = "```python\ndef mean(xs):\n    return sum(x for x in xs if isinstance(x, (int, float))) / len(xs)\n```"
MEAN = "def mean(xs):\n    total = 0 +\n    for x in xs:\n        total += x\n    return total / len(xs)\n"


@pytest.mark.parametrize("facts", [ModelFacts(small=True), None])
async def test_another_program_is_no_repair_and_the_code_is_given_back(settings: Settings, facts: ModelFacts | None) -> None:
    fixed = (await root("code/fix", settings, ScriptedChat(REWRITTEN, REWRITTEN), facts).ainvoke({"code": MEAN}))["output"]
    assert (fixed["code"], fixed["valid"], fixed["changes"]) == (MEAN, False, [])
    assert fixed["problems"] == [{"line": 2, "message": "invalid syntax"}]
    assert "another program" in fixed["explanation"]


async def test_code_that_parses_is_given_back_with_what_its_repair_lacked(settings: Settings) -> None:
    small = root("code/fix", settings, ScriptedChat(REWRITTEN, REWRITTEN), ModelFacts(small=True))
    fixed = (await small.ainvoke({"code": "def mean(xs):\n    return totl\n", "instruction": "rename it"}))["output"]
    assert fixed["valid"] is True
    fixed = (await small.ainvoke({"code": "def total(xs):\n    return totl\n"}))["output"]
    assert (fixed["code"], fixed["valid"]) == ("def total(xs):\n    return totl\n", False)
    assert fixed["problems"][0]["message"].startswith("it was not repaired: ")


async def test_where_a_block_ends_is_told_to_be_read_from_the_lines_round_it(settings: Settings, model: ScriptedChat) -> None:
    small = root("code/fix", settings, model, ModelFacts(small=True))
    fixed = (await small.ainvoke({"code": "for x in xs:\nprint(x)\nprint(1)\n"}))["output"]
    assert fixed["code"] == "for x in xs:\n    print(x)\nprint(1)"
    assert fixed["explanation"].endswith("Where a block ends was read from the lines round it: check that it is meant so.")
    assert model.prompts == []


async def test_an_explanation_is_the_models_words(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append(" It adds two numbers.\n")
    answer = await root("code/explain", settings, model).ainvoke({"code": "def add(a, b):\n    return a + b"})
    assert answer["output"] == {
        "language": "python",
        "outline": [{"line": 1, "signature": "def add(a, b)"}],
        "explanation": "It adds two numbers.",
    }


async def test_a_small_models_explanation_stands_behind_what_was_read_and_is_marked(settings: Settings) -> None:
    said = "This function returns `n % 2`. It is a lambda that returns `x**2`."
    small = root("code/explain", settings, ScriptedChat(said, "It sorts `them`."), ModelFacts(small=True))
    assert (await small.ainvoke({"code": "def odd(n):\n    return n % 2"}))["output"]["explanation"] == (
        "Read from the code itself:\n- Line 1: `def odd(n)` returns `n % 2`.\n\n"
        "Written by a small model, and checked by nobody:\nThis function returns `n % 2`."
    )
    left = (await small.ainvoke({"code": "def odd(n):\n    return n % 2"}))["output"]["explanation"]
    assert left.endswith("What the model wrote speaks of things that are not in the code, and was left out.")


async def test_an_explanation_says_first_that_the_code_does_not_parse(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append("It computes.")
    said = (await root("code/explain", settings, model).ainvoke({"code": "def f(n):\n    if n = 0:\n        return 1"}))[
        "output"
    ]
    assert said["explanation"].startswith("This code does not parse (line 2: invalid syntax.")
    assert said["explanation"].endswith("\n\nIt computes.")


async def test_text_that_is_no_code_is_said_to_be_none(settings: Settings, model: ScriptedChat) -> None:
    small = root("code/explain", settings, model, ModelFacts(small=True))
    answer = await small.ainvoke({"code": "not code at all, just a sentence about cats."})
    assert answer["output"]["explanation"].startswith("No programming language was recognised in this")
    assert model.prompts == []


async def test_what_a_small_model_wrote_is_marked_as_unrun_and_does_not_repeat_itself(settings: Settings) -> None:
    query = "```sql\nSELECT a FROM b;\n```\nSELECT a FROM b;"
    small = root("code/generate", settings, ScriptedChat(query), ModelFacts(small=True))
    said = (await small.ainvoke({"instruction": "a query", "language": "sql"}))["output"]["explanation"]
    assert said == "A small model wrote this, and nobody has run it."


async def test_a_review_puts_the_parsers_facts_beside_the_models_opinion(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append(
        "1: error: the model repeats the parser\n2: warning: it may be slow\n9: error: there is no such line\nNot bad."
    )
    answer = await root("code/review", settings, model).ainvoke({"code": "def f(a=[]):\n    return a"})
    review = answer["output"]
    assert [(one["line"], one["source"]) for one in review["findings"]] == [(1, "parser"), (2, "model")]
    assert review["summary"] == "Not bad."
    assert review["valid"] is True
    assert "1: def f(a=[]):" in model.prompts[0][-1].text


async def test_a_review_gives_no_line_of_the_code_back(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append("1: def f(a):\n2: warning: the name says nothing\nIt is short.")
    review = (await root("code/review", settings, model).ainvoke({"code": "def f(a):\n    return a"}))["output"]
    assert [(one["line"], one["message"]) for one in review["findings"]] == [(2, "the name says nothing")]
    assert review["summary"] == "It is short."


async def test_a_small_models_review_is_held_against_the_code(settings: Settings, model: ScriptedChat) -> None:
    model.answers.append("2: error: b may be zero\n2: info: the name says nothing\nThe weather is fine.")
    small = root("code/review", settings, model, ModelFacts(small=True))
    review = (await small.ainvoke({"code": "import os\ndef f(a): return a"}))["output"]
    assert [(one["line"], one["source"]) for one in review["findings"]] == [(1, "parser"), (2, "model")]
    assert review["summary"] == "Found: 1 warning, 1 remark."


async def test_the_models_words_stream_as_a_draft(settings: Settings) -> None:
    chunks = [chunk async for chunk in root("code/generate", settings, ScriptedChat(GOOD)).astream({"instruction": "add"})]
    assert "".join(chunk.get("draft", "") for chunk in chunks) == GOOD
    assert chunks[-1]["output"]["valid"] is True
    assert sum("output" in chunk for chunk in chunks) == 1


async def test_a_small_models_answer_is_bounded_where_the_caller_says_nothing(settings: Settings, model: ScriptedChat) -> None:
    small = root("code/explain", settings, model, ModelFacts(small=True))
    await small.ainvoke({"code": "x = 1"})
    await small.ainvoke({"code": "x = 1", "max_tokens": 7})
    assert [bound["max_tokens"] for bound in model.bound] == [512, 7]


async def test_dollars_in_code_stay(settings: Settings, model: ScriptedChat) -> None:
    await root("code/explain", settings, model).ainvoke({"code": "echo $HOME ${language} $$", "language": "bash"})
    assert "echo $HOME ${language} $$" in model.prompts[0][-1].text


@pytest.mark.parametrize(
    ("name", "wrong", "param"),
    [
        ("code/generate", {}, "instruction"),
        ("code/generate", {"instruction": "  "}, "instruction"),
        ("code/explain", {"code": ""}, "code"),
        ("code/explain", {"code": "x" * 200_001}, "code"),
        ("code/translate", {"code": "x"}, "target_language"),
        ("code/fix", {"code": "x", "language": "a\nb"}, "language"),
    ],
)
async def test_an_input_that_makes_no_sense_is_refused(
    settings: Settings, model: ScriptedChat, name: str, wrong: dict[str, str], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await root(name, settings, model).ainvoke(wrong)
    assert caught.value.param == param
    assert model.prompts == []


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ({"instruction": "Write a Rust function that doubles a number"}, "rust"),
        ({"instruction": "Add a function that subtracts", "code": "function add(a, b) {\n  return a + b;\n}\n"}, "javascript"),
        ({"instruction": "Call it from Python", "code": "function add(a, b) {\n  return a + b;\n}\n"}, "javascript"),
        ({"instruction": "The same in Go", "code": "function add(a, b) {\n  return a + b;\n}\n"}, "go"),
        ({"instruction": "A function that adds"}, "python"),
    ],
)
async def test_code_is_asked_for_in_the_language_that_the_instruction_or_the_code_shows(
    settings: Settings, model: ScriptedChat, asked: dict[str, str], language: str
) -> None:
    await root("code/generate", settings, model).ainvoke(asked)
    assert f"You write {language} code" in model.prompts[0][0].text


@pytest.mark.parametrize("fence", ["rust", ""])
async def test_where_nobody_named_a_language_the_one_that_the_model_chose_is_right(settings: Settings, fence: str) -> None:
    model = ScriptedChat(f"```{fence}\nfn double(x: u32) -> u32 {{ x * 2 }}\n```\nIt doubles.")
    answer = await root("code/generate", settings, model).ainvoke({"instruction": "A function that doubles"})
    assert (answer["output"]["language"], answer["output"]["valid"], answer["output"]["problems"]) == ("rust", True, [])
    assert len(model.prompts) == 1


async def test_code_in_the_models_own_choice_that_does_not_parse_is_judged_as_that(settings: Settings) -> None:
    broken = "```rust\nfn double(x: u32 -> u32 { x * }\n```"
    answer = await root("code/generate", settings, ScriptedChat(broken, broken)).ainvoke({"instruction": "A doubling"})
    assert (answer["output"]["language"], answer["output"]["valid"]) == ("rust", False)


@pytest.mark.parametrize("name", ["code/fix", "code/tests", "code/explain", "code/review", "code/translate"])
async def test_where_code_does_not_show_its_language_the_instruction_names_it(
    settings: Settings, model: ScriptedChat, name: str
) -> None:
    asked = {"code": "DISPLAY 'HI'", "instruction": "It is COBOL code.", "target_language": "python"}
    if name != "code/translate":
        del asked["target_language"]
    await root(name, settings, model).ainvoke(asked)
    assert any("cobol" in message.text for message in model.prompts[0])


async def test_code_of_which_its_parser_cannot_tell_in_time_is_seen_to_be_in_another_language(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = parsing.syntax

    async def endless(code: str, language: str) -> parsing.Syntax:
        unread = parsing.Syntax(None, [parsing.Problem(1, "it takes too long to parse")])
        return unread if language == "cobol" else await told(code, language)

    monkeypatch.setattr(parsing, "syntax", endless)
    model = ScriptedChat(*["```cpp\nint add(int a, int b) { return a + b; }\n```"] * 2)
    answer = await root("code/generate", settings, model).ainvoke({"instruction": "Add", "language": "cobol"})
    assert (answer["output"]["language"], answer["output"]["valid"]) == ("cpp", False)
    assert answer["output"]["problems"] == [{"line": 1, "message": "asked for cobol, this is cpp"}]
