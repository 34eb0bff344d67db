"""Texts for the tokenizers' references: sentences in many scripts, code, emoji, odd white space, and
what a seeded generator makes of Unicode's blocks; all of them, and bytes that are not UTF-8.
"""

import random

from make_sentencepiece_reference import MORE, broken_texts
from make_tokenizer_reference import SENTENCES, random_texts

LANGUAGES = [
    "Ouder worden is onvermijdelijk, maar wijs worden blijft een keuze.",
    "Die Würde des Menschen ist unantastbar; sie zu achten ist Pflicht.",
    "Le cœur a ses raisons que la raison ne connaît point — n'est-ce pas ?",
    "El niño comió piñas, ¿verdad? ¡Qué rico! Año 2024.",
    "A rápida raposa marrom saltou sobre o cão preguiçoso; são 3,50 €.",
    "Perché l'acqua bolle a 100 °C? È la pressione, già.",
    "Łódź płynie żwawo, a źrebię śpi pod dębem.",
    "Dvě stě stříkaček stříkalo přes střechu, řekl Jiří.",
    "Mađarska čarda: žganci, šunka i ćevapi.",
    "Şu köşe yaz köşesi, İstanbul'da ılık rüzgâr.",
    "Þetta er íslenska: ég á ekki við það.",
    "Tôi yêu tiếng Việt. Những đường phố Hà Nội rất đẹp.",
    "Съешь ещё этих мягких французских булок, да выпей же чаю!",
    "Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів!",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ναι, όχι;",
    "Բարեւ ձեզ, ինչպե՞ս եք։", "გამარჯობა, როგორ ხართ?",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה", "نص حكيم له سر قاطع وذو شأن عظيم ٠١٢٣",
    "یک روباه قهوه‌ای چابک از روی سگ تنبل می‌پرد", "ہم سب ایک ہیں۔ اردو زبان",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश।",
    "আমার সোনার বাংলা, আমি তোমায় ভালোবাসি।", "ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ ਜੀ", "ગુજરાતી ભાષા સુંદર છે",
    "தமிழ் மொழி மிகவும் பழமையானது", "తెలుగు భాష తీయనైనది", "ಕನ್ನಡ ನಾಡು ನುಡಿ", "മലയാളം അതിസുന്ദരം",
    "සිංහල භාෂාව", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า ๑๒๓", "ພາສາລາວ ສະບາຍດີ", "မြန်မာစာ မင်္ဂလာပါ",
    "ភាសាខ្មែរ សួស្តី", "བོད་ཡིག བཀྲ་ཤིས་བདེ་ལེགས།", "ሰላም ለዓለም፤ አማርኛ", "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ",
    "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。", "我能吞下玻璃而不伤身体。2024年3月1日",
    "いろはにほへと　ちりぬるを　わかよたれそ", "コンピューターで「ｶﾅ」を打つ〜。",
    "키스의 고유조건은 입술끼리 만나야 하고", "ꦲꦏ꧀ꦱꦫꦗꦮ", "ⴰⵣⵓⵍ ⴰⵎⴰⴹⴰⵍ", "ߒߞߏ", "ᎣᏏᏲ ᎡᎶᎯ", "𐤀𐤁𐤂 𐎀𐎁𐎂 𒀀𒀁",
    "Ñandú kuéra, mba'éichapa? Ò dárɔ̀! Hɛɛ.", "Ẹ káàárọ̀, ṣé dáadáa ni?", "Kei te pēhea koe?",
]  # fmt: skip

