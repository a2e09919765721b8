# SPDX-License-Identifier: Apache-2.0
"""BERT by hand in PyTorch, without padding: the quickest that it allows without kernels of one's
own. Queries, keys and values by one product, positions with the token type in them, the last layer
for [CLS] alone, as wader has it. Attention in the ways that PyTorch has for titles of unlike
lengths; a way that the installed PyTorch does not have, or not on this device, is a variant that
cannot be had.

  varlen   torch.nn.attention.varlen, which is FlashAttention
  nested   scaled_dot_product_attention of nested tensors, layout jagged
  grouped  titles of like lengths padded to a multiple of 8, for attention alone
"""
from environment import Cannot
from gpu_engines import GpuEngine

FP8_MOST = 448.0  # the largest number of e4m3


class Attention:
    """Made for a batch; called for every layer, and for the last one's queries of [CLS]."""

    def __init__(self, torch, offsets, widths):
        self.torch, self.offsets, self.widths = torch, offsets, widths
        self.ones = torch.arange(len(widths) + 1, device=offsets.device)


class Varlen(Attention):
    def __init__(self, torch, offsets, widths):
        super().__init__(torch, offsets.int(), widths)
        try:
            from torch.nn.attention.varlen import varlen_attn
        except ImportError:
            raise Cannot("this PyTorch has no torch.nn.attention.varlen") from None
        self.attend, self.ones = varlen_attn, self.ones.int()

    def __call__(self, query, key, value, is_cls):
        longest = int(self.widths[-1])
        return self.attend(query, key, value, self.ones if is_cls else self.offsets, self.offsets,
                           1 if is_cls else longest, longest)


class Nested(Attention):
    def nested(self, rows, offsets, longest):
        return self.torch.nested.nested_tensor_from_jagged(
            rows, offsets=offsets, min_seqlen=1, max_seqlen=longest).transpose(1, 2)

    def __call__(self, query, key, value, is_cls):
        longest = int(self.widths[-1])
        query = self.nested(query, self.ones if is_cls else self.offsets,
                            1 if is_cls else longest)
        key, value = (self.nested(rows, self.offsets, longest) for rows in (key, value))
        context = self.torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return context.transpose(1, 2).values()


class Grouped(Attention):
    """The batch is sorted by length, so a group is a run of titles."""

    def __init__(self, torch, offsets, widths):
        super().__init__(torch, offsets, widths)
        self.groups = []
        ceilings = -(-widths // 8) * 8
        begin = 0
        for i in range(1, len(widths) + 1):
            if i == len(widths) or ceilings[i] != ceilings[begin]:
                columns = torch.arange(int(ceilings[begin]), device=offsets.device)
                starts = offsets[begin:i, None]
                mask = columns[None, :] < offsets[begin + 1:i + 1, None] - starts
                at = torch.where(mask, starts + columns[None, :], starts)
                self.groups.append((begin, i, at, mask))
                begin = i

    def __call__(self, query, key, value, is_cls):
        context = self.torch.empty_like(query)
        for begin, end, at, mask in self.groups:
            rows = self.torch.arange(begin, end, device=at.device)[:, None] if is_cls else at
            q, k, v = (part[where].transpose(1, 2)
                       for part, where in ((query, rows), (key, at), (value, at)))
            out = self.torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask[:, None, None, :]).transpose(1, 2)
            if is_cls:
                context[begin:end] = out[:, 0]
            else:
                context[at[mask]] = out[mask]
        return context


ATTENTIONS = {"varlen": Varlen, "nested": Nested, "grouped": Grouped}


