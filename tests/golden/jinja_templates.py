"""Small templates for make_jinja_reference.py, written for it."""

# Of one construct, or of a few that belong together; they are given VALUES.
CONSTRUCTS = {
    "output": "a{{ seven }}b{{ none }}{{ yes }}{{ half }}{{ list }}{{ dict }}{{ nested }}{{ missing }}c",
    "numbers": "{{ big }} {{ tiny }} {{ 1e16 }} {{ 123456789.125 }} {{ -0.0 }} {{ 1_000 }} {{ 0x1F }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ 1 + 2 * 3 - 4 }} {{ yes + 1 }} {{ -seven }} {{ +half }}",
    "strings": "{{ 'a' 'b' ~ 1 ~ none ~ yes }} {{ \"q'\" + '\\n\\t\\x41\\u00e9\\\\\\'' }} {{ 'ab' * 3 }} {{ 'a\\\nb' }} {{ '\\d' }}",
    "repr": "{{ [quotes, word, '\\u200b', 'it\\'s', \"\\\"\"] }} {{ (1,) }} {{ (1, 2) }} {{ () }} {{ {1: 2, none: [half]} }} {{ [1.0, 2e30, missing] }}",
    "comparisons": "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 == yes }} {{ none == no }} {{ 'x' != 'y' }} {{ seven >= 7 }} {{ missing == missing }}",
    "logic": "{{ no or 'x' }} {{ yes and 0 }} {{ not empty }} {{ none or empty or 'last' }} {{ not yes and no or 1 }} {{ not (1 in list) }} {{ 1 not in list }} {{ 'a' in dict }} {{ 'wo' in text }} {{ 3 in list and 9 not in list }}",
    "conditional": "{{ 'a' if yes else 'b' }} {{ 'a' if no }} {{ 1 if no else 2 if no else 3 }} {{ ('x' if missing is defined else 'y') ~ '!' }}",
    "subscripts": "{{ list[0] }} {{ list[-1] }} {{ list[9] }} {{ dict.a['items'] }} {{ dict['a'].missing }} {{ people.0.name }} {{ word[3] }} {{ word[-1] }} {{ dict['b'] }} {{ nested[0][1][0] }} {{ list['x'] }}",
    "slices": "{{ list[1:] }} {{ list[:-1] }} {{ list[::-1] }} {{ word[2:5] }} {{ word[::-1] }} {{ list[5:] }} {{ list[-2:] }} {{ word[:0] }} {{ names[::2] }} {{ names[2:0:-1] }} {{ (1, 2, 3)[1:] }} {{ word[-99:99] }}",
    "if": "{% if no %}a{% elif none %}b{% elif list %}c{% else %}d{% endif %}{% if empty %}x{% else %}y{% endif %}{% if missing %}x{% endif %}",
    "white_space": "  a  \n  {% if yes %}  \n  b\n  {%- if yes -%}  \n c \n {%- endif -%}\n d\n  {%+ if yes %} e\n{% endif +%}\n\n  {# comment #}  \n  {{ seven }}\n  {{- 1 -}}  \n f {% endif %}\n  {#- x -#}\n g\n\n",
    "raw": "{% raw %}{{ x }} {% y %}{% endraw %}|{%- raw -%}  {{ z }}  {%- endraw -%}  |\n  {% raw %}\n a {% endraw %}\n b",
    "comments": "a{# {{ x }} {% if %} #}b\n{#- c\n -#}\nd {# e #} f",
    "line_ends": "a\r\nb\rc\n{% if yes %}\r\nd{% endif %}\r\n",
    "braces": "{{ {'a': {'b': 1}}.a.b }}{{ {} }}{{ '}}' }}{{ \"%}\" }} { { % }",
    "for": "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}:{{ x }};{% endfor %}{% for x in [] %}a{% else %}none{% endfor %}{% for x in missing %}a{% else %}empty{% endfor %}",
    "for_neighbours": "{% for x in names %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.nextitem is defined }}{{ loop.cycle('o', 'e') }}{{ loop.changed(x | lower) }} {% endfor %}",
    "for_unpacking": "{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for k in dict %}{{ k }}{% endfor %}{% for c in word[:2] %}{{ c }}.{% endfor %}",
    "for_filter": "{% for p in people if p.age > 26 %}{{ loop.index }}/{{ loop.length }}{{ p.name }} {% endfor %}{% for x in list if x > 9 %}{{ x }}{% else %}no{% endfor %}",
    "for_recursive": "{% for x in nested recursive %}{{ loop.depth }}{% if x is iterable and x is not mapping %}[{{ loop(x) }}]{% else %}{{ x }}{% endif %}{% endfor %}",
    "break": "{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index == 3 %}{% break %}{% endif %},{% endfor %}{% for x in list %}{% for y in list %}{% if y == x %}{% break %}{% endif %}{{ y }}{% endfor %}|{% endfor %}",
    "range": "{% for i in range(3) %}{{ i }}{% endfor %}{{ range(1, 10, 4) | list }}{{ range(5, 0, -2) | list }}{{ range(2) }}{{ range(0) | length }}",
    "set": "{% set a = 1 %}{% set b, c = 2, [3] %}{{ a }}{{ b }}{{ c }}{% set a = a + 1 %}{{ a }}{% for x in list %}{% set a = x %}{{ a }}{% endfor %}{{ a }}{% if yes %}{% set d = 'd' %}{% endif %}{{ d }}",
    "set_block": "{% set a %}  x {{ seven }} {% endset %}[{{ a }}]{% set b | trim | upper %}  y {% endset %}[{{ b }}]",
    "namespace": "{% set ns = namespace(found=false, list=[]) %}{% for x in list %}{% if x == 1 %}{% set ns.found = true %}{% endif %}{% set ns.list = ns.list + [x * 2] %}{% endfor %}{{ ns.found }}{{ ns.list }}{{ ns.missing is defined }}{% set ns.later = 1 %}{{ ns.later }}{{ ns['found'] }}",
    "macro": "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ m(1, 2, 3) }} {{ m() }} {{ m(b=5, a=4) }}{{ m.name }}",
    "macro_more": "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }} {{ m(*[1, 2], **{'y': 3}) }}",
    "macro_scope": "{% set x = 1 %}{% macro m() %}{{ x }}{% set x = 9 %}{{ x }}{{ y }}{% endmacro %}{% set x = 2 %}{% set y = 3 %}{{ m() }}{{ x }}{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "call_block": "{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('a') %}in {{ seven }}{% endcall %}{% macro each(l) %}{% for x in l %}{{ caller(x, y=2) }}{% endfor %}{% endmacro %}{% call(x, y=1) each(list) %}({{ x }}{{ y }}){% endcall %}",
    "filter_block": "{% filter upper | replace('A', '4') %}banana {{ word }}{% endfilter %}",
    "with": "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a }}{{ c }}",
    "generation": "a{% generation %}b{{ seven }}{% set x = 1 %}{% endgeneration %}c{{ x }}\n  {%- generation -%} d {%- endgeneration %}\ne",
    "text_methods": "{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip('\\n ') }}|{{ text.split() }}|{{ text.split(' ') }}|{{ 'a,b,,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ 'a\\nb\\r\\nc'.splitlines() }}|{{ 'xxaxx'.strip('x') }}|{{ 'k=v=w'.partition('=') }}|{{ 'k=v=w'.rpartition('=') }}",
    "more_text_methods": "{{ word.startswith('Str') }}{{ word.endswith(('x', '😀')) }}{{ word.find('世') }}{{ word.rfind('q') }}{{ 'banana'.count('an') }}{{ 'banana'.replace('an', 'o', 1) }}{{ 'ab'.replace('', '-') }}{{ ','.join(names) }}{{ 'x'.upper() }}{{ 'ÀB'.lower() }}{{ 'they\\'re Here'.title() }}{{ 'hELLO'.capitalize() }}{{ '12'.isdigit() }}{{ 'a1'.isalnum() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}{{ 'AB'.isupper() }}{{ 'foobar'.removeprefix('foo').removesuffix('r') }}{{ 'ab'.center(7, '*') }}{{ 'ab'.ljust(4, '.') }}{{ 'ab'.rjust(4) }}",
    "format": "{{ '{} {}'.format(1, 'x') }} {{ '{1}{0}{a}'.format(1, 2, a=[3]) }} {{ '{{}} {:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{:x}|{!r}'.format('a', 'b', 'c', 42, 3.14159, 1234567, 255, 'q') }} {{ '%s-%d-%5.1f-%r-%%' % ('a', 7, 2.25, 'b') }} {{ '%s' % seven }} {{ '%(a)s' % {'a': 1} }} {{ '%s/%s' | format(1, 2) }} {{ '{:+d}'.format(5) }}",
    "dict_methods": "{{ dict.get('b') }}{{ dict.get('x') }}{{ dict.get('x', 5) }}{{ dict.keys() }}{{ dict.values() | list }}{{ dict.items() | list | length }}{{ dict.keys() | join('+') }}{{ dict['items'] }}{{ dict.copy() == dict }}",
    "list_methods": "{{ list.index(1) }}{{ list.count(3) }}{{ list.append is defined }}{{ list.sort }}",
    "items": "{% set d = {'x': 1} %}{{ {'a': 1}.items() | list }}{{ d | items | list }}{{ missing | items | list }}",
    "tojson": "{{ nested | tojson }} {{ dict | tojson(indent=2) }} {{ word | tojson }} {{ word | tojson(ensure_ascii=true) }} {{ quotes | tojson }} {{ '<a href=\"b\">&' | tojson }} {{ [] | tojson(indent=4) }} {{ {} | tojson(indent=2) }} {{ half | tojson }} {{ none | tojson }} {{ {'b': 1, 'a': [1, {'d': 2}]} | tojson(sort_keys=true, indent=1) }} {{ [1, 2] | tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, yes: 4} | tojson }} {{ (1, 2) | tojson(indent='--') }}",
    "length": "{{ list | length }}{{ word | length }}{{ dict | count }}{{ missing | length }}{{ '' | length }}{{ range(4) | length }}",
    "join": "{{ list | join(', ') }} {{ people | join('/', attribute='name') }} {{ [1, none, yes] | join }} {{ people[:2] | map(attribute='town.name') | join('-') }}",
    "default": "{{ missing | default('x') }}{{ empty | default('y') }}{{ empty | default('z', true) }}{{ none | d('n') }}{{ none | default('n', boolean=true) }}{{ dict.zzz | default([]) }}",
    "select": "{{ people | selectattr('age', 'equalto', 30) | map(attribute='name') | list }}{{ people | rejectattr('age', 'eq', 30) | list | length }}{{ people | selectattr('town') | list | length }}{{ list | select('odd') | list }}{{ list | reject('gt', 1) | list }}{{ ['', 'a'] | select | list }}{{ none | select | list }}{{ people[:2] | selectattr('town.name', 'in', ['Rom']) | list | first }}",
    "generators": "{% set g = list | select('odd') %}{% if g %}true{% endif %}{{ g | list }}{{ g | list }}{{ list | map('string') | join('') }}{{ names | map('upper') | list }}{{ ['a'] | map('default', 'x') | first }}{{ list | reverse | list }}{{ 'abc' | reverse }}",
    "first_last": "{{ list | first }}{{ list | last }}{{ [] | first }}{{ 'abc' | last }}{{ dict | first }}{{ ([] | last) is defined }}",
    "sort": "{{ list | sort }}{{ names | sort }}{{ names | sort(case_sensitive=true) }}{{ list | sort(reverse=true) }}{{ people | sort(attribute='age,name') | map(attribute='name') | list }}{{ dict | dictsort | map('first') | list }}{{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }}",
    "more_lists": "{{ [1, 2, 1] | unique | list }}{{ names | unique | list }}{{ list | min }}{{ list | max }}{{ people | max(attribute='age') }}{{ list | sum }}{{ people | sum(attribute='age') }}{{ [1, 2, 3, 4, 5] | batch(2, 0) | list }}{% for age, group in people | groupby('age') %}{{ age }}:{{ group | length }};{% endfor %}{{ list + [4] }}{{ (1, 2) + (3,) }}{{ [0] * 3 }}",
    "text_filters": "{{ text | trim }}|{{ 'xax' | trim('x') }}|{{ word | upper }}|{{ word | lower }}|{{ 'hello wOrld-x' | title }}|{{ 'hELLO' | capitalize }}|{{ 'banana' | replace('a', 'o', 2) }}|{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent('> ', blank=true) }}|{{ 'a long sentence of words' | truncate(12) }}|{{ 'abcdefghijkl' | truncate(5, true, '!', 0) }}|{{ 'two words' | wordcount }}|{{ 'ab' | center(6) }}|{{ 'a b/c' | urlencode }}",
    "number_filters": "{{ '42' | int }}{{ 'x' | int }}{{ 'x' | int(5) }}{{ '3.7' | int }}{{ 3.9 | int }}{{ 'ff' | int(base=16) }}{{ '1.5' | float }}{{ 'x' | float }}{{ -3 | abs }}{{ 2.567 | round(2) }}{{ 2.5 | round }}{{ 2.1 | round(0, 'ceil') }}{{ 2.9 | round(method='floor') }}{{ seven | string + '!' }}{{ none | string }}{{ 1.0 | string }}",
    "markup": "{{ '<b>' | safe }}{{ '<b>' | e }}{{ ('<i>' | safe) + '<b>' }}{{ 'a&' + ('<i>' | safe) }}{{ ('<i>' | safe) ~ '<b>' }}{{ ['<i>' | safe] | join('<') }}{{ ('<i>' | safe) is string }}",
    "tests": "{{ missing is defined }}{{ missing is undefined }}{{ none is none }}{{ seven is number }}{{ yes is number }}{{ yes is boolean }}{{ half is float }}{{ seven is integer }}{{ yes is integer }}{{ 'a' is string }}{{ dict is mapping }}{{ list is sequence }}{{ 'a' is sequence }}{{ dict is iterable }}{{ 1 is iterable }}{{ yes is true }}{{ 1 is true }}{{ no is false }}{{ 4 is even }}{{ 3 is odd }}{{ 9 is divisibleby 3 }}{{ 1 is in [1] }}{{ 1 is not in [1] }}{{ 'a' is eq 'a' }}{{ 2 is gt 1 }}{{ 'A' is upper }}{{ 'a' is lower }}{{ range is callable }}{{ none is sameas none }}{{ 'upper' is filter }}{{ 'odd' is test }}{{ missing is iterable }}{{ dict.items() is sequence }}",
    "tests_bind": "{{ not missing is defined }}{{ missing is not defined and yes }}{{ 'x' if missing is none else 'y' }}{{ seven is number and 'n' }}{{ list is iterable and list is not string and list is not mapping }}{{ (seven | string) is string }}{{ seven | string is string }}",
    "clock": "{{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%d %b %Y, %H:%M:%S') }} {{ strftime_now('%A %B %-d %j %y %p %I') }}{% if strftime_now is defined %}!{% endif %}",
    "others": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('|') %}{{ j() }}x{{ j() }}y{{ j() }}",
    "attr_filter": "{{ word | attr('upper') is defined }}{{ (dict | attr('items'))() | list | length }}{{ dict | attr('b') is defined }}",
    "unsafe": "{{ word.__class__ }}{{ list.__len__ is defined }}{{ dict.update }}{{ ''.__class__ is defined }}",
    "refusal_append": "{% set _ = list.append(4) %}",
    "refusal_undefined_attribute": "{{ missing.name }}",
    "refusal_undefined_sum": "{{ 'a' + missing }}",
    "refusal_types": "{{ 'a' + 1 }}",
    "refusal_none": "{% for x in none %}{% endfor %}",
    "refusal_call": "{{ seven() }}",
    "refusal_json": "{{ missing | tojson }}",
    "refusal_filter": "{{ seven | no_such_filter }}",
    "refusal_tag": "{% no_such_tag %}",
    "refusal_open": "{% if yes %}a",
    "refusal_raise": "{{ raise_exception('a reason') }}",
    "refusal_macro": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "refusal_private": "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "refusal_division": "{{ 1 / 0 }}",
    "unused_filter": "{% if no %}{{ seven | no_such_filter }}{% endif %}ok",
}