CODE = [
    "#include <vector>\nint main(int argc, char** argv) { return argc > 1 ? 0 : -1; }",
    "fn main() -> Result<(), Box<dyn Error>> { println!(\"{:?}\", &x[..2]); Ok(()) }",
    "const f = async ({a, ...rest}) => `${a ?? 'none'} ${await g(rest)}`;\n",
    "class A(B):\n\tdef __init__(self, *args, **kwargs):\n\t\tsuper().__init__()\n\n\n",
    "        if x == 0x7fff_ffff:\n            return x << 3 | ~y & 0b1010\n",
    "SELECT COUNT(*) AS n FROM \"t\" LEFT JOIN u ON t.id=u.id WHERE a LIKE '%x%';--",
    "for f in *.txt; do mv -- \"$f\" \"${f%.txt}.md\" || exit 1; done 2>/dev/null",
    "{\n  \"key\": [1, -2.5e+10, null],\n  \"nested\": {\"a\": true}\n}\n",
    "<a href=\"/x?y=1&amp;z=2\">l&eacute;</a>\r\n<br/>\r\n",
    "x = (a+b)*(c-d)/e % f ** 2 // 3; y -= 1; z <<= 2 # 100%",
    "public static <T extends Comparable<T>> T max(List<? super T> xs) { /* ... */ }",
    "(define (fact n) (if (= n 0) 1 (* n (fact (- n 1)))))",
    "\\begin{align*} \\alpha &= \\frac{1}{2} \\\\ \\beta &\\in \\mathbb{R} \\end{align*}",
    "func (s *Server) Do(ctx context.Context) error {\n\treturn fmt.Errorf(\"%w\", err)\n}",
    "git log --oneline -n 20 | awk '{print $1}' | xargs -I{} git show {}",
    "@decorator\nlambda x: x if x else [i for i in range(10) if i % 2]",
    "0123456789 12 123 1234 12345 123456 1,234,567.89 1e-9 0b11 007 3.14.15",
    "aB1cD22eF333gH4444 v1.2.3-rc4+build.5 UTF-8 ISO8601 sha256:9f86d081",
]  # fmt: skip

EMOJI = [
    "👨‍👩‍👧‍👦👩🏿‍🚀🧑🏻‍🤝‍🧑🏽 🏴󠁧󠁢󠁥󠁮󠁧󠁿🏴‍☠️ 👁️‍🗨️", "☺☺️☻ ♀♂️ ✊🏾✋🏼 ©️®️™️ #️⃣*️⃣0️⃣", "🇺🇸🇬🇧🇯🇵 🇦 🇧🇨 🏳️‍⚧️",
    "😀a😀 b😀 😀\n😀😀😀", "❤️‍🔥 💔❤ ♥️ ♡", "⏰⌛🕐🔟🆗🈚🀄🃏", "🫠🫨🪿🫎🩷", "ʕ•ᴥ•ʔ (╯°□°)╯︵ ┻━┻ ¯\\_(ツ)_/¯",
    "ก็็็็็ ᄀ̂ᅡ̣ a̴̧̛͖ x̷̶̲ ⃣1⃝ é̂̃", "\u202eright to left\u202c \u2066x\u2069 \u200fש\u200e",
    "①②⑳ ⒶⓩⒷ ㊗㊙ ㍿ ㎏ ㏒ ⅓⅞ Ⅻ ⅷ ꜰᴜʟʟ", "ﬁﬂﬃ ŒœÆæ ĲĳǄǆ ſs ẞß Ǳ ŉ ﷽ ﷺ",
]  # fmt: skip

SPACES = [" ", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u1680", "\u180e",
          "\u2000", "\u2003", "\u2009", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060",
          "\u3000", "\ufeff", "  ", "    ", "\n\n", "\t\t"]  # fmt: skip

SPECIAL = ["<s>", "</s>", "<unk>", "<bos>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|user|>",
           "<|end|>", "<mask>", "<extra_id_0>", "[INST]", "[/INST]", "<0x41>", "<0xE4>", "▁", "▁▁"]  # fmt: skip

LONG = ["a" * 700, "▁" * 40, " " * 333 + "x", "\n" * 150, "=" * 400, "é" * 200, "字" * 150, "ab " * 120,
        "0" * 301, "\t \t " * 60, "😀" * 80, "e\u0301" * 100, "क्ष" * 60, "x" + "\u0302" * 90, "." * 257,
        "hello" * 90, "-=" * 150, "\u3000" * 99, " a" * 200, "\r\n" * 77, "aaab" * 100]  # fmt: skip

