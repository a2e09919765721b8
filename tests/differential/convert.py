#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `wader convert` writes, read by transformers and by the safetensors library.

usage: convert.py --wader PATH [--rounds N] [--seed N] [--venv DIR]

transformers must load each new directory without a key too many or too few, and give the logits of
the source. The source is every fixture, whatever its format (expected.json has its logits in
float64), and random small models that transformers itself saves: BERT and DistilBERT, safetensors
in one file and several, and pytorch_model.bin where wader reads that. Weights that are rounded must
be those that torch rounds. Exits with 77 where Python has no transformers with torch and none can
be installed.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import packages  # noqa: E402

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden')
VOCABULARY = os.path.join(GOLDEN, 'bert_small', 'vocab.txt')
CLOSE = 1e-5  # of the logits' scale: float64 on weights that are the same bits

torch = transformers = safe_open = None  # the libraries; main imports them


class Tally:
    def __init__(self):
        self.n, self.failures, self.worst = 0, 0, 0.0

    def check(self, what, good, detail=''):
        self.n += 1
        if not good:
            self.failures += 1
            print('FAIL  %s %s' % (what, detail), file=sys.stderr)


def convert(wader, source, new, dtype='keep'):
    env = {k: v for k, v in os.environ.items() if not k.startswith('WADER_')}
    run = subprocess.run([wader, 'convert', '--model', source, '-o', new, '--dtype', dtype, '-q'],
                         capture_output=True, text=True, env=env, check=False)
    if run.returncode:
        raise RuntimeError('%s: exit %d: %s' % (source, run.returncode, run.stderr))


def load(tally, what, path):
    """The model in float64, as it was stored; every key must have found its place."""
    model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        path, output_loading_info=True, attn_implementation='eager')
    wrong = {k: list(v) for k, v in info.items() if v}
    tally.check(what + ': every key has its place', not wrong, wrong)
    return model.double().eval()


def logits_of(model, ids):
    with torch.no_grad():
        return [model(torch.tensor([row])).logits[0].tolist() for row in ids]


def close(tally, what, got, wanted):
    scale = max(abs(x) for row in wanted for x in row)
    apart = max(abs(a - b) for g, w in zip(got, wanted) for a, b in zip(g, w)) / scale
    tally.worst = max(tally.worst, apart)
    tally.check(what + ': logits', len(got) == len(wanted) and apart <= CLOSE,
                'apart by %g of their scale' % apart)


def tensors_of(path):
    """{name: tensor} and the notes, by the safetensors library."""
    with safe_open(os.path.join(path, 'model.safetensors'), 'pt') as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(
        a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))


def check_rounded(tally, wader, what, kept, source, scratch):
    """bf16 and fp16 are what torch makes of the kept tensors."""
    for word, dtype in (('bf16', torch.bfloat16), ('fp16', torch.float16), ('fp32', torch.float32)):
        new = os.path.join(scratch, word)
        convert(wader, source, new, word)
        tensors, _ = tensors_of(new)
        wrong = [k for k, v in kept.items() if not same_bits(v.to(dtype), tensors[k])]
        tally.check('%s in %s: bits' % (what, word), not wrong and len(tensors) == len(kept), wrong)
        model = load(tally, '%s in %s' % (what, word), new)
        config = transformers.AutoConfig.from_pretrained(new)
        tally.check('%s in %s: config' % (what, word),
                    getattr(config, 'dtype', None) == dtype or config.torch_dtype == dtype, config)
        state = model.state_dict()
        wrong = [k for k, v in tensors.items() if not same_bits(v.double(), state[k])]
        tally.check('%s in %s: loaded as stored' % (what, word), not wrong, wrong)


def check_fixture(tally, wader, name, scratch):
    source, new = os.path.join(GOLDEN, name), os.path.join(scratch, 'new')
    with open(os.path.join(source, 'expected.json'), encoding='utf-8') as file:
        cases = json.load(file)['cases']
    convert(wader, source, new)
    model = load(tally, name, new)
    close(tally, name, logits_of(model, [c['ids'] for c in cases]), [c['logits'] for c in cases])
    kept, notes = tensors_of(new)
    tally.check(name + ': the library reads the notes', notes['format'] == 'pt', notes)
    state = model.state_dict()
    tally.check(name + ': the names are those of the state dict', set(kept) == set(state),
                set(kept) ^ set(state))
    check_rounded(tally, wader, name, kept, source, scratch)
    # Of this transformers on both sides: what it makes of old files is not what it made of them.
    ids = []
    for path in (source, new):
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        ids.append([tokenizer(c['title'])['input_ids'] for c in cases])
    tally.check(name + ': token ids', ids[0] == ids[1])


