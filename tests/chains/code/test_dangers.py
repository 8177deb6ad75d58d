import ast

import pytest

from chains.code.dangers import dangers


@pytest.mark.parametrize(
    ("code", "severity", "said"),
    [
        ("import os\nos.system('rm -rf ' + input())", "error", "any command"),
        ("import os\nos.system(f'rm {path}')", "error", "any command"),
        ("from os import system as run\nrun('rm %s' % path)", "error", "any command"),
        ("import os\nos.popen('ls {}'.format(path))", "error", "any command"),
        ("import os\nos.system(command)", "warning", "any command"),
        ("import os\ncommand = 'rm ' + path\nos.system(command)", "error", "any command"),
        ("import subprocess as sp\nsp.run('rm ' + path, shell=True)", "error", "any command"),
        ("import subprocess\nsubprocess.run(args='ls', shell=True)", "warning", "shell"),
        ("import subprocess\nsubprocess.getoutput(f'ls {path}')", "error", "any command"),
        ("eval(input())", "error", "what its user types"),
        ("exec(text)", "warning", "runs whatever"),
        ("import pickle\npickle.loads(data)", "warning", "`pickle` runs code"),
        ("from pickle import load\nload(file)", "warning", "`pickle` runs code"),
        ("import yaml\nyaml.load(file)", "warning", "safe_load"),
        ("import yaml\nyaml.load(file, Loader=yaml.Loader)", "warning", "safe_load"),
        ("db.execute('select ' + name)", "error", "inject SQL"),
        ("query = f'select {name}'\ndb.execute(query)", "error", "inject SQL"),
        ("db.cursor().execute('select %s' % name)", "error", "inject SQL"),
    ],
)
def test_text_that_can_run_is_seen(code: str, severity: str, said: str) -> None:
    line = len(code.splitlines())
    assert [(at, how) for at, how, message in dangers(ast.parse(code)) if said in message] == [(line, severity)]


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.system('clear')",
        "import subprocess\nsubprocess.run(['ls', path])",
        "import yaml\nyaml.load(file, Loader=yaml.SafeLoader)\nyaml.safe_load(file)",
        "import json\njson.loads(input())",
        "db.execute('select ' 'a' + ' from b')",
        "db.execute('select ?', (name,))",
        "total = 1 + price\ndb.execute(total)",
        "query = 'select 1'\ndb.execute(query)",
        "model.eval()",
    ],
)
def test_text_that_cannot_is_left_alone(code: str) -> None:
    assert list(dangers(ast.parse(code))) == []


def test_text_that_is_put_together_very_deep_is_read() -> None:
    code = "import os\nos.system(a" + " + 'b'" * 900 + ")"
    assert [severity for _, severity, _ in dangers(ast.parse(code))] == ["error"]
