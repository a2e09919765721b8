#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `wader convert` writes and `wader label` computes, against transformers and the safetensors
library.

usage: convert.py --wader PATH [--rounds N] [--seed N] [--venv DIR]

transformers must load each new directory without a key too many or too few, and give the logits of
the source. The source is every fixture, whatever its format (expected.json has its logits in
float64), and random small models: BERT and DistilBERT, saved as safetensors and as
pytorch_model.bin, in one file and several, in both of torch's formats, from DataParallel, with
what else checkpoints hold. Weights that are rounded must be those that torch rounds. A random
model's rows must be those of transformers in float64, to 1e-4 of their scale, and the same bytes
after conversion, rounded or not. Exits with 77 where Python has no transformers with torch and none
is to be installed (--venv: torch of the registry is a download of 3 GB).
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import packages  # noqa: E402

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden')
VOCABULARY = os.path.join(GOLDEN, 'bert_small', 'vocab.txt')
CLOSE = 1e-5  # of the logits' scale: float64 on weights that are the same bits
FP32 = 1e-4  # wader's logits in fp32: its contract
TITLES = ['gold', 'Science news: how it works', '', 'Paris, café 北京大学 3-2',
          'Why the price of oil and gold is new in the world of science, news and film today']

torch = transformers = safe_open = None  # the libraries; main imports them


class Tally:
    def __init__(self):
        self.n, self.failures, self.worst = 0, 0, {}

    def check(self, what, good, detail=''):
        self.n += 1
        if not good:
            self.failures += 1
            print('FAIL  %s %s' % (what, detail), file=sys.stderr)


def run(wader, *args, stdin=''):
    env = {k: v for k, v in os.environ.items() if not k.startswith('WADER_')}
    done = subprocess.run([wader, *args], capture_output=True, text=True, env=env, check=False,
                          input=stdin)
    if done.returncode:
        raise RuntimeError('%s: exit %d: %s' % (args, done.returncode, done.stderr))
    return done.stdout


def convert(wader, source, new, dtype='keep'):
    run(wader, 'convert', '--model', source, '-o', new, '--dtype', dtype, '-q')


def rows_of(wader, model):
    return run(wader, 'label', '--model', model, '--scores', 'logits', '--threads', '1', '-q',
               stdin=''.join(title + '\n' for title in TITLES))


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