# Blocks from which words are drawn, some of them beyond the references' Unicode versions.
BLOCKS = [(0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x17F), (0x180, 0x24F), (0x250, 0x2FF),
          (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x530, 0x58F), (0x590, 0x5FF),
          (0x600, 0x6FF), (0x700, 0x7BF), (0x900, 0x97F), (0x980, 0xA7F), (0xA80, 0xBFF),
          (0xC00, 0xDFF), (0xE00, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x10FF), (0x1100, 0x11FF),
          (0x1200, 0x137F), (0x13A0, 0x167F), (0x1780, 0x18AF), (0x1D00, 0x1DBF), (0x1E00, 0x1FFF),
          (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x218F), (0x2190, 0x23FF),
          (0x2460, 0x25FF), (0x2600, 0x27BF), (0x2C00, 0x2DFF), (0x3000, 0x30FF), (0x3130, 0x32FF),
          (0x3400, 0x3500), (0x4E00, 0x5200), (0xA000, 0xA4CF), (0xA640, 0xA7FF), (0xAC00, 0xB000),
          (0xE000, 0xE020), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFF00, 0xFFEF), (0x10000, 0x100FF),
          (0x10400, 0x1049F), (0x11000, 0x110CF), (0x12000, 0x12040), (0x16D40, 0x16D79),
          (0x1D400, 0x1D4FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F6FF), (0x1F900, 0x1F9FF),
          (0x20000, 0x20040), (0x31350, 0x31370), (0xE0020, 0xE007F)]  # fmt: skip


def block_texts(count):
    """Words of one or two blocks with spaces, digits and punctuation between."""
    rng = random.Random(20240302)
    for _ in range(count):
        blocks = rng.sample(BLOCKS, 2)
        text = ""
        for _ in range(rng.randint(1, 7)):
            low, high = rng.choice(blocks)
            text += "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6)))
            text += rng.choice([" ", " ", " ", "", "\n", ", ", ". ", "'s ", "-", "12", rng.choice(SPACES)])
        yield text


def space_texts(count):
    """White space of all kinds between short words and special tokens."""
    rng = random.Random(20240303)
    words = ["a", "the", "x1", "é", "字", "😀", ".", "'ll", "42", "", "", "Hello", "();", "ß"]
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 9)):
            text += rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3, 7])
            text += rng.choice(SPECIAL) if rng.random() < 0.15 else rng.choice(words)
        yield text


def mixed_texts(count):
    """Pieces of the sentences, cut anywhere, put together."""
    rng = random.Random(20240304)
    sources = [text for text in SENTENCES + LANGUAGES + CODE + EMOJI if text]
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 3)):
            source = rng.choice(sources)
            begin = rng.randrange(len(source))
            text += source[begin : begin + rng.randint(1, 24)] + rng.choice(["", " ", "  ", "\n"])
        yield text


def all_texts():
    """As bytes."""
    texts = SENTENCES + MORE + LANGUAGES + CODE + EMOJI + LONG + SPACES + SPECIAL
    texts += list(random_texts(250)) + list(block_texts(800)) + list(space_texts(320))
    texts += list(mixed_texts(330))
    return [text.encode() for text in texts] + list(broken_texts(160))


def training_texts():
    """What vocabularies are trained on: without what is one character over and over; and what is
    ASCII counts more, so that not every character of every script becomes a token."""
    texts = [text for text in SENTENCES + LANGUAGES + CODE + EMOJI if len(set(text)) > 4]
    return texts + 12 * [text for text in texts if text.isascii()]


def fnv(data):
    """FNV-1a, folded to 32 bits."""
    hash = 0xCBF29CE484222325
    for byte in data:
        hash = (hash ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return (hash >> 32 ^ hash) & 0xFFFFFFFF