def random_config(rng):
    heads = rng.choice([1, 2, 3, 4])
    n_labels = rng.choice([2, 3, 7])
    names = {k: '%s %d' % (rng.choice(['label', 'tópico', '主题']), k) for k in range(n_labels)}
    common = {'vocab_size': 290, 'max_position_embeddings': rng.choice([16, 40]),
              'id2label': names, 'label2id': {v: k for k, v in names.items()}}
    if rng.random() < 0.4:
        common['problem_type'] = rng.choice(['single_label_classification',
                                             'multi_label_classification'])
    width, layers, inner = heads * rng.choice([8, 12]), rng.choice([1, 3]), rng.choice([24, 57])
    if rng.random() < 0.4:
        return transformers.DistilBertConfig(dim=width, n_heads=heads, n_layers=layers,
                                             hidden_dim=inner, initializer_range=0.3, **common)
    return transformers.BertConfig(hidden_size=width, num_attention_heads=heads,
                                   num_hidden_layers=layers, intermediate_size=inner,
                                   type_vocab_size=rng.choice([1, 2, 3]), initializer_range=0.3,
                                   **common)


def save(rng, model, path, reads_bin):
    """By transformers, in one of its ways."""
    way = rng.choice(['one', 'several', 'bin'] if reads_bin else ['one', 'several'])
    if way == 'several':
        model.save_pretrained(path, max_shard_size='20KB')
    else:
        model.save_pretrained(path)
    if way == 'bin':
        os.remove(os.path.join(path, 'model.safetensors'))
        torch.save(model.state_dict(), os.path.join(path, 'pytorch_model.bin'))
    with open(VOCABULARY, 'rb') as file, open(os.path.join(path, 'vocab.txt'), 'wb') as copy:
        copy.write(file.read())
    return way


def check_random(tally, wader, rng, scratch, reads_bin):
    torch.manual_seed(rng.randrange(2 ** 31))
    config = random_config(rng)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():  # biases and norms would be all 0 and 1
        parameter.data += 0.1 * torch.randn(parameter.shape)
    dtype = rng.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])
    model = model.to(dtype)
    source, new = os.path.join(scratch, 'source'), os.path.join(scratch, 'new')
    os.mkdir(source)
    what = '%s, %s, %s' % (config.model_type, dtype, save(rng, model, source, reads_bin))
    convert(wader, source, new)
    kept, _ = tensors_of(new)
    state = model.state_dict()
    wrong = [k for k in state if k not in kept or not same_bits(kept[k], state[k])]
    tally.check(what + ': every tensor, bit for bit', not wrong and len(kept) == len(state), wrong)
    loaded = load(tally, what, new)
    tally.check(what + ': labels', loaded.config.id2label == config.id2label)
    ids = [[2] + [rng.randrange(290) for _ in range(rng.randrange(13))] + [3] for _ in range(5)]
    close(tally, what, logits_of(loaded, ids), logits_of(model.double(), ids))
    check_rounded(tally, wader, what, kept, source, scratch)


def reads_bin(wader, scratch):
    """Whether this wader reads pytorch_model.bin: the hint it gives where there are no weights."""
    path = os.path.join(scratch, 'probe')
    os.mkdir(path)
    with open(os.path.join(GOLDEN, 'bert_small', 'config.json'), encoding='utf-8') as file:
        config = file.read()
    with open(os.path.join(path, 'config.json'), 'w', encoding='utf-8') as file:
        file.write(config)
    run = subprocess.run([wader, 'info', '--model', path], capture_output=True, text=True,
                         check=False)
    return 'pytorch_model.bin' in run.stderr


def main():
    global torch, transformers, safe_open
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--wader', required=True)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--venv', help='install transformers and torch here where they are missing')
    args = parser.parse_args()
    transformers = packages.use('transformers', args.venv, needs=['torch'])
    import torch as torch_module
    from safetensors import safe_open as opener
    torch, safe_open = torch_module, opener
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    tally, rng = Tally(), random.Random(args.seed)
    wader = os.path.abspath(args.wader)
    fixtures = sorted(n for n in os.listdir(GOLDEN)
                      if os.path.exists(os.path.join(GOLDEN, n, 'expected.json')))
    with tempfile.TemporaryDirectory(prefix='wader-convert-') as scratch:
        has_bin = reads_bin(wader, scratch)
    for name in fixtures:
        with tempfile.TemporaryDirectory(prefix='wader-convert-') as scratch:
            check_fixture(tally, wader, name, scratch)
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix='wader-convert-') as scratch:
            check_random(tally, wader, rng, scratch, has_bin)
    print('%d fixtures, %d random models%s: %d checks, %d failures, logits apart by at most %.2g '
          'of their scale (transformers %s, torch %s, seed %d)'
          % (len(fixtures), args.rounds, '' if has_bin else ' (no pytorch_model.bin)', tally.n,
             tally.failures, tally.worst, transformers.__version__, torch.__version__, args.seed))
    return 0 if tally.failures == 0 and tally.n > 100 else 1


if __name__ == '__main__':
    sys.exit(main())