GREETING = "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
CALLS = """\
{%- for call in message.tool_calls -%}
  {%- if call.function is defined %}{% set call = call.function %}{% endif -%}
  {{- '\\n<call>' ~ call.name ~ ' ' -}}
  {%- if call.arguments is string %}{{ call.arguments }}{% else %}{{ call.arguments | tojson }}{% endif -%}
  {{- '</call>' -}}
{%- endfor -%}
"""

# As chat templates are put together; with the variables that they are given besides.
TEMPLATES = {
    "headers": ("{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + (message['content'] | string | trim) + eos_token + '\\n' }}{% endfor %}" + GREETING, {}),
    "loop_first": ("{% for m in messages %}{% if loop.first and m.role != 'system' %}{{ 'S: default\\n' }}{% endif %}{{ m.role[0] | upper }}: {{ m.content }}\n{% endfor %}", {"add_generation_prompt": False}),
    "system_split": ("{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '[S]' + system_message + '[/S]' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[U] ' + content.strip() + ' [/U]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}", {}),
    "renamed_roles": ("{%- for m in messages %}\n{%- set role = 'model' if m.role == 'assistant' else m.role %}\n{{- '<turn>' + role + '\\n' + (m.content | default('', true) | string | trim) + '</turn>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n{{- '<turn>model\\n' }}\n{%- endif %}", {}),
    "content_parts": ("{%- macro text_of(content) -%}{%- if content is string -%}{{ content }}{%- elif content is iterable and content is not mapping -%}{%- for part in content -%}{%- if part.type == 'text' or 'text' in part -%}{{ part.text }}{%- elif part.type == 'image' -%}<image>{%- endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}{%- for m in messages -%}<{{ m.role }}>{{ text_of(m.content) }}</{{ m.role }}>{%- endfor -%}", {}),
    "tools_json": ("{%- if tools %}\n{{- '<tools>' }}\n{%- for tool in tools %}\n{{- '\\n' }}\n{{- tool | tojson }}\n{%- endfor %}\n{{- '\\n</tools>' }}\n{%- endif %}\n{%- for message in messages %}\n{{- '\\n' + message.role + ': ' }}{% if message.content is string %}{{ message.content }}{% endif %}\n" + CALLS + "{%- endfor %}", {"tools": "TOOLS"}),
    "tools_indented": ("{% for t in tools or [] %}{{ t | tojson(indent=4) }}\n\n{% endfor %}{% for m in messages %}{{ m | tojson }}{% endfor %}", {"tools": "TOOLS"}),
    "tools_signature": ("{%- macro type_of(p) -%}{%- if p.enum -%}{{ p.enum | map('tojson') | join(' | ') }}{%- elif p.type == 'array' -%}{{ type_of(p['items']) }}[]{%- elif p.type == 'object' -%}{{ '{' }}{% for k, v in p.properties.items() %}{{ k }}: {{ type_of(v) }}{{ ', ' if not loop.last }}{% endfor %}{{ '}' }}{%- elif p.anyOf is defined -%}{% for q in p.anyOf %}{{ type_of(q) }}{{ ' | ' if not loop.last else '' }}{% endfor %}{%- elif p.type is string -%}{{ p.type }}{%- else -%}{{ p.type | join('|') }}{%- endif -%}{%- endmacro -%}\n{%- for tool in tools | default([], true) -%}{%- set f = tool.function -%}\n// {{ f.description.split('\\n') | join(' / ') }}\n{{ f.name }}({% for name, p in f.parameters.properties.items() %}{{ name }}{{ '?' if name not in (f.parameters.required or []) }}: {{ type_of(p) }}{% if p.default is defined %} = {{ p.default }}{% endif %}{{ ', ' if not loop.last }}{% endfor %}){{ '\\n' }}{%- endfor -%}", {"tools": "TOOLS"}),
    "tools_sorted": ("{%- for tool in tools %}{%- for k, v in tool.function.parameters.properties | dictsort %}{{ k }}:{{ v.type | default('any') | string | upper }};{%- endfor %}{%- endfor %}{{ tools | map(attribute='function.name') | join(',') }}{{ tools | selectattr('function.name', 'equalto', 'now') | list | length }}", {"tools": "TOOLS"}),
    "tool_results": ("{%- for message in messages %}{%- if message.role == 'tool' %}{%- if loop.first or loop.previtem.role != 'tool' %}{{- '<user>' }}{%- endif %}{{- '<result>' ~ (message.content if message.content is string else message.content | tojson) ~ '</result>' }}{%- if loop.last or loop.nextitem.role != 'tool' %}{{- '</user>' }}{%- endif %}{%- elif message.tool_calls %}{{- '<assistant>' + (message.content or '') }}" + CALLS + "{{- '</assistant>' }}{%- else %}{{- '<' + message.role + '>' + (message.content | string) + '</' + message.role + '>' }}{%- endif %}{%- endfor %}", {}),
    "call_ids": ("{%- for message in messages %}{%- if message.tool_calls is defined and message.tool_calls | length > 0 %}{%- for call in message.tool_calls %}{%- if call.id | length != 10 %}{{- raise_exception('ids have ten characters') }}{%- endif %}{{- call.id[-5:] ~ ':' ~ call.function.name ~ ' ' }}{%- endfor %}{%- elif message['role'] == 'tool' %}{{- '[' + message.tool_call_id | string + ']' }}{%- endif %}{%- endfor %}", {}),
    "thinking_removed": ("{%- set ns = namespace(last=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}{%- for m in messages %}{%- set content = m.content if m.content is string else '' %}{%- if m.role == 'assistant' and '</think>' in content %}{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- if loop.index0 > ns.last %}{%- set content = '(' + thought + ')' + content %}{%- endif %}{%- endif %}{{- m.role + '|' + content + '\\n' }}{%- endfor %}{{- 'assistant|' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}", {"enable_thinking": False}),
    "reasoning": ("{%- for m in messages %}{%- if m.role == 'assistant' %}{%- if m.reasoning_content is string %}{%- set reasoning = m.reasoning_content %}{%- else %}{%- set reasoning = m.thinking | default('') %}{%- endif %}{{- '<think>' ~ reasoning | trim ~ '</think>' ~ m.content }}{%- else %}{{- '<' ~ m.role ~ '>' }}{%- endif %}{%- endfor %}{{- '<think>' if thinking else '' }}", {"thinking": True}),
    "reversed_search": ("{%- set ns = namespace(multi=true, last=messages | length - 1) %}{%- for m in messages[::-1] %}{%- set index = (messages | length - 1) - loop.index0 %}{%- if ns.multi and m.role == 'user' and not (m.content is string and m.content.startswith('<result>') and m.content.endswith('</result>')) %}{%- set ns.multi = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}/{{ messages | length }}", {}),
    "defaults": ("{%- if reasoning_effort is not defined %}{%- set reasoning_effort = 'medium' %}{%- endif %}{%- set identity = identity | default('You are a model.') %}{{- identity + '\\nReasoning: ' + reasoning_effort + '\\nToday: ' + strftime_now('%Y-%m-%d') }}{%- if not tools %}{{- '\\nNo tools.' }}{%- endif %}", {"reasoning_effort": "low"}),
    "date_or_clock": ("{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}{{- date_string }}", {}),
    "documents": ("{%- for d in documents or [] %}[{{ loop.index }}] {{ d.title }}: {{ d['text'] | replace('\\n', ' ') }}\n{% endfor %}{% if documents %}{{ documents | length }}{% endif %}", {"documents": [{"title": "T", "text": "a\nb"}]}),
    "last_user": ("{%- set users = messages | selectattr('role', 'equalto', 'user') | list %}{%- for m in messages %}{%- if tools is not none and m.role == 'user' and m == users[-1] %}{{- '[TOOLS]' + tools | map(attribute='function.name') | list | tojson + '[/TOOLS]' }}{%- endif %}{{- '[' + m.role + ']' }}{%- endfor %}", {"tools": "TOOLS"}),
    "generation_tags": ("{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}", {}),
    "block_set_calls": ("{% for m in messages %}{% set body %}{% if m.tool_calls %}{% for c in m.tool_calls %}{% filter indent(2, true) %}{{ c.function.name }}:\n{{ c.function.arguments | tojson(indent=2) }}{% endfilter %}\n{% endfor %}{% else %}{{ m.content }}{% endif %}{% endset %}{{ m.role }} ({{ body | length }}):\n{{ body | trim }}\n{% endfor %}", {}),
    "arguments_as_xml": ("{%- macro tag(k, v) -%}<{{ k }}>{%- if v is mapping -%}{%- for a, b in v.items() -%}{{ tag(a, b) }}{%- endfor -%}{%- elif v is sequence and v is not string -%}{%- for b in v -%}{{ tag('item', b) }}{%- endfor -%}{%- elif v is boolean -%}{{ 'true' if v else 'false' }}{%- elif v is none -%}null{%- else -%}{{ v | string | e }}{%- endif -%}</{{ k }}>{%- endmacro -%}{%- for m in messages -%}{%- for c in m.tool_calls or [] -%}{{ tag(c.function.name, c.function.arguments) }}{%- endfor -%}{%- endfor -%}", {}),
}

from chat_conversations import TOOLS  # noqa: E402

for _, settings in TEMPLATES.values():
    if settings.get("tools") == "TOOLS":
        settings["tools"] = TOOLS
