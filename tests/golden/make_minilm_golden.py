#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch says of the MiniLM classifier: make_minilm_golden.py MODELS [--check]

MODELS is what make_minilm.py wrote. Writes minilm.json.gz beside this script: titles, their ids
(the same from the cased and from the uncased tokenizer), float64 logits of MODELS/classifier, and
float64 hidden states: of [CLS] after the last layer for every title, after every layer (0 is the
embeddings) for the first 14, and of all tokens after layers 3 and 6 for two. --check compares
instead of writing. Made with transformers 5.23.0 and torch 2.15.
"""
import gzip
import json
import os
import sys

import safetensors.torch
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "minilm.json.gz")
ALL_LAYERS = 14
WHOLE = (4, 17)
MAX_LENGTH = 48

TITLES = [
    "",
    "a",
    "stock markets fall as oil prices climb to a ten-year high",
    "scientists find traces of water in the dust of a near earth asteroid",
    "the city marathon was won by a nurse",
    "new vaccine halves hospital stays, study of 40,000 patients finds",
    "parliament votes to postpone the budget debate until may",
    "how to prune an apple tree: five mistakes to avoid",
    "why do cats purr?",
    "北京 上海 大学",
    "a history of the violin, from cremona to the concert hall",
    "chip maker unveils a 2 nm processor with 50 billion transistors",
    "????",
    "flooding closes schools & roads in the north; trains delayed",
    "world cup final goes to penalties after 3-3 draw",
    "tips for sleeping better (that really work)",
    "bank raises interest rates by 0.25 percentage points",
    "rare comet visible tonight",
    "museum returns bronze statues to their country of origin",
    "quarterly earnings beat expectations; shares up 7%",
    "film review: a quiet masterpiece about lighthouse keepers",
    "hospital waiting lists reach a record length",
    "open source project celebrates its tenth birthday",
    "мир и труд",
    "the 1969 moon landing in pictures",
    "goalkeeper signs a four-year contract with her old club",
    "electric cars outsell diesel for the first time",
    "what the new tax law means for small businesses",
    "antibiotic resistance is rising, warns health agency",
    "orchestra announces programme of the coming season",
    "zookeepers welcome a baby pangolin",
    "quantum computer factors a number with 48 digits, team claims",
    "border talks resume after three weeks of silence",
    "xqzv jjkw 0000 -- ## @@",
    "recipe: grandmother's lentil soup",
    "court rules that ferry company must refund passengers",
    "deep sea robot maps a volcano the size of luxembourg",
    "teenager wins national chess title without losing a game",
    "smartphone sales slow down as people keep their old ones for longer and longer",
    "minutes of the annual meeting of the society for the preservation of old railway stations, "
    "with the treasurer's report, the election of the board, a vote on fees, questions from the "
    "floor, and thanks to all who cooked, cleaned, painted and drove in the year gone by",
]


def load(directory):
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config = BertConfig(**json.load(file))
    model = BertForSequenceClassification(config).double().eval()
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")
    state = safetensors.torch.load_file(os.path.join(directory, "model.safetensors"))
    state = {k if k.startswith("classifier.") else "bert." + k: v.double()
             for k, v in state.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(k.endswith("_ids") for k in missing), (missing, unexpected)
    return model


def ids_of(tokenizers, title):
    cased, uncased = (tokenizer(title, truncation=True, max_length=MAX_LENGTH)["input_ids"]
                      for tokenizer in tokenizers)
    assert cased == uncased, title
    return cased


def states_of(index, hidden_states):
    last = len(hidden_states) - 1
    kept = [(layer, 0) for layer in (range(last + 1) if index < ALL_LAYERS else [last])]
    if index in WHOLE:
        tokens = hidden_states[0].shape[1]
        kept += [(layer, token) for layer in (3, last) for token in range(1, tokens)]
    return [{"layer": layer, "token": token, "state": hidden_states[layer][0, token].tolist()}
            for layer, token in kept]


def compute(directory):
    model, cases = load(directory), []
    tokenizers = [BertTokenizerFast.from_pretrained(directory, do_lower_case=lower)
                  for lower in (False, True)]
    for index, title in enumerate(TITLES):
        ids = ids_of(tokenizers, title)
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        cases.append({"title": title, "ids": ids, "truncated": len(ids) == MAX_LENGTH,
                      "logits": out.logits[0].tolist(),
                      "hidden": states_of(index, out.hidden_states)})
    return cases


def compact(value):
    if isinstance(value, float):
        return "%.9g" % value
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(k) + ":" + compact(v) for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def write(cases):
    head = {"made_with": {"torch": str(torch.__version__),
                          "transformers": transformers.__version__},
            "precision": "float64", "max_length": MAX_LENGTH}
    text = compact(head)[:-1] + ',"cases":[\n' + ",\n".join(map(compact, cases)) + "\n]}\n"
    with open(PATH, "wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=9, mtime=0) as file:
            file.write(text.encode())


def differences(old, new):
    """Largest |old - new| / max |old| of logits and of states."""
    def relative(a, b):
        return max(abs(x - y) for x, y in zip(a, b, strict=True)) / max(map(abs, a))
    for a, b in zip(old, new, strict=True):
        assert (a["title"], a["ids"]) == (b["title"], b["ids"]), a["title"]
        yield relative(a["logits"], b["logits"])
        for s, t in zip(a["hidden"], b["hidden"], strict=True):
            yield relative(s["state"], t["state"])


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--check"]):
        sys.exit(__doc__)
    cases = compute(os.path.join(sys.argv[1], "classifier"))
    if len(sys.argv) == 2:
        write(cases)
        return 0
    with gzip.open(PATH, "rt", encoding="utf-8") as file:
        worst = max(differences(json.load(file)["cases"], cases))
    print(f"logits and states agree to {worst:.1e} of their scale")
    return 0 if worst < 1e-8 else 1


if __name__ == "__main__":
    sys.exit(main())
