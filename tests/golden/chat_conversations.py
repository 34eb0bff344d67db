"""Conversations and template arguments that chat templates are tried with."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.\nIn metric units.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "A town's name, such as \"Zürich\""},
                "days": {"type": "integer", "minimum": 1, "default": 3},
                "units": {"type": "string", "enum": ["metric", "imperial"]},
                "detail": {"type": "object", "properties": {"wind": {"type": "boolean"}}},
                "hours": {"type": "array", "items": {"type": "number"}},
                "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "kinds": {"type": ["string", "null"], "nullable": True},
            },
            "required": ["place"],
        },
        "return": {"type": "string", "description": "A sentence."},
    },
}
PLAIN = {
    "type": "function",
    "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}
TOOLS = [WEATHER, PLAIN]


def call(name, arguments, id="call_a1b2c"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def answer(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def result(content, id="call_a1b2c", name="get_weather"):
    return {"role": "tool", "name": name, "tool_call_id": id, "content": content}


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


ARGUMENTS = {"place": "Zürich", "days": 2, "detail": {"wind": True}, "hours": [1, 2.5], "note": "a \"b\"\n<c>&", "none": None}
CALLED = [user("Weather?"), answer("", tool_calls=[call("get_weather", ARGUMENTS)]), result('{"sky": "clear"}')]

CONVERSATIONS = [
    [user("Hello")],
    [system("Be brief."), user("Hello")],
    [user("Hello"), answer("Hi there"), user("Who are you?")],
    [system(" Be \n brief. "), user("  Hello \n"), answer(" Hi "), user("\tWho? "), answer("Me."), user("Ah")],
    [user("Grüße, 世界 😀 <b>&amp;'\"\\"), answer("{{ x }} {% y %}"), user("\r\nnew\r\nline")],
    [user("")],
    [user("Why?"), answer("<think>\nSome thought.\n</think>\n\nBecause."), user("Really?")],
    [user("Why?"), answer("Because.", reasoning_content="Some thought."), user("Really?")],
    [user("Why?"), answer("Because.", reasoning_content="Some thought.")],
    [user("Hello"), answer("Hi there")],
    [user(parts("One", "Two"))],
    [system(parts("Be brief.")), user(parts("One")), answer(parts("Two")), user(parts("Three"))],
    CALLED,
    [system("Be brief.")] + CALLED,
    CALLED + [answer("It is clear.")],
    CALLED + [answer("It is clear."), user("Thanks"), answer("", tool_calls=[call("now", {}, "call_99999")]), result("12:00", "call_99999", "now")],
    [user("Weather?"), answer("Let me see.", tool_calls=[call("get_weather", ARGUMENTS), call("now", {}, "call_99999")]), result("one"), result("two", "call_99999", "now"), user("And?")],
    [user("Weather?"), answer("Let me see.", reasoning_content="I should call.", tool_calls=[call("get_weather", {"place": "Rom"})]), result({"sky": "clear", "wind": [1, 2]})],
    [user("Weather?"), answer(None, tool_calls=[call("get_weather", '{"place": "Rom"}')]), result(parts("one", "two"))],
    [user("Weather?"), {"role": "assistant", "tool_calls": [call("get_weather", {"place": "Rom"}, "123456789")]}, result("one", "123456789")],
    [{"role": "developer", "content": "Be brief."}, user("Hello")],
    [user("a"), user("b")],
    [answer("a"), user("b")],
    [user("a"), {"role": "nobody", "content": "b"}],
    [system("only")],
    [],
]

SETTINGS = [
    {},
    {"tools": TOOLS},
    {"tools": TOOLS, "enable_thinking": False, "thinking": False, "reasoning_effort": "low"},
    {"enable_thinking": True, "thinking": True, "reasoning_effort": "high", "keep_past_thinking": True},
    {"documents": [{"title": "T", "text": "Some text."}, {"title": "U", "text": "More."}]},
    {"add_generation_prompt": False},
    {"tools": [WEATHER["function"]], "custom_tools": [PLAIN], "tools_in_user_message": False, "date_string": "1 Jan 2025"},
]
