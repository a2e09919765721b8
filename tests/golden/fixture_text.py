# SPDX-License-Identifier: Apache-2.0
"""The vocabulary and the titles of the small BERT fixtures, made up for them."""

PUNCTUATION = "!\"#$%&'()*+,-./:;?@[]–…。，"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
ACCENTED = "áàäçéèêíïñóöüßøÉÖ"
OTHER = "авиймнор가あ"
HAN = "中国新闻今天科学世界北京上海经济人民大学电影音乐体育足球"
WORDS = """the of and to in for on with is at by from new old how what why who it he she
The A New Why How Science World News Sport Film Music Market Health war peace city team game
year years day days week study bank price prices oil gold water road
school life love time man people child market music film science health
Berlin Paris London China India café naïve Zürich""".split()
SUFFIXES = """ing ed er ers est s es ly tion ment ness able al ic ist ism ful less
th st nd rd""".split()


def vocabulary():
    """Token strings in the order of their ids; specials spread out, as real files have them."""
    tokens = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += PUNCTUATION + LETTERS + DIGITS + ACCENTED + OTHER + HAN
    tokens += WORDS
    tokens += ["##" + piece for piece in [*LETTERS[:26], *DIGITS, *"éèïü", *OTHER, *SUFFIXES]]
    return list(dict.fromkeys(tokens))


TITLES = [
    "",
    "a",
    "   ",
    "Why the price of oil and gold is new",
    "Science: how it works",
    "World News from London, Paris and Berlin!",
    "NEW STUDY: coffee is good (or bad?)",
    "今天新闻",
    "北京大学 and 上海电影 music",
    "café in Zürich – über naïve people",
    "cafe\u0301 (the accent is a character of its own)",
    "мир и война",
    "🎬 film of the year 🎵",
    "3-2 in 90 minutes... team of the week",
    "[MASK] the market",
    "tab\tand\u00a0space\u200band control\x07",
    "the " * 30,
    "Marketlessness of the unmarketable marketers in the market of markets and of music, "
    "health, science, sport, film, war, peace and the weather of years and years and years",
    "中国新闻今天科学世界北京上海经济人民大学电影音乐体育足球" * 3,
    "The school team won its game",
]
