import pytest

from chains.code.assertions import missing_tests


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import pytest\ndef test_x():\n    with pytest.raises(ValueError):\n        f(-1)"),
        ("python", "class T(unittest.TestCase):\n    def test_x(self):\n        self.assertEqual(f(1), 2)"),
        ("javascript", "test('f', () => { expect(f(1)).toBe(2) })"),
        ("go", 'func TestF(t *testing.T) { if F(1) != 2 { t.Errorf("no") } }'),
        ("rust", "#[test] fn f() { assert_eq!(f(1), 2); }"),
        ("cobol", "WHATEVER."),
    ],
)
def test_what_asserts_is_taken_for_a_test(language: str, code: str) -> None:
    assert missing_tests("f", language, code) is None


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def test_x():\n    f(1)"),
        ("javascript", "test('f', () => { f(1) })"),
        ("go", "func TestF(t *testing.T) { F(1) }"),
    ],
)
def test_what_asserts_nothing_is_no_test(language: str, code: str) -> None:
    assert "asserted" in str(missing_tests("f", language, code))


def test_the_code_itself_is_no_test_of_it() -> None:
    assert "itself" in str(missing_tests("assert  f(1)", "python", "assert f(1)\n"))