def close(tally, what, got, wanted, limit=CLOSE):
    scale = max(abs(x) for row in wanted for x in row)
    apart = max(abs(a - b) for g, w in zip(got, wanted) for a, b in zip(g, w)) / scale
    tally.worst[limit] = max(tally.worst.get(limit, 0.0), apart)
    tally.check(what + ': logits', len(got) == len(wanted) and apart <= limit,
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
    n_labels = rng.choice([2, 3, 7, 50])
    names = {k: '%s %d' % (rng.choice(['label', 'tópico', '主题']), k) for k in range(n_labels)}
    common = {'vocab_size': 290, 'max_position_embeddings': rng.choice([16, 40]),
              'initializer_range': 0.3}
    if rng.random() < 0.8:
        common.update(id2label=names, label2id={v: k for k, v in names.items()})
    else:
        common['num_labels'] = n_labels
    if rng.random() < 0.4:
        common['problem_type'] = rng.choice(['single_label_classification',
                                             'multi_label_classification'])
    width, layers, inner = heads * rng.choice([8, 12]), rng.choice([1, 3]), rng.choice([24, 57])
    gelu = rng.choice(['gelu', 'gelu', 'gelu_new', 'gelu_pytorch_tanh'])
    if rng.random() < 0.4:
        return transformers.DistilBertConfig(dim=width, n_heads=heads, n_layers=layers,
                                             hidden_dim=inner, activation=gelu, **common)
    return transformers.BertConfig(hidden_size=width, num_attention_heads=heads,
                                   num_hidden_layers=layers, intermediate_size=inner,
                                   hidden_act=gelu, layer_norm_eps=rng.choice([1e-12, 1e-5]),
                                   type_vocab_size=rng.choice([1, 2, 3]), **common)


def save_bin(rng, way, state, path):
    """As older transformers saved it, or a user's own torch.save."""
    base = os.path.join(path, 'pytorch_model.bin')
    if 'more' in way:
        state['cls.predictions.bias'] = torch.zeros(5)
        state['bert.embeddings.position_ids'] = torch.arange(4).expand((1, -1))
    if 'parallel' in way:
        state = {'module.' + name: tensor for name, tensor in state.items()}
    if 'shards' not in way:
        torch.save(state, base, _use_new_zipfile_serialization='legacy' not in way)
        return
    where, n = {}, rng.choice([2, 3])
    for i in range(n):
        shard = 'pytorch_model-%05d-of-%05d.bin' % (i + 1, n)
        part = dict(list(state.items())[i::n])
        torch.save(part, os.path.join(path, shard))
        where.update(dict.fromkeys(part, shard))
    with open(base + '.index.json', 'w', encoding='utf-8') as file:
        json.dump({'metadata': {}, 'weight_map': where}, file)


def save(rng, model, path):
    """In one of the ways that there are."""
    way = rng.choice(['one', 'several', 'bin', 'bin legacy', 'bin more', 'bin legacy more parallel',
                      'bin parallel', 'bin shards more', 'bin shards parallel'])
    if way == 'several':
        model.save_pretrained(path, max_shard_size='20KB')
    else:
        model.save_pretrained(path)
    if way.startswith('bin'):
        os.remove(os.path.join(path, 'model.safetensors'))
        save_bin(rng, way, dict(model.state_dict()), path)
    with open(VOCABULARY, 'rb') as file, open(os.path.join(path, 'vocab.txt'), 'wb') as copy:
        copy.write(file.read())
    with open(os.path.join(path, 'tokenizer_config.json'), 'w', encoding='utf-8') as file:
        json.dump({'do_lower_case': False}, file)
    return way


def check_rows(tally, wader, what, model, source, scratch):
    """Of the source, of what it was converted to, and of what transformers itself rounds."""
    rows = rows_of(wader, source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    most = model.config.max_position_embeddings
    ids = [tokenizer(title, truncation=True, max_length=most)['input_ids'] for title in TITLES]
    got = [json.loads(row)['logits'] for row in rows.splitlines()]
    close(tally, what + ': wader', got, logits_of(model, ids), FP32)
    new, again = os.path.join(scratch, 'new'), os.path.join(scratch, 'again')
    tally.check(what + ': rows after conversion', rows_of(wader, new) == rows)
    convert(wader, new, again)
    first, second = tensors_of(new)[0], tensors_of(again)[0]
    tally.check(what + ': converted twice', list(first) == list(second) and
                all(same_bits(first[k], second[k]) for k in first))
    for word, dtype in (('bf16', torch.bfloat16), ('fp16', torch.float16)):
        rounded = os.path.join(scratch, 'rounded_' + word)
        loaded = transformers.AutoModelForSequenceClassification.from_pretrained(new)
        loaded.to(dtype).save_pretrained(rounded)
        for name in ('vocab.txt', 'tokenizer_config.json'):
            shutil.copy(os.path.join(source, name), rounded)
        tally.check('%s: rows in %s' % (what, word),
                    rows_of(wader, rounded) == rows_of(wader, os.path.join(scratch, word)))


def check_random(tally, wader, rng, scratch):
    torch.manual_seed(rng.randrange(2 ** 31))
    config = random_config(rng)
    model = transformers.AutoModelForSequenceClassification.from_config(
        config, attn_implementation='eager').eval()
    for parameter in model.parameters():  # biases and norms would be all 0 and 1
        parameter.data += 0.1 * torch.randn(parameter.shape)
    dtype = rng.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])
    model = model.to(dtype)
    source, new = os.path.join(scratch, 'source'), os.path.join(scratch, 'new')
    os.mkdir(source)
    what = '%s, %s, %s' % (config.model_type, dtype, save(rng, model, source))
    convert(wader, source, new)
    kept, _ = tensors_of(new)
    state = model.state_dict()
    wrong = [k for k in state if k not in kept or not same_bits(kept[k], state[k])]
    tally.check(what + ': every tensor, bit for bit', not wrong and len(kept) == len(state), wrong)
    loaded = load(tally, what, new)
    tally.check(what + ': labels', loaded.config.id2label == config.id2label)
    check_rounded(tally, wader, what, kept, source, scratch)
    check_rows(tally, wader, what, model.double(), source, scratch)
    ids = [[2] + [rng.randrange(290) for _ in range(rng.randrange(13))] + [3] for _ in range(5)]
    close(tally, what, logits_of(loaded, ids), logits_of(model, ids))


def fixtures_for(wader):
    """All of them, but for those with tf_model.h5 where this wader was built without HDF5."""
    names = sorted(n for n in os.listdir(GOLDEN)
                   if os.path.exists(os.path.join(GOLDEN, n, 'expected.json')))
    keras = [n for n in names if os.path.exists(os.path.join(GOLDEN, n, 'tf_model.h5'))]
    done = subprocess.run([wader, 'info', '--model', os.path.join(GOLDEN, keras[0])],
                          capture_output=True, text=True, check=False)
    if 'without HDF5' not in done.stderr:
        return names
    print('built without HDF5: left out %s' % ', '.join(keras))
    return [n for n in names if n not in keras]


def main():
    global torch, transformers, safe_open
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--wader', required=True)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--venv', help='install transformers and torch here where they are missing')
    args = parser.parse_args()
    transformers = packages.use('transformers', args.venv, needs=['torch'], advice=(
        'configure with -DWADER_TEST_TORCH=ON, or give --venv DIR: that downloads 3 GB'))
    import torch as torch_module
    from safetensors import safe_open as opener
    torch, safe_open = torch_module, opener
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    tally, rng = Tally(), random.Random(args.seed)
    wader = os.path.abspath(args.wader)
    fixtures = fixtures_for(wader)
    for name in fixtures:
        with tempfile.TemporaryDirectory(prefix='wader-convert-') as scratch:
            check_fixture(tally, wader, name, scratch)
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix='wader-convert-') as scratch:
            check_random(tally, wader, rng, scratch)
    print('%d fixtures, %d random models: %d checks, %d failures; logits apart by at most %.2g of '
          'their scale, wader\'s by %.2g (transformers %s, torch %s, seed %d)'
          % (len(fixtures), args.rounds, tally.n, tally.failures, tally.worst.get(CLOSE, 0.0),
             tally.worst.get(FP32, 0.0), transformers.__version__, torch.__version__, args.seed))
    return 0 if tally.failures == 0 and tally.n > 100 else 1


if __name__ == '__main__':
    sys.exit(main())
