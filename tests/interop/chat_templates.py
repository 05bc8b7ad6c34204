"""Published chat templates beside transformers: rich conversations through every *.jinja of some folders.

usage: chat_templates.py FOLDER...      (TEMPLATES in the environment adds folders, at colons)

Prints TAP by way of the unit test for templates. Those that transformers can't compile, or whose result has
today's date in it, are left out.
"""
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

from transformers.utils.chat_template_utils import _compile_jinja_template

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather.\nOf a \"place\" <b>&amp;</b>", "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "City, e.g. Zürich"}, "days": {"type": "integer", "default": 3, "minimum": 1},
            "unit": {"type": ["string", "null"], "enum": ["C", "F"]}, "tags": {"type": "array", "items": {"type": "string"}},
            "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat"]}}},
    "return": {"type": "object", "properties": {"temp": {"type": "number"}}}}}
PING = {"type": "function", "function": {"name": "ping", "description": "Ping", "parameters": {"type": "object", "properties": {}}}}
BARE = {"name": "ping", "description": "Ping", "parameters": {"type": "object", "properties": {}}}


def user(content="What's up?"):
    return {"role": "user", "content": content}


def assistant(content="Not <much>.", **more):
    return {"role": "assistant", "content": content, **more}


def call(arguments, name="get_weather", id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


ARGUMENTS = {"city": "Zürich \"old\"", "days": 2, "f": 1.5, "ok": True, "none": None, "where": {"lat": 47.4, "l": [1, "a"]}}
SYSTEM = {"role": "system", "content": "Be  terse.\n"}
ANSWER = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"temp\": 21.5}"}
CONVERSATIONS = {
    "one": [user()],
    "turns": [SYSTEM, user("Hi"), assistant("Hello"), user("  two  \n"), assistant("\n\nyes\n")],
    "prompted": [SYSTEM, user("Hi"), assistant("Hello"), user("Again")],
    "system only": [SYSTEM],
    "late system": [user("a"), SYSTEM, user("b")],
    "developer": [{"role": "developer", "content": "Rules"}, user(), assistant()],
    "empty": [],
    "empty content": [user(""), assistant("")],
    "no content": [user(), assistant(None)],
    "missing content": [user(), {"role": "assistant"}],
    "two users": [user("a"), user("b"), assistant()],
    "assistant first": [assistant(), user()],
    "role": [user(), {"role": "critic", "content": "No."}],
    "parts": [user([{"type": "text", "text": "Look"}, {"type": "text", "text": " here"}]), assistant([{"type": "text", "text": "ok"}])],
    "image": [user([{"type": "image"}, {"type": "text", "text": "What is it?"}]), assistant()],
    "call": [SYSTEM, user("Weather?"), assistant("", tool_calls=[call(ARGUMENTS)]), ANSWER, assistant("21.5 degrees")],
    "call null": [user("Weather?"), assistant(None, tool_calls=[call(ARGUMENTS)]), ANSWER, assistant("21.5 degrees"), user("Thanks")],
    "call text": [user("Weather?"), assistant("Let me see.", tool_calls=[call(json.dumps(ARGUMENTS))]), ANSWER, assistant("Done")],
    "calls": [user("Both?"), assistant("", tool_calls=[call({"city": "A"}), call({}, "ping", "call00002")]), ANSWER,
              {"role": "tool", "name": "ping", "tool_call_id": "call00002", "content": "pong"}, assistant("ok")],
    "call open": [user("Weather?"), assistant("", tool_calls=[call(ARGUMENTS)]), ANSWER],
    "answer object": [user("Weather?"), assistant("", tool_calls=[call(ARGUMENTS)]), {**ANSWER, "content": {"temp": 1}}],
    "answer parts": [user("Weather?"), assistant("", tool_calls=[call(ARGUMENTS)]), {**ANSWER, "content": [{"type": "text", "text": "21"}]}],
    "no id": [user("w"), assistant("", tool_calls=[{"type": "function", "function": {"name": "ping", "arguments": {}}}]), {"role": "tool", "content": "pong"}],
    "flat call": [user("w"), assistant("", tool_calls=[{"name": "ping", "arguments": {"a": 1}}]), {"role": "tool", "content": "pong"}],
    "think": [user("2+2?"), assistant("<think>\nLet me.\n</think>\n\n4"), user("3+3?"), assistant("<think>x</think>6")],
    "reasoning": [user("2+2?"), assistant("4", reasoning_content="I add."), user("3+3?"), assistant("6", reasoning_content="Again.\n")],
    "thinking": [user("2+2?"), assistant("4", thinking="I add."), user("w"), assistant("", thinking="Hm.", tool_calls=[call({"city": "B"})]), ANSWER, assistant("5", thinking="So.")],
    "reason call": [user("w"), assistant("", reasoning_content="Hm.", tool_calls=[call({"city": "B"})]), ANSWER],
    "unicode": [user("日本語 \U0001f642 é\u0301 \u2028 <|im_end|> [INST]"), assistant("<start_of_turn> \u0000 \t")],
}
WAYS = [
    {}, {"add_generation_prompt": True}, {"tools": [WEATHER, PING]}, {"tools": [WEATHER], "add_generation_prompt": True},
    {"enable_thinking": False, "add_generation_prompt": True}, {"enable_thinking": True, "thinking": True, "add_generation_prompt": True},
    {"tools": [BARE]}, {"tools": []}, {"documents": [{"title": "T", "text": "Some text"}, {"title": "U", "text": "More\n"}]},
    {"reasoning_effort": "high", "builtin_tools": ["browser", "python"], "model_identity": "You are X.", "tools": [PING]},
    {"xml_tools": [PING], "python_tools": [PING], "date_string": "01 Jan 2026", "keep_cot": True, "preserve_thinking": True, "clear_thinking": False},
    {"continue_final_message": True, "system_prompt": "S", "add_default_system_prompt": False, "skip_think": True, "developer": "D"},
]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def dated(text):
    now = datetime.datetime.now()
    return any(now.strftime(f) in text for f in ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d %Y", "%d/%m/%Y", "%Y年%m月%d日"))


def cases(name, template):
    """Lines of the test for templates: what transformers renders, or how it fails."""
    seen = set()
    for label, messages in CONVERSATIONS.items():
        for way in WAYS:
            kwargs = {**TOKENS, **{k: v for k, v in way.items() if k not in ("tools", "add_generation_prompt")}}
            c = {"template": name, "messages": messages, "tools": way.get("tools"), "kwargs": kwargs,
                 "add_generation_prompt": way.get("add_generation_prompt", False)}
            try:
                c["rendered"] = template.render(messages=messages, tools=c["tools"], documents=kwargs.pop("documents", None),
                                                add_generation_prompt=c["add_generation_prompt"], **kwargs)
            except Exception as e:
                c["error"] = str(e)
                c["error_kind"] = "raised" if type(e).__name__ == "TemplateError" else "type"
            if way.get("documents"):
                kwargs["documents"] = way["documents"]
            result = c.get("rendered", "error" + c.get("error", ""))
            if (label, result) in seen or dated(result):
                continue
            seen.add((label, result))
            yield c


def main(folders):
    warnings.simplefilter("ignore")
    program = os.path.join(os.environ["BUILDDIR"], "tests/unit/test-template")
    if not os.path.exists(program):
        print("1..0 # SKIP make unit-tests first")
        return 0
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(os.path.join(work, "templates"))
        with open(os.path.join(work, "cases.jsonl"), "w") as f:
            for folder in folders:
                for name in sorted(n for n in os.listdir(folder) if n.endswith(".jinja")):
                    path = os.path.join(folder, name)
                    try:
                        template = _compile_jinja_template(open(path, encoding="utf-8").read())
                    except Exception as e:
                        print(f"# {name}: {e}")
                        continue
                    shutil.copy(path, os.path.join(work, "templates", name))
                    for c in cases(name, template):
                        f.write(json.dumps(c) + "\n")
        return subprocess.run([program, work, "cases.jsonl"]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] + [f for f in os.environ.get("TEMPLATES", "").split(":") if f]))
