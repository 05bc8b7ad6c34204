"""Templates beside jinja2: random expressions and statements, in the environment that transformers has.

Prints TAP by way of the unit test for templates, which reads cases as JSON Lines. COUNT and SEED in the
environment ask for more, or other ones.
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import warnings

from jinja2 import ext, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "n": 3, "z": 0, "neg": -7, "big": 12345678901, "f": 2.5, "g": -0.125, "h": 1e21, "t": True, "no": False,
    "nil": None, "s": "Hello World", "e": "", "u": "Ünïcödé ßtraße ﬁ ǅ", "w": "  two\n lines\t\n", "num": "42",
    "markup": "<b>a & \"b\"</b> 'c' &lt;&#39;&#x41;&amp", "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "le": [], "nested": [[1, 2], [3]],
    "d": {"k": 1, "b": "two", "a": None}, "de": {},
    "m": [{"role": "user", "content": "Hi", "n": 2}, {"role": "assistant", "content": "Yo", "n": 1}],
    "long": "The quick brown fox jumps over the lazy dog and does not stop for anything at all.",
}
STRINGS = ["s", "e", "u", "w", "num", "markup", "long", "'a'", "'x,y,,z'", "'%s!'", "'{}-{}'", "'Ab cD'", "' pad '"]
NUMBERS = ["n", "z", "neg", "big", "f", "g", "h", "1", "2", "-1", "0.5", "10", "1e3", "7.0", "true"]
LISTS = ["l", "ls", "le", "nested", "m", "[1, 'a', none]", "(1, 2)", "range(4)", "[]", "'abc'|list", "d.keys()|list"]
DICTS = ["d", "de", "m[0]", "{'x': 1, 2: [3]}", "dict(a=1)"]
OTHER = ["nil", "no", "t", "missing", "none", "missing.x", "d.zz", "l[9]"]

FILTERS = [
    "abs", "capitalize", "center(20)", "default('D')", "default('D', true)", "dictsort", "dictsort(by='value')",
    "dictsort(reverse=true)", "escape", "first", "float", "float(1.5)", "forceescape", "indent", "indent(2, true)",
    "indent(width='>>')", "int", "int(7)", "int(base=16)", "items|list", "join", "join(', ')", "join('-', attribute='role')",
    "last", "length", "list", "lower", "map('upper')|list", "map(attribute='role')|list", "map(attribute='q', default=0)|list",
    "max", "min", "max(attribute='n')", "reject('odd')|list", "rejectattr('n', 'gt', 1)|list", "replace('l', 'L')",
    "replace('a', 'b', 1)", "reverse|list", "round", "round(1)", "round(1, 'floor')", "round(0, 'ceil')", "round(-1)",
    "safe", "select|list", "select('string')|list", "selectattr('role', 'eq', 'user')|list", "selectattr('n')|list",
    "sort", "sort(reverse=true)", "sort(case_sensitive=true)", "sort(attribute='n')", "string", "striptags", "sum",
    "sum(start=5)", "sum(attribute='n')", "title", "tojson", "tojson(indent=2)", "trim", "trim('H')", "truncate(10)",
    "truncate(20, true, '..')", "truncate(9, leeway=0)", "unique|list", "upper", "urlencode", "wordcount",
    "batch(2)|list", "batch(2, 'x')|list", "slice(2)|list", "slice(2, 'x')|list", "groupby('role')|list", "count", "d('q')",
    "attr('role')", "format('A', 1)", "pprint", "filesizeformat", "filesizeformat(true)", "wordwrap(20)",
    "wordwrap(10, false)", "wordwrap(15, wrapstring='|')", "xmlattr", "xmlattr(false)", "e",
    "reverse", "map('int')|sum", "map('string')|join('/')", "reject('none')|list", "length|string",
]
TESTS = [
    "defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping",
    "sequence", "iterable", "callable", "odd", "even", "divisibleby(2)", "eq(1)", "ne('a')", "gt(1)", "ge(2)", "lt(3)",
    "le(2)", "in([1, 'a'])", "in('abc')", "sameas(none)", "sameas(true)", "lower", "upper", "escaped", "filter", "test",
    "equalto(2)", "greaterthan(0)",
]
METHODS = [
    "upper()", "lower()", "title()", "capitalize()", "swapcase()", "casefold()", "strip()", "strip('H d')", "lstrip()",
    "rstrip()", "split()", "split(',')", "split(' ', 1)", "rsplit(' ', 1)", "rsplit()", "splitlines()", "splitlines(true)",
    "partition(' ')", "rpartition('l')", "startswith('H')", "startswith(('a', 'H'))", "endswith('d')", "find('l')",
    "find('l', 4)", "rfind('l')", "index('o')", "rindex('o')", "count('l')", "replace('l', 'LL')", "replace('', '.')",
    "replace('o', '0', 1)", "join(['x', 'y'])", "join(ls)", "format('A', 2)", "ljust(15, '.')", "rjust(15)", "center(16, '*')",
    "zfill(6)", "isdigit()", "isdecimal()", "isnumeric()", "isalpha()", "isalnum()", "isspace()", "isupper()",
    "islower()", "istitle()", "isascii()", "isprintable()", "expandtabs(4)", "removeprefix('He')",
    "removesuffix('ld')", "keys()|list", "values()|list", "items()|list", "get('k')", "get('zz', 9)", "copy()", "count(1)",
    "index(1)", "append(1)", "update({})", "pop()",
]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]
STATEMENTS = [
    "{{% for x in {0} %}}{{{{ loop.index }}}}:{{{{ x }}}},{{% else %}}none{{% endfor %}}",
    "{{% for x in {0} if x %}}{{{{ loop.first }}}}{{{{ loop.revindex0 }}}}{{{{ x }}}}{{% endfor %}}",
    "{{% for a, b in {0} %}}{{{{ a }}}}={{{{ b }}}};{{% endfor %}}",
    "{{% for x in {0} %}}{{% if loop.index > 2 %}}{{% break %}}{{% endif %}}{{{{ loop.previtem }}}}<{{{{ x }}}}>{{{{ loop.nextitem }}}}{{% endfor %}}",
    "{{% for x in {0} %}}{{{{ loop.cycle('a', 'b') }}}}{{{{ loop.changed(x) }}}}{{{{ loop.depth }}}}{{% endfor %}}",
    "{{% if {0} %}}yes{{% elif {1} %}}maybe{{% else %}}no{{% endif %}}",
    "{{% set v = {0} %}}{{{{ v }}}}{{{{ v is defined }}}}",
    "{{% set a, b = {0} %}}{{{{ b }}}}{{{{ a }}}}",
    "{{% set ns = namespace(v={0}) %}}{{% for i in range(2) %}}{{% set ns.v = {1} %}}{{% endfor %}}{{{{ ns.v }}}}",
    "{{% macro q(a, b={1}) %}}[{{{{ a }}}}|{{{{ b }}}}|{{{{ varargs }}}}|{{{{ kwargs }}}}]{{% endmacro %}}{{{{ q({0}) }}}}{{{{ q() }}}}{{{{ q(1, 2) }}}}",
    "{{% filter upper %}}x{{{{ {0} }}}}{{% endfilter %}}",
    "{{% with a = {0}, b = {1} %}}{{{{ a }}}}{{{{ b }}}}{{% endwith %}}{{{{ a is defined }}}}",
    "{{% set v %}}<{{{{ {0} }}}}>{{% endset %}}{{{{ v|length }}}}{{{{ v }}}}",
    "  {{%- if {0} -%}}  a  {{%- endif %}}\n  {{% if {1} %}}\n b\n  {{% endif %}}\n c",
    "{{% macro w() %}}({{{{ caller({1}) }}}}){{% endmacro %}}{{% call(v) w() %}}{{{{ v }}}}{{{{ {0} }}}}{{% endcall %}}",
    "{{% for x in {0} recursive %}}{{{{ x }}}}{{% if x is iterable and x is not string and x is not mapping %}}({{{{ loop(x) }}}}){{% endif %}}{{% endfor %}}",
    "{{% set v = [{0}, {1}] %}}{{{{ v + [1] }}}}{{{{ v * 2 }}}}{{{{ v == v }}}}",
]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def atom(self):
        kind = self.random.choice([STRINGS, STRINGS, NUMBERS, NUMBERS, LISTS, DICTS, OTHER])
        return self.random.choice(kind)

    def index(self):
        pick = lambda: self.random.choice(["", "0", "1", "-1", "2", "-2", "5"])
        return self.random.choice(["[0]", "[-1]", "[9]", "['k']", "['zz']", ".role", ".k", "[true]",
                                   "[%s:%s]" % (pick(), pick()), "[%s:%s:%s]" % (pick(), pick(), self.random.choice(["-1", "2", "", "-2"]))])

    def expression(self, depth):
        r = self.random.random()
        if depth <= 0 or r < 0.1:
            return self.atom()
        inner = lambda: self.expression(depth - 1)
        if r < 0.38:
            return "(%s)|%s" % (inner(), self.random.choice(FILTERS))
        if r < 0.52:
            return "(%s).%s" % (inner(), self.random.choice(METHODS))
        if r < 0.6:  # a constant is sliced when the template is compiled, and then (none)[1:] is no error
            index = self.index()
            return "(%s)%s" % (self.random.choice(STRINGS[:7] + LISTS[:5] + OTHER[:3]) if ":" in index else inner(), index)
        if r < 0.8:
            op = self.random.choice(BINARY)
            return "(%s) %s (%s)" % (inner(), op, inner())
        if r < 0.88:
            return "(%s) is %s%s" % (inner(), self.random.choice(["", "not "]), self.random.choice(TESTS))
        if r < 0.92:
            return "(%s) if (%s) else (%s)" % (inner(), inner(), inner())
        if r < 0.93:
            return "(%s) ** %s" % (self.random.choice(NUMBERS[:3] + NUMBERS[4:]), self.random.choice(["2", "-1", "n"]))
        if r < 0.95:
            return "%s(%s)" % (self.random.choice(["-", "not ", "+"]), inner())
        return self.random.choice(["[%s, %s]", "(%s, %s)", "{'p': %s, 'q': %s}"]) % (inner(), inner())

    def template(self):
        if self.random.random() < 0.3:
            return self.random.choice(STATEMENTS).format(self.expression(2), self.expression(1))
        return "{{ %s }}" % self.expression(self.random.choice([1, 2, 2, 3]))


class Generation(ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_hold"), [], [], body).set_lineno(line)

    def _hold(self, caller):
        return caller()


class TooLong(BaseException):
    pass


def too_long(*_):
    raise TooLong


def environment():
    def raise_exception(message):
        raise RuntimeError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols])
    env.filters.update(tojson=tojson)
    env.globals["raise_exception"] = raise_exception
    return env


def case(env, source):
    """What jinja2 makes of it; None for what depends on the machine."""
    c = {"source": source, "variables": VARIABLES}
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        c["rendered"] = env.from_string(source).render(**VARIABLES)
        c["rendered"].encode()
    except (UnicodeEncodeError, MemoryError, TooLong):
        return None
    except Exception as e:  # whatever Python makes of a wrong operand
        c["error"] = str(e)[:200]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    text = c.get("rendered", "")
    if re.search(r" at 0x|<function|<built-in|<bound|\d{19}|\dj\)", text, re.I) or len(text) > 20000:
        return None  # numbers are 64 bits wide and not complex
    if "Markup(" in text:
        return None  # only repr tells whether what a method gives is marked as escaped
    return c


def main():
    count = int(os.environ.get("COUNT", "20000"))
    signal.signal(signal.SIGALRM, too_long)
    warnings.simplefilter("ignore")
    env = environment()
    generator = Generator(int(os.environ.get("SEED", "1")))
    program = os.path.join(os.environ["BUILDDIR"], "tests/unit/test-template")
    if not os.path.exists(program):
        print("1..0 # SKIP make unit-tests first")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "cases.jsonl"), "w") as f:
            made = 0
            while made < count:
                c = case(env, generator.template())
                if c:
                    f.write(json.dumps(c) + "\n")
                    made += 1
        return subprocess.run([program, folder, "cases.jsonl"]).returncode


if __name__ == "__main__":
    sys.exit(main())