class Packed(GpuEngine):
    name, tier, by_tokens = "PyTorch packed", "bf16", True
    variants = ["varlen", "grouped", "nested"]
    sizes = [16384, 65536, 131072]

    def load(self, folder, variant):
        torch = self.torch
        model = self.load_model(folder, torch.float32)
        self.attention = ATTENTIONS[variant]
        self.heads, self.eps = model.config.num_attention_heads, model.config.layer_norm_eps
        self.gelu = "none" if model.config.hidden_act == "gelu" else "tanh"
        embeddings = model.bert.embeddings
        with torch.no_grad():
            self.words = embeddings.word_embeddings.weight.to(torch.bfloat16)
            self.positions = embeddings.position_embeddings.weight + \
                embeddings.token_type_embeddings.weight[0]
            self.norm = self.norm_of(embeddings.LayerNorm)
            self.layers = [self.layer_of(layer) for layer in model.bert.encoder.layer]
            self.pooler = [part.to(torch.bfloat16) for part in (
                model.bert.pooler.dense.weight, model.bert.pooler.dense.bias)]
            self.classifier = model.classifier.weight.clone(), model.classifier.bias.clone()
            self.check()

    def check(self):
        """Once, that this way to attend is to be had."""
        import numpy
        ids, lengths = numpy.array([1, 2, 3, 4, 5]), numpy.array([2, 3])
        try:
            self.computed(ids, lengths)
            self.finish()
        except Cannot:
            raise
        except Exception as error:
            raise Cannot(f"{type(error).__name__}: {str(error).splitlines()[0]}") from None

    def norm_of(self, norm):
        return norm.weight.to(self.torch.bfloat16), norm.bias.to(self.torch.bfloat16)

    def dense_of(self, *parts):
        """A product's weights: several of them one below the other."""
        weight = self.torch.cat([part.weight for part in parts]).to(self.torch.bfloat16)
        bias = self.torch.cat([part.bias for part in parts]).to(self.torch.bfloat16)
        return self.weights(weight), bias

    def weights(self, weight):
        return weight

    def product(self, x, dense):
        return self.torch.nn.functional.linear(x, *dense)

    def project(self, x, dense):
        return self.product(x, dense)

    def layer_of(self, layer):
        own = layer.attention.self
        return {"query": self.dense_of(own.query), "key_value": self.dense_of(own.key, own.value),
                "qkv": self.dense_of(own.query, own.key, own.value),
                "out": self.dense_of(layer.attention.output.dense),
                "out_norm": self.norm_of(layer.attention.output.LayerNorm),
                "up": self.dense_of(layer.intermediate.dense),
                "down": self.dense_of(layer.output.dense),
                "down_norm": self.norm_of(layer.output.LayerNorm)}

    def normed(self, x, norm):
        return self.torch.nn.functional.layer_norm(x, x.shape[-1:], *norm, self.eps)

    def parts(self, rows, n):
        """[rows, n H] as n of [rows, heads, size]."""
        return rows.view(len(rows), n, self.heads, -1).unbind(1)

    def layer(self, x, layer, attend, cls=None):
        """With `cls`, rows of [CLS]: for them alone."""
        if cls is None:
            query, key, value = self.parts(self.project(x, layer["qkv"]), 3)
        else:
            key, value = self.parts(self.project(x, layer["key_value"]), 2)
            x = x[cls]
            query, = self.parts(self.project(x, layer["query"]), 1)
        context = attend(query, key, value, cls is not None).reshape(len(x), -1)
        return self.after(x, context, layer)

    def after(self, x, context, layer):
        """What follows attention."""
        x = self.normed(x + self.product(context, layer["out"]), layer["out_norm"])
        inner = self.torch.nn.functional.gelu(self.product(x, layer["up"]), approximate=self.gelu)
        return self.normed(x + self.product(inner, layer["down"]), layer["down_norm"])

    def forward_batch(self, batch):
        torch = self.torch
        ids, positions, offsets = batch.packed(torch)
        attend = self.attention(torch, offsets, batch.widths)
        x = (self.words[ids].float() + self.positions[positions]).to(torch.bfloat16)
        x = self.normed(x, self.norm)
        for layer in self.layers[:-1]:
            x = self.layer(x, layer, attend)
        x = self.layer(x, self.layers[-1], attend, offsets[:-1])
        x = torch.tanh(torch.nn.functional.linear(x, *self.pooler))
        return torch.nn.functional.linear(x.float(), *self.classifier)


class PackedCompiled(Packed):
    """What lies before and behind attention compiled, so that between products there is one kernel;
    attention itself looks at lengths, which would be compiled anew for each batch."""
    name, compiles = "PyTorch packed compiled", True
    variants = ["varlen", "grouped"]

    def load(self, folder, variant):
        self.project = self.torch.compile(self.project, dynamic=True)
        self.after = self.torch.compile(self.after, dynamic=True)
        super().load(folder, variant)


class PackedFp8(Packed):
    """Products of e4m3 by torch._scaled_mm, with a scale for each row of activations, as it comes,
    and for each row of weights; the pooler stays in bf16."""
    name, tier = "PyTorch packed", "fp8"
    variants = ["varlen", "grouped"]

    def load(self, folder, variant):
        if self.device.type == "cuda" and self.torch.cuda.get_device_capability() < (8, 9):
            raise Cannot("fp8 takes compute capability 8.9")
        super().load(folder, variant)

    def quantized(self, rows):
        most = rows.abs().amax(1, keepdim=True).float().clamp(min=1e-12)
        scaled = (rows.float() * (FP8_MOST / most)).to(self.torch.float8_e4m3fn)
        return scaled, most / FP8_MOST

    def weights(self, weight):
        values, scales = self.quantized(weight)
        return values.t(), scales.t()

    def product(self, x, dense):
        (weight, weight_scales), bias = dense
        values, scales = self.quantized(x)
        return self.torch._scaled_mm(values, weight, scale_a=scales, scale_b=weight_scales,
                                     bias=bias, out_dtype=self.torch.bfloat16, use_fast_accum=True)


class PackedFp8Compiled(PackedCompiled, PackedFp8):
    name, tier = "PyTorch packed compiled", "fp8"


ENGINES = (Packed, PackedCompiled, PackedFp8, PackedFp8Compiled)
